"""A recording in Parquet, as pandas, Spark and data lakes write it: its cells as texts have them.

    file ──unpacking, a process of its own──► batches of cells ──► rows

A batch of rows is held at a time, and of it the columns that are read. A file that brings the
process to its end, or to more memory than it may have, is refused.
"""

import contextlib
import importlib.util
import signal
import struct
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from foreshore_agent.play import layout, sources, unpacking
from foreshore_agent.play.layout import RecordingError

MAXIMUM_LINE: Final = 256 << 20
"""Bytes of a batch of rows."""
_TAIL: Final = 8
"""Bytes at the end: the footer's length, and the magic word."""
_INSTALL: Final = "pip install 'foreshore-agent[parquet]'"


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A file of Parquet."""

    path: Path
    header: Sequence[str]
    separator: str | None = None
    written: str = "Parquet"
    notes: tuple[str, ...] = ()

    def rows(self, used: Collection[int]) -> Iterator[tuple[layout.RowPosition, Sequence[str]]]:
        """Yield each row's cells; those of columns that are not in `used` are empty.

        Raises RecordingError.
        """
        places = sorted(used) or [0]  # one column at least, to count the rows
        number, width = 0, len(self.header)
        for line in _lines(self.path, *places):
            for cells in zip(*line.get("columns", ()), strict=True):
                number += 1
                row = [""] * width
                for place, cell in zip(places, cells, strict=True):
                    row[place] = cell
                yield layout.RowPosition(number), row
            if "rows" in line:
                return
        raise _unreadable(self.path, "it ends in the midst of its rows")


def find(path: Path) -> ParquetSource:
    """Open a file, and return how it is read. Raises RecordingError."""
    _check_library()
    _check_footer(path)
    header: list[str] = next(_lines(path), {}).get("header", [])
    if not header:
        raise _unreadable(path, "it names no columns")
    layout.check_names(path, header)
    return ParquetSource(path, header)


def _lines(path: Path, *places: int) -> Iterator[dict[str, Any]]:
    """Yield what the process says of a file, which ends with this. Raises RecordingError."""
    command = [sys.executable, "-m", unpacking.__name__, str(path.absolute()), *map(str, places)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        while process.stdout is not None and (line := process.stdout.readline(MAXIMUM_LINE)):
            yield _decoded(path, line)
        if process.wait() != 0:
            raise _unreadable(path, _ending(process.returncode))
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def _decoded(path: Path, line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise _unreadable(path, f"{unpacking.BATCH} rows of it are more than {MAXIMUM_LINE} bytes")
    document: dict[str, Any] = orjson.loads(line)
    if "error" in document:
        raise _unreadable(path, document["error"])
    return document


def _ending(code: int) -> str:
    """Say how the process came to its end."""
    if code == -signal.SIGALRM:
        return f"{unpacking.BATCH} rows take longer than {unpacking.BATCH_SECONDS} s"
    name = str(code)
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
    return f"what unpacks it broke off ({name})"


def _check_library() -> None:
    """Refuse where the library is missing: most agents have no use for it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise RecordingError(
            f"to read Parquet, pyarrow is needed: {_INSTALL}; or save the recording as CSV"
        )


def _check_footer(path: Path) -> None:
    """Look at the end of a file. Raises RecordingError."""
    try:
        with path.open("rb") as file:
            beginning = file.read(len(sources.PARQUET))
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    if beginning != sources.PARQUET:
        raise RecordingError(f"{path} is no Parquet, though it is named so: name it .csv if it is")
    if size < len(sources.PARQUET) + _TAIL or not tail.endswith(sources.PARQUET):
        raise _unreadable(path, "it does not end as Parquet does")
    (length,) = struct.unpack("<I", tail[:4])
    if length > size - _TAIL - len(sources.PARQUET):
        raise _unreadable(path, f"its footer would be {length} bytes long, more than there are")
    if length > unpacking.MAXIMUM_FOOTER:
        raise RecordingError(
            f"{path}: its footer is {length} bytes long; at most {unpacking.MAXIMUM_FOOTER} are"
            " read: write it with fewer columns and groups of rows"
        )


def _unreadable(path: Path, cause: str) -> RecordingError:
    return RecordingError(f"{path} cannot be read as Parquet: {cause}: write it anew, or as CSV")
