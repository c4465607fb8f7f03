"""Records and values of one state directory, in transactions; used by the writer's thread alone.

Records are numbered without holes. A routine record that gives way to newer ones before it was
acknowledged keeps its row, with its links and without its body, so that the hub still sees an
unbroken chain; a gap record says what went. Critical records go once the hub has them, the oldest
first, when their room runs short; never before. A journal that nobody collects from (folder mode,
rehearsal) is a ring in both classes instead: its oldest records go, whole.

What goes is stated in the same transaction (`ledger`), and the head is written after it (`head`).
"""

import errno
import logging
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from foreshore_agent.journal import audit, chain, log, opening, sqlite
from foreshore_agent.journal.head import Head, HeadFile
from foreshore_agent.journal.ledger import Ledger
from foreshore_agent.journal.retention import Retention
from foreshore_agent.journal.room import Ballast, Quotas
from foreshore_agent.journal.tally import (
    MAXIMUM_BODY,
    OVERHEAD,
    JournalEntry,
    JournalStatus,
    LostRecords,
    Values,
)
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record

_LOG: Final = logging.getLogger(__name__)
_SLICE: Final = 64
"""Rows removed in one transaction of house-keeping: an intent waits behind at most one slice."""
_FEWEST: Final = 16
"""Rows that house-keeping begins for: it writes a record itself, which is forgotten in turn."""
_DROP_BYTES: Final = 256 << 10
"""A full ring gives this much room at once: one gap record for many, and no long pause for an
intent behind it.
"""


class JournalFull(RuntimeError):  # noqa: N818 - names a state, not a mistake
    """The record was not written, for want of room or of a disk: nothing may be commanded on it."""

    def __init__(self, reason: str, why: str = "the journal is full") -> None:
        super().__init__(f"{why}: {reason}")
        self.reason: Final = reason
        """Why nothing was written: a code of `reasons.journal`, or `RecorderFull`."""


class Store:
    """Every method blocks; none may be called from two threads.

    Raises:
        sqlite.JournalInUse: another process has the directory.
        sqlite3.DatabaseError: the file is damaged.
        JournalFull, OSError: the directory cannot be written.
    """

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
        self._log = log.Log(directory, quotas.log)
        self._quotas = quotas
        self._now = now
        self._is_collected = is_collected
        self._ballast = Ballast(directory / "journal.ballast", quotas.ballast)
        self._lost = LostRecords()
        self._retention = Retention()
        self._failing: str | None = None
        self._connection = self._connect()
        self._rows = sqlite.Rows(self._connection)
        self._ledger = Ledger(self._rows, now)
        self._head = HeadFile(directory)
        try:
            self._broken = self._open(identity)
        except BaseException:
            self._let_go()
            raise
        self._retire()
        if not self._ballast.lay():
            self._failing = reasons.DISK_FULL

    @property
    def standing(self) -> JournalStatus:
        """Where the journal stands now."""
        tally, last, reason = self._ledger.tally, self._ledger.newest.sequence, self._full_reason()
        return JournalStatus(
            last=last,
            acknowledged=tally.acknowledged,
            kept=last - tally.removed,
            critical_bytes=self._ledger.critical,
            routine_bytes=self._ledger.routine,
            dropped=tally.dropped + self._lost.count,
            full=reason is not None,
            reason=reason,
            broken=self._broken,
        )

    @property
    def is_failing(self) -> bool:
        """Whether the last write found no room; `recover` tries again."""
        return self._failing is not None

    @property
    def has_chores(self) -> bool:
        """Whether `chore` has something to do."""
        has_expired = len(self._retention.expired) >= _FEWEST
        if has_expired or self._retention.admitted < self._ledger.tally.acknowledged:
            return True
        if not self._log.is_reserved and self._failing is None:
            return True
        return self._lost.count > 0 and self._full_reason() is None

    @property
    def source(self) -> str:
        """The CloudEvents source of the records that the journal writes itself."""
        return self._ledger.source

    @source.setter
    def source(self, source: str) -> None:
        self._ledger.source = source

    # Writing: call these inside `transaction`.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable at once, or nothing of it.

        Raises:
            JournalFull: the disk has no room or fails; the journal stays full until `recover`
            succeeds.
        """
        try:
            self._rows.begin()
            yield
            self._ledger.commit()
            self._log.grow(self._rows.commit())
        except BaseException as error:
            self._ledger.settle(is_committed=False)
            self._rows.roll_back()
            if not isinstance(error, sqlite3.Error):
                raise
            reason = self._fail(error)
            raise JournalFull(reason, f"the journal cannot write ({error})") from error
        self._ledger.settle(is_committed=True)
        self._write_head()

    def append(self, entries: Sequence[JournalEntry], values: Values = ()) -> tuple[int, ...]:
        """Write records and values, all or none, and return the records' numbers.

        Raises:
            JournalFull: there is no room for their class.
        """
        self._make_room(entries)
        for key, value in values:
            self.put(key, value)
        records = (entry for entry in entries if not entry.is_promise)
        return tuple(self._ledger.insert(entry) for entry in records)

    def put(self, key: str, value: bytes) -> None:
        """Keep one value durably; an empty one is forgotten."""
        self._rows.put(key, value)

    def acknowledge(self, sequence: int) -> None:
        """Note that everything up to `sequence` is safe elsewhere; older news is ignored."""
        if self._ledger.acknowledge(sequence):
            self._make_critical_room(0)

    def count_lost(self, lost: Mapping[tuple[str, str], int]) -> None:
        """Remember records that were not written, by verdict and reason.

        A gap record names them as soon as there is room.
        """
        for (verdict, reason), count in lost.items():
            self._lost.add(verdict, self._now(), reason, count)

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
        """Forget a slice of what was acknowledged, and name what was lost since the last time.

        Where there is nothing of the kind, reserve a slice of the log.
        """
        self._retire()
        expired = self._retention.oldest(_SLICE)
        expired = expired if len(expired) >= _FEWEST else ()
        has_room = self._full_reason() is None
        if not expired and not (has_room and self._lost.count):
            if not self._log.is_reserved:
                self._log.reserve()
            return
        with self.transaction():
            self._ledger.remove(expired, reasons.ACKNOWLEDGED)
            self._make_critical_room(0)
            if has_room:
                self._ledger.lose(self._lost, self._lost.reason)
        self._retention.forget(len(expired))
        if has_room:
            self._lost = LostRecords()

    def checkpoint(self) -> None:
        """Move a long log into the file."""
        if self._log.is_due:
            try:
                self._log.checkpoint(self._connection)
            except sqlite3.Error as error:
                self._fail(error)

    def recover(self) -> bool:
        """Try to write again after a failure; True when the journal works and its ballast is laid.

        The oldest routine records give way first, then critical ones that the hub has; their room
        goes back to the file system.
        """
        try:
            fresh = sqlite.connect(self._directory)
            self._connection.close()
            self._connection, self._rows = fresh, sqlite.Rows(fresh)
            self._ledger.reopen(self._rows)
            with self.transaction():
                has_routine = self._ledger.routine > _DROP_BYTES
                self._give_way(critical=False, size=_drop_bytes(self._ledger.routine))
                if not has_routine:
                    self._give_way(critical=True, size=_drop_bytes(self._ledger.critical))
                self.put("journal/recovered", self._now().isoformat().encode())
            self._log.cut(fresh)
            fresh.execute("PRAGMA incremental_vacuum").fetchall()
            self._log.cut(fresh)
        except (sqlite3.Error, JournalFull):
            return False
        if not self._write_head():
            return False
        self._failing = None if self._ballast.lay() else reasons.DISK_FULL
        return self._failing is None

    def close(self) -> None:
        """Name what was lost, move the log into the file and let go of the directory.

        A full quota has room for that one record; the next start knows nothing of the losses.
        """
        try:
            if self._lost.count and self._failing is None:
                with self.transaction():
                    self._ledger.lose(self._lost, self._lost.reason)
            self._log.cut(self._connection)
            self._write_head(is_final=True)
            self._head.sync()
        except (sqlite3.Error, OSError, JournalFull):
            self._failing = reasons.DISK_FAILING  # the log is replayed at the next start
        finally:
            self._let_go()

    def _connect(self) -> sqlite3.Connection:
        """Open the file; where an upgrade has no room for its changes, the ballast has it."""
        try:
            return sqlite.connect(self._directory)
        except sqlite3.OperationalError:
            self._ballast.release()
            return sqlite.connect(self._directory)

    def _let_go(self) -> None:
        self._head.close()
        self._connection.close()
        os.close(self._lock)

    def _open(self, identity: str | None) -> audit.ChainBreak | None:
        """Compare table and head; write down what does not fit, before anything else is written.

        Returns the first break that was ever noticed so.
        """
        journal_id, newest = self._rows.get("journal/id"), self._ledger.newest
        head = self._head.at_opening
        opened = opening.Found(
            journal="" if journal_id is None else journal_id.decode(),
            last=newest.sequence,
            hash=newest.hash,
            has_format=self._rows.get(opening.FORMAT_KEY) is not None,
            has_holes=self._rows.has_holes(),
            head=head,
            hash_at_head=self._rows.hash_of(head.sequence) if head else None,
            hash_at_acknowledged=self._rows.hash_of(head.acknowledged) if head else None,
        )
        self.journal_id = opened.journal or (
            head.journal if head else identity or str(uuid.uuid4())
        )
        self.source = f"/journals/{self.journal_id}"
        noticed = opening.notice(opened)
        try:
            self._begin(opened, noticed)
        except (JournalFull, OSError):
            self._ballast.release()  # the room is for such a case; a second refusal is for good
            self._begin(opened, noticed)
        first = min(self._rows.holes_noticed(), default=None)
        broken = None if first is None else audit.of_hole(first)
        if broken is not None:
            why = broken.reason
            _LOG.error("the journal: record %d: %s; %s", broken.sequence, why.message, why.remedy)
        return broken

    def _begin(self, opened: opening.Found, noticed: opening.Noticed | None) -> None:
        """Make what was noticed durable.

        The head stays as it was until that is done: after a crash in between, the same is noticed
        again. Where all fits, it stops being final before the table can get ahead of it.
        """
        if noticed is None:
            head = opened.head or Head(self.journal_id, 0, chain.GENESIS)
            self._head.write(head._replace(is_final=False))
            self._head.sync()
        sqlite.sync_directory(self._directory)
        if noticed is None and opened.has_format and opened.has_holes and opened.journal:
            return
        with self.transaction():
            self.put("journal/id", self.journal_id.encode())
            self.put(opening.FORMAT_KEY, opening.FORMAT)
            self._rows.make_holes()
            if noticed is not None:
                self._ledger.note(*noticed)
        self._head.sync()

    def _write_head(self, *, is_final: bool = False) -> bool:
        """Write the head as the table is; False, and the journal failing, when it cannot be."""
        newest, tally = self._ledger.newest, self._ledger.tally
        acknowledged = tally.acknowledged, tally.acknowledged_hash
        try:
            self._head.write(
                Head(self.journal_id, newest.sequence, newest.hash, *acknowledged, is_final)
            )
        except OSError as error:
            self._fail(error)
            return False
        return True

    def _full_reason(self) -> str | None:
        """Why nothing may be commanded, or None while there is room."""
        room = self._quotas.critical - self._ledger.critical
        is_quota_full = self._is_collected and room < MAXIMUM_BODY + OVERHEAD
        return self._failing or (reasons.CRITICAL_QUOTA if is_quota_full else None)

    def _fail(self, error: sqlite3.Error | OSError) -> str:
        """Stop commands until `recover` succeeds; return the reason."""
        is_full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
        is_full = is_full or getattr(error, "errno", None) == errno.ENOSPC
        self._failing = reasons.DISK_FULL if is_full else reasons.DISK_FAILING
        self._ballast.release()
        return self._failing

    def _make_room(self, entries: Sequence[JournalEntry]) -> None:
        critical = routine = 0
        has_reserve = True
        for entry in entries:
            critical += entry.weight if entry.critical else 0
            routine += 0 if entry.critical else entry.weight
            has_reserve = has_reserve and entry.reserve
        self._make_critical_room(critical)
        reason = self._full_reason() if critical else self._failing
        if reason and not has_reserve:
            raise JournalFull(reason)
        if routine and self._ledger.routine + routine > self._quotas.routine:
            self._give_way(critical=False, size=max(routine, _drop_bytes(self._quotas.routine)))
            if self._ledger.routine + routine > self._quotas.routine:
                raise JournalFull(reasons.ROUTINE_QUOTA)

    def _make_critical_room(self, wanted: int) -> None:
        """Let critical records go that may go, before their class has no room for one more."""
        spare = MAXIMUM_BODY + OVERHEAD if self._is_collected else 0
        missing = self._ledger.critical + wanted + spare - self._quotas.critical
        if missing > 0 and not self._failing:
            self._give_way(critical=True, size=max(missing, _drop_bytes(self._quotas.critical)))

    def _give_way(self, *, critical: bool, size: int) -> None:
        self._ledger.give_way(critical=critical, size=size, is_collected=self._is_collected)

    def _retire(self) -> None:
        """See which records may go, of those that were acknowledged since the last time."""
        after, until = self._retention.admitted, self._ledger.tally.acknowledged
        rows = self._rows.buckets(after, until)
        for sequence, policy, device, verdict, keep, length in rows:
            self._retention.admit(sequence, (policy, device, verdict), keep if length else 0)
        self._retention.admitted = until


def _drop_bytes(room: int) -> int:
    return min(_DROP_BYTES, room // 10)
