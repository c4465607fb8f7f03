"""Rows of a recording as a model is asked with them. Called by `verb` for `--try`.

The recording is read as `play` and `rehearse` read it; a feature is looked for where those look for
a property: in the column of its name, or in the one that `--map` gives it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from foreshore_agent.model import examine
from foreshore_agent.play import layout, recording
from foreshore_api import hints
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import inspection

MAXIMUM_VALUES: Final = 2_000_000
"""Values of all rows together; what is beyond is not asked, and said."""
_LONGEST_CELL: Final = 40

_TYPES: Final = {
    "BYTES": deviceprofile.DataType.STRING,
    "BOOL": deviceprofile.DataType.BOOLEAN,
    **dict.fromkeys(("FP16", "FP32", "FP64"), deviceprofile.DataType.NUMBER),
}
"""How a cell is read by the element type of the tensor; all others are whole numbers."""


class TryError(ValueError):
    """The recording cannot be put to the model; the text says what would make it so."""


class TriedRows(NamedTuple):
    """Which rows of which recording a model is to be asked with."""

    path: Path
    pairs: tuple[str, ...]
    """`COLUMN=FEATURE`, as `--map` gives them."""
    limit: int
    """Rows that are asked at most."""
    has_row_names: bool = False
    """Whether its first column has no name in the header."""
    is_windowed: bool = False
    """Whether rows are asked with those above them, so that all are to be of one device."""


class AskedRows(NamedTuple):
    """What the model is asked with."""

    features: tuple[str, ...]
    """Of all inputs, in their order, each once."""
    rows: tuple[examine.Row, ...]
    values: tuple[tuple[object, ...], ...]
    """Of each row, by feature."""
    lines: tuple[int, ...]
    """Line of the file of each row."""
    total: int
    """Rows of the file."""
    skipped: int
    """Rows with a cell that could not be read, among those that were looked at."""
    first_skipped: str
    """Line and features of the first of these."""
    is_cut: bool
    """Whether rows of the file were not looked at."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the file was read."""
    steps: int | None = None
    """Rows that make a window; None: each is asked by itself."""


def read(
    wanted: TriedRows,
    inputs: Sequence[inspection.InspectedTensor],
    by_input: Sequence[Sequence[str]],
) -> AskedRows:
    """Return the rows of a recording for the inputs of a model.

    Args:
        wanted: which rows.
        inputs: what the model takes.
        by_input: features of each.

    Raises:
        TryError: the recording does not fit, or has no row that can be read.
    """
    features = tuple(dict.fromkeys(name for names in by_input for name in names))
    recorded = _recording(wanted, _properties(inputs, by_input), features)
    limit = min(wanted.limit, MAXIMUM_VALUES // len(features))
    rows: list[examine.Row] = []
    values: list[tuple[object, ...]] = []
    lines: list[int] = []
    skipped, first_skipped, is_cut = 0, "", False
    for row in recorded:
        if len(rows) == limit:
            is_cut = True
            break
        absent = [name for name in features if name not in row.values]
        if absent:
            skipped += 1
            first_skipped = first_skipped or _why(row, absent)
            continue
        rows.append([[row.values[name] for name in names] for names in by_input])
        values.append(tuple(row.values[name] for name in features))
        lines.append(_line(row))
    if not rows:
        raise TryError(f"{wanted.path}: no row could be read ({first_skipped})")
    return AskedRows(
        features=features,
        rows=tuple(rows),
        values=tuple(values),
        lines=tuple(lines),
        total=recorded.rows,
        skipped=skipped,
        first_skipped=first_skipped,
        is_cut=is_cut,
        notes=recorded.notes,
    )


def _why(row: recording.RecordedRow, absent: Sequence[str]) -> str:
    """Return why a row is not asked, by the first feature that it has no value of."""
    name = absent[0]
    cell = row.refused.get(name)
    text = "an empty cell" if cell is None else f"{cell.text[:_LONGEST_CELL]!r}: {cell.reason}"
    return f"line {_line(row)}, {name}: {text}"


def _line(row: recording.RecordedRow) -> int:
    return row.line or row.number


def _properties(
    inputs: Sequence[inspection.InspectedTensor], by_input: Sequence[Sequence[str]]
) -> list[deviceprofile.Property]:
    """Return the features as properties of a device, of the types that the model takes."""
    types = {
        name: _TYPES.get(tensor.data_type or "", deviceprofile.DataType.INTEGER)
        for tensor, names in zip(inputs, by_input, strict=True)
        for name in names
    }
    return [deviceprofile.Property(name=name, type=kind) for name, kind in types.items()]


def _recording(
    tried: TriedRows,
    properties: Sequence[deviceprofile.Property],
    features: Sequence[str],
) -> recording.Recording:
    """Return the recording, every feature of which has its column. Raises TryError."""
    try:
        wanted = recording.Wanted(
            mapped=recording.mapping(tried.pairs),
            has_row_names=tried.has_row_names,
            is_of_one=tried.is_windowed,
        )
        recorded = recording.read(tried.path, properties, wanted)
    except recording.RecordingError as error:
        names = ", ".join(features)
        raise TryError(
            f"{error}; features of the model stand for properties here: {names}; --features names"
            " them as the columns are"
        ) from error
    filled = {declared.name for declared in recorded.columns.properties.values()}
    absent = [name for name in features if name not in filled]
    if absent:
        raise TryError(
            f"{tried.path}: no column is {layout.listed(absent)};"
            f" {hints.near(absent[0], recorded.header)}it has {layout.listed(recorded.header)};"
            f" say which with --map COLUMN={absent[0]}, or name the features as the columns are"
            " with --features"
        )
    return recorded
