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
from foreshore_agent.journal.tally import OVERHEAD, SAVED, JournalEntry, LostRecords, Tally
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record

_TALLY: Final = "journal/tally"
_TOTAL: Final = "journal/holes"


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
        last, saved = self._rows.last(), self._rows.get(_TALLY)
        tally = Tally(*last) if last else Tally()
        self.tally = replace(tally, **orjson.loads(saved)) if saved else tally
        kept = self._rows.get(_TOTAL)
        self.total = holes.Total.decode(kept) if kept else holes.Total()
        self._saved = self.tally, self.total

    def insert(self, entry: JournalEntry) -> int:
        """Number, link and write one record; return its number."""
        tally = self.tally
        sequence = tally.last + 1
        body = chain.stamp(entry.body, sequence)
        digest = chain.link(tally.hash, body)
        weight = len(body) + OVERHEAD
        critical = tally.critical_written + (weight if entry.critical else 0)
        routine = tally.routine_written + (0 if entry.critical else weight)
        self._rows.insert(entry, RowPlace(sequence, tally.hash, digest, critical, routine), body)
        self.tally = replace(
            tally, last=sequence, hash=digest, critical_written=critical, routine_written=routine
        )
        return sequence

    def remove(self, sequences: Iterable[int], reason: str) -> None:
        """Take records out whole."""
        places: list[Place] = []
        for sequence in sorted(sequences):
            found = self._rows.placed(sequence)
            if found is not None:
                place, is_critical, size = found
                self._rows.delete(sequence)
                self._free(is_critical=is_critical, size=size + OVERHEAD)
                places.append(place)
        self.tally = replace(self.tally, removed=self.tally.removed + len(places))
        self.punch(holes.runs(places, HoleKind.REMOVED), reason)

    def empty(self, sequences: Iterable[int], reason: str) -> None:
        """Take the bodies of records out; numbers and links stay."""
        places: list[Place] = []
        for sequence in sorted(sequences):
            found = self._rows.placed(sequence)
            if found is not None:
                place, is_critical, size = found
                self._rows.empty(sequence)
                self._free(is_critical=is_critical, size=size)
                places.append(place)
        self.punch(holes.runs(places, HoleKind.EMPTIED), reason)

    def give_way(self, *, critical: bool, size: int, is_collected: bool) -> None:
        """Let the oldest records of a class go until `size` bytes are free; a gap names them.

        Critical ones that a hub collects go only once it has them, so there may be too few.
        """
        cursor = self.tally.critical_cursor if critical else self.tally.routine_cursor
        end = self.tally.last
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
            near = self._rows.holes_near(hole.first, hole.last)
            is_doubt = hole.kind == HoleKind.DOUBTED  # lies over records and over other holes
            same = [each for each in near if (each.kind == HoleKind.DOUBTED) is is_doubt]
            gone, come = holes.punch(hole, same)
            for each in gone:
                self._rows.delete_hole(each)
                self.total = self.total.minus(each)
            for each in come:
                self._rows.insert_hole(each)
                self.total = self.total.plus(each)
            self._change(reason)[1].append(hole)

    def declare(self, reason: str) -> None:
        """Write a record of this reason even if nothing went."""
        self._change(reason)

    def cut(self, hole: Hole, reason: str) -> None:
        """Go on behind records that are gone: their numbers are never used again."""
        size = hole.last - hole.first + 1
        self.tally = replace(
            self.tally, last=hole.last, hash=hole.hash, removed=self.tally.removed + size
        )
        self.punch((hole,), reason)

    def commit(self) -> None:
        """Write what went out down, and what no row carries; the transaction ends after it."""
        changes, self._changes = self._changes, {}
        for reason, (lost, fresh) in changes.items():
            for ranges in holes.ranges(fresh, record.ITEMS):
                self._write_gap(reason, lost, ranges)
                lost = LostRecords()
        tally, total = self._saved
        saved = {name: getattr(self.tally, name) for name in SAVED}
        if saved != {name: getattr(tally, name) for name in SAVED}:
            self._rows.put(_TALLY, orjson.dumps(saved))
        if total != self.total:
            self._rows.put(_TOTAL, self.total.encode())

    def settle(self, *, is_committed: bool) -> None:
        """Note how the transaction ended: what was committed stands, the rest is undone."""
        if is_committed:
            self._saved = self.tally, self.total
        else:
            self.tally, self.total = self._saved
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
