"""How a recording in text is written: its encoding, its separator, its header.

What is not UTF-8 with `,`, `;` or tabs is refused with the way to make it so: a separator or an
encoding that is guessed wrongly gives numbers that look believable.
"""

import codecs
import contextlib
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from foreshore_api import hints, printable

MAXIMUM_LINE: Final = 65536
"""Characters of a line."""
MAXIMUM_RECORD: Final = 131072
"""Characters of a row whose quoted texts go over several lines; of one cell, as `csv` has it."""
ROW_NAMES: Final = "(row name)"
"""What the first column is called where it has no name of its own."""

_NUMBER: Final = re.compile(r"[\s\"+-]*\d", re.ASCII)
"""Begins a cell that is no name."""
_NUL: Final = "holds NUL characters, so it is no text"
_OTHER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, which begins alike
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SEPARATORS: Final = (";", "\t", ",")
"""A comma last: where there is a choice, it stands in names and numbers."""
_OTHER_SEPARATORS: Final = ("|", " ")
"""What is not read; a blank last, because names and times have some."""
_NAMES: Final = {",": "`,`", ";": "`;`", "\t": "tabs", "|": "`|`", " ": "blanks"}
_SAVE: Final = "save it as UTF-8, with `,`, `;` or tabs between the columns"
_NAME: Final = 64
"""Characters of a column's name in a message."""
_ABOVE: Final = 32
"""Lines in which the names of the columns are looked for, to say where they are."""
_ANNOTATIONS: Final = frozenset({"#group", "#datatype", "#default"})
"""How InfluxDB begins the lines above the names."""


class RecordingError(ValueError):
    """The recording does not fit what was asked; the text says what would."""


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row stands."""

    row: int
    """Among the rows, from 1."""
    line: int | None = None
    """Of the file, on which it ends, from 1; None where the file has no lines."""

    def __str__(self) -> str:
        return f"row {self.row}" if self.line is None else f"row {self.row} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a file."""

    separator: str
    header: Sequence[str]
    preface: int = 0
    """Lines before the header."""
    nameless: int = 0
    """Columns after the last one that has a name: nothing may stand in them."""
    notes: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """What stands between the columns, for a person."""
        return f"{_NAMES[self.separator]} between the columns"


def read(path: Path, *, has_row_names: bool = False) -> Layout:
    """Return how a file is written. Raises RecordingError.

    `has_row_names`: its first column has no name in the header, and holds the names of the rows.
    """
    first = _first_line(path)
    if not first.strip():
        raise RecordingError(f"{path}: line 1 is empty; it must name the columns")
    declared = _declared(path, first)
    separator = declared or _separator(path)
    preface = 0 if declared is None else 1
    notes: tuple[str, ...] = ()
    if declared is not None:
        notes = (f"line 1 says {first.strip()}: {_NAMES[declared]} stand between the columns",)
    header = next(iter(_records(path, separator, preface, 1)), [])
    if not any(name.strip() for name in header):
        raise RecordingError(f"{path}: line {preface + 1} is empty; it must name the columns")
    if header[0].strip().casefold() in _ANNOTATIONS:
        raise RecordingError(
            f"{path}: line {preface + 1} begins with {header[0].strip()}, as InfluxDB annotates:"
            " remove the lines that begin with #, such as with `grep -v '^#'`"
        )
    if has_row_names:
        header = [ROW_NAMES, *header]
    check_names(path, header)
    named = max(index for index, name in enumerate(header, start=1) if name.strip())
    names = [name if name.strip() else f"(column {at})" for at, name in enumerate(header, start=1)]
    return Layout(separator, names[:named], preface, len(header) - named, notes)


def rows(path: Path, layout: Layout) -> Iterator[tuple[RowPosition, Sequence[str]]]:
    """Yield the cells of each row after the header; none of a row in which nothing stands.

    A line in which nothing at all stands is passed over, and so are empty cells of columns without
    a name at the end. Raises RecordingError.
    """
    number, width = 0, len(layout.header)
    reader = _Records(path, layout.separator, layout.preface)
    for cells in itertools.islice(reader, 1, None):
        if any(map(str.strip, cells)):
            number += 1
            if len(cells) == width + layout.nameless and not any(map(str.strip, cells[width:])):
                del cells[width:]
            yield RowPosition(number, reader.line), cells
        elif len(cells) > 1:
            yield RowPosition(number, reader.line), ()


def listed(header: Iterable[str]) -> str:
    """Return the names of columns for a message, up to a bound."""
    return hints.listed([printable.clean(name, _NAME) for name in header])


def check_names(path: Path, header: Sequence[str]) -> None:
    """Refuse a name that two columns have: capitals do not count, here as in every look-up.

    Raises RecordingError.
    """
    seen: dict[str, int] = {}
    for index, name in enumerate(header):
        folded = name.strip().casefold()
        first = seen.setdefault(folded, index)
        if folded and first != index:
            raise RecordingError(
                f"{path}: columns {first + 1} ({printable.clean(header[first], _NAME)}) and"
                f" {index + 1} ({printable.clean(name, _NAME)}) have one name (capitals do not"
                " count): rename one of them, or remove the line if it does not name the columns"
            )


class _Records:
    """The records of a file, header and all, bounded; `line` is where the last one ended."""

    def __init__(self, path: Path, separator: str, preface: int) -> None:
        self.line = preface
        self._path: Final = path
        self._separator: Final = separator
        self._preface: Final = preface

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the cells of every record. Raises RecordingError."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                lines = itertools.islice(_bounded(file), self._preface, None)
                reader = csv.reader(
                    lines, delimiter=self._separator, strict=True, skipinitialspace=True
                )
                for cells in reader:
                    self.line = reader.line_num + self._preface
                    yield cells
        except UnicodeDecodeError as error:
            raise RecordingError(_undecodable(self._path)) from error
        except csv.Error as error:
            raise RecordingError(f"{self._path}: {_broken(str(error), self.line + 1)}") from error
        except OSError as error:
            raise RecordingError(f"{self._path} cannot be read: {error}") from error


def _records(path: Path, separator: str, preface: int, count: int) -> list[list[str]]:
    """Return the first records. Raises RecordingError."""
    return list(itertools.islice(_Records(path, separator, preface), count))


def _broken(problem: str, line: int) -> str:
    """Say where and why a file is no table, by the message of `csv`."""
    where = f"line {line}"
    if "unexpected end" in problem:
        return (
            f'{where}: a quote (") is opened in the row that begins there, and the file ends before'
            " it is closed: close it, or write two quotes for one that belongs to a text"
        )
    if "field larger" in problem:
        return (
            f'{where}: a quoted text (") of the row that begins there is longer than'
            f" {MAXIMUM_RECORD} characters: is its quote never closed?"
        )
    if "expected after" in problem:
        return (
            f'{where}: something stands behind the closing quote (") of a cell: quote whole cells,'
            " and write two quotes for one that belongs to a text"
        )
    return f"{where} and what follows cannot be read: {problem}"


def _bounded(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a file. Raises csv.Error at one that is too long, or no text."""
    while line := file.readline(MAXIMUM_LINE):
        if len(line) == MAXIMUM_LINE:
            raise csv.Error(f"a line is longer than {MAXIMUM_LINE} characters")
        if "\0" in line:
            raise csv.Error(f"a line {_NUL}: {_SAVE}")
        yield line


def _undecodable(path: Path) -> str:
    """Say where a file stops being UTF-8."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAXIMUM_LINE):
            number += 1
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = f"0x{line[error.start]:02x}"
                return (
                    f"{path}: line {number}, byte {error.start + 1} ({byte}) is not UTF-8:"
                    " convert the file, such as with `iconv -f WINDOWS-1252 -t UTF-8`"
                )
    return f"{path} is not UTF-8: {_SAVE}"


def _first_line(path: Path) -> str:
    """Return the first line, whatever its encoding leaves of it.

    Raises RecordingError where it shows that the file is no text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            beginning = file.readline(MAXIMUM_LINE)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    if not beginning:
        raise RecordingError(f"{path} is empty: it has no rows, and no header")
    for mark, name in _OTHER_MARKS:
        if beginning.startswith(mark):
            raise RecordingError(
                f"{path} is {name}: {_SAVE}, such as with `iconv -f {name} -t UTF-8`"
            )
    if b"\0" in beginning:
        raise RecordingError(f"{path}: line 1 {_NUL}: {_SAVE}")
    return beginning.removeprefix(codecs.BOM_UTF8).decode(errors="replace")


def _declared(path: Path, line: str) -> str | None:
    """Return the separator that a first line `sep=;` declares, as spreadsheets write and read it.

    Raises RecordingError.
    """
    word, equals, separator = line.strip("\r\n").partition("=")
    if not equals or word.strip().strip('"').casefold() != "sep":
        return None
    separator = separator.rstrip('"')
    if separator not in _SEPARATORS:
        raise RecordingError(
            f"{path}: line 1 says that {separator!r} stands between the columns: {_SAVE}"
        )
    return separator


def _separator(path: Path) -> str:
    """Return what stands between the columns, by the header and the first row.

    The separator by which the two have equally many columns, else the one that gives the header
    most; a comma where there is one column only. Raises RecordingError.
    """
    widths, problem = _widths(path)
    separator = max(_SEPARATORS, key=lambda candidate: widths[candidate])
    if widths[separator][1] > 1:
        return separator
    if (line := _names_below(path)) is not None:
        raise RecordingError(
            f"{path}: line 1 does not name the columns, and line {line} seems to: remove the lines"
            " above it"
        )
    for other in _OTHER_SEPARATORS:
        if widths[other][0]:
            raise RecordingError(
                f"{path}: the columns are separated by {_NAMES[other]}; what is read is"
                f" `,`, `;` or tabs: {_SAVE}"
            )
    if problem is not None:
        raise problem
    return ","


def _names_below(path: Path) -> int | None:
    """Return a line after the first that looks like names of columns; None where none does."""
    for separator in _SEPARATORS:
        reader = _Records(path, separator, 1)
        with contextlib.suppress(RecordingError):  # said where the file is read
            for cells in itertools.islice(reader, _ABOVE):
                if len(cells) > 1 and not any(_NUMBER.match(cell) for cell in cells):
                    return reader.line
    return None


def _widths(path: Path) -> tuple[dict[str, tuple[bool, int]], RecordingError | None]:
    """Return how wide the header is by each separator, and whether the first row is as wide.

    Also the first problem that there was with one.
    """
    widths: dict[str, tuple[bool, int]] = {}
    problem: RecordingError | None = None
    for separator in (*_SEPARATORS, *_OTHER_SEPARATORS):
        widths[separator] = (False, 0)
        try:
            records = _records(path, separator, 0, 2)
        except RecordingError as error:
            problem = problem or error
            continue
        if not records:  # a part of a byte order mark alone, of which Python makes nothing at all
            problem = problem or RecordingError(_undecodable(path))
            continue
        header, first = len(records[0]), len(records[-1])
        equals = (header, header + 1) if separator in _OTHER_SEPARATORS else (header,)
        widths[separator] = (header > 1 and first in equals, header)  # R's rows have a name more
    return widths, problem
