"""The tables of a journal, how SQLite keeps them, and what an older release's are changed to.

Used by `sqlite` when it opens the file for writing.
"""

import sqlite3
from typing import Final

_SCHEMA: Final = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=0;
PRAGMA mmap_size=0;
PRAGMA cache_size=-1024;
PRAGMA temp_store=MEMORY;
PRAGMA secure_delete=OFF;
CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  sequence INTEGER PRIMARY KEY, previous TEXT NOT NULL, hash TEXT NOT NULL,
  critical INTEGER NOT NULL, policy TEXT NOT NULL, device TEXT NOT NULL,
  verdict TEXT NOT NULL, keep INTEGER NOT NULL,
  critical_written INTEGER NOT NULL, routine_written INTEGER NOT NULL, body BLOB NOT NULL);
"""
"""Without the table of holes: it tells a journal of this release from an older one's (`opening`),
so it is made in the transaction that says which of both it was.

The table of records comes last: readers take a file that has it for a whole journal.

Some builds overwrite what is deleted with zeros, which makes pages dirty for nothing: no secret is
ever in a journal.
"""
HOLE: Final = """
CREATE TABLE IF NOT EXISTS hole (
  first INTEGER NOT NULL, last INTEGER NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL,
  kind TEXT NOT NULL, PRIMARY KEY (first, kind)) WITHOUT ROWID"""
_VALUES_OF_OLD: Final = (
    "SELECT 1 FROM sqlite_master WHERE name = 'value' AND sql LIKE '%WITHOUT ROWID%'"
)
_RENEW_VALUES: Final = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE renewed (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    "INSERT INTO renewed SELECT key, value FROM value",
    "DROP TABLE value",
    "ALTER TABLE renewed RENAME TO value",
    "COMMIT",
)
"""An older release kept values in the key's own tree, where a value of more than a kilobyte takes
pages of its own: five dirty pages a change, where a table with row numbers needs one.
"""
_TURN: Final = """
CREATE TEMP VIEW turn AS SELECT 0 AS sequence, 0 AS previous, 0 AS hash, 0 AS critical, 0 AS policy,
  0 AS device, 0 AS verdict, 0 AS keep, 0 AS critical_written, 0 AS routine_written, 0 AS body,
  0 AS key, 0 AS value;
CREATE TEMP TRIGGER turn_record INSTEAD OF INSERT ON turn WHEN NEW.sequence IS NOT NULL BEGIN
  INSERT INTO record VALUES (NEW.sequence, NEW.previous, NEW.hash, NEW.critical, NEW.policy,
    NEW.device, NEW.verdict, NEW.keep, NEW.critical_written, NEW.routine_written, NEW.body);
END;
CREATE TEMP TRIGGER turn_value INSTEAD OF INSERT ON turn WHEN NEW.key IS NOT NULL BEGIN
  INSERT INTO value VALUES (NEW.key, NEW.value)
    ON CONFLICT(key) DO UPDATE SET value = excluded.value;
END;
"""
"""One name for both tables, in the writer's connection alone: so one statement takes what a turn of
the loop wrote, and SQLite commits it by itself. Each call of SQLite lets go of Python's lock twice,
and waits for a busy loop to have it back. Measured with a loop that makes a system call each
0.15 ms: a record and a value take 0.2 ms from hand-over to commit in one statement, and 2.5 ms and
more in four (BEGIN, two rows, COMMIT), for the same processor time.
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Set a connection up, and make or renew the tables. Raises sqlite3.Error."""
    connection.executescript(_SCHEMA)
    if connection.execute(_VALUES_OF_OLD).fetchone() is not None:
        for statement in _RENEW_VALUES:
            connection.execute(statement)
    connection.executescript(_TURN)
