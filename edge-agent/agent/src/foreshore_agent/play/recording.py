"""A sensor recording as rows of property values: CSV with `,` or `;`, quoted headers, any case.

`play` and `rehearse` read it. A cell that cannot be read is left out of its row and counted; a
column that nobody mapped is ignored. With `;` between columns, a decimal comma is understood.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO, Final

from foreshore_agent.devices.mqtt.payload import Value
from foreshore_api.v1alpha1 import deviceprofile

MAXIMUM_LINE: Final = 65536
TIME_COLUMNS: Final = ("date", "time", "timestamp", "datetime", "date_time")
"""Headers that are taken for the time when nobody says which column it is."""

_TRUE: Final = ("true", "1", "yes", "t")
_FALSE: Final = ("false", "0", "no", "f")


class RecordingError(ValueError):
    """The recording does not fit what was asked; the text says what would."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what."""

    properties: Mapping[int, deviceprofile.Property]
    time: int | None
    truth: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what the device measured then."""

    number: int
    """Line of the file's body, from 1."""
    values: Mapping[str, Value]
    time: datetime | None = None
    truth: str | None = None
    unread: tuple[str, ...] = ()
    """Properties whose cell could not be read."""


@dataclass(slots=True)
class Recording:
    """A file and how to read it; every iteration begins at its first row."""

    path: Path
    columns: Columns
    header: Sequence[str]
    zone: tzinfo = UTC
    separator: str = ","
    rows: int = field(default=0)
    """Rows of the file."""

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order; empty lines are skipped."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_bounded(file), delimiter=self.separator)
            next(reader, None)
            for number, cells in enumerate(filter(None, reader), start=1):
                yield self._row(number, cells)

    def _row(self, number: int, cells: Sequence[str]) -> Row:
        values: dict[str, Value] = {}
        unread: list[str] = []
        for index, each in self.columns.properties.items():
            text = cells[index].strip() if index < len(cells) else ""
            try:
                values[each.name] = value(text, each.type, self.separator)
            except ValueError:
                unread.append(each.name)
        time = self.columns.time
        truth = self.columns.truth
        return Row(
            number=number,
            values=values,
            time=None if time is None else moment(_cell(cells, time, number), self.zone),
            truth=None if truth is None else _cell(cells, truth, number),
            unread=tuple(unread),
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants of the columns."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    """Property by column, as given with `--map`."""
    time_column: str | None = None
    needs_time: bool = False
    truth_column: str | None = None


def read(
    path: Path, properties: Sequence[deviceprofile.Property], wanted: Wanted, zone: tzinfo = UTC
) -> Recording:
    """Look at a recording's header and count its rows. Raises RecordingError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _bounded(file)
            first = next(lines, "")
            separator = ";" if first.count(";") > first.count(",") else ","
            header = next(csv.reader([first], delimiter=separator), [])
            rows = sum(1 for cells in csv.reader(lines, delimiter=separator) if cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    if not header or rows == 0:
        raise RecordingError(f"{path} has no rows")
    columns = arrange(header, properties, wanted)
    return Recording(path, columns, header, zone, separator, rows)


def arrange(
    header: Sequence[str], properties: Sequence[deviceprofile.Property], wanted: Wanted
) -> Columns:
    """Decide which column says what: as mapped, else by the property's own name.

    Raises RecordingError.
    """
    places = {name.strip().casefold(): index for index, name in enumerate(header)}
    known = {each.name.casefold(): each for each in properties}
    found: dict[int, deviceprofile.Property] = {}
    for column, name in wanted.mapped.items():
        if name.casefold() not in known:
            raise RecordingError(
                f"the device has no property {name!r}; it has {_names(known.values())}"
            )
        found[_place(places, column, header)] = known[name.casefold()]
    taken = {each.name for each in found.values()}
    for name, each in known.items():
        if name in places and each.name not in taken and places[name] not in found:
            found[places[name]] = each
    if not found:
        raise RecordingError(
            f"no column is a property of the device; columns: {', '.join(header)};"
            f" properties: {_names(known.values())}; say which is which with --map COLUMN=PROPERTY"
        )
    time = None if wanted.time_column is None else _place(places, wanted.time_column, header)
    if time is None and wanted.needs_time:
        time = next((places[name] for name in TIME_COLUMNS if name in places), None)
        if time is None:
            raise RecordingError(
                f"no column looks like a time; say which with --time-column: {', '.join(header)}"
            )
    truth = None if wanted.truth_column is None else _place(places, wanted.truth_column, header)
    return Columns(found, time, truth)


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Read `COLUMN=PROPERTY` pairs. Raises RecordingError."""
    found: dict[str, str] = {}
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column or not name:
            raise RecordingError(f"--map takes COLUMN=PROPERTY, not {pair!r}")
        found[column] = name
    return found


def value(text: str, data_type: deviceprofile.DataType, separator: str = ",") -> Value:
    """Read a cell as a property's type. Raises ValueError."""
    match data_type:
        case deviceprofile.DataType.NUMBER:
            return _number(text, separator)
        case deviceprofile.DataType.INTEGER:
            number = _number(text, separator)
            if not number.is_integer():
                raise ValueError(f"{text!r} is no whole number")
            return int(number)
        case deviceprofile.DataType.BOOLEAN:
            if text.casefold() not in (*_TRUE, *_FALSE):
                raise ValueError(f"{text!r} is neither true nor false")
            return text.casefold() in _TRUE
        case deviceprofile.DataType.STRING:
            return text


def moment(text: str, zone: tzinfo) -> datetime:
    """Read ISO 8601 or Unix seconds; without a zone it is `zone`'s. Raises RecordingError."""
    text = text.strip()
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise RecordingError(f"{text!r} is no time, such as 2015-02-02 14:19:00") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)


def _number(text: str, separator: str) -> float:
    if separator == ";" and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not finite")
    return number


def _place(places: Mapping[str, int], column: str, header: Sequence[str]) -> int:
    place = places.get(column.strip().casefold())
    if place is None:
        raise RecordingError(f"the recording has no column {column!r}; it has {', '.join(header)}")
    return place


def _cell(cells: Sequence[str], index: int, number: int) -> str:
    if index >= len(cells):
        raise RecordingError(f"row {number} is too short")
    return cells[index]


def _names(properties: Iterable[deviceprofile.Property]) -> str:
    return ", ".join(sorted(each.name for each in properties))


def _bounded(file: IO[str]) -> Iterator[str]:
    while line := file.readline(MAXIMUM_LINE):
        if len(line) == MAXIMUM_LINE:
            raise csv.Error(f"a line is longer than {MAXIMUM_LINE} characters")
        yield line
