"""The journal's two tables, in SQL: numbered records, and values by key. Used by the store alone.

Nothing here decides what is written or what goes; every method is one statement on one connection.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from foreshore_agent.journal import sqlite
from foreshore_agent.journal.tally import OVERHEAD, Entry
from foreshore_api.wire import record

_INSERT: Final = "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_OLDEST: Final = (
    "SELECT sequence, body, verdict FROM record"
    " WHERE critical = ? AND sequence > ? AND sequence < ? AND length(body) > 0 ORDER BY sequence"
)
_SHIPPED: Final = "SELECT sequence, previous, hash, body FROM record"


class Placed(NamedTuple):
    """A record's place: its number, both links, and bytes written so far by class, it included."""

    sequence: int
    previous: str
    hash: str
    critical_written: int
    routine_written: int


class Rows:
    """The tables of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run: Final = connection.execute

    def insert(self, entry: Entry, place: Placed, body: bytes) -> None:
        """Add a record; `body` has its number."""
        sequence, previous, digest, critical, routine = place
        about = (entry.critical, entry.policy, entry.device, entry.verdict, entry.keep)
        self._run(_INSERT, (sequence, previous, digest, *about, critical, routine, body))

    def last(self) -> tuple[int, str, int, int] | None:
        """Return number, hash, and critical and routine bytes written, of the newest record."""
        found: tuple[int, str, int, int] | None = self._run(
            "SELECT sequence, hash, critical_written, routine_written FROM record"
            " ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return found

    def class_and_size(self, sequence: int) -> tuple[bool, int] | None:
        """Return whether a record is critical and how long its body is; None without the record."""
        row = self._run(
            "SELECT critical, length(body) FROM record WHERE sequence = ?", (sequence,)
        ).fetchone()
        return None if row is None else (bool(row[0]), int(row[1]))

    def delete(self, sequence: int) -> None:
        """Remove a record."""
        self._run("DELETE FROM record WHERE sequence = ?", (sequence,))

    def empty(self, sequence: int) -> None:
        """Drop a record's body; number and links stay."""
        self._run("UPDATE record SET body = x'' WHERE sequence = ?", (sequence,))

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
        """Return records behind `sequence`: at most `limit`, about `size` bytes, at least one."""
        cursor = self._run(
            f"{_SHIPPED} WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit)
        )
        found: list[record.ShippedRecord] = []
        for row in cursor:
            size -= len(row[3]) + OVERHEAD
            if found and size < 0:
                break
            found.append(sqlite.shipped(row))
        return tuple(found)

    def newest(self, limit: int) -> tuple[record.ShippedRecord, ...]:
        """Return the newest records, oldest first."""
        rows = self._run(f"{_SHIPPED} ORDER BY sequence DESC LIMIT ?", (limit,)).fetchall()
        return tuple(sqlite.shipped(row) for row in reversed(rows))

    def put(self, key: str, value: bytes) -> None:
        """Keep one value; an empty one is forgotten."""
        if value:
            self._run("INSERT OR REPLACE INTO value VALUES (?, ?)", (key, value))
        else:
            self._run("DELETE FROM value WHERE key = ?", (key,))

    def get(self, key: str) -> bytes | None:
        """Return a value that `put` kept."""
        row = self._run("SELECT value FROM value WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def values(self, prefix: str) -> dict[str, bytes]:
        """Return every value whose key starts with `prefix`."""
        rows = self._run(
            "SELECT key, value FROM value WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
        )
        return {key: bytes(value) for key, value in rows}
