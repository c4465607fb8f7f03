"""Records and values of one state directory, in transactions; used by the writer's thread alone.

Records are numbered without holes. A routine record that gives way to newer ones before it was
acknowledged keeps its row, with its links and without its body, so that the hub still sees an
unbroken chain; a gap record says what went. Critical records go once the hub has them, the oldest
first, when their room runs short; never before. A journal that nobody collects from (folder mode,
rehearsal) is a ring in both classes instead: its oldest records go, whole.
"""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from foreshore_agent.journal import chain, rows, sqlite
from foreshore_agent.journal.ballast import Ballast
from foreshore_agent.journal.retention import Retention
from foreshore_agent.journal.settings import Quotas
from foreshore_agent.journal.tally import (
    MAXIMUM_BODY,
    OVERHEAD,
    SAVED,
    Entry,
    Lost,
    Standing,
    Tally,
    Values,
)
from foreshore_api.wire import record

_SLICE: Final = 64
"""Rows removed in one transaction of house-keeping: an intent waits behind at most one slice."""
_CHECKPOINT_BYTES: Final = 4 << 20
_DROP_BYTES: Final = 256 << 10
"""A full ring gives this much room at once: one gap record for many, and no long pause for an
intent behind it.
"""


class JournalFull(RuntimeError):  # noqa: N818 - names a state, not a mistake
    """The record was not written, for want of room or of a disk: nothing may be commanded on it."""


class Store:
    """Every method blocks; none may be called from two threads."""

    def __init__(
        self,
        directory: Path,
        quotas: Quotas,
        now: Callable[[], datetime],
        *,
        is_collected: bool,
        identity: str | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = sqlite.lock(directory)
        self._directory = directory
        self._quotas = quotas
        self._now = now
        self._is_collected = is_collected
        self._ballast = Ballast(directory / "journal.ballast", quotas.ballast)
        self._lost = Lost()
        self._retention = Retention()
        self._failing: str | None = None
        self._checkpoint_at = _CHECKPOINT_BYTES
        self._connection = sqlite.connect(directory)
        self._rows = rows.Rows(self._connection)
        self._tally = self._load()
        self.journal_id = self._identify(identity)
        self.source = f"/journals/{self.journal_id}"
        sqlite.sync_directory(directory)
        self._retire()
        if not self._ballast.lay():
            self._failing = "DiskFull"

    @property
    def standing(self) -> Standing:
        """Where the journal stands now."""
        tally = self._tally
        reason = self._failing or ("CriticalQuota" if self._is_quota_full() else None)
        return Standing(
            last=tally.last,
            acknowledged=tally.acknowledged,
            kept=tally.last - tally.removed,
            critical_bytes=tally.critical,
            routine_bytes=tally.routine,
            dropped=tally.dropped + self._lost.count,
            full=reason is not None,
            reason=reason,
        )

    @property
    def is_failing(self) -> bool:
        """Whether the last write found no room; `recover` tries again."""
        return self._failing is not None

    @property
    def has_chores(self) -> bool:
        """Whether `chore` has something to do."""
        if self._retention.expired or self._retention.admitted < self._tally.acknowledged:
            return True
        return self._lost.count > 0 and not self.standing.full

    # Writing: call these inside `transaction`.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable at once, or nothing of it.

        Raises:
            JournalFull: the disk has no room or fails; the journal stays full until `recover`
            succeeds.
        """
        before = self._tally
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._save(before)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._tally = before
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error):
                raise
            self._fail(error)
            raise JournalFull(f"the journal cannot write: {error}") from error

    def append(self, entries: Sequence[Entry], values: Values = ()) -> tuple[int, ...]:
        """Write records and values, all or none, and return the records' numbers.

        Raises:
            JournalFull: there is no room for their class.
        """
        self._make_room(entries)
        for key, value in values:
            self.put(key, value)
        return tuple(self._insert(entry) for entry in entries)

    def put(self, key: str, value: bytes) -> None:
        """Keep one value durably; an empty one is forgotten."""
        self._rows.put(key, value)

    def acknowledge(self, sequence: int) -> None:
        """Note that everything up to `sequence` is safe elsewhere; older news is ignored."""
        sequence = min(sequence, self._tally.last)
        if sequence > self._tally.acknowledged:
            self._tally = replace(self._tally, acknowledged=sequence)
            self._make_critical_room(0)

    def count_lost(self, entries: Sequence[Entry]) -> None:
        """Remember records that were not written, for a gap record as soon as there is room."""
        reason = self.standing.reason or "RoutineQuota"
        for entry in entries:
            self._lost.add(entry.verdict, self._now(), reason)

    def count_refused(self, refused: Mapping[tuple[str, str], int]) -> None:
        """Remember records that nobody even tried to write, by verdict and reason."""
        for (verdict, reason), count in refused.items():
            for _ in range(count):
                self._lost.add(verdict, self._now(), reason)

    # Reading.

    def get(self, key: str) -> bytes | None:
        """Return a value that `put` kept."""
        return self._rows.get(key)

    def values(self, prefix: str) -> dict[str, bytes]:
        """Return every value whose key starts with `prefix`."""
        return self._rows.values(prefix)

    def after(self, sequence: int, limit: int, size: int) -> tuple[record.ShippedRecord, ...]:
        """Return records behind `sequence`: at most `limit`, about `size` bytes, at least one."""
        return self._rows.after(sequence, limit, size)

    def newest(self, limit: int) -> tuple[record.ShippedRecord, ...]:
        """Return the newest records, oldest first."""
        return self._rows.newest(limit)

    # House-keeping: the writer calls these while nothing waits.

    def chore(self) -> None:
        """Forget a slice of what was acknowledged, and write an outstanding gap record."""
        self._retire()
        expired = self._retention.oldest(_SLICE)
        with self.transaction():
            self._remove(expired)
            self._make_critical_room(0)
            if self._lost.count and not self.standing.full:
                self._write_gap(self._lost)
        self._retention.forget(len(expired))
        if not self.standing.full:
            self._lost = Lost()

    def checkpoint(self) -> None:
        """Move a long log into the file, and cut it.

        A log that is only used again keeps its length, and every later commit would checkpoint.
        Where a reader holds it, the next try comes when it has grown by as much again.
        """
        log = self._directory / f"{sqlite.FILE}-wal"
        try:
            size = log.stat().st_size
            if size >= self._checkpoint_at:
                done = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._checkpoint_at = _CHECKPOINT_BYTES + (size if done[0] else 0)
        except FileNotFoundError:
            return
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def recover(self) -> bool:
        """Try to write again after a failure; True when the journal works and its ballast is laid.

        The oldest routine records give way first, then critical ones that the hub has; their room
        goes back to the file system.
        """
        try:
            fresh = sqlite.connect(self._directory)
            self._connection.close()
            self._connection, self._rows = fresh, rows.Rows(fresh)
            self._tally = self._load()
            with self.transaction():
                has_routine = self._tally.routine > _DROP_BYTES
                self._drop(critical=False, size=_drop_bytes(self._tally.routine))
                if not has_routine:
                    self._drop(critical=True, size=_drop_bytes(self._tally.critical))
                self.put("journal/recovered", self._now().isoformat().encode())
            for statement in ("wal_checkpoint(TRUNCATE)", "incremental_vacuum"):
                self._connection.execute(f"PRAGMA {statement}").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, JournalFull):
            return False
        self._failing = None if self._ballast.lay() else "DiskFull"
        return self._failing is None

    def close(self) -> None:
        """Move the log into the file and let go of the directory."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            self._failing = "DiskFailing"  # the log is replayed at the next start
        finally:
            self._connection.close()
            os.close(self._lock)

    def _is_quota_full(self) -> bool:
        room = self._quotas.critical - self._tally.critical
        return self._is_collected and room < MAXIMUM_BODY + OVERHEAD

    def _fail(self, error: sqlite3.Error | OSError) -> None:
        full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
        self._failing = "DiskFull" if full else "DiskFailing"
        self._ballast.release()

    def _load(self) -> Tally:
        last = self._rows.last()
        tally = Tally(*last) if last else Tally()
        saved = self.get("journal/tally")
        return replace(tally, **orjson.loads(saved)) if saved else tally

    def _save(self, before: Tally) -> None:
        saved = {name: getattr(self._tally, name) for name in SAVED}
        if saved != {name: getattr(before, name) for name in SAVED}:
            self.put("journal/tally", orjson.dumps(saved))

    def _identify(self, identity: str | None) -> str:
        known = self.get("journal/id")
        if known is None:
            known = (identity or str(uuid.uuid4())).encode()
            with self.transaction():
                self.put("journal/id", known)
        return known.decode()

    def _make_room(self, entries: Sequence[Entry]) -> None:
        critical = sum(entry.weight for entry in entries if entry.critical)
        routine = sum(entry.weight for entry in entries if not entry.critical)
        self._make_critical_room(critical)
        has_reserve = all(entry.reserve for entry in entries)
        if self.standing.full and not has_reserve and any(entry.critical for entry in entries):
            raise JournalFull(f"the journal is full: {self.standing.reason}")
        if self._failing and not has_reserve:
            raise JournalFull(f"the journal is full: {self._failing}")
        if routine and self._tally.routine + routine > self._quotas.routine:
            self._drop(critical=False, size=max(routine, _drop_bytes(self._quotas.routine)))
            if self._tally.routine + routine > self._quotas.routine:
                raise JournalFull("the journal is full: RoutineQuota")

    def _make_critical_room(self, wanted: int) -> None:
        """Let critical records go that may go, before their class has no room for one more."""
        spare = MAXIMUM_BODY + OVERHEAD if self._is_collected else 0
        missing = self._tally.critical + wanted + spare - self._quotas.critical
        if missing > 0 and not self._failing:
            self._drop(critical=True, size=max(missing, _drop_bytes(self._quotas.critical)))

    def _insert(self, entry: Entry) -> int:
        tally = self._tally
        sequence = tally.last + 1
        body = chain.stamp(entry.body, sequence)
        digest = chain.link(tally.hash, body)
        weight = len(body) + OVERHEAD
        critical = tally.critical_written + (weight if entry.critical else 0)
        routine = tally.routine_written + (0 if entry.critical else weight)
        place = rows.Placed(sequence, tally.hash, digest, critical, routine)
        self._rows.insert(entry, place, body)
        self._tally = replace(
            tally, last=sequence, hash=digest, critical_written=critical, routine_written=routine
        )
        return sequence

    def _write_gap(self, lost: Lost) -> None:
        now = self._now()
        event = record.Event(
            id=str(uuid.uuid4()), source=self.source, type=record.GAP, time=now, data=lost.gap(now)
        )
        self._insert(Entry(event.encode(), critical=True, reserve=True))
        self._tally = replace(self._tally, dropped=self._tally.dropped + lost.count)

    def _retire(self) -> None:
        """See which records may go, of those that were acknowledged since the last time."""
        after, until = self._retention.admitted, self._tally.acknowledged
        found = self._rows.buckets(after, until)
        for sequence, policy, device, verdict, keep, length in found:
            self._retention.admit(sequence, (policy, device, verdict), keep if length else 0)
        self._retention.admitted = until

    def _drop(self, *, critical: bool, size: int) -> None:
        """Let the oldest records of a class go until `size` bytes are free; a gap names them.

        Critical ones that a hub collects go only once it has them, so there may be too few.
        """
        cursor = self._tally.critical_cursor if critical else self._tally.routine_cursor
        end = self._tally.last
        if critical and self._is_collected:
            end = min(end, self._tally.acknowledged + 1)
        reason = "CriticalQuota" if critical else "RoutineQuota"
        lost, whole, emptied, freed = Lost(), list[int](), list[int](), 0
        oldest = self._rows.oldest(critical=critical, after=cursor, before=end)
        for sequence, body, verdict in oldest:
            if freed >= size:
                break
            is_safe = sequence <= self._tally.acknowledged
            goes_whole = is_safe or not self._is_collected
            (whole if goes_whole else emptied).append(sequence)
            cursor, freed = sequence, freed + len(body) + (OVERHEAD if goes_whole else 0)
            if not is_safe:
                lost.add(verdict, _time(body) or self._now(), reason)
        else:
            cursor = max(cursor, end - 1)  # there is no more; do not look through these again
        oldest.close()
        self._remove(whole)
        self._empty(emptied)
        if critical:
            self._tally = replace(self._tally, critical_cursor=cursor)
        else:
            self._tally = replace(self._tally, routine_cursor=cursor)
        if lost.count:
            self._write_gap(lost)

    def _remove(self, sequences: Sequence[int]) -> None:
        """Delete rows; the newest always stays, because the next record follows it."""
        for sequence in sequences:
            known = self._rows.class_and_size(sequence)
            if known is None or sequence == self._tally.last:
                continue
            is_critical, size = known
            self._rows.delete(sequence)
            self._free(is_critical=is_critical, size=size + OVERHEAD)
            self._tally = replace(self._tally, removed=self._tally.removed + 1)

    def _empty(self, sequences: Sequence[int]) -> None:
        """Drop bodies; number and links stay."""
        for sequence in sequences:
            known = self._rows.class_and_size(sequence)
            if known is not None:
                is_critical, size = known
                self._rows.empty(sequence)
                self._free(is_critical=is_critical, size=size)

    def _free(self, *, is_critical: bool, size: int) -> None:
        tally = self._tally
        if is_critical:
            self._tally = replace(tally, critical_removed=tally.critical_removed + size)
        else:
            self._tally = replace(tally, routine_removed=tally.routine_removed + size)


def _drop_bytes(room: int) -> int:
    return min(_DROP_BYTES, room // 10)


def _time(body: bytes) -> datetime | None:
    """The time of a record, for the span of a gap."""
    try:
        return datetime.fromisoformat(orjson.loads(body)["time"])
    except (ValueError, KeyError, TypeError):
        return None
