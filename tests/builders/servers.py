"""Nodes that serve, simulated event by event: what calls take beside others, and what is predicted.

A node has one to four cores. Each replica infers in one thread, in the order in which calls arrive;
threads that run share the cores in slices of three milliseconds, in turn, as the kernel's scheduler
divides them. Arrivals are periodic with jitter, Poisson, or bursts; service times are log-normal or
bimodal. The latency of a decision is Decide + Network + the call + Actuate, all independent but
what the node makes dependent.

`placements` yields what the planner predicts of a replica from what agents would have reported,
beside what the simulation then measures.
"""

import dataclasses
import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy
from numpy import typing

from foreshore_api.wire import histogram
from foreshore_planner import contention, latency
from foreshore_planner.placement import load

Samples = typing.NDArray[numpy.float64]

SLICE = 0.003
KINDS = ("periodic", "poisson", "bursts")
SERVICES = ("lognormal", "bimodal")
LOADS = (0.15, 0.6)
"""The least and the largest share of a node that its replicas take together."""
BURST, WITHIN_BURST = 3.0, 0.02
"""Calls of a burst on average, seconds between them."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The calls of one replica."""

    kind: str
    service: str
    rate: float
    arrivals: Samples
    services: Samples


@dataclass(frozen=True, slots=True)
class Outcome:
    """One placement: predicted and simulated p99 in seconds."""

    cores: int
    utilisation: float
    kind: str
    samples: int
    before: float
    """Predicted before it ran there, from its version elsewhere and the load of the others."""
    in_place: float
    """Predicted from its own stages there."""
    simulated: float


def called(cores: int, streams: Sequence[Stream]) -> list[Samples]:
    """Return how long each call of each stream took, from its arrival to its answer."""
    order = sorted(
        (arrival, number, call)
        for number, stream in enumerate(streams)
        for call, arrival in enumerate(stream.arrivals.tolist())
    )
    services = [stream.services.tolist() for stream in streams]
    arrivals = [stream.arrivals.tolist() for stream in streams]
    took = [[0.0] * len(of) for of in arrivals]
    waiting: list[deque[int]] = [deque() for _ in streams]
    left = [0.0] * len(streams)
    turn: deque[int] = deque()
    running: list[tuple[float, int, float]] = []
    idle, place = cores, 0
    while place < len(order) or running:
        if running and (place == len(order) or running[0][0] <= order[place][0]):
            now, number, ran = heapq.heappop(running)
            idle += 1
            left[number] -= ran
            if left[number] <= 1e-12:
                call = waiting[number].popleft()
                took[number][call] = now - arrivals[number][call]
                if waiting[number]:
                    left[number] = services[number][waiting[number][0]]
            if waiting[number]:
                turn.append(number)
        else:
            now, number, call = order[place]
            place += 1
            waiting[number].append(call)
            if len(waiting[number]) == 1:
                left[number] = services[number][call]
                turn.append(number)
        while idle and turn:
            number = turn.popleft()
            idle -= 1
            slice_ = min(SLICE, left[number])
            heapq.heappush(running, (now + slice_, number, slice_))
    return [numpy.array(of) for of in took]


def placements(
    seed: int, count: int, samples: int, loads: tuple[float, float] = LOADS
) -> Iterator[Outcome]:
    """Yield so many placements, each with so many calls at least; the same for the same seed.

    Nodes are at work for a share between `loads`.
    """
    random = numpy.random.default_rng(seed)
    while count > 0:
        cores = int(random.integers(1, 5))
        streams, seconds = _streams(random, cores, samples, loads)
        able = [n for n, stream in enumerate(streams) if stream.arrivals.size >= samples]
        if not able:
            continue
        together = called(cores, streams)
        for number in able[: min(2, count)]:
            yield _outcome(random, cores, streams, number, together[number], seconds)
            count -= 1


def _streams(
    random: numpy.random.Generator, cores: int, samples: int, loads: tuple[float, float]
) -> tuple[list[Stream], float]:
    """Return what runs on one node, and for how many seconds."""
    while True:
        total = random.uniform(*loads) * cores
        shares = random.dirichlet(numpy.full(int(random.integers(2, 3 + 3 * cores)), 3.0)) * total
        if shares.max() <= 0.55:
            break
    means = random.uniform(0.002, 0.015, shares.size)
    rates = shares / means
    seconds = float(samples / numpy.median(rates))
    return [
        _stream(random, float(rate), float(mean), seconds)
        for rate, mean in zip(rates, means, strict=True)
    ], seconds


def _stream(random: numpy.random.Generator, rate: float, mean: float, seconds: float) -> Stream:
    kind, service = str(random.choice(KINDS)), str(random.choice(SERVICES))
    arrivals = _arrivals(random, kind, rate, seconds)
    if service == "lognormal":
        services = random.lognormal(math.log(mean) - 0.045, 0.3, arrivals.size)
    else:
        rare = numpy.where(random.random(arrivals.size) < 0.9, 0.8 * mean, 2.8 * mean)
        services = rare * random.lognormal(0.0, 0.08, arrivals.size)
    return Stream(kind, service, rate, arrivals, services)


def _arrivals(random: numpy.random.Generator, kind: str, rate: float, seconds: float) -> Samples:
    if kind == "periodic":
        period = 1 / rate
        times = random.uniform(0, period) + numpy.arange(int(seconds * rate)) * period
        return numpy.sort(numpy.maximum(0.0, times + random.normal(0, 0.1 * period, times.size)))
    if kind == "poisson":
        return numpy.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))
    starts = random.uniform(0, seconds, random.poisson(rate * seconds / BURST))
    sizes = random.geometric(1 / BURST, starts.size)
    offsets = [numpy.cumsum(random.exponential(WITHIN_BURST, size)) for size in sizes]
    return numpy.sort(numpy.repeat(starts, sizes) + numpy.concatenate(offsets))


def _outcome(
    random: numpy.random.Generator,
    cores: int,
    streams: Sequence[Stream],
    number: int,
    together: Samples,
    seconds: float,
) -> Outcome:
    own, others = streams[number], [other for n, other in enumerate(streams) if n != number]
    alone = called(cores, [own])[0]
    waited = float((alone - own.services).sum())
    rest = {
        histogram.Stage.DECIDE: random.lognormal(math.log(0.0005), 0.4, together.size),
        histogram.Stage.NETWORK: random.lognormal(math.log(0.003), 0.5, together.size),
        histogram.Stage.ACTUATE: random.lognormal(math.log(0.002), 0.4, together.size),
    }
    whole = together + numpy.sum(list(rest.values()), axis=0)
    loads = sum(float(of.services.sum()) for of in streams) / seconds
    return Outcome(
        cores=cores,
        utilisation=loads / cores,
        kind=own.kind,
        samples=int(together.size),
        before=_predicted(
            rest,
            reported(alone, waited),
            met(cores, called(cores, others), float(alone.sum()) / seconds, seconds),
            is_pooled=True,
        ),
        in_place=_predicted(rest, reported(together), contention.NONE, is_pooled=False),
        simulated=float(numpy.quantile(whole, latency.TARGET)),
    )


def met(cores: int, others: Sequence[Samples], own: float, seconds: float) -> contention.Contention:
    """Return what a replica with so many calls in the system meets beside calls of others."""
    names = [("hq", f"other-{number}", "hq") for number in range(len(others))]
    busy = {
        name: float(of.sum()) / seconds for name, of in zip(names, others, strict=True) if of.size
    }
    lasting = {name: float(of.mean()) for name, of in zip(names, others, strict=True) if of.size}
    beside = load.NodeLoad(float(cores), busy, math.fsum(busy.values()), lasting)
    return beside.contention(("hq", "own", "hq"), own)


def reported(took: Samples, waited: float | None = None) -> histogram.Histogram:
    """Return calls as an agent reports them, with what its replicas say that they waited."""
    least = None if waited is None else max(0.0, waited)  # a difference of sums
    return dataclasses.replace(histogram.Histogram.of(took.tolist()), waited_seconds=least)


def _predicted(
    rest: dict[histogram.Stage, Samples],
    measured: histogram.Histogram,
    beside: contention.Contention,
    *,
    is_pooled: bool,
) -> float:
    """Return what the planner expects, from histograms as agents report them."""
    stages = {
        (stage, "node" if stage is histogram.Stage.NETWORK else None): histogram.Histogram.of(
            taken.tolist()
        )
        for stage, taken in rest.items()
    }
    if not is_pooled:
        stages[(histogram.Stage.INFERENCE, "node")] = measured
    pooled = {histogram.Stage.INFERENCE: measured} if is_pooled else {}
    evidence = latency.Evidence(stages, {})
    expected = latency.predict(evidence, "node", 0.01, 0.0, pooled=pooled, beside=beside).expected
    return expected or 0.0
