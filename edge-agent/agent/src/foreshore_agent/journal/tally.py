"""What a journal counts, and what it tells others of itself; used by the store."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from foreshore_agent.journal import chain
from foreshore_agent.journal.audit import ChainBreak
from foreshore_api.wire import record

MAXIMUM_BODY: Final = record.MAXIMUM_BYTES
"""Bytes of one record, as the hub takes it."""

OVERHEAD: Final = 256
"""Bytes that a row takes beside its body, roughly."""


Values = Sequence[tuple[str, bytes]]
"""Keys and what is kept under them; empty bytes forget."""


class JournalEntry(NamedTuple):
    """One record to be written.

    `body` is the JSON of a `wire.record.Event`; its empty `sequence` is filled in. `critical`
    records are never dropped before they are acknowledged. After acknowledgement the newest `keep`
    of each (policy, device, verdict) stay. `reserve` lets a record about something that is already
    under way (an outcome, a capped mode) use the room that is kept back.

    One without a body is a promise: nothing is written, and the append is refused where there is no
    room for the record that is to come, which then uses what is kept back.
    """

    body: bytes
    critical: bool
    policy: str = ""
    device: str = ""
    verdict: str = ""
    keep: int = 50
    reserve: bool = False

    @property
    def is_promise(self) -> bool:
        """Whether it asks for room alone."""
        return not self.body

    @property
    def weight(self) -> int:
        """Bytes that count against the quota."""
        return len(self.body) + OVERHEAD

    @property
    def is_too_long(self) -> bool:
        """Whether the hub would refuse the body."""
        return len(self.body) > MAXIMUM_BODY - chain.NUMBER_LENGTH

    def check(self) -> None:
        """Refuse a body that the hub would refuse. Raises ValueError."""
        if self.is_too_long:
            raise ValueError(f"a record of {len(self.body)} bytes is longer than {MAXIMUM_BODY}")


def losses(entries: Iterable[JournalEntry], reason: str) -> Counter[tuple[str, str]]:
    """Count records that were not written, by verdict and reason; a promise is none."""
    return Counter((entry.verdict, reason) for entry in entries if not entry.is_promise)


PROMISE: Final = JournalEntry(b"", critical=True, verdict=record.Verdict.COMMANDED.value)
"""Goes with an intent, whose record is written once its command has left."""


class JournalStatus(NamedTuple):
    """Where the journal stands; replaced as a whole after every commit."""

    last: int = 0
    acknowledged: int = 0
    kept: int = 0
    critical_bytes: int = 0
    routine_bytes: int = 0
    dropped: int = 0
    """Records that were not kept, since the journal was made."""
    full: bool = False
    reason: str | None = None
    """Why it is full: `DiskFull`, `DiskFailing` or `CriticalQuota`."""
    broken: ChainBreak | None = None
    """The first place that was not as it was written when the journal was opened, ever."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What no row carries of a journal's counts: kept as a value, so that opening scans nothing.

    An ordinary append changes nothing of it, and so does not write it.
    """

    critical_removed: int = 0
    routine_removed: int = 0
    removed: int = 0
    dropped: int = 0
    critical_cursor: int = 0
    routine_cursor: int = 0
    acknowledged: int = 0
    acknowledged_hash: str = ""
    """Of the newest record that the hub has."""


@dataclass(slots=True)
class LostRecords:
    """Records that are not kept, until a gap record has named them."""

    dropped: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(self.dropped.values())

    def add(self, verdict: str, time: datetime, reason: str, count: int = 1) -> None:
        """Count records of one time."""
        self.dropped[verdict] = self.dropped.get(verdict, 0) + count
        self.since = min(self.since or time, time)
        self.until = max(self.until or time, time)
        self.reason = reason

    def merge(self, other: "LostRecords") -> None:
        """Count all of another one's."""
        for verdict, count in other.dropped.items():
            self.dropped[verdict] = self.dropped.get(verdict, 0) + count
        self.since = min(filter(None, (self.since, other.since)), default=None)
        self.until = max(filter(None, (self.until, other.until)), default=None)
        self.reason = other.reason or self.reason
