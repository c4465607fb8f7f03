"""Latency histograms that agents keep, hubs merge and planners read.

Log-spaced bounds shared by everyone.

Sixteen buckets a decade (each 15.5 % wider than the last) from 10 µs to 100 s keep a quantile
within one bucket, and merging is addition, so that agents, the hub and the operator may add in any
order. Sparse on the wire: most buckets are empty.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field

from foreshore_api.wire import document

PER_DECADE: Final = 16
LOWEST: Final = 1e-5
DECADES: Final = 7
BOUNDS: Final[tuple[float, ...]] = tuple(
    LOWEST * 10 ** (i / PER_DECADE) for i in range(PER_DECADE * DECADES + 1)
)
"""Upper bounds in seconds, inclusive; bucket `len(BOUNDS)` holds what lasted longer."""

OVERFLOW: Final = len(BOUNDS)


class Stage(StrEnum):
    """Where the budget of a decision goes.

    `EndToEnd` is the whole, from sample (or receipt) to the device's answer: Accepted or
    Done, its reply, or the report that echoes what it was told.
    """

    UPLINK = "Uplink"
    DECIDE = "Decide"
    NETWORK = "Network"
    INFERENCE = "Inference"
    ACTUATE = "Actuate"
    END_TO_END = "EndToEnd"


def bucket(seconds: float) -> int:
    """Return the index of the bucket that holds a duration; negative durations count as zero."""
    return bisect_left(BOUNDS, seconds)


@document.line
class Histogram:
    """Counts by bucket index; `total_seconds` is the sum of what was observed.

    `waited_seconds` is what of that sum was spent in a queue; absent where nobody measured it.
    """

    buckets: dict[Annotated[int, Field(ge=0, le=OVERFLOW)], document.Count] = Field(
        default_factory=dict, max_length=OVERFLOW + 1
    )
    total_seconds: document.Seconds = 0.0
    waited_seconds: document.Seconds | None = None

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return sum(self.buckets.values())

    @classmethod
    def of(cls, durations: Iterable[float]) -> Self:
        """Build a histogram of durations in seconds."""
        counts: dict[int, int] = {}
        total = 0.0
        for seconds in durations:
            counts[bucket(seconds)] = counts.get(bucket(seconds), 0) + 1
            total += max(0.0, seconds)
        return cls(buckets=counts, total_seconds=total)


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms; the result does not depend on their order.

    A sum ends at the largest count there is, so that what many agents say together can be said on.
    """
    counts: dict[int, int] = {}
    total = 0.0
    waited: float | None = None
    for histogram in histograms:
        for index, count in histogram.buckets.items():
            counts[index] = min(document.LARGEST, counts.get(index, 0) + count)
        total = min(float(document.LARGEST), total + histogram.total_seconds)
        if histogram.waited_seconds is not None:
            waited = min(float(document.LARGEST), (waited or 0.0) + histogram.waited_seconds)
    return Histogram(
        buckets=dict(sorted(counts.items())), total_seconds=total, waited_seconds=waited
    )


def quantile(histogram: Histogram, q: float) -> float | None:
    """Return the upper bound in seconds of the bucket that holds quantile `q` (nearest rank).

    Or None without observations.

    The bound is the safe side for a budget: the true quantile is at most this. What fell into the
    overflow bucket answers infinity, which no budget holds.
    """
    if not 0 < q <= 1:
        message = f"a quantile lies in (0, 1], not {q}"
        raise ValueError(message)
    total = histogram.count
    if total == 0:
        return None
    return _bound_at(histogram.buckets, q * total)


def durations(histogram: Histogram) -> dict[float, int]:
    """Return how often each duration was observed, as the upper bound of its bucket in seconds."""
    return {_bound(index): count for index, count in histogram.buckets.items()}


def middle(index: int) -> float:
    """Return the middle of a bucket in seconds, where the logarithm is; infinity beyond the last.

    Of the first, which begins at zero, its upper bound.
    """
    return math.sqrt(_bound(max(0, index - 1)) * _bound(index))


def _bound(index: int) -> float:
    return BOUNDS[index] if index < OVERFLOW else float("inf")


def _bound_at(buckets: Mapping[int, int], rank: float) -> float:
    seen = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank - 1e-9:
            return _bound(index)
    return float("inf")
