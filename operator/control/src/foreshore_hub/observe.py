"""The hub's eyes: informers of every kind it compiles from, and of nodes.

Each runs until cancelled and waits an absent API server out by itself. Only when all have listed
once is the world called synced; before that nothing is compiled and what the store kept is served.
The agents' pods are not waited for: without them only their echoes are not timed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import pydantic_core

from foreshore_api import meta
from foreshore_hub import by_site, world
from foreshore_kube import api, informer, kinds

log = logging.getLogger(__name__)

R = TypeVar("R", bound=meta.Resource)

AGENTS: Final = "app.kubernetes.io/name=foreshore-agent"
"""Label of the agents' pods, as their chart gives it."""
PATIENCE_SECONDS: Final = 30.0


class Observing:
    """All informers and the world they feed."""

    def __init__(
        self,
        kube: api.KubeApi,
        on_touched: Callable[[world.Touched], None],
        *,
        agent_namespace: str,
        agent_account: str,
    ) -> None:
        self._on_touched: Final = on_touched
        self._contents: Final = by_site.SiteContents()
        self._agent_namespace: Final = agent_namespace
        self._pods: Final = informer.Informer(
            kube,
            kinds.PODS,
            namespace=agent_namespace,
            label_selector=AGENTS,
            decode=world.AgentPod.read,
            on_change=self._note,
        )
        self._nodes: Final = informer.Informer(
            kube, kinds.NODES, decode=world.LabelledNode.read, on_change=self._note, keeps_last=True
        )
        self._resources: Final[Mapping[type[meta.Resource], informer.Informer[Any]]] = {
            kind: informer.Informer(
                kube, kinds.of(kind), decode=_decoder(kind), on_change=self._note
            )
            for kind in world.KINDS
        }
        self.world: Final = world.World(
            self._nodes.store,
            {kind: kind_informer.store for kind, kind_informer in self._resources.items()},
            self._pods.store,
            agent_account,
            self._contents,
        )

    def _note(self, change: informer.ObjectChange[Any]) -> None:
        """Say what a change touches; where that cannot be told, everything is looked at again."""
        self._contents.note(change)
        try:
            touched = world.touched(change)
        except Exception:
            log.exception("what %s %s/%s touches is not known", change.kind.kind, *change.key)
            touched = world.EVERYTHING
        self._on_touched(touched)

    async def run(self) -> None:
        """Observe until cancelled."""
        every = (self._nodes, *self._resources.values())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run(), name="observe-pods")
            tasks.create_task(self._complain(), name="observe-pods-late")
            for kind_informer in every:
                tasks.create_task(kind_informer.run(), name=f"observe-{kind_informer.kind.plural}")
            for kind_informer in every:
                await kind_informer.synced.wait()
            self.world.is_synced = True
            log.info("every kind was listed once")
            self._on_touched(world.EVERYTHING)

    async def _complain(self) -> None:
        """Say it where the agents' pods cannot be listed: else nobody would notice."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._pods.synced.wait()
        except TimeoutError:
            log.warning(
                "the agents' pods in namespace %s cannot be listed, so no agent is told where its"
                " peers are and Network is not measured before a replica serves; the chart"
                " foreshore-agent brings the Role that the hub needs there",
                self._agent_namespace,
            )


def _decoder(kind: type[R]) -> Callable[[api.Json], R]:
    def decode(document: api.Json) -> R:
        return kind.parse(pydantic_core.to_json(document))

    return decode
