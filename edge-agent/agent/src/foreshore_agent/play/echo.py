"""The first rows of a recording as they are understood, for a person to look at; bounded."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.play import recording
from foreshore_api import printable
from foreshore_api.v1alpha1 import deviceprofile

ROWS: Final = 3
COLUMNS: Final = 8
"""Properties that are shown."""
_CELL: Final = 28
"""Characters of a cell."""


def lines(rows: recording.Recording, zone: tzinfo) -> Iterator[str]:
    """Yield how a recording is read, then its first rows: times in a zone, values in their units.

    Raises RecordingError.
    """
    count = f"{rows.rows} row{'' if rows.rows == 1 else 's'}"
    form = f", times: {rows.form.name}" if rows.columns.time else ""
    yield printable.clean(
        f"{rows.path.name}: {count}, {rows.source.written}{form}; the first as understood:"
    )
    table = [_titles(rows)]
    table += (_cells(row, rows, zone) for row in itertools.islice(rows, ROWS))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield ("  " + "  ".join(padded)).rstrip()
    left = len(rows.columns.properties) - COLUMNS
    if left > 0:
        yield f"  and {left} more properties"


def _shown(rows: recording.Recording) -> Sequence[deviceprofile.Property]:
    return tuple(rows.columns.properties.values())[:COLUMNS]


def _titles(rows: recording.Recording) -> list[str]:
    titles: list[str] = ["time"] if rows.columns.time else []
    titles += (
        _fit(f"{declared.name} [{declared.unit.strip('[]')}]" if declared.unit else declared.name)
        for declared in _shown(rows)
    )
    return titles if rows.columns.truth is None else [*titles, "truth"]


def _cells(row: recording.RecordedRow, rows: recording.Recording, zone: tzinfo) -> list[str]:
    time = [] if row.time is None else [row.time.astimezone(zone).isoformat(sep=" ")]
    values = (_fit(_written(row, declared.name)) for declared in _shown(rows))
    truth = () if row.truth is None else (_fit(row.truth.strip()),)
    return [*time, *values, *truth]


def _written(row: recording.RecordedRow, name: str) -> str:
    """Write what a row says of a property."""
    if name in row.refused:
        cell = row.refused[name]
        return f"{cell.text[:_CELL]!r}: {cell.reason}"
    value: Value | None = row.values.get(name)
    if value is None:
        return "–"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _fit(text: str) -> str:
    return printable.clean(text, _CELL)
