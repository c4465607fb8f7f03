"""What is wrong with a recording as a whole: purely, from one pass over its rows.

`recording` gives it every row, and every row that cannot be read. A mistake is a reason not to
begin; a note is said before the beginning. Bounded: what it keeps does not grow with the file.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.play import cells, columns, layout, order, truth
from foreshore_agent.play.layout import RowPosition as RowPosition
from foreshore_api import printable, scalars
from foreshore_api.v1alpha1 import deviceprofile

SHOWN: Final = 8
"""Mistakes that are told one by one."""
_CELL: Final = 40
"""Characters of a cell in a message."""
_WHOLE: Final = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_FRACTION: Final = re.compile(r"\d+\s*", re.ASCII)


@dataclass(slots=True)
class _Column:
    """What was seen of one mapped column."""

    property: deviceprofile.Property
    name: str
    readable: int = 0
    believable: int = 0
    silent: int = 0
    refused: int = 0
    first_refused: tuple[RowPosition, cells.RefusedCell] | None = None


class Survey:
    """One pass; `take` or `refuse` every row, then ask for `mistakes` and `notes`."""

    def __init__(
        self,
        chosen: columns.Columns,
        header: Sequence[str],
        separator: str | None,
        true_value: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """Look at a recording with these columns.

        Args:
            chosen: which column says what.
            header: their names.
            separator: what stands between them; None where no text does.
            true_value: what the truth's column says where acting was right.
            now: by a clock, if one is asked.
        """
        self.rows = 0
        self.order: Final = order.TimeOrder("+".join(header[at] for at in chosen.time), now)
        self._width: Final = len(header)
        self._header: Final = header
        self._separator: Final = separator
        self._columns: Final = {
            declared.name: _Column(declared, printable.clean(header[index], _CELL))
            for index, declared in chosen.properties.items()
        }
        self._truth: Final = (
            None if chosen.truth is None else truth.TruthColumn(header[chosen.truth], true_value)
        )
        self._mistakes: list[str] = []
        self._count = 0
        self._wider = 0
        self._commas = ""
        """A number with a decimal comma that two cells seem to be, of the first row that is
        wider."""
        self._padded = 0
        """Rows that are wider by an empty cell at their end."""
        self._keys: Final = dict.fromkeys(chosen.keys, "")
        """Of which thing the first row is."""
        self._blank = 0
        self._first_blank: RowPosition | None = None

    def refuse(self, place: RowPosition, problem: str) -> None:
        """Note a row that cannot be read."""
        self.rows = place.row
        self._add(f"{place}{problem}")

    def refuse_width(self, place: RowPosition, row: Sequence[str]) -> None:
        """Note a row that has more or fewer cells than the header has names."""
        count, number = len(row), self._split_number(row)
        if count == self._width + 1:
            self._wider += 1
            self._padded += not row[-1].strip()
            self._commas = self._commas or number
        if count < self._width:
            name = printable.clean(self._header[count], _CELL)
            what = f"there is no cell for column {name}"
            if self._header[0] == layout.ROW_NAMES:
                what += "; leave --row-names out if rows have no names"
        else:
            what = "too many: is a value with a separator in it not quoted?"
            what += f" Or is {number} a decimal comma? {_COMMA_REMEDY}" if number else ""
        cell_count = f"{count} cell{'' if count == 1 else 's'}"
        self.refuse(place, f" has {cell_count} where the header has {self._width}: {what}")

    def pass_over(self, place: RowPosition) -> None:
        """Note a row in which nothing stands."""
        self._blank += 1
        self._first_blank = self._first_blank or place

    def take(
        self,
        place: RowPosition,
        values: Mapping[str, Value],
        refused: Mapping[str, cells.RefusedCell],
        silent: Sequence[str] = (),
        label: str | None = None,
    ) -> None:
        """Look at a row: its values, the cells that are none, those that are empty, its truth."""
        self.rows = place.row
        for name, value in values.items():
            column = self._columns[name]
            column.readable += 1
            column.believable += _is_believable(value, column.property)
        for name, cell in refused.items():
            column = self._columns[name]
            column.refused += 1
            column.first_refused = column.first_refused or (place, cell)
        for name in silent:
            self._columns[name].silent += 1
        if self._truth is not None and label is not None:
            self._truth.take(label)

    def hold(self, place: RowPosition, row: Sequence[str]) -> None:
        """Hold a row against the first one: both are to be of one thing."""
        for index in tuple(self._keys):
            cell = row[index].strip()
            first = self._keys[index] = self._keys[index] or cell
            if cell and cell != first:
                del self._keys[index]  # said once
                name, *things = (
                    printable.clean(text, _CELL) for text in (self._header[index], first, cell)
                )
                self._add(
                    f"{place}, column {name}: {things[1]}, and {things[0]} above: a recording is of"
                    f" one device, so keep the rows of one; {columns.LONG_FORM}"
                )

    def follow(self, place: RowPosition, time: datetime, *, is_repeated: bool) -> None:
        """Look at a row's time, after the row itself."""
        problem = self.order.take(place, time, is_repeated=is_repeated)
        if problem is not None:
            self._add(f"{place}{problem}")

    def mistakes(self) -> tuple[str, ...]:
        """Return why the recording cannot be played, the first ones in words."""
        if self.rows and self._wider == self.rows:
            return (self._all_wider(),)
        unreadable = [
            f"column {column.name} is mapped to {column.property.name}, and no cell of it is a"
            f" {column.property.type.value}{self._example(column)}{self._other_column(column)}"
            for column in self._columns.values()
            if column.refused and not column.readable and not self._count
        ]
        backwards = () if self._count else self.order.mistakes()
        untrue = () if self._truth is None or self._count else self._truth.mistakes()
        left = self._count - len(self._mistakes)
        more = (f"and {left} more",) if left else ()
        return (*self._mistakes, *more, *unreadable, *backwards, *untrue)

    def empty(self) -> frozenset[str]:
        """Return the properties whose column is wholly empty."""
        return frozenset(
            name
            for name, column in self._columns.items()
            if not column.readable and not column.refused
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know before it begins."""
        blank = (
            f"{self._blank} row{'' if self._blank == 1 else 's'} of separators alone are left out"
            f" (first: line {self._first_blank.line})"
            if self._first_blank is not None
            else ""
        )
        of_columns = (note for column in self._columns.values() for note in self._notes(column))
        of_truth = () if self._truth is None else self._truth.notes()
        return tuple(filter(None, (blank, *self.order.notes(), *of_columns, *of_truth)))

    def _all_wider(self) -> str:
        """Say what may be wrong where every row has one cell more than the header."""
        if self._padded == self._wider:
            return (
                "every row ends with a separator, and the header does not: end the header with one"
                " too, or the rows with none"
            )
        row_names = "row names, as R writes them? --row-names reads the first column as such"
        if self._commas:
            row_names += f". Or is {self._commas} a decimal comma? {_COMMA_REMEDY}"
        return f"every row has one cell more than the header: {row_names}"

    def _split_number(self, row: Sequence[str]) -> str:
        """Return a number with a decimal comma that two cells of a row seem to be; or nothing."""
        if self._separator != ",":
            return ""
        for whole, fraction in itertools.pairwise(row):
            if _WHOLE.fullmatch(whole) and _FRACTION.fullmatch(fraction):
                return printable.clean(f"{whole.strip()},{fraction.strip()}", _CELL)
        return ""

    def _add(self, mistake: str) -> None:
        self._count += 1
        if len(self._mistakes) < SHOWN:
            self._mistakes.append(mistake)

    def _notes(self, column: _Column) -> Iterator[str]:
        """Yield what a person should know of a column."""
        declared = column.property
        total = column.readable + column.refused + column.silent
        if column.readable and not column.believable:
            low, high = declared.minimum or "…", declared.maximum or "…"
            yield (
                f"no value of column {column.name} lies within {low} … {high} of {declared.name}:"
                " is it the right column, in the property's unit?"
            )
        if column.refused:
            yield (
                f"{column.refused} of {total} cells of column {column.name} are no"
                f" {declared.type.value}{self._example(column)}: refused, as from the device"
            )
        if column.silent and column.silent < total:
            yield (
                f"{column.silent} of {total} cells of column {column.name} say nothing:"
                " the last value keeps ageing"
            )

    def _other_column(self, column: _Column) -> str:
        """Say what to do with a column of which no cell is read, where its cells do not."""
        is_said = column.first_refused is not None and cells.hint(
            column.first_refused[1].text, self._separator
        )
        return "" if is_said else ": map another column"

    def _example(self, column: _Column) -> str:
        if column.first_refused is None:
            return ""
        place, cell = column.first_refused
        shown = printable.clean(repr(cell.text[:_CELL]), 2 * _CELL)
        hint = cells.hint(cell.text, self._separator)
        return f" (first: {place}: {shown}: {cell.reason}{hint})"


_COMMA_REMEDY: Final = (
    'Write decimal points, or `;` between the columns, such as with write.csv2 or to_csv(sep=";")'
)


def _is_believable(value: Value, wanted: deviceprofile.Property) -> bool:
    if isinstance(value, bool | str):
        return True
    if wanted.minimum is not None and value < scalars.number(wanted.minimum):
        return False
    return wanted.maximum is None or value <= scalars.number(wanted.maximum)
