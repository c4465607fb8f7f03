"""A site's signs of life over a LAN, a WAN or LTE, in virtual time, and what is made of them.

    timetable of a link, faults ─► arrivals of Lease renewals, reports ─► LeaseAges ─► health.assess

A message waits until an attempt gets through: 0.2 s, doubled up to 8 s (the retransmission timer
of TCP, RFC 6298, and the pauses of a kubelet that renews). Losses come in bursts: a link is good or
bad, for exponential times (Gilbert 1960, Elliott 1963). An uplink is the whole site's. Beats stay
on the site's LAN; an agent stalls once in a thousand seconds, for 120 ms. What the links lose is
assumed, so as to be worse than what is usual; every number stands in `LINKS`.
"""

import bisect
import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from builders import planning as build
from foreshore_api.wire import report
from foreshore_operator import nodes
from foreshore_planner import health, snapshot

RENEWED_EVERY: Final = 10.0
REPORTED_EVERY: Final = 2.0
GRACE: Final = 50.0
"""Seconds without a renewal after which a cluster calls a node's Ready Unknown."""
NODES: Final = ("edge-1", "edge-2", "edge-3")
DAY: Final = 86_400.0
SETTLED: Final = 25.0
"""Seconds after which a cut is to be told: the last Lease has run out, and the hub has answered."""
RETURNED: Final = 30.0
"""Seconds that a node or a link has, to be heard again."""

Span = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class LinkProfile:
    """A way from a site to the cluster and the hub."""

    name: str
    delay: float
    """Seconds one way at the median; the 99th percentile is `jitter` times that."""
    jitter: float
    loss: float
    """Share of attempts that are lost while the link is good."""
    burst_loss: float
    good_for: float
    """Seconds at the mean between two bursts."""
    bad_for: float
    outages: float
    """A day, at the mean."""
    outage_for: float


LINKS: Final = (
    LinkProfile("LAN", 0.0003, 5.0, 0.0001, 0.05, 3600.0, 0.5, 0.5, 30.0),
    LinkProfile("WAN", 0.020, 5.0, 0.001, 0.3, 600.0, 2.0, 4.0, 90.0),
    LinkProfile("LTE", 0.060, 10.0, 0.01, 0.6, 60.0, 4.0, 24.0, 60.0),
)


@dataclasses.dataclass(frozen=True)
class Faults:
    """What really happens, and when."""

    deaths: tuple[tuple[str, Span], ...] = ()
    cuts: tuple[tuple[str, Span], ...] = ()
    """One node's own link."""
    outages: tuple[Span, ...] = ()
    """The site's uplink."""

    def of(self, kind: Sequence[tuple[str, Span]], node: str) -> list[Span]:
        return [span for name, span in kind if name == node]


def scheduled(seed: int, seconds: float, every: float = 3600.0) -> Faults:
    """One death and one cut of a node, and one outage, in each such time, apart from each other."""
    chance = random.Random(seed)
    starts = [number * every for number in range(int(seconds / every))]
    return Faults(
        deaths=tuple(
            (chance.choice(NODES), (at + 300 + chance.random() * 100, at + 800)) for at in starts
        ),
        cuts=tuple(
            (chance.choice(NODES), (at + 1300 + chance.random() * 100, at + 1600)) for at in starts
        ),
        outages=tuple((at + 2300 + chance.random() * 100, at + 2600) for at in starts),
    )


class Timetable:
    """When a site's uplink is bad, and when it is out."""

    def __init__(self, link: LinkProfile, chance: random.Random, until: float) -> None:
        self._link, self._chance = link, chance
        self.bad = list(self._spans(link.good_for, link.bad_for, until))
        pause = DAY / link.outages if link.outages else math.inf
        self.outages = list(self._spans(pause, link.outage_for, until))

    def _spans(self, pause: float, length: float, until: float) -> Iterator[Span]:
        at = 0.0
        while (at := at + self._chance.expovariate(1 / pause)) < until:
            end = at + self._chance.expovariate(1 / length)
            yield at, end
            at = end

    def is_lost(self, at: float) -> bool:
        """Whether an attempt at this time is lost."""
        if is_within(self.outages, at):
            return True
        loss = self._link.burst_loss if is_within(self.bad, at) else self._link.loss
        return self._chance.random() < loss

    def delay(self) -> float:
        """How long an attempt is on its way: log-normal."""
        spread = math.log(self._link.jitter) / 2.326
        return self._link.delay * math.exp(spread * self._chance.gauss(0.0, 1.0))


def is_within(spans: Sequence[Span], at: float) -> bool:
    place = bisect.bisect_right(spans, (at, math.inf))
    return place > 0 and at < spans[place - 1][1]


def arrivals(
    every: float,
    until: float,
    is_sent: Callable[[float], bool],
    is_lost: Callable[[float], bool],
    delay: Callable[[], float],
    chance: random.Random,
) -> Iterator[tuple[float, float]]:
    """Yield when each message was sent and when it arrived; the next waits for that."""
    at = chance.random() * every
    while at < until:
        if not is_sent(at):
            at += 1.0
            continue
        attempt, pause = at, 0.2
        while is_lost(attempt):
            attempt += pause
            pause = min(8.0, pause * 2)
            if not is_sent(attempt):
                break
        else:
            yield at, attempt + delay()
        at = max(at + every * chance.uniform(1.0, 1.04), attempt)


@dataclasses.dataclass
class Judgements:
    """How nodes were judged, beside what was so."""

    node_days: float = 0.0
    false_alarms: int = 0
    """Times that a node that lived was called NodeDead or Unknown."""
    detected: list[float] = dataclasses.field(default_factory=list)
    """Seconds from each death to the first such verdict."""
    missed: int = 0
    link_cut: list[bool] = dataclasses.field(default_factory=list)
    """For each second of a cut, once it can be told, whether it was called LinkCut."""
    site_cut: list[bool] = dataclasses.field(default_factory=list)

    def __add__(self, other: "Judgements") -> "Judgements":
        return Judgements(
            *(
                getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
            )
        )

    def rate(self) -> float:
        """False alarms in a node-day."""
        return self.false_alarms / self.node_days

    def detection(self, share: float) -> float:
        """The time within which such a share of deaths was noticed."""
        ordered = sorted(self.detected)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class PlayedSite:
    """One site over one link, from the first second to the last."""

    def __init__(self, link: LinkProfile, seed: int, seconds: float, faults: Faults) -> None:
        self._chance = random.Random(seed)
        self._seconds, self._faults = seconds, faults
        table = Timetable(link, self._chance, seconds)
        table.outages = merged([*table.outages, *faults.outages])
        self._outages = table.outages
        self._deaths = {node: faults.of(faults.deaths, node) for node in NODES}
        self._cuts = {node: faults.of(faults.cuts, node) for node in NODES}
        self._renewals = {node: self._stream(table, node, RENEWED_EVERY) for node in NODES}
        self._reports = {node: self._stream(table, node, REPORTED_EVERY) for node in NODES}
        self.time = 0.0
        self._leases = nodes.LeaseAges(lambda: self.time)
        self._last: dict[str, tuple[float, float]] = {}
        """By node: when its newest report was sent, and when it arrived."""

    def _stream(self, table: Timetable, node: str, every: float) -> list[tuple[float, float]]:
        """Arrivals of one node's messages, the last first."""
        deaths, cuts = self._deaths[node], self._cuts[node]

        def is_sent(at: float) -> bool:
            return not is_within(deaths, at)

        def is_lost(at: float) -> bool:
            return is_within(cuts, at) or table.is_lost(at)

        made = arrivals(every, self._seconds, is_sent, is_lost, table.delay, self._chance)
        return sorted(made, key=lambda message: -message[1])

    def play(self) -> Judgements:
        """Look once a second, as the operator does."""
        judged = Judgements(node_days=len(NODES) * self._seconds / DAY)
        was_lost: set[str] = set()
        unseen = {(node, span) for node, spans in self._deaths.items() for span in spans}
        while self.time < self._seconds:
            self.time += 1.0
            self._receive()
            verdicts = self._verdicts() if self.time > RETURNED else {}
            lost = {node for node, verdict in verdicts.items() if verdict.is_lost}
            for node in lost - was_lost:
                death = self._death(node)
                if death is None:
                    judged.false_alarms += 1
                elif (node, death) in unseen:
                    unseen.discard((node, death))
                    judged.detected.append(self.time - death[0])
            was_lost = lost
            self._note_cuts(verdicts, judged)
        judged.missed = len(unseen)
        return judged

    def _receive(self) -> None:
        for node in NODES:
            renewals, reports = self._renewals[node], self._reports[node]
            while renewals and renewals[-1][1] <= self.time:
                self._leases.note(node, str(renewals.pop()[0]))
            while reports and reports[-1][1] <= self.time:
                self._last[node] = reports.pop()

    def _verdicts(self) -> dict[str, health.Assessment]:
        """What each node is; nobody is asked while all are heard."""
        ages = {node: self._leases.age(node) or 0.0 for node in NODES}
        if max(ages.values()) <= health.LEASE_STALE:
            return {}
        agents = tuple(self._agent(node) for node in NODES if node in self._last)
        fleet = report.Fleet.model_construct(
            lineage="hub",
            revision=1,
            uptime_seconds=self.time + 600.0,
            agents=agents,
            renewals=(),
            given_back=(),
            problems=(),
        )
        seen = snapshot.Snapshot(
            now=build.NOW,
            monotonic=self.time,
            serving_image="",
            nodes=tuple(self._node(node, age) for node, age in ages.items()),
            fleet=fleet,
            fleet_age=0.5,
        )
        return dict(health.assess(seen).nodes)

    def _node(self, name: str, age: float) -> snapshot.Node:
        is_known = age <= GRACE
        silence = None if is_known else age - GRACE
        return build.edge(
            name, lease_age=age, is_ready=True if is_known else None, silent_age=silence
        )

    def _agent(self, node: str) -> report.AgentEvidence:
        sent, arrived = self._last[node]
        ended = [end for _, end in self._deaths[node] if end <= sent]
        peers = tuple(
            report.ReportedPeer(node=peer, age_seconds=age, has_hub=True)
            for peer in NODES
            if peer != node and (age := self._beat(peer, sent)) < 60.0
        )
        facts = report.Report.model_construct(
            node=node,
            boot_id="boot",
            agent_version="0",
            sent_at=build.NOW,
            uptime_seconds=sent - max(ended, default=0.0),
            broker_connected=True,
            listening_seconds=sent - max(ended, default=0.0),
            peers=peers,
        )
        return report.AgentEvidence.model_construct(
            node=node, age_seconds=self.time - arrived, report=facts
        )

    def _beat(self, node: str, at: float) -> float:
        """How old a node's last beat is to its peers: one a second, now and then one is late."""
        started = [start for start, end in self._deaths[node] if start <= at < end]
        stall = 0.12 if self._chance.random() < 0.001 else 0.0
        return at - started[0] if started else self._chance.random() + stall

    def _death(self, node: str) -> Span | None:
        """The death that a verdict of this moment is about: until the node is heard again."""
        spans = self._deaths[node]
        return next((span for span in spans if span[0] <= self.time < span[1] + RETURNED), None)

    def _note_cuts(self, verdicts: dict[str, health.Assessment], judged: Judgements) -> None:
        out = [span for span in self._outages if span[0] + SETTLED + 5 <= self.time < span[1]]
        for node in NODES:
            verdict = verdicts[node].verdict if node in verdicts else None
            cuts = self._cuts[node]
            if any(start + SETTLED <= self.time < end for start, end in cuts) and not out:
                if not is_within(self._outages, self.time) and not self._is_recent_outage():
                    judged.link_cut.append(verdict is health.NodeVerdict.LINK_CUT)
            elif out and not is_within(self._deaths[node], self.time):
                judged.site_cut.append(verdict is health.NodeVerdict.SITE_CUT)

    def _is_recent_outage(self) -> bool:
        return any(end <= self.time < end + RETURNED for _, end in self._outages)


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def played(link: LinkProfile, seeds: Sequence[int], seconds: float) -> Judgements:
    """Sites over one link, each with its own luck and faults."""
    total = Judgements()
    for seed in seeds:
        total += PlayedSite(link, seed, seconds, scheduled(seed, seconds)).play()
    return total
