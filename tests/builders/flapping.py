"""A site whose nodes come and go by a timetable, planned and applied in virtual time.

What the operator remembers of its nodes goes through its own `NodeFlaps`, as in a real one.
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta

from builders import planning as build
from foreshore_api.wire import report
from foreshore_operator import flaps
from foreshore_planner import health, snapshot
from foreshore_planner import plan as planning

IsUp = Callable[[str, float], bool]
"""Whether a node is up at a time."""


def in_turn(period: float, overlap: float, phase: float = 0.5) -> IsUp:
    """Two nodes of which one is up while the other is down; with an overlap both are down for it.

    A negative overlap leaves both up for as long.
    """

    def is_up(node: str, time: float) -> bool:
        start = 0.0 if node == "edge-1" else period * phase
        length = period * (phase if node == "edge-1" else 1.0 - phase) + overlap
        return time < start or (time - start) % period >= length

    return is_up


@dataclasses.dataclass
class FlappingSite:
    """Nodes of one site, an agent on each, and everything that was planned for them."""

    is_up: IsUp
    nodes: Sequence[str] = ("edge-1", "edge-2")
    time: float = -100.0

    def __post_init__(self) -> None:
        self.flaps = flaps.NodeFlaps(lambda: self.time)
        self.down_since: dict[str, float] = {}
        self.grants: list[str] = []
        self.moves: list[tuple[str, str]] = []
        self.longest = 0
        """Flaps that a node had at most."""
        self.seen = build.world(nodes=tuple(map(build.edge, self.nodes)), monotonic=self.time)
        self.observe()
        self.seen = build.settle(self.seen)

    def observe(self) -> None:
        """What is seen at this moment."""
        for name in self.nodes:
            if self.is_up(name, self.time):
                self.down_since.pop(name, None)
                self.flaps.heard(name, "hq")
            elif name not in self.down_since:
                self.down_since[name] = self.time
                self.flaps.fell(name, "hq")
        self.flaps.settle()
        nodes = tuple(self._node(node) for node in self.seen.nodes)
        self.longest = max(self.longest, *(len(node.flaps) for node in nodes))
        fleet = build.fleet(
            [self._agent(name) for name in self.nodes if self._silence(name) < 15.0],
            [self._renewal(device) for device in self.seen.devices if device.status.authority],
        )
        self.seen = dataclasses.replace(self.seen, nodes=nodes, fleet=fleet)

    def run(self, seconds: float, step: float = 1.0, planned_every: float = 3.0) -> None:
        """Let time pass; plan and apply as often, and at each change."""
        until, due = self.time + seconds, self.time
        while self.time < until:
            before = dict(self.down_since)
            self.time += step
            now = build.NOW + timedelta(seconds=self.time)
            self.seen = dataclasses.replace(self.seen, now=now, monotonic=self.time)
            self.observe()
            if before != self.down_since or self.time >= due:
                due = self.time + planned_every
                self.take()

    def take(self) -> None:
        """One pass."""
        made = planning.plan(self.seen)
        self.grants += [grant.authority.holder or "" for grant in made.grants]
        now = build.NOW + timedelta(seconds=self.time)
        for placement in made.placements:
            self.moves += [
                (move.from_ or "", move.to)
                for move in placement.moves
                if move.time == f"{now:%Y-%m-%dT%H:%M:%S}Z" and move.from_ is not None
            ]
        self.seen = build.applied(self.seen, made)

    def most(self) -> tuple[int, int]:
        """How many moves and grants went onto one node at most."""
        moves = collections.Counter(to for _, to in self.moves)
        grants = collections.Counter(self.grants)
        return max(moves.values(), default=0), max(grants.values(), default=0)

    def _silence(self, name: str) -> float:
        return self.time - self.down_since.get(name, self.time)

    def _node(self, node: snapshot.Node) -> snapshot.Node:
        is_up = node.name not in self.down_since
        silence = None if is_up else self._silence(node.name)
        return dataclasses.replace(
            node,
            is_ready=is_up,
            silent_age=silence,
            lease_age=1.0 if silence is None else silence + 1.0,
            ready_age=100.0 if is_up else node.ready_age,
            flaps=self.flaps.ages(node.name),
        )

    def _agent(self, name: str) -> report.AgentEvidence:
        peers = tuple(
            report.ReportedPeer(node=peer, age_seconds=0.5 + self._silence(peer), has_hub=True)
            for peer in self.nodes
            if peer != name and self._silence(peer) < 2 * health.BEAT_FRESH
        )
        return build.agent(
            name, age=0.5 + self._silence(name), peers=peers, probes=build.probes(edge_1=1)
        )

    def _renewal(self, device: object) -> report.LastRenewal:
        right = device.status.authority  # type: ignore[attr-defined]
        age = 1.0 + self._silence(right.holder)
        return build.renewal(right.epoch, age=age, holder=right.holder)
