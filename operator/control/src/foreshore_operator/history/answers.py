"""Prometheus' answers as histograms: what is not whole and certain is unknown, and says why.

A histogram of classic buckets comes as one series for each bound, cumulative. Counts that are NaN,
infinite, negative or falling, a bound that is missing, strange or twice there, or an answer with
warnings (Prometheus then has left something out): each leaves its histogram unknown.
"""

from __future__ import annotations

import collections
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_api.wire import document, histogram

Labels = tuple[str, ...]
TOLERANCE: Final = 1e-3
"""Relative distance within which a bound is one of ours: exposition rounds to a nanosecond."""


class NoVectorError(Exception):
    """An answer is not what Prometheus answers to an instant query."""


@dataclass(frozen=True, slots=True)
class ReadHistograms:
    """What an answer says, and how many of its histograms could not be believed, by cause."""

    histograms: Mapping[Labels, histogram.Histogram] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


def read(result: Any, labels: Sequence[str]) -> ReadHistograms:
    """Read an instant vector of `…_bucket` series, grouped by `labels`.

    Raises:
        NoVectorError: the answer is no instant vector.
    """
    if not isinstance(result, list):
        raise NoVectorError("not an instant vector")
    counts: dict[Labels, dict[int, float]] = {}
    faults: dict[Labels, str] = {}
    for sample in result:
        at, bound, count = _sample(sample, labels)
        fault = _take(counts.setdefault(at, {}), bound, count)
        if fault is not None:
            faults.setdefault(at, fault)
    histograms: dict[Labels, histogram.Histogram] = {}
    for at, cumulative in counts.items():
        if at in faults:
            continue
        fault = fault_of(cumulative)
        if fault is not None:
            faults[at] = fault
        else:
            histograms[at] = _histogram(cumulative)
    return ReadHistograms(histograms, collections.Counter(faults.values()))


def _sample(sample: Any, labels: Sequence[str]) -> tuple[Labels, int | None, float]:
    try:
        metric, (_, value) = sample["metric"], sample["value"]
        at = tuple(str(metric.get(label, ""))[:253] for label in labels)
        return at, bound_of(str(metric.get("le", ""))), float(value)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise NoVectorError(f"not an instant vector: {type(error).__name__}") from error


def _take(counts: dict[int, float], bound: int | None, count: float) -> str | None:
    if bound is None:
        return "strange bound"
    if bound in counts:
        return "two series where one is due"
    counts[bound] = count
    return None


def bound_of(text: str) -> int | None:
    """Return the index of the bucket whose upper bound is written so, or None."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    if seconds == math.inf:
        return histogram.OVERFLOW
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    near = bisect_left(histogram.BOUNDS, seconds * (1 - TOLERANCE))
    is_ours = near < histogram.OVERFLOW and math.isclose(
        histogram.BOUNDS[near], seconds, rel_tol=TOLERANCE
    )
    return near if is_ours else None


def fault_of(cumulative: Mapping[int, float]) -> str | None:
    """Return why cumulative counts by bucket are not to be believed, or None."""
    if len(cumulative) != histogram.OVERFLOW + 1:
        return "not every bucket is there"
    ordered = [cumulative[index] for index in range(histogram.OVERFLOW + 1)]
    if not all(math.isfinite(count) and 0 <= count <= document.LARGEST for count in ordered):
        return "no number of samples"
    if any(after < before - 1e-6 for before, after in itertools.pairwise(ordered)):
        return "counts fall"
    return None


def _histogram(cumulative: Mapping[int, float]) -> histogram.Histogram:
    """Return whole counts: `increase` extrapolates to the ends of its range, by parts of one.

    Rounded as cumulative counts, so that no sample is lost or made.
    """
    whole = [round(cumulative[index]) for index in range(histogram.OVERFLOW + 1)]
    steps = zip([0, *whole], whole, strict=False)
    buckets = {index: after - before for index, (before, after) in enumerate(steps)}
    return histogram.Histogram(
        buckets={index: count for index, count in buckets.items() if count > 0}
    )


def warnings(body: Any) -> tuple[str, ...]:
    """Return what Prometheus warns of in an answer: it is then not whole."""
    listed: Iterable[Any] = body.get("warnings") or () if isinstance(body, dict) else ()
    return tuple(str(warning)[:200] for warning in listed)[:8]
