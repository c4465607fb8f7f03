"""How the journal's file is opened, and what its rows mean; used by the store and by readers.

WAL with `synchronous=FULL`: with NORMAL, a power cut takes commits back that were acknowledged.
SQLite before 3.51.3 (but 3.44.6 and 3.50.7) can lose pages when one connection commits while
*another* checkpoints. Here one connection writes and checkpoints; readers open read-only, commit
nothing and checkpoint nothing, so the race cannot occur on any version.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from foreshore_api.wire import record

FILE: Final = "journal.db"
LOCK: Final = "journal.lock"

_SCHEMA: Final = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=0;
PRAGMA mmap_size=0;
CREATE TABLE IF NOT EXISTS record (
  sequence INTEGER PRIMARY KEY, previous TEXT NOT NULL, hash TEXT NOT NULL,
  critical INTEGER NOT NULL, policy TEXT NOT NULL, device TEXT NOT NULL,
  verdict TEXT NOT NULL, keep INTEGER NOT NULL,
  critical_written INTEGER NOT NULL, routine_written INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class JournalInUse(RuntimeError):  # noqa: N818 - names a state, not a mistake
    """Another process holds this state directory."""


def connect(directory: Path) -> sqlite3.Connection:
    """Open the file for writing, and make it if it is not there. The caller holds the lock."""
    connection = sqlite3.connect(
        directory / FILE, isolation_level=None, timeout=5.0, check_same_thread=False
    )
    try:
        connection.executescript(_SCHEMA)
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


def shipped(row: Any) -> record.ShippedRecord:
    """Read a row of sequence, previous, hash and body, even one that was tampered with."""
    sequence, previous, digest, body = row
    text = body if isinstance(body, str) else body.decode(errors="replace")
    return record.ShippedRecord(sequence=sequence, previous=previous, hash=digest, body=text)
