"""A recording in Parquet, as pandas, Spark and data lakes write it: its cells as texts have them.

A batch of rows is held at a time, and of it the columns that are read. What the file says of itself
is checked before anything is made room for: a footer of many megabytes, or a column that unpacks to
gigabytes, is refused.
"""

import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from foreshore_agent.play import layout
from foreshore_agent.play.layout import RecordingError

MAXIMUM_COLUMNS: Final = 4096
MAXIMUM_FOOTER: Final = 16 << 20
"""Bytes in which the file describes itself."""
MAXIMUM_CHUNK: Final = 256 << 20
"""Bytes to which one column of one group of rows may unpack."""
BATCH: Final = 4096
"""Rows that are read at a time."""
_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""Bytes at the end: the footer's length, and the magic word."""
_EXACT: Final = 1 << 63
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
        pyarrow = _library()
        try:
            yield from self._rows(sorted(used))
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            if isinstance(error, RecordingError):
                raise
            raise _unreadable(self.path, error) from error

    def _rows(self, used: Sequence[int]) -> Iterator[tuple[layout.RowPosition, Sequence[str]]]:
        number, width = 0, len(self.header)
        with _opened(self.path) as file:
            schema = file.schema_arrow
            spell = {
                index: _speller(self.header[index], schema.field(index).type) for index in used
            }
            for batch in file.iter_batches(BATCH, columns=[schema.field(at).name for at in used]):
                columns = {
                    index: _cells(batch.column(place), spell[index])
                    for place, index in enumerate(used)
                }
                for at in range(batch.num_rows):
                    number += 1
                    row = [""] * width
                    for index, cells in columns.items():
                        row[index] = cells[at]
                    yield layout.RowPosition(number), row


def find(path: Path) -> ParquetSource:
    """Open a file, and return how it is read. Raises RecordingError."""
    pyarrow = _library()
    _check_footer(path)
    try:
        with _opened(path) as file:
            header = [field.name for field in file.schema_arrow]
            if not header or len(header) > MAXIMUM_COLUMNS:
                raise RecordingError(
                    f"{path} has {len(header)} columns; 1 to {MAXIMUM_COLUMNS} are read"
                )
            _check_groups(path, file.metadata)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, RecordingError):
            raise
        raise _unreadable(path, error) from error
    layout.check_names(path, header)
    return ParquetSource(path, header)


def _library() -> Any:
    """Return the library, which most agents have no use for. Raises RecordingError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise RecordingError(
            f"to read Parquet, pyarrow is needed: {_INSTALL}; or save the recording as CSV"
        ) from error
    return pyarrow


def _opened(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(
        path,
        buffer_size=1 << 20,
        pre_buffer=False,
        thrift_string_size_limit=MAXIMUM_FOOTER,
        thrift_container_size_limit=1 << 20,
    )


def _check_footer(path: Path) -> None:
    """Look at the end of a file. Raises RecordingError."""
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_MAGIC))
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
    if beginning != _MAGIC:
        raise RecordingError(f"{path} is no Parquet, though it is named so: name it .csv if it is")
    if size < len(_MAGIC) + _TAIL or not tail.endswith(_MAGIC):
        raise RecordingError(f"{path} is Parquet that does not end as it should: copy it anew")
    (length,) = struct.unpack("<I", tail[:4])
    if length > min(size - _TAIL, MAXIMUM_FOOTER):
        raise RecordingError(
            f"{path}: its footer is {length} bytes long; {min(size, MAXIMUM_FOOTER)} are read:"
            " copy it anew, or write it with fewer columns and groups of rows"
        )


def _check_groups(path: Path, metadata: Any) -> None:
    """Refuse a group of rows that would not fit into memory. Raises RecordingError."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            chunk = group.column(index)
            if not 0 <= chunk.total_uncompressed_size <= MAXIMUM_CHUNK:
                raise RecordingError(
                    f"{path}: column {chunk.path_in_schema} of row group {number + 1} unpacks to"
                    f" {chunk.total_uncompressed_size} bytes; at most {MAXIMUM_CHUNK} are read:"
                    " write it with a smaller row_group_size"
                )


def _unreadable(path: Path, error: Exception) -> RecordingError:
    cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return RecordingError(f"{path} cannot be read as Parquet: {cause}: copy it anew, or as CSV")


def _speller(name: str, kind: Any) -> Callable[[Any], str]:
    """Return what writes the values of a column as a text has them. Raises RecordingError."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_timestamp,
        types.is_date,
        types.is_time,
        types.is_null,
    )
    if not any(test(kind) for test in tests):
        raise RecordingError(
            f"column {name} is of Parquet's type {kind}: numbers, Booleans, texts and times are"
            " read"
        )
    return _spelled


def _spelled(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _cells(column: Any, spell: Callable[[Any], str]) -> list[str]:
    """Return the cells of a batch of one column."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if types.is_timestamp(kind) and kind.unit == "ns":  # Python's times know no nanoseconds
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    if types.is_time(kind) and kind.unit == "ns":
        column = column.cast(pyarrow.time64("us"), safe=False)
    return [spell(value) for value in column.to_pylist()]
