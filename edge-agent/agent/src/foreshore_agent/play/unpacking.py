"""The process that unpacks a recording in Parquet: `python -m foreshore_agent.play.unpacking`.

    PATH            one line: {"header": [names]}
    PATH PLACES…    a line a batch: {"columns": [[cells], …]}, then {"rows": number}

What unpacks a file is a library in C++ that a hostile one can bring to its end, or to gigabytes. So
it runs here, in bounded memory, and `parquet` reads what it writes. A line {"error": text} says why
it goes no further.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson

MAXIMUM_COLUMNS: Final = 4096
MAXIMUM_FOOTER: Final = 16 << 20
"""Bytes in which the file describes itself."""
MAXIMUM_CELL: Final = 65536
"""Characters of a cell, as of a line of text."""
MEMORY: Final = 2 << 30
"""Bytes of address space."""
BATCH_SECONDS: Final = 60
"""To open a file, or to unpack a batch."""
BATCH: Final = 1024
"""Rows that are read at a time."""
_EXACT: Final = 1 << 63

_Spell = Callable[[Any], str]


class UnpackingError(ValueError):
    """The file cannot be read as it is; the text says why."""


def main() -> None:
    """Write the header or the rows of a file to standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # others reserve what they do not use
    path, *places = sys.argv[1:]
    signal.alarm(BATCH_SECONDS)
    try:
        if places:
            _write_rows(path, [int(place) for place in places])
        else:
            _write({"header": _header(path)})
    except BrokenPipeError:  # whoever reads has seen enough
        os._exit(0)
    except MemoryError:
        _write({"error": f"it unpacks to more than {MEMORY >> 20} MiB of memory"})
    except Exception as error:  # noqa: BLE001 - of a library, about a file that anybody wrote
        text = str(error).strip() or type(error).__name__
        _write({"error": text.splitlines()[0][:300]})


def _header(path: str) -> list[str]:
    names = [field.name for field in _opened(path).schema_arrow]
    if not 0 < len(names) <= MAXIMUM_COLUMNS:
        raise UnpackingError(f"it has {len(names)} columns; 1 to {MAXIMUM_COLUMNS} are read")
    return names


def _write_rows(path: str, places: Sequence[int]) -> None:
    rows = 0
    for columns in _batches(path, places):
        rows += len(columns[0])
        _write({"columns": columns})
    _write({"rows": rows})


def _batches(path: str, places: Sequence[int]) -> Iterator[list[list[str]]]:
    """Yield the cells of each batch by column. Raises UnpackingError, and what Arrow raises."""
    file = _opened(path)
    fields = [file.schema_arrow.field(place) for place in places]
    for field in fields:
        _check_type(field)
    names = [field.name for field in fields]
    for batch in file.iter_batches(BATCH, columns=names, use_threads=False):
        yield [_cells(batch.column(at)) for at in range(len(places))]


def _opened(path: str) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(
        Path(path),
        buffer_size=1 << 20,
        pre_buffer=False,
        thrift_string_size_limit=MAXIMUM_FOOTER,
        thrift_container_size_limit=1 << 20,
    )


def _check_type(field: Any) -> None:
    """Refuse a column that is neither numbers nor texts nor times. Raises UnpackingError."""
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
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
        raise UnpackingError(
            f"column {field.name} is of Parquet's type {str(kind)[:100]}: numbers, Booleans, texts"
            " and times are read"
        )


def _cells(column: Any) -> list[str]:
    """Return the cells of a batch of one column, as texts."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if types.is_timestamp(kind) and kind.unit == "ns":  # Python's times know no nanoseconds
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    if types.is_time(kind) and kind.unit == "ns":
        column = column.cast(pyarrow.time64("us"), safe=False)
    return [_spelled(value) for value in column.to_pylist()]


def _spelled(value: Any) -> str:
    """Return a value as a text would have it."""
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
            text = str(value)
            if len(text) > MAXIMUM_CELL:
                raise UnpackingError(f"a cell is longer than {MAXIMUM_CELL} characters")
            return text


def _write(line: dict[str, Any]) -> None:
    """Write a line, however long whoever reads it takes; then the next batch has its time."""
    signal.alarm(0)
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()
    signal.alarm(BATCH_SECONDS)


if __name__ == "__main__":
    main()
