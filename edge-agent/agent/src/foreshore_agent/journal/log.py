"""The journal's log (SQLite's WAL): reserved once, used over and over, cut only where it is long.

Used by the store alone. A commit is frames at the end of the log and one sync of it.

    commit … commit ─► a thousand pages ─► checkpoint into the file ─► the next commit begins anew
       │                                        │                      at the front, over old frames
       └ slices of zeros, while nothing waits   └ a reader holds it: it grows, and that is said

The file of the log is written out once, and not cut at a checkpoint, as SQLite by itself neither
does: where its blocks exist, `fdatasync` writes them and returns; where a commit makes the file
longer, it also waits for a commit of the file system's own journal. Measured on ext4: a commit of
4 KiB with its sync takes 45 % of the processor time, and less than half of the wait (0.16 ms
instead of 0.41 ms).
Rejected: `posix_fallocate`, whose extents count as unwritten until their first sync commits that;
cutting at each checkpoint, as before; `journal_size_limit`, which cuts as well.
"""

import errno
import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from foreshore_agent.journal import sqlite

PAGE: Final = 4096
_LOG: Final = logging.getLogger(__name__)
_DUE_PAGES: Final = 1000
"""Pages in the log after which it is moved into the file: 4 MiB."""
_LONG_PAGES: Final = 4 * _DUE_PAGES
"""A log that a reader made longer than this is cut once nobody reads it."""
_HELD_PAGES: Final = 16 * _DUE_PAGES
"""A log of 64 MiB that a reader holds is worth a warning, and each doubling of it."""
_SLICE_BYTES: Final = 256 << 10
"""Written out at a time: an intent waits behind at most one slice."""
_SPARE: Final = 3
"""The disk has to have so many times the reserve free: records are what the room is for."""


class Log:
    """The log of one state directory; `size` bytes of it are reserved."""

    def __init__(self, directory: Path, size: int) -> None:
        self._path: Final = directory / f"{sqlite.FILE}-wal"
        self._size: Final = size
        self._pages = 0
        self._warn_at = _HELD_PAGES
        self.is_reserved = size == 0
        """Whether the file is as long as it should be, or cannot be."""

    def grow(self, pages: int) -> None:
        """Count what a commit wrote, roughly: a checkpoint that comes late costs room, no more."""
        self._pages += pages

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._pages >= _DUE_PAGES

    def reserve(self) -> None:
        """Write a slice of the file out; where that cannot be, commits only cost more."""
        try:
            self.is_reserved = self._write_out()
        except OSError as error:
            _LOG.warning("the journal's log is not reserved: %s", error)
            self.is_reserved = True

    def _write_out(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            end, disk = os.fstat(descriptor).st_size, os.fstatvfs(descriptor)
            missing = self._size - end
            if missing > 0 and disk.f_bavail * disk.f_frsize < _SPARE * self._size:
                raise OSError(errno.ENOSPC, "the disk has little room, and records come first")
            if missing > 0:
                os.pwrite(descriptor, bytes(min(missing, _SLICE_BYTES)), end)
                os.fdatasync(descriptor)
            return missing <= _SLICE_BYTES
        finally:
            os.close(descriptor)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move what the log has into the file; it stays as long as it is. Raises sqlite3.Error."""
        _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._pages = 0
        if moved < pages:
            self._warn(pages)
        else:
            self._warn_at = _HELD_PAGES
            if pages > _LONG_PAGES:
                self._shorten(connection)

    def cut(self, connection: sqlite3.Connection) -> None:
        """Move what the log has into the file, and give its room back. Raises sqlite3.Error."""
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._pages = 0
        self.is_reserved = self._size == 0

    def _shorten(self, connection: sqlite3.Connection) -> None:
        """Cut the log, unless somebody reads: the next checkpoint tries again."""
        (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        self.cut(connection)
        connection.execute(f"PRAGMA busy_timeout = {patience}")

    def _warn(self, pages: int) -> None:
        if pages >= self._warn_at:
            self._warn_at = 2 * pages
            _LOG.warning(
                "something has been reading the journal for long, and holds %d MiB of its log on"
                " the disk; look for other processes that have %s open, and end them",
                pages * PAGE >> 20,
                self._path.name,
            )
