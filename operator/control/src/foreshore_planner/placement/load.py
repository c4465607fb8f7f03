"""What the replicas on a node leave of its processor to the next one.

Agents report how long each call took, of the last five minutes. A replica was at work for the sum
of those times: by Little's law that is how many of its calls are in the system on average, and of
one that infers in one thread how likely it is to be found at work.

A call that comes while n others are at work on `cores` cores takes max(1, (n + 1) / cores) times as
long: the scheduler of the kernel divides the processor among those that run (processor sharing,
Kleinrock, Queueing Systems II, 4.4). n is a sum of independent replicas, each at work or not: one
with N calls in the system is so for N / (1 + N) of the time (M/M/1: N = load / (1 - load)). What a
call meets beyond the moment in which it comes is in `contention`. The other textbook answer, an
exponential wait in the order of arrival (M/G/c, Allen and Cunneen), is within 15 % of the p99 in
only 60 of 100 placements of a simulation with time slices (`make bench ARGS="--only prediction"`).

A placement of which nobody measured anything yet is expected to use what it reserves up to `FULL`:
beyond that queues grow faster than load. A node whose replicas would be at work for more than that
share of it is saturated, and taken only where nothing else is left.

Nothing here is looked at because a figure crept: a placement sees the load of nodes when it is
looked at for another reason, or in its turn. Called by `supply`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from foreshore_planner import contention, latency, snapshot

FULL: Final = 0.65
"""The share of a processor up to which queues stay short (design/placement.md)."""

BUSIEST: Final = 0.95
"""How likely a replica of which nothing was measured is at work at most."""

NEGLIGIBLE: Final = 1e-4
"""A probability below which so many at work together count as one less."""


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """How busy the replicas of a node are."""

    cores: float
    """What nobody else reserves of the node, in cores; a call runs in one thread, so at least 1."""
    busy: Mapping[snapshot.At, float] = field(default_factory=dict)
    """The share of a core that each placement's calls take there."""
    total: float = 0.0
    """The sum of them."""
    lasting: Mapping[snapshot.At, float] = field(default_factory=dict)
    """How many seconds a call of theirs takes on average, of those that were measured there."""
    _met: dict[snapshot.At | None, tuple[contention.Stretch, float]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def utilisation(self, asking: snapshot.At, own: float) -> float:
        """Return the share of the node that is at work with the calls of `asking` added."""
        return (self.total - self.busy.get(asking, 0.0) + own) / self.cores

    def contention(self, asking: snapshot.At, own: float) -> contention.Contention:
        """Return what calls of a placement meet there, of which `own` are in the system itself."""
        key = asking if asking in self.busy else None
        if key not in self._met:
            others = [placement for placement in sorted(self.busy) if placement != key]
            likely = [self._likely(placement) for placement in others]
            lasting = [self.lasting.get(placement, math.inf) for placement in others]
            self._met[key] = stretch(likely, self.cores), persistence(likely, lasting)
        factors, lasts = self._met[key]
        alone = factors == contention.ALONE
        return contention.NONE if alone else contention.Contention(factors, lasts, own)

    def _likely(self, placement: snapshot.At) -> float:
        """Return how likely a replica is found at work; what it reserves is a share already."""
        share = self.busy[placement]
        return at_work(share) if placement in self.lasting else min(BUSIEST, share)


NO_LOAD: Final = NodeLoad(1.0)
"""Of a node of which nothing is known."""


def at_work(calls: float) -> float:
    """Return how likely a replica with so many calls in the system is found at work (M/M/1)."""
    return calls / (1.0 + calls)


def persistence(likely: Sequence[float], lasting: Sequence[float]) -> float:
    """Return for how many seconds about as many of others stay at work.

    The correlation time of their sum: of one that is at work and idle for exponential times it is
    the harmonic sum of both, `lasting * (1 - likely)`; of several their mean, by variance.
    """
    variances = [chance * (1.0 - chance) for chance in likely]
    whole = math.fsum(variances)
    if not whole:
        return math.inf
    return (
        math.fsum(
            variance * seconds * (1.0 - chance)
            for variance, seconds, chance in zip(variances, lasting, likely, strict=True)
            if variance
        )
        / whole
    )


def stretch(likely: Sequence[float], cores: float) -> contention.Stretch:
    """Return how much longer a call takes beside others that are each so likely at work."""
    if len(likely) + 1 <= cores:
        return contention.ALONE
    together = np.ones(1)
    for chance in likely:
        together = np.convolve(together, (1.0 - chance, chance))
        while together.size > 1 and together[-1] < NEGLIGIBLE / len(likely):
            together[-2] += together[-1]
            together = together[:-1]
    factors: dict[float, float] = {}
    for count, probability in enumerate(together.tolist()):
        factor = max(1.0, (count + 1) / cores)
        factors[factor] = factors.get(factor, 0.0) + probability
    return tuple(sorted(factors.items()))


def of(
    node: snapshot.Node,
    replicas: tuple[snapshot.Replica, ...],
    reports: Mapping[str, latency.SiteReports],
) -> NodeLoad:
    """Return the load of a node; `reports` are those of the sites of its replicas."""
    busy: dict[snapshot.At, float] = {}
    lasting: dict[snapshot.At, float] = {}
    for pod in replicas:
        at = (pod.namespace, pod.policy, pod.site)
        if at not in busy:
            measured = reports[pod.site].busy(at[:2])
            busy[at] = reserved(pod.requests) if measured is None else measured.get(node.name, 0.0)
            seconds = reports[pod.site].lasting(at[:2], node.name)
            if seconds is not None:
                lasting[at] = seconds
    cores = max(1.0, (node.allocatable.cpu - node.requested.cpu) / 1000)
    return NodeLoad(cores, busy, math.fsum(busy.values()), lasting)


def own(
    at: snapshot.At, reports: latency.SiteReports, requests: snapshot.ComputeResources
) -> float:
    """Return what a placement's calls take of a core where most of them go."""
    measured = reports.busy(at[:2])
    return reserved(requests) if measured is None else max(measured.values())


def reserved(requests: snapshot.ComputeResources) -> float:
    """Return what is expected of a placement of which nobody measured anything."""
    return FULL * requests.cpu / 1000
