"""The chained table with its counts: a record comes in, records go out, and a record says so.

Used by the store inside its transactions. What goes out is gathered by its reason until the end of
the transaction, where `state` writes it down; so no hole is ever committed without its statement.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson

from foreshore_agent.journal import chain, holes
from foreshore_agent.journal.holes import Hole, HoleKind, Place
from foreshore_agent.journal.sqlite import RowPlace, Rows
from foreshore_agent.journal.tally import OVERHEAD, JournalEntry, LostRecords, Tally
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record

_TALLY: Final = "journal/tally"
_TOTAL: Final = "journal/holes"
_NONE: Final = RowPlace(0, chain.GENESIS, chain.GENESIS, 0, 0)
"""What the first record follows."""


class Ledger:
    """One journal's records, holes and counts; `source` names it in the records it writes."""

    def __init__(self, rows: Rows, now: Callable[[], datetime]) -> None:
        self.source = ""
        self._rows = rows
        self._now: Final = now
        self._changes: dict[str, tuple[LostRecords, list[Hole]]] = {}
        self._load()

    def reopen(self, rows: Rows) -> None:
        """Go on with another connection to the same file."""
        self._rows = rows
        self._load()

    def _load(self) -> None:
        saved, total = self._rows.get(_TALLY), self._rows.get(_TOTAL)
        self.newest = self._rows.last() or _NONE
        self.tally = Tally(**orjson.loads(saved)) if saved else Tally()
        self.total = holes.Total.decode(total) if total else holes.Total()
        self._saved = self.newest, self.tally, self.total

    @property
    def critical(self) -> int:
        """Bytes of critical records on disk."""
        return self.newest.critical_written - self.tally.critical_removed

    @property
    def routine(self) -> int:
        """Bytes of routine records on disk."""
        return self.newest.routine_written - self.tally.routine_removed

    def insert(self, entry: JournalEntry) -> int:
        """Number, link and write one record; return its number."""
        last, _, previous, critical, routine = self.newest
        body = chain.stamp(entry.body, last + 1)
        weight = len(body) + OVERHEAD
        if entry.critical:
            critical += weight
        else:
            routine += weight
        place = RowPlace(last + 1, previous, chain.link(previous, body), critical, routine)
        self._rows.insert(entry, place, body)
        self.newest = place
        return place.sequence

    def acknowledge(self, sequence: int) -> bool:
        """Note that a hub has everything up to `sequence`; False where that is no news."""
        sequence = min(sequence, self.newest.sequence)
        if sequence <= self.tally.acknowledged:
            return False
        digest = self._rows.hash_of(sequence) or ""
        self.tally = replace(self.tally, acknowledged=sequence, acknowledged_hash=digest)
        return True

    def remove(self, sequences: Iterable[int], reason: str) -> None:
        """Take records out whole."""
        places = self._take_out(sequences, self._rows.delete, OVERHEAD)
        self.tally = replace(self.tally, removed=self.tally.removed + len(places))
        self.punch(holes.runs(places, HoleKind.REMOVED), reason)

    def empty(self, sequences: Iterable[int], reason: str) -> None:
        """Take the bodies of records out; numbers and links stay."""
        places = self._take_out(sequences, self._rows.empty, 0)
        self.punch(holes.runs(places, HoleKind.EMPTIED), reason)

    def _take_out(
        self, sequences: Iterable[int], take: Callable[[int], None], overhead: int
    ) -> list[Place]:
        """Take records out by `take`, free their bytes with `overhead`; return where they stood."""
        places: list[Place] = []
        for sequence in sorted(sequences):
            placed = self._rows.placed(sequence)
            if placed is not None:
                place, is_critical, size = placed
                take(sequence)
                self._free(is_critical=is_critical, size=size + overhead)
                places.append(place)
        return places

    def give_way(self, *, critical: bool, size: int, is_collected: bool) -> None:
        """Let the oldest records of a class go until `size` bytes are free; a gap names them.

        Critical ones that a hub collects go only once it has them, so there may be too few.
        """
        cursor = self.tally.critical_cursor if critical else self.tally.routine_cursor
        end = self.newest.sequence
        if critical and is_collected:
            end = min(end, self.tally.acknowledged + 1)
        reason = reasons.CRITICAL_QUOTA if critical else reasons.ROUTINE_QUOTA
        lost, whole, emptied, freed = LostRecords(), list[int](), list[int](), 0
        oldest = self._rows.oldest(critical=critical, after=cursor, before=end)
        for sequence, body, verdict in oldest:
            if freed >= size:
                break
            is_safe = sequence <= self.tally.acknowledged
            goes_whole = is_safe or not is_collected
            (whole if goes_whole else emptied).append(sequence)
            cursor, freed = sequence, freed + len(body) + (OVERHEAD if goes_whole else 0)
            if not is_safe:
                lost.add(verdict, _time(body) or self._now(), reason)
        else:
            cursor = max(cursor, end - 1)  # there is no more; do not look through these again
        oldest.close()
        self.remove(whole, reason)
        self.empty(emptied, reason)
        self.lose(lost, reason)
        if critical:
            self.tally = replace(self.tally, critical_cursor=cursor)
        else:
            self.tally = replace(self.tally, routine_cursor=cursor)

    def lose(self, lost: LostRecords, reason: str) -> None:
        """Count records that nobody has."""
        if lost.count:
            self._change(reason)[0].merge(lost)
            self.tally = replace(self.tally, dropped=self.tally.dropped + lost.count)

    def punch(self, fresh: Iterable[Hole], reason: str) -> None:
        """Note holes: in their table, in the total, and for the statement."""
        for hole in fresh:
            gone, come = holes.punch(hole, self._rows.holes_near(hole))
            for old in gone:
                self._rows.delete_hole(old)
                self.total = self.total.minus(old)
            for new in come:
                self._rows.insert_hole(new)
                self.total = self.total.plus(new)
            self._change(reason)[1].append(hole)

    def note(self, reason: str, hole: Hole | None) -> None:
        """Write down what was noticed when the journal was opened (see `opening`).

        Without a hole, all that are there are stated. Behind a cut the numbers of what is gone are
        never used again.
        """
        if hole is None:
            self._change(reason)  # a record of it even where nothing is missing
            self.punch(tuple(holes.unstated(self._rows.skeletons())), reason)
            return
        if hole.kind == HoleKind.CUT:
            size = hole.last - hole.first + 1
            self.newest = self.newest._replace(sequence=hole.last, hash=hole.hash)
            self.tally = replace(self.tally, removed=self.tally.removed + size)
        self.punch((hole,), reason)

    def commit(self) -> None:
        """Write what went out down, and what no row carries; the transaction ends after it."""
        changes, self._changes = self._changes, {}
        for reason, (lost, fresh) in changes.items():
            for ranges in holes.ranges(fresh, record.ITEMS):
                self._write_gap(reason, lost, ranges)
                lost = LostRecords()
        _, tally, total = self._saved
        if self.tally is not tally:
            self._rows.put(_TALLY, orjson.dumps(self.tally))
        if self.total is not total:
            self._rows.put(_TOTAL, self.total.encode())

    def settle(self, *, is_committed: bool) -> None:
        """Note how the transaction ended: what was committed stands, the rest is undone."""
        if is_committed:
            self._saved = self.newest, self.tally, self.total
        else:
            self.newest, self.tally, self.total = self._saved
            self._changes = {}

    def _change(self, reason: str) -> tuple[LostRecords, list[Hole]]:
        return self._changes.setdefault(reason, (LostRecords(), []))

    def _write_gap(
        self, reason: str, lost: LostRecords, ranges: dict[str, tuple[tuple[int, int], ...]]
    ) -> None:
        data = record.Gap(
            dropped=dict(sorted(lost.dropped.items())),
            reason=reason,
            since=lost.since,
            until=lost.until,
            ranges=ranges,
            holes=self.total.digest,
        )
        event = record.Event(
            id=str(uuid.uuid4()), source=self.source, type=record.GAP, time=self._now(), data=data
        )
        self.insert(JournalEntry(event.encode(), critical=True, reserve=True))

    def _free(self, *, is_critical: bool, size: int) -> None:
        tally = self.tally
        if is_critical:
            self.tally = replace(tally, critical_removed=tally.critical_removed + size)
        else:
            self.tally = replace(tally, routine_removed=tally.routine_removed + size)


def _time(body: bytes) -> datetime | None:
    """The time of a record, for the span of a gap."""
    try:
        return datetime.fromisoformat(orjson.loads(body)["time"])
    except (ValueError, KeyError, TypeError):
        return None
