"""The hub as one set of tasks: informers, assigning, two TLS listeners, figures.

`main` runs it until a signal; tests run it inside their own loop.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from foreshore_hub import (
    assigning,
    authn,
    door,
    fleet,
    front_proxy,
    health,
    listeners,
    measures,
    observe,
    records,
    settings,
    store,
    world,
)
from foreshore_kube import api, config, heap

log = logging.getLogger(__name__)

USER_AGENT: Final = "foreshore-hub"
RETRY_SECONDS: Final = 2.0
PRUNE_SECONDS: Final = 60.0
FORGET_SECONDS: Final = 600.0
PRUNE_AGAIN_SECONDS: Final = 0.5
"""While there is more to forget than fits into one transaction."""


class Hub:
    """One running hub."""

    def __init__(
        self, chosen: settings.HubServerSettings, kube: api.KubeApi, kept: store.RecordStore
    ) -> None:
        self._settings: Final = chosen
        self._kube: Final = kube
        self._store: Final = kept
        self._stopping: Final = asyncio.Event()
        self._measured: Final = measures.Measures()
        self.door: listeners.Listener | None = None
        self.records: listeners.Listener | None = None
        self.figures: listeners.Listener | None = None

    def stop(self) -> None:
        """Begin an orderly end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; what runs then is finished, who waits is sent away."""
        evidence = fleet.FleetEvidence(
            self._store.lineage, time.monotonic(), await self._store.last_renewals()
        )
        observing = observe.Observing(
            self._kube,
            lambda what: assigned.touch(what),
            agent_namespace=self._settings.agent_namespace,
            agent_account=self._settings.agent_service_account,
        )
        assigned = assigning.Assigning(
            self._store,
            observing.world,
            lambda: self._measured.refused("AssignmentFailed"),
        )
        await assigned.load()
        desk = door.Desk(
            accounts=self._accounts(),
            assigning=assigned,
            fleet=evidence,
            store=self._store,
            world=observing.world,
            measured=self._measured,
        )
        self.door = self._open_door(desk)
        self.figures = self._open_figures(evidence)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(observing.run(), name="observe"),
                tasks.create_task(assigned.run(), name="assign"),
                tasks.create_task(self._serve_records(), name="records"),
                tasks.create_task(self._prune(), name="prune"),
                tasks.create_task(heap.keep(), name="heap"),
                tasks.create_task(self._forget(evidence, assigned, observing.world), name="forget"),
            ]
            tasks.create_task(self.door.serve(), name="door")
            tasks.create_task(self.figures.serve(), name="figures")
            await self._stopping.wait()
            assigned.wake_all()
            evidence.wake_all()
            self.door.stop()
            self.figures.stop()
            for task in background:
                task.cancel()

    async def _prune(self) -> None:
        """Keep the store within its bounds."""
        chosen = self._settings
        while True:
            before = int((time.time() - chosen.keep_days * 86400) * 1_000_000)
            gone = 0
            try:
                gone = await self._store.prune(before=before, most=chosen.keep_records)
            except store.StoreUnavailableError as error:
                log.warning("nothing could be forgotten: %s", error)
            is_behind = gone >= store.CHUNK
            await asyncio.sleep(PRUNE_AGAIN_SECONDS if is_behind else PRUNE_SECONDS)

    async def _forget(
        self, evidence: fleet.FleetEvidence, assigned: assigning.Assigning, seen: world.World
    ) -> None:
        """Drop what is known of nodes and devices that are long gone."""
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            assigned.forget(time.monotonic())
            gone = evidence.forget(time.monotonic(), seen.has_device)
            try:
                await self._store.forget_renewals(gone)
            except store.StoreUnavailableError as error:
                log.warning("whom was renewed for %d devices that are gone stays: %s",
                            len(gone), error)  # fmt: skip

    def _accounts(self) -> door.Accounts:
        chosen = self._settings
        return door.Accounts(
            agent=door.account(f"{chosen.agent_namespace}/{chosen.agent_service_account}"),
            operator=door.account(chosen.operator_service_account),
        )

    def _open_door(self, desk: door.Desk) -> listeners.Listener:
        authenticator = authn.Authenticator(authn.KubeReviews(self._kube))
        return listeners.Listener(
            door.build(desk, authenticator),
            host=self._settings.host,
            port=self._settings.door_port,
            pair=listeners.KeyPair(self._settings.tls_dir),
        )

    def _open_figures(self, evidence: fleet.FleetEvidence) -> listeners.Listener:
        return listeners.Listener(
            health.build(self._measured, lambda: evidence.count(time.monotonic()), self._is_ready),
            host=self._settings.host,
            port=self._settings.metrics_port,
        )

    async def _is_ready(self) -> bool:
        is_open = self.door is not None and self.door.is_started
        return is_open and await self._store.is_ready()

    async def _serve_records(self) -> None:
        """Keep the aggregated API open; anew when the front proxy's certificates change."""
        proxy = await self._front_proxy()
        while True:
            listener = self._open_records(proxy)
            self.records = listener
            serving = asyncio.create_task(listener.serve())
            try:
                proxy = await self._changed(proxy)
            finally:
                listener.stop()
                await asyncio.shield(serving)
            log.info("the front proxy's certificates changed")

    def _open_records(self, proxy: front_proxy.FrontProxy) -> listeners.Listener:
        return listeners.Listener(
            records.build(self._store),
            host=self._settings.host,
            port=self._settings.records_port,
            pair=listeners.KeyPair(self._settings.records_tls_dir),
            client_authority=proxy.authority,
            protocol=listeners.protocol_admitting(proxy.admits),
        )

    async def _front_proxy(self) -> front_proxy.FrontProxy:
        """Ask until the API server says whom it passes requests on as."""
        while True:
            try:
                return await front_proxy.fetch(self._kube)
            except (api.ApiError, front_proxy.NotPublishedError) as error:
                log.warning("the aggregated API waits: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _changed(self, current: front_proxy.FrontProxy) -> front_proxy.FrontProxy:
        while True:
            await asyncio.sleep(front_proxy.PERIOD_SECONDS)
            with contextlib.suppress(api.ApiError, front_proxy.NotPublishedError):
                fetched = await front_proxy.fetch(self._kube)
                if fetched != current:
                    return fetched


@contextlib.asynccontextmanager
async def opened(chosen: settings.HubServerSettings) -> AsyncIterator[Hub]:
    """Open the store and the way to the API server around a hub."""
    access = await config.load(chosen.kubeconfig)
    async with (
        api.KubeApi(access, user_agent=USER_AGENT) as kube,
        store.RecordStore(chosen.database) as kept,
    ):
        yield Hub(chosen, kube, kept)
