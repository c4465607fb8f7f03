"""How a recording is written: its encoding, its separator, its header. `recording` asks first.

What is not UTF-8 with `,` or `;` is refused with the way to make it so: a separator or an encoding
that is guessed wrongly gives numbers that look believable.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

MAXIMUM_LINE: Final = 65536

_OTHER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, which begins alike
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_OTHER_SEPARATORS: Final = (("\t", "tabs"), ("|", "`|`"))
_SAVE: Final = "save it as UTF-8, with `,` or `;` between the columns"


class RecordingError(ValueError):
    """The recording does not fit what was asked; the text says what would."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a file."""

    separator: str
    header: Sequence[str]


def read(path: Path) -> Layout:
    """Return the separator and the header of a file. Raises RecordingError."""
    try:
        first = _first_line(path)
    except UnicodeDecodeError as error:
        raise RecordingError(undecodable(path)) from error
    except (OSError, csv.Error) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    if "\0" in first:
        raise RecordingError(f"{path}: line 1 holds NUL characters, so it is no text: {_SAVE}")
    separator = ";" if first.count(";") > first.count(",") else ","
    for other, name in _OTHER_SEPARATORS:
        if first.count(other) > first.count(separator):
            raise RecordingError(
                f"{path}: the columns are separated by {name}; what is read is `,` or `;`: {_SAVE}"
            )
    header = next(csv.reader([first], delimiter=separator), [])
    if not header:
        raise RecordingError(f"{path}: line 1 is empty; it must name the columns")
    _check_names(path, header)
    return Layout(separator, header)


def bounded(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a file. Raises csv.Error at one that is too long."""
    while line := file.readline(MAXIMUM_LINE):
        if len(line) == MAXIMUM_LINE:
            raise csv.Error(f"a line is longer than {MAXIMUM_LINE} characters")
        yield line


def undecodable(path: Path) -> str:
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
    with path.open("rb") as file:
        beginning = file.read(4)
    if not beginning:
        raise RecordingError(f"{path} is empty: it has no rows, and no header")
    for mark, name in _OTHER_MARKS:
        if beginning.startswith(mark):
            raise RecordingError(f"{path} is {name}: {_SAVE}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(bounded(file), "")


def _check_names(path: Path, header: Sequence[str]) -> None:
    """Refuse a name that two columns have: capitals do not count, here as in every look-up."""
    seen: dict[str, int] = {}
    for index, name in enumerate(header):
        folded = name.strip().casefold()
        first = seen.setdefault(folded, index)
        if folded and first != index:
            raise RecordingError(
                f"{path}: columns {first + 1} ({header[first]}) and {index + 1} ({name}) have one"
                " name (capitals do not count): rename one of them"
            )
