"""Features: one number made of an input's recent values. Pure, persistent and bounded.

The engine adds each accepted value to the window of its (policy, device, feature); the Validity
gate asks for the number. A `Window` keeps panes: runs of neighbouring values summed up. A pane
spans at most a 64th of the window, so that up to 64 evenly spaced values a window are kept one by
one and the result is exact; more than that, and what leaves at the window's old end leaves a pane
at a time. Memory is bounded by the number of panes, whatever the rate.

A window knows how much of itself was listened to: a mean of a minute that holds one value, because
the agent has just started, is no mean of a minute.

    value ──add──► listening ──interrupt (a gap)──► not listening ──add──► listening

Listening begins with the first value, not with the agent: before it nobody knows that the device
speaks. It goes on however slowly the device speaks, until a gap: a start of the agent, a lost
connection for telemetry, a pause of the agent (suspended, stopped, starved). After a gap it begins
again with the next value, not with the connection, because that value proves that telemetry comes
through. What is no gap: values that were refused, late, doubled or dropped under load. They are
counted elsewhere, and time without them was listened to.

Formulas: panes are merged by Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm
for Computing Sample Variances" (1979), and the same for co-moments: Pébay, "Formulas for Robust,
One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments" (2008). Slope
is ordinary least squares over time; the standard deviation is that of the sample (divisor n - 1).
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_decision.instant import RESOLUTION, has_passed

PANES: Final = 64
"""Panes that a window is cut into; one more may be partly inside."""
STRETCHES: Final = 16
"""Stretches between gaps that a window remembers; what is older counts as not listened to."""


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


class Stretch(NamedTuple):
    """Time that was listened to without a gap."""

    start: float
    end: float


class Window(NamedTuple):
    """The recent values of one input over `seconds`, oldest pane first."""

    seconds: float
    panes: tuple[Pane, ...] = ()
    since: float | None = None
    """From when on it is listened to without a gap; None in a gap, and before the first value."""
    listened: tuple[Stretch, ...] = ()
    """What was listened to before the newest gap, oldest first."""


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
    if window.panes and at < window.panes[-1].end:
        return window
    since = _gap_end(window, at) if window.since is None else window.since
    return Window(window.seconds, _with_value(window, at, value), since, window.listened)


def _with_value(window: Window, at: float, value: float) -> tuple[Pane, ...]:
    panes = window.panes
    newest = single(at, value)
    if not panes:
        return (newest,)
    if not has_passed(panes[-1].start, window.seconds / PANES, at):
        return (*panes[:-1], merge(panes[-1], newest))
    return (*_inside(window, at), newest)


def _inside(window: Window, now: float) -> tuple[Pane, ...]:
    """Return the panes that reach into (now - seconds, now].

    A value as old as the window is outside, as an interval of the same length has passed then: to
    the resolution of times, so that a window of steady values always holds as many.
    """
    outside = 0
    for pane in window.panes:
        if not has_passed(pane.end, window.seconds, now):
            break
        outside += 1
    return window.panes[outside:]


def _gap_end(window: Window, at: float) -> float:
    """Return when listening begins again: a value from before the gap, come late, ends none."""
    return max(at, window.listened[-1].end) if window.listened else at


def interrupt(window: Window, at: float) -> Window:
    """Begin a gap: nothing is heard from this moment until the next value."""
    if window.since is None:
        return window
    listened = window.listened
    if at > window.since:
        recent = (stretch for stretch in listened if stretch.end > at - window.seconds)
        listened = (*recent, Stretch(window.since, at))[-STRETCHES:]
    return window._replace(since=None, listened=listened)


def coverage(window: Window, now: float) -> float:
    """Return the share of (now - seconds, now] that was listened to, from 0 to 1."""
    oldest = now - window.seconds
    seconds = sum(
        max(0.0, min(stretch.end, now) - max(stretch.start, oldest)) for stretch in window.listened
    )
    if window.since is not None:
        seconds += max(0.0, now - max(window.since, oldest))
    return min(1.0, seconds / window.seconds)


def uncovered(window: Window, share: float, now: float) -> float:
    """Return for how many seconds it must be listened to until this share is covered; 0: it is.

    The old end of the window moves on with time: while it passes what was listened to, as much is
    lost there as is won at the new end, and while it passes a gap the coverage grows.
    """
    if window.since is not None and has_passed(window.since, share * window.seconds, now):
        return 0.0
    missing = (share - coverage(window, now)) * window.seconds
    if missing <= RESOLUTION:
        return 0.0
    first = edge = now - window.seconds
    for stretch in window.listened:
        if stretch.end <= edge:
            continue
        gap = max(0.0, stretch.start - edge)
        if gap >= missing - RESOLUTION:
            break
        missing -= gap
        edge = stretch.end
    return edge + missing - first


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

    Whether enough of the window was listened to is for `uncovered` to say. Slope is in the input's
    unit per second; Slope and StandardDeviation need two values at least (Slope at two times),
    Count is 0 without any. None too where the result is not finite.
    """
    panes = _inside(window, now)
    if not panes:
        return 0.0 if aggregate is Aggregate.COUNT else None
    result = _measure(panes, aggregate)
    return result if result is not None and math.isfinite(result) else None


def count(window: Window, now: float) -> int:
    """Return how many values are in (now - seconds, now]."""
    return sum(pane.size for pane in _inside(window, now))


def _measure(panes: Sequence[Pane], aggregate: Aggregate) -> float | None:
    match aggregate:
        case Aggregate.LAST:
            return None  # the input itself: the chain never keeps a window for it
        case Aggregate.MINIMUM:
            return min([pane.minimum for pane in panes])
        case Aggregate.MAXIMUM:
            return max([pane.maximum for pane in panes])
        case Aggregate.COUNT:
            return float(sum([pane.size for pane in panes]))
        case Aggregate.MEAN:
            return _mean(panes)
        case Aggregate.STANDARD_DEVIATION:
            whole = _moments(panes)
            return math.sqrt(whole.value2 / (whole.size - 1)) if whole.size > 1 else None
        case Aggregate.SLOPE:
            whole = _moments(panes)
            return whole.product / whole.time2 if whole.time2 > 0 else None
        case _:
            assert_never(aggregate)


def _mean(panes: Sequence[Pane]) -> float:
    """Return the mean of the values as `_moments` does, to the last bit: it is asked for most."""
    size, mean = 0, 0.0
    for _, _, count, _, _, _, value, _, _, _ in panes:
        size += count
        mean = value if size == count else mean + (value - mean) * (count / size)
    return mean


class Moments(NamedTuple):
    """What panes come to together, but for their extremes; fields as those of a pane."""

    size: int
    time: float
    value: float
    time2: float
    value2: float
    product: float


def _moments(panes: Sequence[Pane]) -> Moments:
    """Return the moments of all panes merged, oldest first.

    It is `merge` written out: a pane for each of its steps costs four times as much, and every
    sample of a policy with windows asks for it. A test holds both to one another, to the last bit.
    """
    first, *rest = panes
    _, _, size, _, _, time, value, time2, value2, product = first
    for _, _, count, _, _, moment, number, square, spread, joint in rest:
        before, size = size, size + count
        share = count / size
        later, more = moment - time, number - value
        weight = before * share
        time += later * share
        value += more * share
        time2 = time2 + square + later * later * weight
        value2 = value2 + spread + more * more * weight
        product = product + joint + later * more * weight
    return Moments(size, time, value, time2, value2, product)
