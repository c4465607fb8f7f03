"""Which assignment each agent should work by, and who waits for the next one.

    mirror changed, agent asks for the first time
        └──► touched nodes ── 50 ms of quiet ──► compile ── digest differs ──► count, keep, wake

A generation is counted and kept in the store before any agent sees it: after a restart it goes on
from there, also without an API server. A node that the API server no longer knows keeps its last
assignment.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from foreshore_api.wire import assignment as wire
from foreshore_hub import store, world

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 10.0
"""After a failure to compile or keep an assignment."""


class Assigning:
    """Assignments by node, kept current by `run`."""

    def __init__(
        self,
        kept: store.Store,
        seen: world.World,
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._store: Final = kept
        self._world: Final = seen
        self._count_failure: Final = count_failure
        self._current: dict[str, wire.Assignment] = {}
        self._wanted: set[str] = set()
        self._touched_nodes: set[str] = set()
        self._touched_namespaces: set[str] = set()
        self._is_touched: Final = asyncio.Event()
        self._changed: dict[str, asyncio.Event] = {}
        self._is_closing = False

    async def load(self) -> None:
        """Start from what the store kept."""
        self._current = dict(await self._store.assignments())
        self._wanted = set(self._current)

    def current(self, node: str) -> wire.Assignment | None:
        """Return what a node should work by; None before it was compiled once."""
        return self._current.get(node)

    async def wait(self, node: str, digest: str | None, seconds: float) -> wire.Assignment | None:
        """Return the first assignment with another digest, or the current one when time is up."""
        self._want(node)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._changed.setdefault(node, asyncio.Event())
                    found = self.current(node)
                    if self._is_closing or (found is not None and found.digest != digest):
                        return found
                    await changed.wait()
        except TimeoutError:
            return self.current(node)

    def touch(self, what: world.Touched) -> None:
        """Note what a change can have an effect on."""
        if what.nodes or what.namespaces:
            self._touched_nodes |= what.nodes
            self._touched_namespaces |= what.namespaces
            self._is_touched.set()

    def touch_all(self) -> None:
        """Look at every node again."""
        self.touch(world.EVERYTHING)

    def wake_all(self) -> None:
        """Let everybody who waits go: the hub is about to stop."""
        self._is_closing = True
        for event in self._changed.values():
            event.set()

    async def run(self) -> None:
        """Compile what was touched until cancelled."""
        while True:
            await self._is_touched.wait()
            await asyncio.sleep(QUIET_SECONDS)
            if not self._world.is_synced:
                await asyncio.sleep(QUIET_SECONDS)
                continue
            for node in self._take():
                try:
                    await self._refresh(node)
                except Exception:  # one node's resources must not keep the others waiting
                    log.exception("the assignment of %s stays as it is", node)
                    self._failed(node)

    def _failed(self, node: str) -> None:
        """Count, and look again in a while."""
        self._count_failure()
        what = world.Touched(nodes=frozenset({node}))
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.touch, what)

    def _want(self, node: str) -> None:
        if node not in self._wanted:
            self._wanted.add(node)
            self.touch(world.Touched(nodes=frozenset({node})))

    def _take(self) -> list[str]:
        nodes, namespaces = self._touched_nodes, self._touched_namespaces
        self._touched_nodes, self._touched_namespaces = set(), set()
        self._is_touched.clear()
        if "*" in nodes:
            return sorted(self._wanted)
        return sorted(
            node for node in self._wanted if node in nodes or self._is_in(node, namespaces)
        )

    def _is_in(self, node: str, namespaces: set[str]) -> bool:
        """Whether a node's site is, or was, in one of these namespaces."""
        seen, known = self._world.node(node), self._current.get(node)
        if known is not None and known.site is not None and known.site.namespace in namespaces:
            return True
        site = seen.site if seen is not None else None
        return site is not None and self._world.site_namespace(site) in namespaces

    async def _refresh(self, node: str) -> None:
        question = self._world.question(node)
        if question is None:
            return
        compiled = await asyncio.to_thread(question)
        known = self._current.get(node)
        if known is not None and known.digest == compiled.assignment.digest:
            return
        counted = compiled.assignment.model_copy(
            update={
                "lineage": self._store.lineage,
                "generation": known.generation + 1 if known is not None else 1,
            }
        )
        await self._store.assign(counted)
        self._current[node] = counted
        log.info("assignment of %s: generation %d, %d devices, %d policies, %d problems",
                 node, counted.generation, len(counted.devices), len(counted.policies),
                 len(compiled.problems))  # fmt: skip
        if (waiting := self._changed.pop(node, None)) is not None:
            waiting.set()
