"""A sensor recording as rows of property values: CSV with `,` or `;`, quoted headers, any case.

`play` and `rehearse` read it. The whole file is read once before its first row is used, so that a
mistake in the last row is said before anything runs: `layout` looks at how it is written, `survey`
at what is wrong with it as a whole. A cell that cannot be read is left out of its row and counted;
a column that nobody mapped is ignored. With `;` between columns, a decimal comma is understood.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from foreshore_agent.devices.codecs import leaf
from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.play import layout, survey
from foreshore_agent.play.layout import RecordingError as RecordingError
from foreshore_api import hints
from foreshore_api.v1alpha1 import deviceprofile

PROGRESS_ROWS: Final = 10_000
"""How often a long file is said to be under way."""
LATEST_SECONDS: Final = 10_000_000_000
"""Unix seconds of the year 2286; what is larger counts milliseconds or less."""
TIME_COLUMNS: Final = ("date", "time", "timestamp", "datetime", "date_time")
"""Headers that are taken for the time when nobody says which column it is."""

_WEEK: Final = "W"
"""In a time, a week's number: no sensor writes it, so it is a slip."""
_DATE: Final = 8
"""Digits of a date without dashes; any other number alone is no date, though it may look so."""
_DIGITS: Final = 20
"""Characters of a whole number of 64 bits, with its sign."""
_TRUE: Final = ("true", "1", "yes", "t")
_FALSE: Final = ("false", "0", "no", "f")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what."""

    properties: Mapping[int, deviceprofile.Property]
    time: int | None
    truth: int | None


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row: what the device measured then."""

    number: int
    """Line of the file's body, from 1."""
    values: Mapping[str, Value]
    time: datetime | None = None
    truth: str | None = None
    unread: tuple[str, ...] = ()
    """Properties whose cell could not be read."""
    line: int = field(default=0, compare=False)
    """Line of the file on which it ends, from 1."""

    @property
    def place(self) -> survey.RowPosition:
        """Where it stands."""
        return survey.RowPosition(self.number, self.line)


@dataclass(slots=True)
class Recording:
    """A file and how to read it; every iteration begins at its first row."""

    path: Path
    columns: Columns
    header: Sequence[str]
    zone: tzinfo = UTC
    separator: str = ","
    rows: int = 0
    """Rows of the file."""
    span: tuple[datetime, datetime] | None = None
    """First and last time, where there is a time column."""
    notes: tuple[str, ...] = ()
    """What a person should know before it is played."""

    def __iter__(self) -> Iterator[RecordedRow]:
        """Yield the rows in order; empty lines are skipped. Raises RecordingError."""
        for place, cells in self.cells():
            yield self.row(place, cells)

    def cells(self) -> Iterator[tuple[survey.RowPosition, Sequence[str]]]:
        """Yield the cells of each row. Raises RecordingError."""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(layout.bounded(file), delimiter=self.separator)
                next(reader, None)
                for number, cells in enumerate(filter(None, reader), start=1):
                    yield survey.RowPosition(number, reader.line_num), cells
        except UnicodeDecodeError as error:
            raise RecordingError(layout.undecodable(self.path)) from error
        except (OSError, csv.Error) as error:
            raise RecordingError(f"{self.path} cannot be read: {error}") from error

    def row(self, place: survey.RowPosition, cells: Sequence[str]) -> RecordedRow:
        """Read one row. Raises RecordingError, without its place."""
        values: dict[str, Value] = {}
        unread: list[str] = []
        for index, declared in self.columns.properties.items():
            text = cells[index].strip() if index < len(cells) else ""
            try:
                values[declared.name] = value(text, declared.type, self.separator)
            except ValueError:
                unread.append(declared.name)
        time = self.columns.time
        truth = self.columns.truth
        return RecordedRow(
            number=place.row,
            values=values,
            time=None if time is None else self._moment(cells, time),
            truth=None if truth is None else cells[truth],
            unread=tuple(unread),
            line=place.line,
        )

    def _moment(self, cells: Sequence[str], index: int) -> datetime:
        try:
            return moment(cells[index], self.zone)
        except RecordingError as error:
            raise RecordingError(f", column {self.header[index]}: {error}") from error


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants of the columns."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    """Property by column, as given with `--map`."""
    time_column: str | None = None
    needs_time: bool = False
    truth_column: str | None = None


def read(
    path: Path,
    properties: Sequence[deviceprofile.Property],
    wanted: Wanted,
    zone: tzinfo = UTC,
    progress: Callable[[int], object] = lambda _: None,
) -> Recording:
    """Read a recording once from beginning to end, and return how to play it.

    Args:
        path: the file.
        properties: what the device has.
        wanted: what the caller wants of the columns.
        zone: of times that name none.
        progress: told now and then how many rows have been read.

    Raises:
        RecordingError: it cannot be played as it is; the text names rows, columns and the remedy.
    """
    file_layout = layout.read(path)
    try:
        columns = arrange(file_layout.header, properties, wanted)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from error
    recording = Recording(path, columns, file_layout.header, zone, file_layout.separator)
    seen = _surveyed(recording, progress)
    if seen.rows == 0:
        raise RecordingError(f"{path} has no rows, only a header")
    if mistakes := seen.mistakes():
        raise RecordingError(f"{path}: " + "\n  ".join(mistakes))
    recording.rows, recording.notes = seen.rows, seen.notes()
    if seen.first is not None and seen.last is not None:
        recording.span = (seen.first, seen.last)
    return recording


def _surveyed(recording: Recording, progress: Callable[[int], object]) -> survey.Survey:
    """Look at every row."""
    columns, width = recording.columns, len(recording.header)
    index_of = {declared.name: index for index, declared in columns.properties.items()}
    seen = survey.Survey(columns.properties, columns.time, recording.header)
    for place, cells in recording.cells():
        if place.row % PROGRESS_ROWS == 0:
            progress(place.row)
        if len(cells) != width:
            seen.refuse_width(place, len(cells))
            continue
        try:
            row = recording.row(place, cells)
        except RecordingError as error:
            seen.refuse(place, str(error))
            continue
        unread = {name: cells[index_of[name]] for name in row.unread}
        seen.take(place, row.values, unread, row.time)
    return seen


def arrange(
    header: Sequence[str], properties: Sequence[deviceprofile.Property], wanted: Wanted
) -> Columns:
    """Decide which column says what: as mapped, else by the property's own name.

    Raises RecordingError.
    """
    places = {name.strip().casefold(): index for index, name in enumerate(header)}
    by_name = {declared.name.casefold(): declared for declared in properties}
    columns = _mapped(header, places, by_name, wanted.mapped)
    taken = {declared.name for declared in columns.values()}
    for name, declared in by_name.items():
        if name in places and declared.name not in taken and places[name] not in columns:
            columns[places[name]] = declared
    if not columns:
        raise RecordingError(
            f"no column is a property of the device; columns: {', '.join(header)};"
            f" properties: {_names(by_name.values())};"
            " say which is which with --map COLUMN=PROPERTY"
        )
    time = None if wanted.time_column is None else _place(places, wanted.time_column, header)
    if time is None and wanted.needs_time:
        time = next((places[name] for name in TIME_COLUMNS if name in places), None)
        if time is None:
            raise RecordingError(
                f"no column looks like a time; say which with --time-column: {', '.join(header)}"
            )
    truth = None if wanted.truth_column is None else _place(places, wanted.truth_column, header)
    return Columns(columns, time, truth)


def _mapped(
    header: Sequence[str],
    places: Mapping[str, int],
    by_name: Mapping[str, deviceprofile.Property],
    mapped: Mapping[str, str],
) -> dict[int, deviceprofile.Property]:
    """Return the columns that were mapped by hand. Raises RecordingError."""
    columns: dict[int, deviceprofile.Property] = {}
    for column, name in mapped.items():
        if name.casefold() not in by_name:
            raise RecordingError(
                f"the device has no property {name!r}; {hints.near(name.casefold(), by_name)}"
                f"it has {_names(by_name.values())}"
            )
        place, meant = _place(places, column, header), by_name[name.casefold()]
        other = next((at for at, declared in columns.items() if declared is meant), place)
        if other != place:
            raise RecordingError(
                f"columns {header[other]} and {header[place]} are both mapped to {meant.name}:"
                " leave one --map out"
            )
        columns[place] = meant
    return columns


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Read `COLUMN=PROPERTY` pairs. Raises RecordingError."""
    mapped: dict[str, str] = {}
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column or not name:
            raise RecordingError(f"--map takes COLUMN=PROPERTY, not {pair!r}")
        if column.strip().casefold() in (earlier.strip().casefold() for earlier in mapped):
            raise RecordingError(f"column {column} is mapped twice: leave one --map out")
        mapped[column] = name
    return mapped


def value(text: str, data_type: deviceprofile.DataType, separator: str = ",") -> Value:
    """Read a cell as a property's type. Raises ValueError."""
    match data_type:
        case deviceprofile.DataType.NUMBER:
            return _number(text, separator)
        case deviceprofile.DataType.INTEGER:
            return _integer(text, separator)
        case deviceprofile.DataType.BOOLEAN:
            if text.casefold() not in (*_TRUE, *_FALSE):
                raise ValueError(f"{text!r} is neither true nor false")
            return text.casefold() in _TRUE
        case deviceprofile.DataType.STRING:
            return text


def moment(text: str, zone: tzinfo) -> datetime:
    """Read ISO 8601 or Unix seconds; without a zone it is `zone`'s. Raises RecordingError."""
    text = text.strip()
    if text.isdecimal() and len(text) != _DATE:
        return _unix(text)  # else some milliseconds would be dates: 1701011200000 is in 1701
    try:
        parsed = datetime.fromisoformat("" if _WEEK in text.upper() else text)
    except ValueError:
        return _unix(text)
    try:
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError as error:
        raise RecordingError(
            f"{text!r} is no time between the years 1 and 9999 in UTC: mend the cell"
        ) from error


def _unix(text: str) -> datetime:
    try:
        seconds = _float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise RecordingError(
            f"{text!r} is no time; write it as 2015-02-02 14:19:00, or in Unix seconds"
        )
    if abs(seconds) > LATEST_SECONDS:
        raise RecordingError(
            f"{text!r} is no time in Unix seconds; if it counts milliseconds, divide by 1000"
        )
    return datetime.fromtimestamp(seconds, UTC)


def _number(text: str, separator: str) -> float:
    if separator == ";" and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    number = _float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not finite")
    return number


def _integer(text: str, separator: str) -> int:
    """Read a whole number as devices may send it: exactly, and of 64 bits at most."""
    is_digits = text.lstrip("+-").isdecimal() and len(text) <= _DIGITS
    number = int(text) if is_digits else _number(text, separator)
    return int(leaf.typed(number, deviceprofile.DataType.INTEGER))


def _float(text: str) -> float:
    """Read a number as files write it: not with the underscores of program text."""
    if "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _place(places: Mapping[str, int], column: str, header: Sequence[str]) -> int:
    place = places.get(column.strip().casefold())
    if place is None:
        raise RecordingError(
            f"the recording has no column {column!r}; {hints.near(column, header)}"
            f"it has {', '.join(header)}"
        )
    return place


def _names(properties: Iterable[deviceprofile.Property]) -> str:
    return ", ".join(sorted(declared.name for declared in properties))
