"""One moment on the agent's three clocks; every event and every fact carries one.

The pure packages never ask what time it is. The shell reads the three clocks together and hands
them in.
"""

from datetime import datetime
from typing import Final, NamedTuple

RESOLUTION: Final = 1e-6
"""Seconds between two moments that a record's time can tell apart."""


class Instant(NamedTuple):
    """One moment, as the agent's three clocks tell it.

    In a rehearsal that is not live, all three tell the recording's time.
    """

    now: datetime
    """The engine's time in UTC: the time that records carry. In a rehearsal it follows the
    recording."""
    monotonic: float
    """Real seconds: latency stages, timeouts, acknowledgements."""
    boot: float
    """Seconds since boot, suspended time included: grants, and outside a rehearsal ages, windows
    and rates."""


def has_passed(since: float, seconds: float, now: float) -> bool:
    """Whether so many seconds have passed, to the resolution of times.

    Exactly, a tenth of a second would not have passed between most neighbouring samples of 10 Hz:
    their moments are no floats.
    """
    return now - since >= seconds - RESOLUTION


def is_beyond(since: float, seconds: float, now: float) -> bool:
    """Whether more than so many seconds have passed, to the resolution of times.

    What may be a tenth of a second old still may where two moments of 10 Hz make it a hair more.
    """
    return now - since > seconds + RESOLUTION
