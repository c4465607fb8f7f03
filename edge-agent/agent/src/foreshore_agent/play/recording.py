"""A sensor recording as rows of property values: text or Parquet, quoted headers, any case.

    file ──sources──► cells ──columns, times, cells──► rows ──survey──► mistakes, notes

`play` and `rehearse` read it. The whole file is read once before its first row is used, so that a
mistake in the last row is said before anything runs: `layout` looks at how it is written, `survey`
at what is wrong with it as a whole. A cell that live telemetry would refuse is refused, one that
says nothing leaves the last value to age; a column that nobody mapped is ignored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from foreshore_agent.devices.codecs import leaf
from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.play import cells, marks, sources, survey, times
from foreshore_agent.play.cells import RefusedCell as RefusedCell
from foreshore_agent.play.columns import Columns as Columns
from foreshore_agent.play.columns import Wanted as Wanted
from foreshore_agent.play.columns import arrange as arrange
from foreshore_agent.play.columns import mapping as mapping
from foreshore_agent.play.columns import time_columns
from foreshore_agent.play.layout import RecordingError as RecordingError
from foreshore_agent.play.layout import RowPosition
from foreshore_api.v1alpha1 import deviceprofile

PROGRESS_ROWS: Final = 10_000
"""How often a long file is said to be under way."""


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row: what the device measured then."""

    number: int
    """Line of the file's body, from 1."""
    values: Mapping[str, Value]
    time: datetime | None = None
    truth: str | None = None
    refused: Mapping[str, RefusedCell] = field(default_factory=dict)
    """Properties whose cell is no value of them."""
    silent: tuple[str, ...] = ()
    """Properties of which their cell says nothing."""
    line: int | None = field(default=None, compare=False)
    """Line of the file on which it ends, from 1."""
    is_repeated: bool = field(default=False, compare=False)
    """Whether the local clock showed its time twice."""

    @property
    def place(self) -> RowPosition:
        """Where it stands."""
        return RowPosition(self.number, self.line)

    @property
    def message(self) -> dict[str, Value | None]:
        """What a device would say: values, the text of cells that are none, null."""
        texts = {name: _said(cell.text) for name, cell in self.refused.items()}
        return {**self.values, **texts, **dict.fromkeys(self.silent)}


def _said(text: str) -> str:
    """Return what a device would say for a cell that is no value.

    Where the cell says that the value was refused, a text that every agent refuses, also as one.
    """
    return text if marks.refusal(text) is None else text.ljust(leaf.MAXIMUM_TEXT + 1)


@dataclass(slots=True)
class Recording:
    """A file and how to read it; every iteration begins at its first row."""

    source: sources.RowSource
    columns: Columns
    form: times.TimeForm
    """Of its times."""
    zone: tzinfo = UTC
    rows: int = 0
    """Rows of the file."""
    span: tuple[datetime, datetime] | None = None
    """First and last time, where there is a time column."""
    notes: tuple[str, ...] = ()
    """What a person should know before it is played."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def header(self) -> Sequence[str]:
        """Names of its columns."""
        return self.source.header

    def __iter__(self) -> Iterator[RecordedRow]:
        """Yield the rows in order; empty lines are skipped. Raises RecordingError."""
        reader, width = RowReader(self), len(self.header)
        for place, row in self.source.rows(self.columns.used):
            if not row:
                continue
            if len(row) != width:
                raise RecordingError(f"{self.path}: {place} has changed since it was looked at")
            try:
                recorded = reader.read(place, row)
            except RecordingError as error:  # the whole file could be read, so it was another
                raise RecordingError(
                    f"{self.path}: {place} has changed since it was looked at{error}"
                ) from error
            yield recorded


_Place = tuple[int, cells.CellReader]
"""A column, and what reads it."""


class RowReader:
    """Reads the rows of one pass over a recording, in their order."""

    def __init__(self, recording: Recording) -> None:
        separator = recording.source.separator
        self._readers: Final = {
            index: (declared.name, cells.CellReader(declared, separator))
            for index, declared in recording.columns.properties.items()
        }
        self._mixed: dict[int, RowPosition] = {}
        """Where the second decimal mark of a column stands, by its place."""
        self._header: Final = recording.header
        self._columns: Final = recording.columns
        self._times: Final = times.TimeReader(recording.form, recording.zone)
        self._time_name: Final = "+".join(recording.header[at] for at in recording.columns.time)

    def read(self, place: RowPosition, row: Sequence[str]) -> RecordedRow:
        """Read one row. Raises RecordingError, without its place."""
        values: dict[str, Value] = {}
        refused: dict[str, RefusedCell] = {}
        silent: list[str] = []
        for index, (name, reader) in self._readers.items():
            try:
                value = reader.read(row[index])
            except cells.PayloadError as error:
                refused[name] = RefusedCell(row[index], error.reason)
                continue
            if len(reader.marks) > 1:
                self._mixed.setdefault(index, place)
            if value is None:
                silent.append(name)
            else:
                values[name] = value
        time, is_repeated = self._time(row)
        truth = self._columns.truth
        return RecordedRow(
            number=place.row,
            values=values,
            time=time,
            truth=None if truth is None else row[truth],
            refused=refused,
            silent=tuple(silent),
            line=place.line,
            is_repeated=is_repeated,
        )

    def mixed(self) -> Iterator[str]:
        """Yield a mistake for each column whose decimal mark nobody knows."""
        for index, reader, other in self._thousands():
            if other is not None:
                yield (
                    f"column {self._header[index]}: is {reader.grouped!r} a number of thousands,"
                    f" as column {self._header[other[0]]} has {other[1].decimal[:40]!r} for a"
                    " decimal? Write numbers with one decimal mark, and thousands without any"
                )
        for index, place in self._mixed.items():
            _, reader = self._readers[index]
            first, second = (repr(text[:40]) for text in reader.marks.values())
            yield (
                f"{place}, column {self._header[index]}: {second}, and {first} above: nobody knows"
                " which mark is the decimal one; write numbers with one, and thousands without any"
            )

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of columns that could have thousands."""
        for index, reader, other in self._thousands():
            if other is None:
                decimal = reader.grouped.replace(",", ".")
                yield (
                    f"column {self._header[index]}: {reader.grouped!r} is read as {decimal}, not as"
                    f" {decimal.replace('.', '')}: write thousands without any mark"
                )

    def _thousands(self) -> Iterator[tuple[int, cells.CellReader, _Place | None]]:
        """Yield the columns all of whose marks could be of thousands.

        Each with a column that has the other mark for decimals, or with None where no column tells.
        """
        readers = [(index, reader) for index, (_, reader) in self._readers.items()]
        certain = [at for at in readers if at[1].decimal]
        for index, reader in readers:
            if reader.grouped and not reader.decimal and len(reader.marks) == 1:
                other = next(
                    (at for at in certain if at[1].marks.keys() != reader.marks.keys()), None
                )
                if other is not None or not certain:
                    yield index, reader, other

    def _time(self, row: Sequence[str]) -> tuple[datetime | None, bool]:
        if not self._columns.time:
            return None, False
        try:
            return self._times.read(_time_cell(row, self._columns))
        except RecordingError as error:
            raise RecordingError(f", column {self._time_name}: {error}") from error


def read(
    path: Path,
    properties: Sequence[deviceprofile.Property],
    wanted: Wanted,
    zone: tzinfo = UTC,
    progress: Callable[[int], object] = lambda _: None,
    now: datetime | None = None,
) -> Recording:
    """Read a recording once from beginning to end, and return how to play it.

    Args:
        path: the file.
        properties: what the device has.
        wanted: what the caller wants of the columns.
        zone: of times that name none.
        progress: told now and then how many rows have been read.
        now: by a clock; None: rows in the future are not looked for.

    Raises:
        RecordingError: it cannot be played as it is; the text names rows, columns and the remedy.
    """
    source = sources.find(path, has_row_names=wanted.has_row_names)
    try:
        recording = _prepared(source, properties, wanted, zone)
        reader = RowReader(recording)
        seen = _surveyed(recording, reader, progress, wanted.truth_value, now)
    except RecordingError as error:
        text = str(error)
        raise RecordingError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    if not seen.rows:
        raise RecordingError(f"{path} has no rows, only a header")
    empty = seen.empty()
    mistakes = seen.mistakes() or (*reader.mixed(), *_mapped_empty(recording, wanted, empty))
    if mistakes:
        raise RecordingError(f"{path}: " + "\n  ".join(mistakes))
    notes = (*source.notes, *recording.columns.notes, *seen.notes(), *reader.notes())
    recording.columns, left_out = _without(recording, empty)
    if not recording.columns.properties:
        raise RecordingError(f"{path}: no column of a property holds any value")
    recording.rows, recording.notes = seen.rows, (*notes, *left_out)
    if seen.order.first is not None and seen.order.last is not None:
        recording.span = (seen.order.first, seen.order.last)
    return recording


def _prepared(
    source: sources.RowSource,
    properties: Sequence[deviceprofile.Property],
    wanted: Wanted,
    zone: tzinfo,
) -> Recording:
    """Decide how a file is read. Raises RecordingError."""
    form = None if wanted.time_format is None else times.named(wanted.time_format)
    peeked = time_columns(source.header)
    first: Sequence[str] = ()
    if len(peeked) > 1:  # whether they are one time, and which it is otherwise, their cells tell
        first = next((row for _, row in source.rows(peeked) if row), ())
    chosen = arrange(source.header, properties, wanted, first)
    if form is None:
        last = max(chosen.time, default=0)
        every = source.rows(chosen.time) if chosen.time else ()
        form = times.choose(_time_cell(row, chosen) for _, row in every if len(row) > last)
    return Recording(source, chosen, form, zone)


def _time_cell(row: Sequence[str], chosen: Columns) -> str:
    """Return the time of a row as it stands."""
    return " ".join(row[index].strip() for index in chosen.time)


def _surveyed(
    recording: Recording,
    reader: RowReader,
    progress: Callable[[int], object],
    true_value: str | None,
    now: datetime | None,
) -> survey.Survey:
    """Look at every row."""
    source, width = recording.source, len(recording.header)
    seen = survey.Survey(recording.columns, recording.header, source.separator, true_value, now)
    for place, row_cells in source.rows(recording.columns.used):
        if place.row % PROGRESS_ROWS == 0:
            progress(place.row)
        if not row_cells:
            seen.pass_over(place)
            continue
        if len(row_cells) != width:
            seen.refuse_width(place, row_cells)
            continue
        try:
            row = reader.read(place, row_cells)
        except RecordingError as error:
            seen.refuse(place, str(error))
            continue
        seen.take(place, row.values, row.refused, row.silent, row.truth)
        seen.hold(place, row_cells)
        if row.time is not None:
            seen.follow(place, row.time, is_repeated=row.is_repeated)
    return seen


def _mapped_empty(recording: Recording, wanted: Wanted, empty: frozenset[str]) -> Iterator[str]:
    """Yield a mistake for each column that a person mapped and that is wholly empty."""
    by_hand = {column.strip().casefold() for column in wanted.mapped}
    for index, declared in recording.columns.properties.items():
        name = recording.header[index]
        if declared.name in empty and name.strip().casefold() in by_hand:
            yield (
                f"column {name} is mapped to {declared.name}, and every cell of it is empty:"
                " map another column"
            )


def _without(recording: Recording, empty: frozenset[str]) -> tuple[Columns, tuple[str, ...]]:
    """Return the columns but for those that are wholly empty, and a note for each of these."""
    chosen = recording.columns
    properties = {
        index: declared
        for index, declared in chosen.properties.items()
        if declared.name not in empty
    }
    notes = tuple(
        f"column {recording.header[index]} is wholly empty: it is left out"
        for index in sorted(chosen.properties.keys() - properties.keys())
    )
    return replace(chosen, properties=properties), notes
