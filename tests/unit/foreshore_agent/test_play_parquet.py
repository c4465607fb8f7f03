"""Recordings in Parquet: the same rows as of CSV, and hostile files refused at once."""

import random
import struct
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as written_parquet

from foreshore_agent.play import echo, parquet, recording, unpacking
from foreshore_agent.play.layout import RecordingError
from foreshore_api.v1alpha1 import deviceprofile

DataType = deviceprofile.DataType
PROPERTIES = (
    deviceprofile.Property(name="co2"),
    deviceprofile.Property(name="people", type=DataType.INTEGER),
    deviceprofile.Property(name="open", type=DataType.BOOLEAN),
    deviceprofile.Property(name="state", type=DataType.STRING),
)
START = datetime(2025, 3, 1, 10, tzinfo=UTC)


def save(path: Path, columns: dict[str, Any], **more: Any) -> Path:
    written_parquet.write_table(pyarrow.table(columns), path, **more)
    return path


def read(path: Path, **wanted: Any) -> recording.Recording:
    return recording.read(path, PROPERTIES, recording.Wanted(**wanted))


def minutes(count: int) -> list[datetime]:
    return [START + timedelta(minutes=number) for number in range(count)]


@pytest.mark.parametrize(
    "times",
    [
        pyarrow.array(minutes(2), pyarrow.timestamp("us", "UTC")),
        pyarrow.array(minutes(2), pyarrow.timestamp("ns", "Europe/Brussels")),
        pyarrow.array(minutes(2), pyarrow.timestamp("ms", "UTC")),
        pyarrow.array([each.replace(tzinfo=None) for each in minutes(2)], pyarrow.timestamp("s")),
        pyarrow.array([int(each.timestamp()) for each in minutes(2)], pyarrow.int64()),
        pyarrow.array([each.timestamp() * 1000 for each in minutes(2)], pyarrow.float64()),
        pyarrow.array([each.isoformat() for each in minutes(2)]),
        pyarrow.array([f"{each:%d.%m.%Y %H:%M}" for each in minutes(2)]).dictionary_encode(),
    ],
    ids=["us", "ns", "ms", "no zone", "seconds", "milliseconds", "texts", "words"],
)
def test_times_of_every_type_are_moments(tmp_path: Path, times: Any) -> None:
    path = save(tmp_path / "a.parquet", {"time": times, "co2": [600.25, 601.0]})
    rows = read(path, needs_time=True)
    assert [row.time for row in rows] == minutes(2)
    assert [row.values for row in rows] == [{"co2": 600.25}, {"co2": 601.0}]


def test_a_day_and_a_clock_are_one_time(tmp_path: Path) -> None:
    columns = {"date": [date(2025, 3, 1)], "time": [time(10, 0)], "co2": [1]}
    (row,) = read(save(tmp_path / "a.parquet", columns), needs_time=True)
    assert row.time == START


def test_every_type_of_value_is_read_and_nulls_say_nothing(tmp_path: Path) -> None:
    columns = {
        "co2": pyarrow.array([1.5, None, float("nan"), float("inf")]),
        "people": pyarrow.array([2**62, None, 3, 4]),
        "open": pyarrow.array([True, False, None, True]),
        "state": pyarrow.array(["a", None, "c", "a"]).dictionary_encode(),
        "other": pyarrow.array([[1], [2], [3], [4]]),
    }
    rows = list(read(save(tmp_path / "a.parquet", columns)))
    assert rows[0].values == {"co2": 1.5, "people": 2**62, "open": True, "state": "a"}
    assert rows[1].values == {"open": False}
    assert rows[1].silent == ("co2", "people", "state")
    assert rows[2].silent == ("co2", "open")
    assert rows[3].refused == {"co2": ("inf", "NonFinite")}
    assert str(rows[3].place) == "row 4"


@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array([1.5, 2.5], pyarrow.float32()),
        pyarrow.array([1.5, 2.5], pyarrow.float16()),
        pyarrow.array([Decimal("1.5"), Decimal("2.5")]),
        pyarrow.array(["1.5", "2.5"]),
        pyarrow.array(["1.5", "2.5"], pyarrow.large_string()),
    ],
    ids=["float32", "float16", "decimal", "text", "large text"],
)
def test_numbers_of_other_types(tmp_path: Path, values: Any) -> None:
    rows = read(save(tmp_path / "a.parquet", {"co2": values}))
    assert [row.values for row in rows] == [{"co2": 1.5}, {"co2": 2.5}]


@pytest.mark.parametrize(
    "values",
    [[[1.0]], [{"a": 1}], [b"1"], [timedelta(seconds=1)]],
    ids=["list", "struct", "bytes", "span"],
)
def test_a_type_that_is_no_property_is_refused_where_it_is_mapped(
    tmp_path: Path, values: list[Any]
) -> None:
    path = save(tmp_path / "a.parquet", {"co2": values})
    with pytest.raises(RecordingError, match="column co2 is of Parquet's type"):
        read(path)


def test_a_file_is_known_by_what_it_is_and_a_name_that_lies_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", {"co2": [1.0]})
    assert next(iter(echo.lines(read(path), UTC))).startswith("a.csv: 1 row, Parquet;")
    csv = tmp_path / "b.parquet"
    csv.write_text("co2\n1\n")
    with pytest.raises(RecordingError, match=r"is no Parquet.*\.csv"):
        read(csv)


def test_mistakes_and_truth_are_found_as_in_text(tmp_path: Path) -> None:
    columns = {
        "time": [*minutes(1), START + timedelta(days=900)],
        "co2": [1, 2],
        "busy": [False] * 2,
    }
    path = save(tmp_path / "a.parquet", columns)
    with pytest.raises(RecordingError, match=r"row 2, column time: .* after row 1"):
        read(path, needs_time=True)
    columns["time"] = minutes(2)
    rows = read(save(path, columns), needs_time=True, truth_column="busy")
    assert rows.notes == ("column busy never says that acting is right: recall is undefined",)
    with pytest.raises(RecordingError, match="no --row-names"):
        read(path, has_row_names=True)


def test_a_file_without_the_library_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.parquet", {"co2": [1.0]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordingError, match=r"pip install 'foreshore-agent\[parquet\]'"):
        read(path)


def test_the_library_is_imported_for_parquet_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("co2\n1\n")
    program = (
        "import sys; from pathlib import Path; from foreshore_agent.play import recording, show;"
        "from foreshore_agent.rehearse import run;"
        "from foreshore_api.v1alpha1 import deviceprofile as d;"
        "recording.read(Path(sys.argv[1]), [d.Property(name='co2')], recording.Wanted());"
        "print('pyarrow' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


# Files that are broken, or want to be.


def hostile(tmp_path: Path, body: bytes) -> str:
    path = tmp_path / "hostile.parquet"
    path.write_bytes(body)
    with pytest.raises(RecordingError) as refused:
        list(read(path))
    assert len(str(refused.value)) < 1000
    return str(refused.value)


def test_a_file_that_is_cut_off_or_lies_of_its_footer_is_refused(tmp_path: Path) -> None:
    body = save(tmp_path / "a.parquet", {"co2": [1.0] * 100}).read_bytes()
    assert "does not end" in hostile(tmp_path, body[:-1])
    assert "does not end" in hostile(tmp_path, b"PAR1")
    assert "footer" in hostile(tmp_path, body[:-8] + struct.pack("<I", 1 << 31) + b"PAR1")
    assert "cannot be read as Parquet" in hostile(
        tmp_path, body[:-8] + struct.pack("<I", 4) + b"PAR1"
    )
    assert "cannot be read as Parquet" in hostile(tmp_path, b"PAR1" + bytes(1000) + body[-200:])


def test_a_file_that_unpacks_to_too_much_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """A text of a few mebibytes, which stands in the file once, in two hundred rows."""
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200), ["x" * (4 << 20)])
    path = save(tmp_path / "a.parquet", {"state": texts}, compression="zstd")
    assert path.stat().st_size < 100_000
    program = (
        "import sys; from foreshore_agent.play import unpacking; unpacking.MEMORY = 600 << 20;"
        "sys.argv[1:] = [sys.argv[1], '0']; unpacking.main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert "it unpacks to more than 600 MiB of memory" in run.stdout


def test_a_long_cell_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", {"state": ["x" * 70_000]})
    with pytest.raises(RecordingError, match="a cell is longer than 65536"):
        read(path)


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    columns = {f"c{number}": [1] for number in range(unpacking.MAXIMUM_COLUMNS + 1)}
    with pytest.raises(RecordingError, match="columns; 1 to 4096"):
        read(save(tmp_path / "a.parquet", columns))


def test_equal_names_are_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["co2", "CO2"])
    written_parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(RecordingError, match="have one name"):
        read(tmp_path / "a.parquet")


@pytest.mark.timeout(300)
def test_bytes_that_are_changed_anywhere_are_rows_or_refused(tmp_path: Path) -> None:
    """Regression: what unpacks aborted the whole program at some of these."""
    columns = {"co2": [float(number) for number in range(50)], "state": ["text"] * 50}
    path = save(tmp_path / "a.parquet", columns)
    body, chance = path.read_bytes(), random.Random(7)
    refused = 0
    for _ in range(12):
        changed = bytearray(body)
        for _ in range(chance.choice((1, 2, 8))):
            changed[-chance.randrange(1, 600)] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            list(read(path))
        except RecordingError:
            refused += 1
    assert refused > 3


def test_a_process_that_is_brought_to_its_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.parquet", {"co2": [1.0]})
    monkeypatch.setattr(unpacking, "__name__", "no.such.module")
    with pytest.raises(RecordingError, match=r"what unpacks it broke off|names no columns"):
        read(path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("kill -ALRM $$", "1024 rows take longer than 60 s", id="too slow"),
        pytest.param("""echo '{"header": ["co2"]}'""", "in the midst of its rows", id="too short"),
    ],
)
def test_a_process_that_does_not_come_to_its_last_row_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    path = save(tmp_path / "a.parquet", {"co2": [1.0]})
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(RecordingError, match=words):
        read(path)


def test_a_footer_and_a_batch_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.parquet", {"co2": [1.0] * 100})
    with monkeypatch.context() as smaller:
        smaller.setattr(parquet, "MAXIMUM_LINE", 64)
        with pytest.raises(RecordingError, match="1024 rows of it are more than 64 bytes"):
            read(path)
    monkeypatch.setattr(unpacking, "MAXIMUM_FOOTER", 8)
    with pytest.raises(RecordingError, match="at most 8 are read: write it with fewer columns"):
        read(path)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.datetimes(datetime(1990, 1, 1), datetime(1990, 12, 1)),  # noqa: DTZ001
            "co2": st.floats(allow_nan=False, allow_infinity=False),
            "people": st.integers(-(2**63), 2**63 - 1),
            "open": st.booleans(),
            "state": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
            .map(str.strip)
            .filter(lambda text: text not in ("", "null")),
        }
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=4, deadline=None)
@given(ROWS, st.integers(1, 40), st.sampled_from(["snappy", "zstd", "none"]))
def test_rows_are_read_back_with_the_same_values_and_moments(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    group: int,
    compression: str,
) -> None:
    rows.sort(key=lambda row: row["time"])
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    path = tmp_path_factory.getbasetemp() / "property.parquet"
    save(path, columns, row_group_size=group, compression=compression)
    found = list(read(path, needs_time=True))
    assert [
        {"time": row.time.replace(tzinfo=None), **row.values} for row in found if row.time
    ] == rows
