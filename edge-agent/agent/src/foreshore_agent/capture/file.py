"""The file of a recording that is captured: whole lines, appended, and gone on with after a crash.

    open ──► new: the header is written
       └───► there already: same header, whole lines ──► a torn last line is cut ──► appended to
                     └─ anything else: CaptureFileError, and the file stays as it is

Lines reach the kernel when they are appended, which no kill of the process undoes; the disk has
them after `sync`, so that a power cut costs what came since. One process at a time: the file is
locked. What is no regular file (`-`: standard output) is written to and never read.
"""

import contextlib
import csv
import errno
import fcntl
import math
import os
import select
import stat
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Protocol

from foreshore_agent.capture import columns
from foreshore_agent.play import layout
from foreshore_api import printable, scalars

_CHUNK: Final = 4096
"""Bytes that a pipe takes whole once it can be written to (POSIX: PIPE_BUF)."""
_PATIENCE: Final = 2.0
"""Seconds that a reader of standard output may take once the capture is to end."""
_LONGEST: Final = 4 * layout.MAXIMUM_LINE
"""Bytes of the longest line that a reader would take."""


class CaptureFileError(ValueError):
    """The file cannot be gone on with; the text says why, and what helps."""


class CaptureWriteError(OSError):
    """No more can be written; what was appended before stays. The text says why."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What stood in the file already."""

    rows: int = 0
    last: datetime | None = None
    """Time of the last row."""
    cut: int = 0
    """Bytes of a torn last line that were cut."""


class CaptureOutput(Protocol):
    """Where rows go."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def continued(self) -> Continued:
        """What stood there already."""
        ...

    @property
    def size(self) -> int:
        """Bytes so far."""
        ...

    def append(self, lines: bytes) -> None:
        """Write whole lines; blocks. Raises CaptureWriteError."""
        ...

    def sync(self) -> None:
        """Let the disk have what was appended; blocks. Raises CaptureWriteError."""
        ...

    def stop(self) -> None:
        """Wait no longer for who does not take what is written."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class CaptureFile:
    """A regular file, locked for as long as it is open."""

    def __init__(self, path: Path, header: bytes) -> None:
        """Open it, or make it. Raises CaptureFileError, OSError."""
        self.name: Final = str(path)
        self._file: Final = _opened(path)
        try:
            self._lock()
            self.continued: Final = _continued(path, self._file, header)
            self.size = self._file.seek(0, os.SEEK_END)
            if not self.size:
                self.append(header)
        except BaseException:
            self._file.close()
            raise

    def append(self, lines: bytes) -> None:
        """Write whole lines; of what does not fit none stays. Raises CaptureWriteError."""
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # a torn line is cut when it is gone on with, too
                self._file.truncate(self.size)
                self._file.seek(self.size)
            raise CaptureWriteError(error.errno, _unwritten(error), self.name) from error
        self.size += len(lines)

    def sync(self) -> None:
        """Let the disk have what was appended. Raises CaptureWriteError."""
        try:
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise CaptureWriteError(error.errno, _unwritten(error), self.name) from error

    def stop(self) -> None:
        """Nothing: a disk takes what it is given."""

    def close(self) -> None:
        """Close the file, and let another process have it."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CaptureFileError(
                f"another capture writes to {self.name}: end it, or give another --output"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                raise  # some network file systems know no locks


class CaptureStream:
    """Standard output, or whatever else is written to and not read again."""

    continued: Final = Continued()

    def __init__(self, descriptor: int, name: str, header: bytes) -> None:
        self.name: Final = name
        self.size = 0
        self._descriptor: Final = descriptor
        self._is_terminal: Final = os.isatty(descriptor)
        self._stopping: Final = threading.Event()
        self.append(header)

    def append(self, lines: bytes) -> None:
        """Write whole lines as fast as they are taken. Raises CaptureWriteError."""
        rest, until = memoryview(_shown_lines(lines) if self._is_terminal else lines), math.inf
        while rest:
            _, ready, _ = select.select([], [self._descriptor], [], 0.1)
            if self._stopping.is_set():
                until = min(until, time.monotonic() + _PATIENCE)
            if not ready:
                if time.monotonic() > until:
                    why = f"{len(rest)} bytes were not taken in time: its last line is torn"
                    raise CaptureWriteError(errno.ETIMEDOUT, why, self.name)
                continue
            try:
                rest = rest[os.write(self._descriptor, rest[:_CHUNK]) :]
            except OSError as error:
                raise CaptureWriteError(error.errno, _unwritten(error), self.name) from error
        self.size += len(lines)

    def sync(self) -> None:
        """Nothing: whoever reads it keeps it."""

    def stop(self) -> None:
        """Wait no longer than a moment for the reader."""
        self._stopping.set()

    def close(self) -> None:
        """Nothing: it is not ours."""


def _opened(path: Path) -> IO[bytes]:
    """Open a regular file for reading and appending. Raises CaptureFileError, OSError."""
    try:
        if path.exists() and not path.is_file():
            raise CaptureFileError(
                f"{path} is no file: give another --output, or - for the terminal"
            )
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise CaptureFileError(
            f"{path} cannot be written: {error.strerror}; give another --output"
        ) from error
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise CaptureFileError(f"{path} is no file: give another --output")
    return file


def _continued(path: Path, file: IO[bytes], header: bytes) -> Continued:
    """Look at what stands in a file, cut a torn last line, and say what is left.

    Raises CaptureFileError.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    first = file.read(len(header))
    if first != header:
        if size < len(header) and header.startswith(first):
            file.truncate(0)  # the header itself is torn, or the file is empty
            return Continued(cut=size)
        raise CaptureFileError(
            f"{path} is there already and begins with another header: {_shown(first)}, where this"
            f" capture writes {_shown(header)}: give another --output, or move the file away"
        )
    rows, end, last = _rows(path, len(header))
    if end < size:
        file.truncate(end)
    return Continued(rows, None if last is None else _time(path, last), size - end)


def _rows(path: Path, begin: int) -> tuple[int, int, bytes | None]:
    """Return how many whole rows follow, where they end, and the last one.

    A row may hold line ends within quotes; it is whole where its quotes are even. Raises
    CaptureFileError at a row that no reader takes.
    """
    rows, end, last, row = 0, begin, None, b""
    with path.open("rb") as file:
        file.seek(begin)
        while part := file.readline(_LONGEST):
            # zeros are what some file systems leave of a write after a power cut
            row = (row + part).rstrip(b"\0")
            if len(row) > _LONGEST:
                raise CaptureFileError(
                    f"{path}: row {rows + 1} is longer than {_LONGEST} bytes, so that it is no"
                    " recording: give another --output, or move the file away"
                )
            if part.endswith(b"\n") and row.count(b'"') % 2 == 0:
                rows, end, last, row = rows + 1, file.tell(), row, b""
    return rows, end, last


def _time(path: Path, row: bytes) -> datetime:
    """Return the time of a row. Raises CaptureFileError."""
    try:
        text = next(csv.reader([row.decode(columns.ENCODING)]))[0]
        return scalars.instant(text)
    except (ValueError, StopIteration, IndexError, csv.Error) as error:
        raise CaptureFileError(
            f"{path}: the last row does not begin with a time as captures write it"
            f" ({_shown(row)}): give another --output, or move the file away"
        ) from error


def _shown_lines(lines: bytes) -> bytes:
    """Return lines fit for a terminal: devices write texts as they like."""
    rows = lines.decode(columns.ENCODING).splitlines()
    return "".join(f"{printable.line(row, layout.MAXIMUM_LINE)}\n" for row in rows).encode()


def _shown(row: bytes) -> str:
    return repr(row[:80].decode(columns.ENCODING, "replace").rstrip("\n"))


def _unwritten(error: OSError) -> str:
    """Say why nothing more can be written, and what helps."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room and start the capture again: it goes on at the end"
    if error.errno == errno.EPIPE:
        return "who read it is gone"
    if error.errno == errno.EFBIG:
        return "the file may not grow any more (a limit of the system)"
    return error.strerror or str(error)
