"""Rate limits as a log of when commands were issued. Pure; the engine keeps the logs, durably.

`minimumInterval` bounds the distance to the last command; `burst` in `per` bounds the number in
*any* window of that length. A token bucket would let twice the burst through around a refill; a log
of the last `burst` moments is exact and as small as the burst. Moments are engine seconds.

The chain asks `blocked` while it decides; a moment is added by `taken` only when a command is
issued.
"""

from collections.abc import Iterable
from typing import NamedTuple

from foreshore_decision.chain import reasons
from foreshore_decision.instant import has_passed
from foreshore_decision.policy import compiled

Log = tuple[float, ...]
"""Moments at which commands were issued, oldest first."""


class Refusal(NamedTuple):
    """Which limit leaves no room, and for how long."""

    name: str
    reason: str
    seconds: float
    """Until there is room."""


def blocked(limit: compiled.RateLimit, log: Log, now: float) -> Refusal | None:
    """Return why no command may be issued now, or None."""
    if log and not has_passed(log[-1], limit.minimum_interval, now):
        seconds = limit.minimum_interval - (now - log[-1])
        return Refusal(limit.name, reasons.MINIMUM_INTERVAL, seconds)
    if limit.burst and len(log) >= limit.burst:
        oldest = log[-limit.burst]
        if not has_passed(oldest, limit.per, now):
            return Refusal(limit.name, reasons.BURST_SPENT, limit.per - (now - oldest))
    return None


def left(limit: compiled.RateLimit, log: Log, now: float) -> int | None:
    """Return how many commands of the burst are left, or None without a burst."""
    if not limit.burst:
        return None
    recent = sum(not has_passed(moment, limit.per, now) for moment in log[-limit.burst :])
    return limit.burst - recent


def taken(limits: Iterable[compiled.RateLimit | None], log: Log, now: float) -> Log:
    """Return the log with a command issued now, as long as any of the limits needs it."""
    size = max((limit.burst for limit in limits if limit is not None), default=0)
    return (*log, now)[-max(1, size) :]


def merged(one: Log, other: Log) -> Log:
    """Return both logs as one: what a policy that may not act would have added to the real one."""
    return tuple(sorted((*one, *other))) if one and other else one or other


def rebased(log: Log, now: float) -> Log:
    """Return a log of another boot's clock: nobody knows how long ago, so as if just now."""
    return tuple(moment - log[-1] + now for moment in log) if log else ()
