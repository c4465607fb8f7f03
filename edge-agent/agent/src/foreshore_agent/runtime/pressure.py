"""Whether the engine keeps up with what is measured, second by second, and what to say if not.

    sample ──► received, and what it replaced unread        tick ──► how busy the loop's thread was
                                └──────────── a second ────────────┘
    strained: messages were dropped, or passed over while the thread was busy, or had to wait for
              the disk; told for a minute

Messages that come in one packet are passed over by an idle agent too: a broker that holds small
packets back delivers four samples at once. That is counted in records, and is no strain.
One of a `core`, asked by `facts`.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from foreshore_agent.engine import events
from foreshore_api.reasons import Reason, agent, telemetry

SECONDS: Final = 60
"""For so long a second of strain is told, and so long one message stands."""
BUSY: Final = 0.8
"""Share of a second on a processor from which on the loop has no time for more."""


class ObservedSecond(NamedTuple):
    """What one second brought."""

    at: int
    """Monotonic."""
    received: int
    passed: int
    """Messages that newer ones replaced unread."""
    dropped: int
    busy: float
    """Share of the time in which the loop's thread was on a processor."""
    unwritten: int
    """Writes that waited for the disk, at most, while messages had to wait for them; else 0."""

    @property
    def is_strained(self) -> bool:
        """Whether more came than could be taken."""
        is_short_of_time = self.passed > 0 and self.busy >= BUSY
        return self.dropped > 0 or self.unwritten > 0 or is_short_of_time


class Strain(NamedTuple):
    """What it is that an engine does not keep up with, for people."""

    reason: Reason
    message: str


class Pressure:
    """The last minute of one engine."""

    def __init__(self, processor_time: Callable[[], float]) -> None:
        self._processor_time: Final = processor_time
        self._seconds: Final = deque[ObservedSecond](maxlen=SECONDS)
        self._since: tuple[float, float] | None = None
        """Monotonic and processor time at the beginning of this second."""
        self._received = self._passed = self._dropped = self._unwritten = 0
        self._told: tuple[float, Strain] | None = None

    def measured(self, sample: events.Sample) -> None:
        """Count a message, and those that were not read before it."""
        self._received += 1
        for reason, count in sample.replaced:
            self._received += count
            if reason == telemetry.NEWER_ON_TOPIC:
                self._passed += count
            else:
                self._dropped += count

    def tick(self, at: float, unwritten: int = 0) -> None:
        """Note that time has passed, in monotonic seconds.

        `unwritten`: how many writes wait for the disk, where messages wait for them.
        """
        self._unwritten = max(self._unwritten, unwritten)
        if self._since is None:
            self._since = (at, self._processor_time())
            return
        began, processor = self._since
        if at - began < 1.0:
            return
        used = self._processor_time()
        busy = (used - processor) / (at - began)
        counts = self._received, self._passed, self._dropped
        self._seconds.append(ObservedSecond(math.floor(at), *counts, busy, self._unwritten))
        self._received = self._passed = self._dropped = self._unwritten = 0
        self._since = (at, used)

    def strain(self, at: float) -> Strain | None:
        """Say with numbers that it does not keep up lately, or None where it does.

        The numbers are those of the moment when it is first said, and then of every minute: a
        sentence that changed every second would fill the log.
        """
        lately = [second for second in self._seconds if second.at > at - SECONDS - 1]
        if not any(second.is_strained for second in lately):
            self._told = None
        elif self._told is None or at - self._told[0] >= SECONDS:
            self._told = (at, _strain(lately))
        return None if self._told is None else self._told[1]


def _strain(seconds: list[ObservedSecond]) -> Strain:
    """Say what it was; where the disk was slow, what came of it is no fault of others."""
    unwritten = max(second.unwritten for second in seconds)
    row = agent.DISK_BEHIND if unwritten else agent.OVERLOADED
    message = row.message.format(
        received=sum(second.received for second in seconds),
        passed=sum(second.passed for second in seconds),
        dropped=sum(second.dropped for second in seconds),
        seconds=len(seconds),
        busy=max(second.busy for second in seconds),
        writes=unwritten,
    )
    return Strain(row, f"{message}; {row.remedy}")
