"""How long something takes, as a distribution: quantiles and sums.

A histogram's counts are spread evenly over their buckets, so that a sum of several is neither the
sum of their upper bounds nor of their lower ones. Called by `latency`.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from foreshore_api.wire import histogram
from foreshore_planner import contention
from foreshore_planner.contention import Floats

CELLS: Final = 512
"""Steps of a limit in which distributions are convolved; each part is rounded up to one."""

NARROW: Final = 1e-9
"""Width of a duration that is always the same, as a share of it."""


@dataclass(frozen=True)
class Distribution:
    """A probability that grows in straight lines from point to point."""

    points: Floats
    """Seconds, ascending; the bounds of buckets."""
    reached: Floats
    """The probability of at most so many seconds. What lasted longer than was counted is missing at
    its end."""
    beside: contention.Contention = contention.NONE
    wait: contention.Wait = contention.NO_WAIT

    def estimate(self, q: float) -> float:
        """Return where in its bucket `q` is reached, in seconds; infinity where it is not."""
        if q > self.reached[-1]:
            return float("inf")
        return float(np.interp(q, self.reached, self.points))

    def at_most(self, seconds: Floats) -> Floats:
        """Return the probability of at most so many seconds."""
        total: Floats = np.zeros_like(seconds)
        slowed = contention.slowed(self.points, self.wait, self.beside)
        for (_, probability), points in zip(self.beside.stretch, slowed, strict=True):
            total += probability * np.interp(seconds, points, self.reached)
        return total


def quantiles(
    durations: Mapping[float, float],
    beside: contention.Contention,
    shares: Sequence[float],
    wait: contention.Wait = contention.NO_WAIT,
) -> tuple[float, ...]:
    """Return quantiles in seconds of durations that occur so often, slowed by what is beside them.

    By the upper bounds of buckets, so that they are on the safe side; infinity beyond the last.
    """
    seconds = np.array(sorted(durations))
    weights = np.array([durations[of] for of in seconds.tolist()], dtype=np.float64)
    weights /= weights.sum()
    slowed = contention.slowed(seconds, wait, beside)
    likely = np.array([probability for _, probability in beside.stretch])
    order = np.argsort(slowed, axis=None, kind="stable")
    reached = np.cumsum(np.outer(likely, weights).ravel()[order])
    places = np.searchsorted(reached, np.array(shares) - 1e-9)
    flat = slowed.ravel()[order].tolist()
    return tuple(flat[place] if place < len(flat) else float("inf") for place in places.tolist())


@functools.lru_cache(maxsize=4096)
def constant(seconds: float, beside: contention.Contention = contention.NONE) -> Distribution:
    """Return what always takes as long, but for what is beside it."""
    points = np.array([seconds * (1 - NARROW), seconds])
    return Distribution(points, np.array([0.0, 1.0]), beside)


def of(
    measured: histogram.Histogram, beside: contention.Contention = contention.NONE
) -> Distribution:
    """Return what was measured, slowed by what is beside it. Something must have been."""
    count = measured.count
    points, reached, below = [], [], 0
    for index, times in measured.buckets.items():
        if index == histogram.OVERFLOW:
            continue
        points += [histogram.BOUNDS[index - 1] if index else 0.0, histogram.BOUNDS[index]]
        reached += [below / count, (below := below + times) / count]
    if not points:
        points, reached = [histogram.BOUNDS[-1]], [0.0]
    return Distribution(
        np.array(points), np.array(reached), beside, contention.waits(measured, beside)
    )


def convolved(parts: Iterable[Distribution], limit: float, q: float) -> float | None:
    """Return quantile `q` in seconds of a sum of independent durations, or None beyond the limit.

    Rounded up to `limit / CELLS` a part.
    """
    edges = np.linspace(0.0, limit, CELLS + 1)
    whole: Floats = np.zeros(CELLS + 1)
    whole[0] = 1.0
    for part in parts:
        below = part.at_most(edges)
        whole = np.convolve(whole, np.diff(below, prepend=0.0))[: CELLS + 1]
    place = int(np.searchsorted(np.cumsum(whole), q - 1e-9))
    return float(edges[place]) if place < edges.size else None
