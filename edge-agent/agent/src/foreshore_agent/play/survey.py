"""What is wrong with a recording as a whole: purely, from one pass over its rows.

`recording` gives it every row, and every row that cannot be read. A mistake is a reason not to
begin; a note is said before the beginning. Bounded: what it keeps does not grow with the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from foreshore_agent.devices.codecs.leaf import Value
from foreshore_api import scalars
from foreshore_api.v1alpha1 import deviceprofile

SHOWN: Final = 8
"""Mistakes that are told one by one."""
LONGEST_GAP: Final = timedelta(days=366)
"""Between two rows: more is a clock that was wrong, or two recordings in one file."""
LONGEST_RETURN: Final = timedelta(hours=1)
"""How far times may go back: an hour comes twice when summer time ends."""
_YEAR: Final = timedelta(days=365.25)


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row stands."""

    row: int
    line: int

    def __str__(self) -> str:
        return f"row {self.row} (line {self.line})"


@dataclass(slots=True)
class _Column:
    """What was seen of one mapped column."""

    property: deviceprofile.Property
    name: str
    readable: int = 0
    believable: int = 0
    unread: int = 0
    first_unread: tuple[RowPosition, str] | None = None


class Survey:
    """One pass; `take` or `refuse` every row, then ask for `mistakes` and `notes`."""

    def __init__(
        self,
        properties: Mapping[int, deviceprofile.Property],
        time: int | None,
        header: Sequence[str],
    ) -> None:
        self.rows = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._width: Final = len(header)
        self._header: Final = header
        self._time: Final = "" if time is None else header[time]
        self._columns: Final = {
            declared.name: _Column(declared, header[index])
            for index, declared in properties.items()
        }
        self._mistakes: list[str] = []
        self._count = 0
        self._wider = 0
        self._earlier = 0
        self._first_earlier: RowPosition | None = None
        self._before: tuple[RowPosition, datetime] | None = None
        self._leap: tuple[RowPosition, datetime] | None = None
        """The row before the one that lies too far ahead."""

    def refuse(self, place: RowPosition, problem: str) -> None:
        """Note a row that cannot be read."""
        self.rows = place.row
        self._add(f"{place}{problem}")

    def refuse_width(self, place: RowPosition, cells: int) -> None:
        """Note a row that has more or fewer cells than the header has names."""
        self._wider += cells == self._width + 1
        if cells < self._width:
            what = f"there is no cell for column {self._header[cells]}"
        else:
            what = "too many: is a value with a separator in it not quoted?"
        count = f"{cells} cell{'' if cells == 1 else 's'}"
        self.refuse(place, f" has {count} where the header has {self._width}: {what}")

    def take(
        self,
        place: RowPosition,
        values: Mapping[str, Value],
        unread: Mapping[str, str],
        time: datetime | None,
    ) -> None:
        """Look at a row: its values, the cells that could not be read, and its time."""
        self.rows = place.row
        for name, value in values.items():
            column = self._columns[name]
            column.readable += 1
            column.believable += _is_believable(value, column.property)
        for name, cell in unread.items():
            column = self._columns[name]
            column.unread += 1
            column.first_unread = column.first_unread or (place, cell)
        if time is not None:
            self._follow(place, time)

    def mistakes(self) -> tuple[str, ...]:
        """Return why the recording cannot be played, the first ones in words."""
        if self.rows and self._wider == self.rows:
            return (
                "every row has one cell more than the header: row names, as R writes them?"
                " Give the first column a name too, such as `row,` before the first name",
            )
        unreadable = [
            f"column {column.name} is mapped to {column.property.name}, and no cell of it is a"
            f" {column.property.type.value}{_example(column)}: map another column"
            for column in self._columns.values()
            if self.rows and not column.readable and not self._count
        ]
        left = self._count - len(self._mistakes)
        return (*self._mistakes, *unreadable, *((f"and {left} more",) if left else ()))

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know before it begins."""
        return tuple(filter(None, (self._earlier_note(), *map(_note, self._columns.values()))))

    def _follow(self, place: RowPosition, time: datetime) -> None:
        """Hold a row's time against the one before it."""
        self.first = self.first or time
        self.last = time if self.last is None else max(self.last, time)
        before, self._before = self._before, (place, time)
        if before is None:
            return
        leap, self._leap = self._leap, None
        if time - before[1] > LONGEST_GAP:
            self._misplace(place, time, before, "after")
            self._leap = before
        elif before[1] - time > LONGEST_RETURN:
            if leap is None or time < leap[1]:  # else the row that lay too far ahead was said
                self._misplace(place, time, before, "before")
        elif time < before[1]:
            self._earlier += 1
            self._first_earlier = self._first_earlier or place

    def _misplace(
        self, place: RowPosition, time: datetime, other: tuple[RowPosition, datetime], side: str
    ) -> None:
        far = _far(abs(time - other[1]))
        remedy = (
            "remove the row, or play the two parts one by one"
            if side == "after"
            else "sort the rows by time, or remove the row"
        )
        self._add(
            f"{place}, column {self._time}: {time.isoformat()} is {far} {side} {other[0]}: {remedy}"
        )

    def _add(self, mistake: str) -> None:
        self._count += 1
        if len(self._mistakes) < SHOWN:
            self._mistakes.append(mistake)

    def _earlier_note(self) -> str:
        if self._first_earlier is None:
            return ""
        what = "1 row is" if self._earlier == 1 else f"{self._earlier} rows are"
        return (
            f"{what} dated before the row above it (first: {self._first_earlier}):"
            " played at the time of that row"
        )


def _is_believable(value: Value, wanted: deviceprofile.Property) -> bool:
    if isinstance(value, bool | str):
        return True
    if wanted.minimum is not None and value < scalars.number(wanted.minimum):
        return False
    return wanted.maximum is None or value <= scalars.number(wanted.maximum)


def _note(column: _Column) -> str:
    wanted = column.property
    if column.readable and not column.believable:
        low, high = wanted.minimum or "…", wanted.maximum or "…"
        return (
            f"no value of column {column.name} lies within {low} … {high} of {wanted.name}:"
            " is it the right column, in the property's unit?"
        )
    if column.unread:
        total = column.readable + column.unread
        return (
            f"{column.unread} of {total} cells of column {column.name} are no"
            f" {wanted.type.value}{_example(column)}: left out"
        )
    return ""


def _example(column: _Column) -> str:
    if column.first_unread is None:
        return ""
    place, cell = column.first_unread
    return f" (first: {place}: {cell[:40]!r})"


def _far(span: timedelta) -> str:
    """Say a time span in the unit that a person would use."""
    for unit, size in (
        ("years", _YEAR),
        ("days", timedelta(days=1)),
        ("hours", timedelta(hours=1)),
    ):
        if span >= 2 * size:
            return f"{span / size:.0f} {unit}"
    return f"{span.total_seconds() / 60:.0f} minutes"
