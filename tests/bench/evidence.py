"""`make bench ARGS="--only evidence"`: what a thousand agents cost the hub and the operator.

Agents report every two seconds, each of ten devices and twenty histograms that move; two of a
hundred have news in a second; holders renew five times in a lease. Virtual time, one process, no
sockets: the same reports go to a hub that answers with the whole fleet (the way of the release
before, which asks again at once) and with what changed.
"""

import datetime
import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from foreshore_api.wire import histogram
from foreshore_api.wire import report as wire
from foreshore_hub import deltas, fleet, renewals
from foreshore_kube import heap
from foreshore_operator import measure, merged

AGENTS: Final = 1000
DEVICES: Final = 10
STAGES: Final = 20
BUCKETS: Final = 12
PERIOD: Final = 2.0
LEASE: Final = 15.0
NEWS: Final = 0.02
"""Share of the agents that have news in a second."""
WARM_SECONDS: Final = 4
SECONDS: Final = 30
OLD_PAUSE: Final = 0.25
"""Seconds between two answers of the release before, at least."""
WHOLES: Final = 5
"""Answers with the whole fleet that are timed."""


@dataclass
class Figures:
    """What was spent on one thing, a number for each time."""

    seconds: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def timed(self, work: Callable[[], Any]) -> Any:
        """Do something, and note the processor time it took."""
        began = time.thread_time()
        result = work()
        self.seconds.append(time.thread_time() - began)
        return result

    def line(self, what: str, over: float) -> str:
        """One line of the report; `over` are the seconds that it was done in."""
        worst = max(self.seconds) * 1e3
        text = (
            f"{what:<34}{len(self.seconds):>7} × {statistics.median(self.seconds) * 1e3:>9.3f} ms"
            f"  worst {worst:>8.2f} ms  {sum(self.seconds) / over:>7.3f} cores"
        )
        return text + (f"  {sum(self.sizes) / over / 1024:>9.1f} KiB/s" if self.sizes else "")


def report_of(number: int, draw: random.Random) -> dict[str, Any]:
    """What an agent says, as data."""
    node, near = f"edge-{number:04}", [f"edge-{number // 4 * 4 + i:04}" for i in range(4)]
    stages = [
        {
            "namespace": "hq",
            "policy": f"policy-{number // 4:03}-{i // 5}",
            "stage": list(histogram.Stage)[i % 5],
            "histogram": {
                "buckets": {str(30 + i + j): draw.randint(1, 50) for j in range(BUCKETS)},
                "totalSeconds": 1.5,
            },
        }
        for i in range(STAGES)
    ]
    devices = [
        {
            "namespace": "hq",
            "device": f"room-{number:04}-{i}",
            "connected": True,
            "epoch": 1795340962,
            "standing": "Renewed",
            "highestEpochSeen": 1795340962,
        }
        for i in range(DEVICES)
    ]
    return {
        "node": node,
        "bootId": "c6a2f6e0-4b35-4a34-8a2f-5e4a2d0f5a77",
        "agentVersion": "0.1.0",
        "sentAt": datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).isoformat(),
        "uptimeSeconds": 86400.0,
        "assignment": {"lineage": "7c0d", "generation": 12, "digest": "sha256:" + "3d" * 32},
        "brokerConnected": True,
        "devices": devices,
        "endpoints": [
            {
                "namespace": "hq",
                "policy": f"policy-{number // 4:03}-{i}",
                "slot": "r0",
                "node": near[i % 4],
                "url": f"http://10.42.{number % 250}.{i}:8080",
                "good": 120,
                "late": 0,
                "failed": 0,
            }
            for i in range(4)
        ],
        "peers": [
            {"node": peer, "ageSeconds": 0.4, "hasHub": True, "held": []}
            for peer in near
            if peer != node
        ],
        "stages": stages,
        "probes": [
            {"node": peer, "ageSeconds": 0.8, "histogram": stages[0]["histogram"]}
            for peer in near
            if peer != node
        ],
        "journal": {"journal": "1e0f2a0c", "last": 4211, "acknowledged": 4200},
        "decisions": {"Commanded": 120, "NotTriggered": 900},
    }


class Fleet:
    """A thousand agents, as the hub hears them."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._said = [report_of(number, draw) for number in range(AGENTS)]

    def body(self, number: int, seconds: float) -> bytes:
        """The next report of one agent."""
        said = self._said[number]
        said["uptimeSeconds"] += seconds
        said["journal"]["last"] += 3
        said["decisions"]["NotTriggered"] += 20
        for line in self._draw.sample(said["stages"], 5):
            buckets = line["histogram"]["buckets"]
            buckets[self._draw.choice([*buckets])] += 1
        if self._draw.random() < NEWS * PERIOD:
            device = self._draw.choice(said["devices"])
            device["connected"] = not device["connected"]
        return orjson.dumps(said)

    def renewed(self, number: int, now: float) -> dict[renewals.Device, renewals.RenewedHolder]:
        """The rights of one agent, renewed."""
        said = self._said[number]
        return {
            (held["namespace"], held["device"]): renewals.RenewedHolder(
                held["epoch"], said["node"], LEASE, at=now
            )
            for held in said["devices"]
        }


def moments(seconds: int) -> Iterator[tuple[float, list[int], list[int]]]:
    """Tenths of seconds, with the agents that report and those that renew in each."""
    for tenth in range(seconds * 10):
        reporting = [number for number in range(AGENTS) if (tenth + number) % (PERIOD * 10) == 0]
        renewing = [number for number in range(AGENTS) if (tenth + number) % (LEASE * 2) == 0]
        yield tenth / 10, reporting, renewing


@dataclass
class Measured:
    """What each step took, by its name in the report."""

    steps: dict[str, Figures] = field(default_factory=dict)

    def timed(self, step: str, work: Callable[[], Any]) -> Any:
        """Do a step, and note what it took."""
        return self.steps.setdefault(step, Figures()).timed(work)

    def lines(self) -> Iterator[str]:
        """The lines of the report."""
        for step, figures in self.steps.items():
            yield figures.line(step, SECONDS)


@dataclass
class Pair:
    """A hub and an operator that asks it each second, and what both take."""

    hub: fleet.FleetEvidence = field(default_factory=lambda: fleet.FleetEvidence("7c0d", 0.0, {}))
    target: merged.MergedFleet = field(default_factory=merged.MergedFleet)
    took: Measured = field(default_factory=Measured)

    def hear(self, body: bytes, now: float) -> None:
        """A report reaches the hub."""
        facts = self.took.timed("hub: a report is read", lambda: wire.Report.decode(body))
        self.took.timed("hub: it is compared and kept", lambda: self.hub.note_report(facts, now))

    def renew(self, renewed: dict[renewals.Device, renewals.RenewedHolder]) -> None:
        """Rights of one agent are renewed."""
        self.took.timed("hub: ten rights are renewed", lambda: self.hub.note_renewals(renewed))

    def ask(self, now: float) -> None:
        """The operator asks until it has everything."""
        is_complete = False
        while not is_complete:
            base = deltas.base(self.hub, self.target.revision, self.target.boot_id)
            step = "hub: what changed is written"
            answer = self.took.timed(step, partial(deltas.answer, self.hub, base, now))
            self.took.steps[step].sizes.append(len(answer))
            is_complete = self.took.timed(
                "operator: what changed is merged", partial(merge, self.target, answer, now)
            )

    def look(self) -> None:
        """A pass takes the fleet."""
        self.took.timed("operator: the fleet of a pass", self.target.fleet)


def measured() -> Iterator[str]:
    """Measure, and yield the lines of the report."""
    agents, pair, apart = Fleet(random.Random(1)), Pair(), heap.LongLived()
    gc.set_threshold(*heap.THRESHOLDS)
    for now, reporters, renewers in moments(WARM_SECONDS + SECONDS):
        if now % heap.PERIOD_SECONDS == 0:
            apart.set_aside()
        if now == WARM_SECONDS:
            pair.took = Measured()
        for number in reporters:
            pair.hear(agents.body(number, PERIOD), now)
        for number in renewers:
            pair.renew(agents.renewed(number, now))
        if now % 1 == 0:
            pair.ask(now)
        pair.look()
    yield f"{AGENTS} agents, {AGENTS * DEVICES} devices, {SECONDS} virtual seconds, no sockets"
    yield from pair.took.lines()
    yield memory(pair.hub, now)
    yield whole(pair.hub, now)


def merge(target: merged.MergedFleet, answer: bytes, now: float) -> bool:
    """Add one answer, as the operator does."""
    head, lines = measure.split(answer)
    target.begin(head, now)
    for line in lines:
        target.take(line)
    target.finish()
    return head.is_complete


def memory(kept: fleet.FleetEvidence, now: float) -> str:
    """What the operator holds of a whole fleet, and what it takes to get there."""
    gc.collect()
    tracemalloc.start()
    reader = Pair(kept)
    reader.ask(now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    again = Pair(kept)
    again.ask(now)
    spent = [sum(figures.seconds) * 1e3 for figures in again.took.steps.values()]
    count = len(again.took.steps["hub: what changed is written"].seconds)
    return (
        f"a whole fleet: {count} answers, written in {spent[0]:.0f} ms and merged in"
        f" {spent[1]:.0f} ms; the operator holds {held / 2**20:.0f} MiB"
    )


def whole(kept: fleet.FleetEvidence, now: float) -> str:
    """The same fleet as one document, as the release before asks for it."""
    writing, reading = Figures(), Figures()
    for _ in range(WHOLES):
        body = writing.timed(lambda: kept.evidence(now).encode())
        reading.timed(partial(measure.read, body))
    write, read = statistics.median(writing.seconds), statistics.median(reading.seconds)
    pace = 1 / max(OLD_PAUSE, write + read)
    return (
        f"the release before: {len(body) / 2**20:.1f} MiB an answer, written in"
        f" {write * 1e3:.0f} ms and read in {read * 1e3:.0f} ms; asked again at once,"
        f" {pace:.1f} a second: {len(body) * pace / 2**20:.1f} MiB/s,"
        f" {write * pace:.2f} and {read * pace:.2f} cores"
    )


def report() -> None:
    """Print the report."""
    for line in measured():
        print(line, flush=True)
