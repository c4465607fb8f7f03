"""Rate limits as a log of when commands were issued. Pure; the engine keeps the logs, durably.

`minimumInterval` bounds the distance to the last command; `burst` in `per` bounds the number in
*any* window of that length. A token bucket would let twice the burst through around a refill; a log
of the last `burst` moments is exact and as small as the burst. Moments are engine seconds.

The chain asks `blocked` while it decides, about what `spent` makes of a log at that moment: a few
numbers, however long the log is, so that a record can hold all that was looked at. A moment is
added by `taken` only when a command is issued.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateReason
from foreshore_decision.instant import RESOLUTION, has_passed
from foreshore_decision.policy import compiled

Log = tuple[float, ...]
"""Moments at which commands were issued, oldest first."""


class Spent(NamedTuple):
    """What a rate limit looks at, of a log of any length, at one moment."""

    newest: float | None = None
    """When the newest command was issued."""
    burst: int = 0
    """The limit's own burst and `per`: what the rest was counted by."""
    per: float = 0.0
    recent: int = 0
    """Commands within `per`, of the newest `burst`."""
    oldest: float | None = None
    """When the `burst`-th newest command was issued; None while there are fewer."""


class Refusal(NamedTuple):
    """Which limit leaves no room, and for how long."""

    name: str
    reason: GateReason
    seconds: float
    """Until there is room."""


_UNSPENT: Final = Spent()
"""Of a limit that counts nothing, before the first command."""


def spent(limit: compiled.RateLimit | None, log: Log, now: float) -> Spent:
    """Return what a limit looks at; without a limit, what one that is added would ask first."""
    if limit is None or not limit.burst:
        return Spent(log[-1]) if log else _UNSPENT
    newest = log[-1] if log else None
    recent = min(len(log) - _first(log, limit.per, now), limit.burst)
    oldest = log[-limit.burst] if len(log) >= limit.burst else None
    return Spent(newest, limit.burst, limit.per, recent, oldest)


def _first(log: Log, per: float, now: float) -> int:
    """Return the position of the oldest moment that `per` seconds have not passed since.

    Those within the resolution of the edge are asked one by one, as `blocked` asks: a moment at the
    very edge counts in both or in neither.
    """
    first = bisect_left(log, now - per - RESOLUTION)
    while first < len(log) and has_passed(log[first], per, now):
        first += 1
    return first


def blocked(limit: compiled.RateLimit, spent: Spent, now: float) -> Refusal | None:
    """Return why no command may be issued now, or None."""
    if spent.newest is not None and not has_passed(spent.newest, limit.minimum_interval, now):
        seconds = limit.minimum_interval - (now - spent.newest)
        return Refusal(limit.name, reasons.MINIMUM_INTERVAL, seconds)
    if limit.burst and spent.oldest is not None and not has_passed(spent.oldest, limit.per, now):
        return Refusal(limit.name, reasons.BURST_SPENT, limit.per - (now - spent.oldest))
    return None


def taken(limits: Iterable[compiled.RateLimit | None], log: Log, now: float) -> Log:
    """Return the log with a command issued now, as long as any of the limits needs it."""
    size = max((limit.burst for limit in limits if limit is not None), default=0)
    return (*log, now)[-max(1, size) :]


def merged(real: Log, shadow: Log) -> Log:
    """Return both logs as one: what a policy that may not act would have added to the real one."""
    return tuple(sorted((*real, *shadow))) if real and shadow else real or shadow


def rebased(log: Log, now: float) -> Log:
    """Return a log of another boot's clock: nobody knows how long ago, so as if just now."""
    return tuple(moment - log[-1] + now for moment in log) if log else ()
