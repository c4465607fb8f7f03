"""Kopf, for the kinds that people edit: its handlers only enqueue a key.

Kopf has its own thread and its own event loop, because it cancels tasks that are not its own when
it stops, and a pass must not wait for it. It runs on the leader only. Handlers are `on.event`
alone: every other kind of handler would leave finalizers or annotations on people's objects.

Devices are left to the informer: Kopf costs a millisecond of processor time an object, which a
hundred thousand devices cannot afford, and nothing here depends on it.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from foreshore_api import meta, v1alpha1
from foreshore_kube import config

log = logging.getLogger(__name__)

EDITED = (
    v1alpha1.Site,
    v1alpha1.DeviceProfile,
    v1alpha1.Model,
    v1alpha1.ModelVersion,
    v1alpha1.DecisionPolicy,
    v1alpha1.Cluster,
)
"""Kinds whose edits are enqueued."""

Enqueue = Callable[[tuple[str, str, str]], None]
"""Takes (kind, namespace, name)."""

IDENTITY: Any = "foreshore-operator"
"""Said because Kopf would make one of the user's name, and a container's user has none."""
GOODBYE = 0.3
"""Seconds for Kopf's TLS connections to close before its loop goes."""
RESTART = 5.0
"""Seconds before Kopf is started again: an ERROR in one of its streams ends it."""


class Handlers:
    """Kopf's thread: started when leading begins, stopped when it ends."""

    def __init__(self, access: config.ClusterAccess, enqueue: Enqueue) -> None:
        self._access = access
        self._enqueue = enqueue
        self._loop = asyncio.get_running_loop()
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def set_leading(self, *, is_leading: bool) -> None:
        """Start or stop; both return at once."""
        if is_leading and self._stop is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stop,), name="kopf", daemon=True
            )
            self._thread.start()
        elif not is_leading and self._stop is not None:
            self._stop.set()
            self._stop = None

    def close(self, patience: float = 5.0) -> None:
        """Stop and wait a moment for the thread to end."""
        self.set_leading(is_leading=False)
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self, stop: threading.Event) -> None:
        """Run Kopf again and again until asked to stop."""
        while not stop.is_set():
            try:
                asyncio.run(self._operate(stop))
            except Exception:
                # Kopf ends on upstream conditions that pass by; informers carry on meanwhile
                log.exception("kopf ended")
            stop.wait(RESTART)

    async def _operate(self, stop: threading.Event) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=settings(),
            identity=IDENTITY,
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
        )
        await asyncio.sleep(GOODBYE)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for model in EDITED:
            kopf.on.event(meta.GROUP, meta.VERSION, model.plural, registry=registry)(
                self._handler(model.kind)
            )
        return registry

    def _handler(self, kind: str) -> Callable[..., Any]:
        async def enqueue_key(namespace: str | None, name: str, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._enqueue, (kind, namespace or "", name))

        return enqueue_key

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        return await connection(self._access, self._loop)


async def connection(
    access: config.ClusterAccess, loop: asyncio.AbstractEventLoop
) -> kopf.ConnectionInfo:
    """The operator's own access in Kopf's words; asked again before a token is too old."""
    read = asyncio.run_coroutine_threadsafe(access.headers(), loop)
    headers = await asyncio.wrap_future(read)
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    renew = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=300)
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_path,
        insecure=access.is_insecure,
        scheme=scheme or None,
        token=token or None,
        certificate_path=access.certificate_path,
        private_key_path=access.key_path,
        expiration=renew if token else None,
    )


def settings() -> kopf.OperatorSettings:
    """Kopf's settings: nothing is posted, nothing scanned, no outage ends it."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.queueing.idle_timeout = 0.1
    chosen.watching.chunk_size = 500
    chosen.watching.connect_timeout = 5
    chosen.networking.request_timeout = 10
    chosen.networking.error_backoffs = Backoffs()
    return chosen


class Backoffs:
    """Waits without an end: Kopf gives up, and ends, when an iterable of waits does."""

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            yield random.uniform(0.5, 1.0) * min(30.0, 2.0**attempt)  # noqa: S311 (spreads load)
