"""The journal's file: how it is opened, and every statement on its tables (`schema`).

Used by the store, and by readers for what they share with it. Nothing here decides what is written
or what goes.

WAL with `synchronous=FULL`: with NORMAL, a power cut takes commits back that were acknowledged.
SQLite before 3.51.3 (but 3.44.6 and 3.50.7) can lose pages when one connection commits while
*another* checkpoints. Here one connection writes and checkpoints; readers open read-only, commit
nothing and checkpoint nothing, so the race cannot occur on any version.
"""

import fcntl
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from foreshore_agent.journal import schema
from foreshore_agent.journal.holes import Hole, HoleKind, Place, Skeleton
from foreshore_agent.journal.tally import OVERHEAD, JournalEntry
from foreshore_api.wire import record

FILE: Final = "journal.db"
LOCK: Final = "journal.lock"

_TOGETHER: Final = 8
"""Rows in one statement, at most: each number of them is a statement that stays compiled."""
_PAGE: Final = 4096
_COMMIT_PAGES: Final = 4
"""Pages that go with new rows: the parent, the first page, the map of pages."""


def _rows(statement: str, row: str, after: str = "") -> tuple[str, ...]:
    """Return a statement for each number of rows, up to `_TOGETHER`."""
    counts = range(1, _TOGETHER + 1)
    return tuple(f"{statement} VALUES {','.join([row] * count)}{after}" for count in counts)


_NO_RECORD: Final = (None,) * 11
_NO_VALUE: Final = (None,) * 2
_INSERT: Final = _rows("INSERT INTO record", "(?,?,?,?,?,?,?,?,?,?,?)")
_BOTH: Final = _rows("INSERT INTO turn", "(?,?,?,?,?,?,?,?,?,?,?,?,?)")
_PUT: Final = _rows(
    "INSERT INTO value", "(?,?)", " ON CONFLICT(key) DO UPDATE SET value = excluded.value"
)
_OLDEST: Final = (
    "SELECT sequence, body, verdict FROM record"
    " WHERE critical = ? AND sequence > ? AND sequence < ? AND length(body) > 0 ORDER BY sequence"
)
HOLES: Final = "SELECT first, last, previous, hash, kind FROM hole"
_SHIPPED: Final = "SELECT sequence, previous, hash, body FROM record"


class JournalInUse(RuntimeError):  # noqa: N818 - names a state, not a mistake
    """Another process holds this state directory."""


def connect(directory: Path) -> sqlite3.Connection:
    """Open the file for writing, and make it if it is not there. The caller holds the lock."""
    connection = sqlite3.connect(
        directory / FILE, isolation_level=None, timeout=5.0, check_same_thread=False
    )
    try:
        schema.prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def lock(directory: Path) -> int:
    """Take the directory for this process; the kernel gives it back when the process ends.

    Raises:
        JournalInUse: another process has it.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalInUse(f"another agent works on {directory}") from error
    return descriptor


def sync_directory(directory: Path) -> None:
    """Make new names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def raw(cell: Any) -> bytes:
    """Return a cell's bytes, even one that was tampered with and is no BLOB any more."""
    return cell if isinstance(cell, bytes) else str(cell).encode()


def shipped(row: Any) -> record.ShippedRecord:
    """Read a row of sequence, previous, hash and body, even one that was tampered with."""
    sequence, previous, digest, body = row
    text = body if isinstance(body, str) else body.decode(errors="replace")
    return record.ShippedRecord(sequence=sequence, previous=previous, hash=digest, body=text)


def holes(rows: Iterable[Any]) -> Iterator[Hole]:
    """Read rows of the hole table; one that is none, because of tampering, is left out."""
    for first, last, previous, digest, kind in rows:
        if isinstance(first, int) and isinstance(last, int):
            yield Hole(first, last, str(previous), str(digest), str(kind))


class RowPlace(NamedTuple):
    """A record's place: its number, both links, and bytes written so far by class, it included."""

    sequence: int
    previous: str
    hash: str
    critical_written: int
    routine_written: int


class Rows:
    """The tables of one connection, in transactions.

    New records and values are gathered, and go as few statements before anything else is asked or
    committed. A transaction that comes to one statement of them is that statement: SQLite commits
    it by itself.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: Final = connection
        self._records: list[tuple[Any, ...]] = []
        self._values: dict[str, bytes] = {}
        self._is_begun = False
        self._pages = 0

    def begin(self) -> None:
        """Begin a transaction."""
        self._is_begun = True

    def commit(self) -> int:
        """Make all since `begin` durable; return how many pages that took, roughly."""
        rows = max(len(self._records), len(self._values))
        if rows <= _TOGETHER and not self._connection.in_transaction:
            self._is_begun = False  # one statement is a transaction
        self._send()
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._is_begun = False
        pages, self._pages = self._pages, 0
        return pages

    def roll_back(self) -> None:
        """Undo all since `begin`."""
        self._records, self._values, self._pages = [], {}, 0
        self._is_begun = False
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _run(self, statement: str, operands: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Ask for something, or change it, behind what was gathered."""
        if self._records or self._values:
            self._send()
        return self._connection.execute(statement, operands)

    def _change(self, statement: str, operands: Sequence[Any] = ()) -> None:
        self._begin_for_good()
        self._pages += 1
        self._run(statement, operands)

    def _begin_for_good(self) -> None:
        if self._is_begun and not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _send(self) -> None:
        """Send what was gathered, in as few statements as can be."""
        records, self._records = self._records, []
        values, self._values = self._values, {}
        if not records and not values:
            return
        self._begin_for_good()
        if not values:
            self._execute(_INSERT, records)
        elif not records:
            self._execute(_PUT, list(values.items()))
        else:
            self._execute(_BOTH, _paired(records, values))

    def _execute(self, statements: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), _TOGETHER):
            some = rows[start : start + _TOGETHER]
            operands = some[0] if len(some) == 1 else tuple(itertools.chain.from_iterable(some))
            self._connection.execute(statements[len(some) - 1], operands)

    def insert(self, entry: JournalEntry, place: RowPlace, body: bytes) -> None:
        """Add a record; `body` has its number."""
        sequence, previous, digest, critical, routine = place
        about = (entry.critical, entry.policy, entry.device, entry.verdict, entry.keep)
        if not self._records:
            self._pages += _COMMIT_PAGES
        self._records.append((sequence, previous, digest, *about, critical, routine, body))
        self._pages += 1 + len(body) // _PAGE

    def last(self) -> RowPlace | None:
        """Return the place of the newest record."""
        row = self._run(
            "SELECT sequence, previous, hash, critical_written, routine_written FROM record"
            " ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return None if row is None else RowPlace(*row)

    def placed(self, sequence: int) -> tuple[Place, bool, int] | None:
        """Return a record's place, whether it is critical, and the length of its body."""
        row = self._run(
            "SELECT previous, hash, critical, length(body) FROM record WHERE sequence = ?",
            (sequence,),
        ).fetchone()
        if row is None:
            return None
        return Place(sequence, row[0], row[1]), bool(row[2]), int(row[3])

    def hash_of(self, sequence: int) -> str | None:
        """Return the hash of a record, or None without the record."""
        row = self._run("SELECT hash FROM record WHERE sequence = ?", (sequence,)).fetchone()
        return None if row is None else str(row[0])

    def delete(self, sequence: int) -> None:
        """Remove a record."""
        self._change("DELETE FROM record WHERE sequence = ?", (sequence,))

    def empty(self, sequence: int) -> None:
        """Drop a record's body; number and links stay."""
        self._change("UPDATE record SET body = x'' WHERE sequence = ?", (sequence,))

    def oldest(self, *, critical: bool, after: int, before: int) -> sqlite3.Cursor:
        """Return (number, body, verdict) of one class between two numbers, oldest first.

        Whoever does not read it to the end closes it.
        """
        return self._run(_OLDEST, (critical, after, before))

    def buckets(self, after: int, until: int) -> Iterable[tuple[int, str, str, str, int, int]]:
        """Return (number, policy, device, verdict, keep, length of the body) of a range."""
        return self._run(
            "SELECT sequence, policy, device, verdict, keep, length(body) FROM record"
            " WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (after, until),
        )

    def after(self, sequence: int, limit: int, size: int) -> tuple[record.ShippedRecord, ...]:
        """Return records behind `sequence`: at most `limit`, about `size` bytes, at least one.

        They are without holes among them, as a batch has to be.
        """
        cursor = self._run(
            f"{_SHIPPED} WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit)
        )
        batch: list[record.ShippedRecord] = []
        for row in cursor:
            size -= len(row[3]) + OVERHEAD
            if batch and (size < 0 or row[0] != batch[-1].sequence + 1):
                break
            batch.append(shipped(row))
        return tuple(batch)

    def newest(self, limit: int) -> tuple[record.ShippedRecord, ...]:
        """Return the newest records, oldest first."""
        rows = self._run(f"{_SHIPPED} ORDER BY sequence DESC LIMIT ?", (limit,)).fetchall()
        return tuple(shipped(row) for row in reversed(rows))

    def skeletons(self) -> Iterator[Skeleton]:
        """Return the links of all records, in order, and whether their bodies are empty."""
        rows = self._run(
            "SELECT sequence, previous, hash, length(body) = 0 FROM record ORDER BY sequence"
        )
        return (
            Skeleton(sequence, previous, digest, bool(e)) for sequence, previous, digest, e in rows
        )

    def holes_near(self, hole: Hole) -> tuple[Hole, ...]:
        """Return the holes that overlap or touch another one, the last first.

        Doubts lie over records and over other holes, so they are near to doubts alone. Apart from
        that no two overlap: where one ends before the range, no earlier one reaches it.
        """
        cursor = self._run(
            f"{HOLES} WHERE first <= ? AND (kind = 'Doubted') = ? ORDER BY first DESC",
            (hole.last + 1, hole.kind == HoleKind.DOUBTED),
        )
        near = itertools.takewhile(lambda other: other.last >= hole.first - 1, holes(cursor))
        neighbours = tuple(near)
        cursor.close()
        return neighbours

    def holes_noticed(self) -> tuple[Hole, ...]:
        """Return what was lost or changed behind the journal's back, the first first."""
        return tuple(holes(self._run(f"{HOLES} WHERE kind IN ('Cut', 'Doubted') ORDER BY first")))

    def has_holes(self) -> bool:
        """Whether there is a table of holes, which an older release's journal has not."""
        tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'hole'"
        return self._run(tables).fetchone() is not None

    def make_holes(self) -> None:
        """Make the table of holes, if it is not there; in the caller's transaction."""
        self._change(schema.HOLE)

    def insert_hole(self, hole: Hole) -> None:
        """Add a hole, or replace the one of its kind that begins there."""
        self._change("INSERT OR REPLACE INTO hole VALUES (?,?,?,?,?)", hole)

    def delete_hole(self, hole: Hole) -> None:
        """Take a hole away."""
        self._change("DELETE FROM hole WHERE first = ? AND kind = ?", (hole.first, hole.kind))

    def put(self, key: str, value: bytes) -> None:
        """Keep one value; an empty one is forgotten."""
        if value:
            self._values[key] = value
            self._pages += 1 + len(value) // _PAGE
        else:
            self._values.pop(key, None)
            self._change("DELETE FROM value WHERE key = ?", (key,))

    def get(self, key: str) -> bytes | None:
        """Return a value that `put` kept."""
        row = self._run("SELECT value FROM value WHERE key = ?", (key,)).fetchone()
        return None if row is None else raw(row[0])

    def values(self, prefix: str) -> dict[str, bytes]:
        """Return every value whose key starts with `prefix`."""
        rows = self._run(
            "SELECT key, value FROM value WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
        )
        return {key: raw(value) for key, value in rows}


def _paired(records: list[tuple[Any, ...]], values: dict[str, bytes]) -> list[tuple[Any, ...]]:
    """Return rows of `turn`: a record and a value each, or what there still is of one kind."""
    pairs = itertools.zip_longest(records, values.items())
    return [(*(row or _NO_RECORD), *(kept or _NO_VALUE)) for row, kept in pairs]
