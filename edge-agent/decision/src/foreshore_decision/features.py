"""Features: one number made of an input's recent values. Pure, persistent and bounded.

The engine adds each accepted value to the window of its (policy, device, feature); the Validity
gate asks for the number. A `Window` keeps panes: runs of neighbouring values summed up. A pane
spans at most a 64th of the window, so that up to 64 evenly spaced values a window are kept one by
one and the result is exact; more than that, and what leaves at the window's old end leaves a pane
at a time. Memory is bounded by the number of panes, whatever the rate.

Formulas: panes are merged by Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm
for Computing Sample Variances" (1979), and the same for co-moments: Pébay, "Formulas for Robust,
One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments" (2008). Slope
is ordinary least squares over time; the standard deviation is that of the sample (divisor n - 1).
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from foreshore_api.v1alpha1.evaluation import Aggregate

PANES: Final = 64
"""Panes that a window is cut into; one more may be partly inside."""


class Pane(NamedTuple):
    """A run of values: how many, extremes, means and centred second moments of time and value."""

    start: float
    end: float
    size: int
    minimum: float
    maximum: float
    time: float
    """Mean time."""
    value: float
    """Mean value."""
    time2: float
    """Sum of (time - mean)²."""
    value2: float
    """Sum of (value - mean)²."""
    product: float
    """Sum of (time - mean time)·(value - mean value)."""


class Window(NamedTuple):
    """The recent values of one input over `seconds`, oldest pane first."""

    seconds: float
    panes: tuple[Pane, ...] = ()


def single(at: float, value: float) -> Pane:
    """Return the pane of one value."""
    return Pane(at, at, 1, value, value, at, value, 0.0, 0.0, 0.0)


def add(window: Window, at: float, value: float) -> Window:
    """Take in one finite value, in the order of time; older values than the newest are refused.

    Raises:
        ValueError: the value is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"a window takes finite numbers, not {value}")
    panes = window.panes
    one = single(at, value)
    if not panes:
        return Window(window.seconds, (one,))
    newest = panes[-1]
    if at < newest.end:
        return window
    if at - newest.start < window.seconds / PANES:
        return Window(window.seconds, (*panes[:-1], merge(newest, one)))
    oldest = at - window.seconds
    kept = next((i for i, pane in enumerate(panes) if pane.end > oldest), len(panes))
    return Window(window.seconds, (*panes[kept:], one))


def merge(left: Pane, right: Pane) -> Pane:
    """Return the pane of both runs together."""
    size = left.size + right.size
    share = right.size / size
    time, value = right.time - left.time, right.value - left.value
    weight = left.size * share
    return Pane(
        start=left.start,
        end=right.end,
        size=size,
        minimum=min(left.minimum, right.minimum),
        maximum=max(left.maximum, right.maximum),
        time=left.time + time * share,
        value=left.value + value * share,
        time2=left.time2 + right.time2 + time * time * weight,
        value2=left.value2 + right.value2 + value * value * weight,
        product=left.product + right.product + time * value * weight,
    )


def measure(window: Window, aggregate: Aggregate, now: float) -> float | None:
    """Return the feature over (now - seconds, now], or None while there are too few values.

    Slope is in the input's unit per second; Slope and StandardDeviation need two values at least
    (Slope at two times), Count is 0 without any. None too where the result is not finite.
    """
    oldest = now - window.seconds
    panes = [pane for pane in window.panes if pane.end > oldest]
    if not panes:
        return 0.0 if aggregate is Aggregate.COUNT else None
    result = _measure(panes, aggregate)
    return result if result is not None and math.isfinite(result) else None


def _measure(panes: Sequence[Pane], aggregate: Aggregate) -> float | None:
    match aggregate:
        case Aggregate.LAST:
            return None  # the input itself: the chain never keeps a window for it
        case Aggregate.MINIMUM:
            return min(pane.minimum for pane in panes)
        case Aggregate.MAXIMUM:
            return max(pane.maximum for pane in panes)
        case Aggregate.COUNT:
            return float(sum(pane.size for pane in panes))
        case Aggregate.MEAN:
            return _whole(panes).value
        case Aggregate.STANDARD_DEVIATION:
            whole = _whole(panes)
            return math.sqrt(whole.value2 / (whole.size - 1)) if whole.size > 1 else None
        case Aggregate.SLOPE:
            whole = _whole(panes)
            return whole.product / whole.time2 if whole.time2 > 0 else None
        case _:
            assert_never(aggregate)


def _whole(panes: Sequence[Pane]) -> Pane:
    whole = panes[0]
    for pane in panes[1:]:
        whole = merge(whole, pane)
    return whole
