"""Which assignment each agent should work by, and who waits for the next one.

    mirror changed, agent asks for the first time
        └──► touched nodes ── 50 ms of quiet ──► compile ── digest differs ──► count, keep, wake
                   └── touched meanwhile ──► in turns with what waits ──┘

A generation is counted and kept in the store before any agent sees it: after a restart it goes on
from there, also without an API server. A node that the API server no longer knows keeps its last
assignment for a week; its count stays in the store. A node whose assignment cannot be compiled or
kept goes on with the one it has (`foreshore_decision.in_force`), and is tried again.

What a node was assigned last also resolves what dangles: the store keeps it, so that a restart of
the hub forgets no profile or model that was deleted while it is used. It is kept `packed`, and
decoded only when a compilation comes to such a reference.
"""

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from foreshore_api import conditions, printable
from foreshore_api.wire import report
from foreshore_decision import assignment as compiling
from foreshore_decision import in_force
from foreshore_hub import by_site, packed, store, world

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 10.0
"""After a failure to compile or keep an assignment."""
SHOWN: Final = 8
"""Problems of one assignment that are logged, and how many more there are."""
PROBLEMS: Final = 1_000
"""Nodes that cannot be compiled for that the operator is told of."""
FORGOTTEN_SECONDS: Final = 7 * 86400.0
"""A node that the API server has not known for so long has no assignment any more."""


NEIGHBOURS: Final = 3
"""Other nodes of a site whose assignments are asked what a dangling reference resolved to."""


def obstacle(error: Exception) -> in_force.Obstacle:
    """Class an error: the store's or the site's, which a person can mend, or a defect of ours."""
    if isinstance(error, store.StoreUnavailableError):
        return in_force.Obstacle(
            conditions.Reason.STORE_UNAVAILABLE,
            f"it cannot be kept: the hub's store cannot be written ({error})",
            "free room on the store's volume, or mend its database",
        )
    if isinstance(error, compiling.BeyondBoundsError):
        return in_force.Obstacle(
            conditions.Reason.INVALID,
            f"its site says more than one agent can be assigned: {error}",
            "divide the site, or delete what it does not need",
        )
    return in_force.Obstacle(
        conditions.Reason.INTERNAL_ERROR,
        f"it cannot be compiled ({type(error).__name__})",
        "the hub's log has the details: please report them",
    )


def alternating(older: Sequence[str], newer: Sequence[str]) -> list[str]:
    """Return both, each once and in turns; what waits begins, so that it always gets on."""
    return list(
        dict.fromkeys(
            node
            for pair in itertools.zip_longest(older, newer)
            for node in pair
            if node is not None
        )
    )


class Assigning:
    """Assignments by node, kept current by `run`."""

    def __init__(
        self,
        kept: store.RecordStore,
        seen: world.World,
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._store: Final = kept
        self._world: Final = seen
        self._count_failure: Final = count_failure
        self._current: dict[str, packed.PackedAssignment] = {}
        self._wanted: set[str] = set()
        self._touched_nodes: set[str] = set()
        self._touched_namespaces: set[str] = set()
        self._touched_sites: set[by_site.SitePlace] = set()
        self._is_touched: Final = asyncio.Event()
        self._changed: dict[str, asyncio.Event] = {}
        self._failures: dict[str, in_force.Obstacle] = {}
        """By node: what kept its assignment from being compiled or kept last, logged once."""
        self._retries: dict[str, asyncio.TimerHandle] = {}
        """By node: when it is looked at again after a failure; one ahead is enough."""
        self._said: dict[str, list[str]] = {}
        """By node: what was logged of its assignment last."""
        self._absent: Mapping[str, float] = {}
        """By node that the API server does not know: since when."""
        self._is_closing = False

    async def load(self) -> None:
        """Start from what the store kept."""
        self._current = dict(await self._store.assignments())
        self._wanted = set(self._current)

    def current(self, node: str) -> packed.PackedAssignment | None:
        """Return what a node should work by; None before it was compiled once."""
        return self._current.get(node)

    async def wait(
        self, node: str, digest: str | None, seconds: float
    ) -> packed.PackedAssignment | None:
        """Return the first assignment with another digest, or the current one when time is up."""
        self._want(node)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._changed.setdefault(node, asyncio.Event())
                    assigned = self.current(node)
                    if self._is_closing or (assigned is not None and assigned.digest != digest):
                        return assigned
                    await changed.wait()
        except TimeoutError:
            return self.current(node)

    def touch(self, what: world.Touched) -> None:
        """Note what a change can have an effect on."""
        if what.nodes or what.namespaces or what.sites:
            self._touched_nodes |= what.nodes
            self._touched_sites |= what.sites
            self._touched_namespaces |= what.namespaces
            self._is_touched.set()

    def touch_all(self) -> None:
        """Look at every node again."""
        self.touch(world.EVERYTHING)

    def problems(self) -> tuple[report.Problem, ...]:
        """Return the nodes whose assignment cannot be compiled or kept, for the operator to say."""
        return tuple(
            report.Problem(
                kind="Node",
                namespace="",
                name=node,
                reason=why.reason,
                message=self._held_back(node, why),
            )
            for node, why in sorted(self._failures.items())[:PROBLEMS]
        )

    def forget(self, now: float) -> None:
        """Drop the nodes that have been gone for long; `now` is monotonic."""
        if not self._world.is_synced:
            return
        nodes = self._wanted | self._current.keys() | self._changed.keys() | self._failures.keys()
        gone = {node for node in nodes if self._world.node(node) is None}
        self._absent = {node: self._absent.get(node, now) for node in gone}
        for node, since in self._absent.items():
            if now - since >= FORGOTTEN_SECONDS:
                self._drop(node)
        self._absent = {node: at for node, at in self._absent.items() if node in self._wanted}

    def _drop(self, node: str) -> None:
        self._wanted.discard(node)
        self._current.pop(node, None)
        self._said.pop(node, None)
        self._settle(node)
        if (waiting := self._changed.pop(node, None)) is not None:
            waiting.set()

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
            await self._attend_all(self._taken())

    async def _attend_all(self, nodes: list[str]) -> None:
        """Look at nodes one by one; what is touched meanwhile takes turns with what waits.

        A policy that is edited touches every node of its namespace, for seconds: the node to which
        a right moves then must not be the last of them, nor the others wait for ever.
        """
        waiting, looked_at = nodes, time.monotonic()
        while waiting:
            node, *waiting = waiting
            await self.attend(node)
            if self._is_touched.is_set() and time.monotonic() - looked_at >= QUIET_SECONDS:
                waiting, looked_at = alternating(waiting, self._taken()), time.monotonic()

    async def attend(self, node: str) -> None:
        """Look at one node; a failure stays its own."""
        try:
            await self._refresh(node)
        except Exception as error:  # noqa: BLE001 - counted, and logged once, below
            self._failed(node, error)
        else:
            self._settle(node)

    def _taken(self) -> list[str]:
        """Return the nodes that were touched; all, where that cannot be told."""
        try:
            return self._take()
        except Exception:
            log.exception("what was touched is not known: every node is looked at")
            self._count_failure()
            return sorted(self._wanted)

    def _failed(self, node: str, error: Exception) -> None:
        """Count, say it once, and look again in a while; the others do not wait."""
        self._count_failure()
        why = obstacle(error)
        if self._failures.get(node) != why:
            log.error("node %s: %s", node, self._held_back(node, why), exc_info=error)
        self._failures[node] = why
        if node not in self._retries:
            loop = asyncio.get_running_loop()
            self._retries[node] = loop.call_later(AGAIN_SECONDS, self._retry, node)

    def _held_back(self, node: str, why: in_force.Obstacle) -> str:
        kept = "the one before" if node in self._current else ""
        return in_force.message(why, "its newest assignment", kept)

    def _retry(self, node: str) -> None:
        self._retries.pop(node, None)
        self.touch(world.Touched(nodes=frozenset({node})))

    def _settle(self, node: str) -> None:
        """Nothing is wrong with a node any more, or it is gone."""
        self._failures.pop(node, None)
        if (timer := self._retries.pop(node, None)) is not None:
            timer.cancel()

    def _want(self, node: str) -> None:
        if node not in self._wanted:
            self._wanted.add(node)
            self.touch(world.Touched(nodes=frozenset({node})))

    def _take(self) -> list[str]:
        nodes, namespaces = self._touched_nodes, self._touched_namespaces
        sites = self._touched_sites
        self._touched_nodes, self._touched_namespaces, self._touched_sites = set(), set(), set()
        self._is_touched.clear()
        if "*" in nodes:
            return sorted(self._wanted)
        return sorted(
            node
            for node in self._wanted
            if node in nodes
            or any(place in sites or place.namespace in namespaces for place in self._places(node))
        )

    def _places(self, node: str) -> Iterator[by_site.SitePlace]:
        """Yield the site of a node, as it is and as it was assigned last."""
        seen, current = self._world.node(node), self._current.get(node)
        if current is not None and current.site is not None:
            yield current.site
        site = seen.site if seen is not None else None
        namespace = self._world.site_namespace(site) if site is not None else None
        if site is not None and namespace is not None:
            yield by_site.SitePlace(namespace, site)

    async def _refresh(self, node: str) -> None:
        question = self._world.question(node, self._last(node))
        if question is None:
            return
        compiled = await asyncio.to_thread(question)
        self._say(node, compiled.problems)
        current = self._current.get(node)
        if current is not None and current.digest == compiled.assignment.digest:
            return
        last = current.generation if current is not None else await self._store.generation(node)
        counted = compiled.assignment.model_copy(
            update={"lineage": self._store.lineage, "generation": last + 1}
        )
        kept = await asyncio.to_thread(packed.PackedAssignment.of, counted)
        await self._store.assign(kept)
        self._current[node] = kept
        log.info("assignment of %s: generation %d, %d devices, %d policies, %d problems",
                 node, counted.generation, len(counted.devices), len(counted.policies),
                 len(compiled.problems))  # fmt: skip
        if (waiting := self._changed.pop(node, None)) is not None:
            waiting.set()

    def _say(self, node: str, problems: Sequence[report.Problem]) -> None:
        """Log what could not be resolved of a node's assignment, once; not all where it is much."""
        lines = [
            f"{problem.kind} {problem.name}: {problem.reason}: {problem.message}"
            for problem in problems
        ]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"and {len(lines) - SHOWN} more"]
        if lines != self._said.get(node, []):
            for line in lines:
                log.warning("assignment of %s: %s", node, printable.clean(line))
        self._said[node] = lines

    def _last(self, node: str) -> Iterator[packed.PackedAssignment]:
        """Yield what was assigned last: the node's own, then that of its neighbours at the site.

        Of these the ones with the most devices: a node does not reach all that its site has. A
        site of the same name in another namespace is another tenant's.
        """
        if (own := self._current.get(node)) is not None:
            yield own
        seen = self._world.node(node)
        site = seen.site if seen is not None else None
        namespace = self._world.site_namespace(site) if site is not None else None
        if site is None or namespace is None:
            return
        here = by_site.SitePlace(namespace, site)
        neighbours = (
            other for name, other in self._current.items() if other.site == here and name != node
        )
        yield from heapq.nsmallest(
            NEIGHBOURS, neighbours, key=lambda other: (-other.device_count, other.node)
        )
