"""How long something takes, as a distribution: quantiles, sums, and what sharing a processor does.

A histogram's counts are spread evenly over their buckets, so that a sum of several is neither the
sum of their upper bounds nor of their lower ones. Called by `latency`.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from foreshore_api.wire import histogram

Floats = npt.NDArray[np.float64]

Stretch = tuple[tuple[float, float], ...]
"""By how much something takes longer, and how likely that is: (factor, probability), by factor."""

ALONE: Final[Stretch] = ((1.0, 1.0),)
"""Nobody else is at work."""

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
    stretch: Stretch = ALONE

    def estimate(self, q: float) -> float:
        """Return where in its bucket `q` is reached, in seconds; infinity where it is not."""
        if q > self.reached[-1]:
            return float("inf")
        return float(np.interp(q, self.reached, self.points))

    def at_most(self, seconds: Floats) -> Floats:
        """Return the probability of at most so many seconds."""
        total: Floats = np.zeros_like(seconds)
        for factor, probability in self.stretch:
            total += probability * np.interp(seconds / factor, self.points, self.reached)
        return total


def quantile(durations: Mapping[float, float], stretch: Stretch, q: float) -> float:
    """Return quantile `q` in seconds of durations that occur so often, each of them stretched.

    By the upper bounds of buckets, so that it is on the safe side; infinity beyond the last.
    """
    count = math.fsum(durations.values())
    weighed = sorted(
        (seconds * factor, times / count * probability)
        for seconds, times in durations.items()
        for factor, probability in stretch
    )
    reached = itertools.accumulate(share for _, share in weighed)
    return next(
        (
            seconds
            for (seconds, _), share in zip(weighed, reached, strict=True)
            if share >= q - 1e-9
        ),
        float("inf"),
    )


@functools.lru_cache(maxsize=4096)
def constant(seconds: float, stretch: Stretch = ALONE) -> Distribution:
    """Return what always takes as long, but for what `stretch` adds."""
    points = np.array([seconds * (1 - NARROW), seconds])
    return Distribution(points, np.array([0.0, 1.0]), stretch)


def of(measured: histogram.Histogram, stretch: Stretch = ALONE) -> Distribution:
    """Return what was measured, each of its durations stretched. Something must have been."""
    count = measured.count
    points, reached, below = [], [], 0
    for index in sorted(measured.buckets):
        if index == histogram.OVERFLOW:
            continue
        points += [histogram.BOUNDS[index - 1] if index else 0.0, histogram.BOUNDS[index]]
        reached += [below / count, (below := below + measured.buckets[index]) / count]
    if not points:
        points, reached = [histogram.BOUNDS[-1]], [0.0]
    return Distribution(np.array(points), np.array(reached), stretch)


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
