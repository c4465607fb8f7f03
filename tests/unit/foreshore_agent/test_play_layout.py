"""Recordings in the shapes that loggers, sheets and data frames give them, and in broken ones."""

import csv
import functools
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builders import recordings
from foreshore_agent.play import echo, marks, recording
from foreshore_agent.play.layout import RecordingError
from foreshore_api.v1alpha1 import deviceprofile

DataType = deviceprofile.DataType
PROPERTIES = (
    deviceprofile.Property(name="co2", unit="[ppm]"),
    deviceprofile.Property(name="temperature", unit="Cel"),
    deviceprofile.Property(name="people", type=DataType.INTEGER),
    deviceprofile.Property(name="open", type=DataType.BOOLEAN),
    deviceprofile.Property(name="state", type=DataType.STRING),
)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


read = functools.partial(recordings.read, PROPERTIES, now=NOW)
refusal = functools.partial(recordings.refusal, PROPERTIES, now=NOW)


def values(rows: recording.Recording) -> list[dict[str, object]]:
    return [dict(row.values) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "co2,temperature\n600,21.5\n",
        "co2;temperature\n600;21,5\n",
        "co2\ttemperature\n600\t21,5\n",
        "sep=;\nco2;temperature\n600;21,5\n",
        '"sep=;"\r\nco2;temperature\r\n600;21,5\r\n',
        "sep=,\nco2,temperature\n600,21.5\n",
        "\ufeffco2;temperature\n600;21.5",
        "co2,temperature\r600,21.5\r",
        '"co2","temperature"\n"600","21.5"\n',
        '"co2\n",temperature\n600,21.5\n',
        '"room, co2";"temperature"\n600;21,5\n',
        "co2,temperature\n600,21.5\n\n\n",
        "co2,temperature\n\n600,21.5\n  \n,\n , \n",
        "co2;temperature\n6E2;+2.15e1\n",
        "co2;temperature;\n600;21,5;\n",
        "co2;temperature;;\n600;21,5\n",
        'co2, "temperature"\n600, "21.5"\n',
        "room, co2;temperature, °C\n600;21,5\n",
    ],
)
def test_a_recording_is_read_however_its_program_wrote_it(tmp_path: Path, text: str) -> None:
    mapped = {"room, co2": "co2"} if "room" in text else {}
    mapped |= {"temperature, °C": "temperature"} if "°C" in text else {}
    assert values(read(tmp_path, text, mapped=mapped)) == [{"co2": 600.0, "temperature": 21.5}]


def test_a_line_that_names_the_separator_is_said(tmp_path: Path) -> None:
    assert "line 1 says sep=;" in read(tmp_path, "sep=;\nco2;x\n1;2\n").notes[0]


def test_rows_of_separators_alone_are_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "co2;temperature\n600;21,5\n;\n;\n")
    assert rows.rows == 1
    assert rows.notes == ("2 rows of separators alone are left out (first: line 3)",)


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    text = ",co2\n2024-02-04 17:51:00,600\n"
    assert "(column 1), co2" in refusal(tmp_path, text, needs_time=True)
    (row,) = read(tmp_path, text, time_column="(column 1)")
    assert row.time == datetime(2024, 2, 4, 17, 51, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("co2;x\n612;1\n1.612;1\n", 1),
        ("co2;temperature\n1.612;21.5\n", 0),
        ("co2;temperature\n1,612;0,125\n", 0),
        ("co2;x\n0.612;1\n1.612;1\n", 0),
        ("co2,x\n1.612,1\n", 0),
    ],
)
def test_a_number_that_could_be_thousands_is_said(tmp_path: Path, text: str, count: int) -> None:
    """Regression: 1.612 ppm of a German sheet were decided on as 1.6, in silence."""
    notes = read(tmp_path, text).notes
    assert len(notes) == count
    assert all("'1.612' is read as 1.612, not as 1612" in note for note in notes)


def test_rows_of_one_thing_are_read(tmp_path: Path) -> None:
    text = "entity_id,state_,last_changed\na,1,2024-02-04T17:51Z\na,2,2024-02-04T17:52Z\n"
    rows = read(tmp_path, text, mapped={"state_": "co2"}, time_column="last_changed")
    assert values(rows) == [{"co2": 1.0}, {"co2": 2.0}]


@pytest.mark.parametrize("name", ["_time", "Date/Time", "Date Time", "TIMESTAMP", "date_time"])
def test_a_time_is_found_by_its_name_however_it_is_written(tmp_path: Path, name: str) -> None:
    (row,) = read(tmp_path, f"{name},co2\n2024-02-04 17:51,1\n", needs_time=True)
    assert row.time == datetime(2024, 2, 4, 17, 51, tzinfo=UTC)


def test_a_decimal_comma_between_commas_is_recognised(tmp_path: Path) -> None:
    """Regression: every column after it shifted by one."""
    text = "time,temperature,co2\n2024-02-04T17:51,21,5,600\n2024-02-04T17:52,21,6,601\n"
    said = refusal(tmp_path, text, needs_time=True)
    assert "every row has one cell more than the header" in said
    assert "is 21,5 a decimal comma?" in said
    assert "`;` between the columns" in said


def test_row_names_are_read_where_a_person_says_so(tmp_path: Path) -> None:
    """Regression: every column was shifted by one, in silence."""
    text = '"date","co2"\n"1","2024-02-04 17:51:00",426\n"2","2024-02-04 17:52:00",430\n'
    assert "--row-names" in refusal(tmp_path, text, needs_time=True)
    said = refusal(tmp_path, "co2,state\n1,a\n", has_row_names=True)
    assert "leave --row-names out" in said
    rows = read(tmp_path, text, needs_time=True, has_row_names=True)
    assert [(row.time, row.values) for row in rows] == [
        (datetime(2024, 2, 4, 17, 51, tzinfo=UTC), {"co2": 426.0}),
        (datetime(2024, 2, 4, 17, 52, tzinfo=UTC), {"co2": 430.0}),
    ]


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        pytest.param(
            'co2,state\n1,a\n2,"b\n3,c\n4,d\n', {}, ("line 3", "opened", "closed"), id="open quote"
        ),
        pytest.param(
            'co2,state\n1,"' + "b\n" * 70_000 + '"\n',
            {},
            ("line 2", "never closed"),
            id="an endless text",
        ),
        pytest.param('co2,state\n1,"a"b\n', {}, ("line 2", "closing quote"), id="after a quote"),
        pytest.param(b"co2,state\n1,a\n2,\0\n", {}, ("line 3", "NUL"), id="NUL in a row"),
        pytest.param(
            "co2\n1\n2\n3\n".encode("utf-16-be"), {}, ("line 1", "NUL"), id="UTF-16 unmarked"
        ),
        pytest.param("co2\n1\n".encode("utf-32"), {}, ("UTF-32", "iconv -f UTF-32"), id="UTF-32"),
        pytest.param(
            '"date" "co2"\n"1" "2" 3\n', {}, ("separated by blanks",), id="blanks and names"
        ),
        pytest.param('"time" "co2"\n"2" 3\n', {}, ("separated by blanks",), id="quoted blanks"),
        pytest.param("time co2\n2 3\n", {}, ("separated by blanks",), id="blanks"),
        pytest.param("\n\nco2\n1\n", {}, ("line 1 is empty",), id="an empty first line"),
        pytest.param(";;;\n1;2;3;4\n", {}, ("line 1 is empty",), id="a nameless header"),
        pytest.param("sep=|\nco2|x\n1|2\n", {}, ("line 1 says", "'|'"), id="another separator"),
        pytest.param(
            "co2;temperature\n1.5;1\n1,234;1\n",
            {},
            ("row 2 (line 3), column co2: '1,234', and '1.5' above", "which mark"),
            id="two decimal marks",
        ),
        pytest.param(
            'co2\n"1,234"\n"2,345"\n',
            {},
            ("no cell of it is a Number", "'1,234'", "decimal comma", "WrongType"),
            id="a quoted comma between commas",
        ),
        pytest.param(
            "co2;x\n1.234,5;1\n", {}, ("'1.234,5'", "without separators of thousands"), id="grouped"
        ),
        pytest.param("co2\n600 ppm\n", {}, ("'600 ppm'", "without its unit"), id="units"),
        pytest.param(
            "raw,temperature\n,1\nNA,2\n",
            {"mapped": {"raw": "co2"}},
            ("column raw is mapped to co2, and every cell of it is empty",),
            id="a mapped column that is empty",
        ),
        pytest.param("co2,x\n,1\n,2\n", {}, ("holds any value",), id="nothing but empty columns"),
        pytest.param(
            "co2,label\n1,busy\n2,free\n",
            {"truth_column": "label", "truth_value": "occupied"},
            ("never says occupied", "'busy', 'free'"),
            id="a truth that never comes",
        ),
        pytest.param(
            "co2,label\n1,busy\n2,free\n",
            {"truth_column": "label"},
            ("neither 1 nor 0", "--truth label=VALUE (it has 'busy', 'free')"),
            id="a truth in words of its own",
        ),
        pytest.param(
            "co2,label\n1,\n2,\n",
            {"truth_column": "label"},
            ("every cell of it is empty",),
            id="a truth that says nothing",
        ),
        pytest.param(
            "n,co2\n1,5\n2,6\n",
            {"time_column": "n"},
            ("row 1 (line 2), column n: '1' is no time by itself", "--time-format unix"),
            id="row numbers in the place of times",
        ),
        pytest.param(
            "time,co2\n03/04/2024,5\n04/04/2024,6\n",
            {"needs_time": True},
            ("may be 2024-04-03", "or 2024-03-04", "--time-format day-first"),
            id="ambiguous days",
        ),
        pytest.param(
            "co2;x\n1.612;1\n1,612;1\n",
            {},
            ("'1,612', and '1.612' above", "which mark"),
            id="two marks that may be of thousands",
        ),
        pytest.param(
            "co2;temperature\n612;21,5\n1.612;21,6\n",
            {},
            ("column co2", "is '1.612' a number of thousands", "column temperature has '21,5'"),
            id="thousands beside a column of decimals",
        ),
        pytest.param(
            "time,co2\n2024-02-04T17:53,1\n2024-02-04T17:52,2\n2024-02-04T17:51,3\n",
            {"needs_time": True},
            ("2 rows are dated before the row above them", "newest", "sort the rows by time"),
            id="the newest row first",
        ),
        pytest.param(
            "#datatype,string,string\n#group,false,false\n,co2,x\n,1,2\n",
            {},
            ("line 1 begins with #datatype", "grep -v '^#'"),
            id="annotations of InfluxDB",
        ),
        pytest.param(
            "_time,_value,_field\n2024-02-04T17:51Z,1,co2\n2024-02-04T17:51Z,2,light\n",
            {"mapped": {"_value": "co2"}, "needs_time": True},
            ("row 2 (line 3), column _field: light, and co2 above", "column of each property"),
            id="a value a row",
        ),
        pytest.param(
            "entity_id,state_,last_changed\nsensor.co2,1,2024-02-04T17:51Z\n",
            {},
            ("no column is a property", "column of each property", "column entity_id"),
            id="a value a row that nobody mapped",
        ),
        pytest.param(
            "ts,key,value\n2024-02-04T17:51Z,co2,1\n2024-02-04T17:51Z,light,2\n",
            {"mapped": {"value": "co2"}, "time_column": "ts"},
            ("row 2 (line 3), column key: light, and co2 above",),
            id="a value a row by its key",
        ),
        pytest.param(
            "Entity name;co2\nA;1\nB;2\n",
            {},
            ("row 2 (line 3), column Entity name: B, and A above", "keep the rows of one"),
            id="two devices",
        ),
        pytest.param(
            "co2;x\n1;2;\n3;4;\n", {}, ("every row ends with a separator",), id="ends of rows"
        ),
        pytest.param(
            "co2,temperature,\n1.5,21,5\n",
            {},
            ("one cell more than the header", "is 21,5 a decimal comma?"),
            id="a nameless last one",
        ),
        pytest.param(
            "1707065460000,612\n1707065520000,613\n",
            {},
            ("line 1 must name the columns",),
            id="no header",
        ),
        pytest.param(
            '"Plot Title: room"\n"#","Date Time, GMT+01:00","CO2"\n1,02/14/24 11:58:00 PM,612\n',
            {},
            ("line 1 does not name the columns, and line 2 seems to", "remove the lines above"),
            id="a title",
        ),
        pytest.param(
            "# Logger 5000\n# Serial 1\n\nco2,temperature\n1,2\n",
            {},
            ("line 4 seems to",),
            id="remarks",
        ),
        pytest.param(
            '"TOA5","CR1000","CR1000"\n"TIMESTAMP","RECORD","co2"\n',
            {},
            ("have one name", "remove the line if it does not name the columns"),
            id="a station above the names",
        ),
        pytest.param(
            "Time,CO2 [ppm]\n2024-02-04T17:51,612\n",
            {},
            ("did you mean --map 'CO2 [ppm]=co2'?",),
            id="units in the names",
        ),
    ],
)
def test_what_would_be_read_wrongly_is_refused_with_place_and_remedy(
    tmp_path: Path, text: str | bytes, wanted: dict[str, object], words: tuple[str, ...]
) -> None:
    said = refusal(tmp_path, text, **wanted)
    for word in words:
        assert word in said


def test_a_quoted_text_over_two_lines_is_one_cell(tmp_path: Path) -> None:
    rows = read(tmp_path, 'co2,state\n1,"a\nb"\n2,"say ""c"""\nx,d\n')
    assert [row.values.get("state") for row in rows] == ["a\nb", 'say "c"', "d"]
    assert [row.line for row in rows] == [3, 4, 5]


def test_a_column_of_the_propertys_name_beside_a_mapped_one_is_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "co2,raw\n1,2\n", mapped={"raw": "co2"})
    assert values(rows) == [{"co2": 2.0}]
    assert rows.notes == ("column co2 is not read: column raw is mapped to co2",)


@pytest.mark.parametrize("line", ["2024-02-04T17:52", "soon,2"], ids=["a cell less", "no time"])
def test_a_file_that_changes_while_it_is_played_is_said(tmp_path: Path, line: str) -> None:
    """Regression: of a time that had become none, neither the file nor the row was said."""
    beginning = "time,co2\n2024-02-04T17:51,1\n"
    rows = read(tmp_path, f"{beginning}2024-02-04T17:52,2\n", needs_time=True)
    (tmp_path / "recording.csv").write_text(f"{beginning}{line}\n")
    with pytest.raises(RecordingError, match=r"recording\.csv: row 2 \(line 3\) has changed"):
        list(rows)


def test_a_wholly_empty_column_is_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "co2,temperature\n1,\n2,NaN\n")
    assert [declared.name for declared in rows.columns.properties.values()] == ["co2"]
    assert rows.notes == ("column temperature is wholly empty: it is left out",)


def test_a_day_and_a_clock_are_one_time(tmp_path: Path) -> None:
    text = "Date;Time;co2\n31.12.2024;13:05:00;1\n31.12.2024;13:06:00;2\n"
    expected = [datetime(2024, 12, 31, 13, minute, tzinfo=UTC) for minute in (5, 6)]
    rows = read(tmp_path, text, needs_time=True)
    assert [row.time for row in rows] == expected
    assert "columns Date and Time are one time" in rows.notes
    assert [row.time for row in read(tmp_path, text, time_column="date+time")] == expected


def test_of_several_columns_that_look_like_a_time_the_one_with_a_clock_is_taken_and_said(
    tmp_path: Path,
) -> None:
    """Regression: the date alone was taken, and every row of a day was at midnight."""
    text = "date,timestamp,co2\n2024-12-31,2024-12-31 13:05,1\n2024-12-31,2024-12-31 13:06,2\n"
    rows = read(tmp_path, text, needs_time=True)
    assert [row.time for row in rows] == [
        datetime(2024, 12, 31, 13, minute, tzinfo=UTC) for minute in (5, 6)
    ]
    assert rows.notes == (
        "column timestamp is taken for the time, of date, timestamp: --time-column says otherwise",
    )


def test_times_that_stand_still_or_lie_ahead_are_counted(tmp_path: Path) -> None:
    text = "time,co2\n2026-05-31T10:00,1\n2026-05-31T10:00,2\n2026-12-01T10:00,3\n"
    equal, ahead = read(tmp_path, text, needs_time=True).notes
    assert "1 row has the time of the row above it (first: row 2 (line 3))" in equal
    assert "1 row lies in the future by this machine's clock (first: row 3 (line 4))" in ahead


def test_empty_and_broken_cells_are_counted_with_the_first_one(tmp_path: Path) -> None:
    empty, broken = read(tmp_path, "co2,temperature\n1,a\n,2\nNA,3\n").notes
    assert empty == "2 of 3 cells of column co2 say nothing: the last value keeps ageing"
    assert "1 of 3 cells of column temperature are no Number (first: row 1 (line 2): 'a'" in broken


def test_a_truth_that_never_says_yes_is_said(tmp_path: Path) -> None:
    rows = read(tmp_path, "co2,label\n1,0\n", truth_column="label")
    assert rows.notes == ("column label never says that acting is right: recall is undefined",)


def test_messages_show_no_characters_that_move_a_terminal(tmp_path: Path) -> None:
    said = refusal(tmp_path, "co2,\x1b[31mx\na\x1b[2J,1\n")
    assert "\x1b" not in said


def test_a_header_of_many_columns_is_shown_up_to_a_bound(tmp_path: Path) -> None:
    said = refusal(tmp_path, ",".join(f"c{number}" for number in range(9000)) + "\n")
    assert len(said) < 500
    header = ",".join(f"c{number}" for number in range(9000))
    said = refusal(tmp_path, f"{header}\n{header}\n")
    assert len(said) < 1000
    assert "and 8988 more" in said


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, ",".join(map(str, range(1_000_000))) + "\n")
    assert "line 1" in said
    assert "longer than" in said


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(RecordingError, match="is no file"):
            recording.read(path, PROPERTIES, recording.Wanted())
    with pytest.raises(RecordingError, match="cannot be read"):
        recording.read(tmp_path / "none.csv", PROPERTIES, recording.Wanted())


MEMORY = r"""
import re, resource, sys
from pathlib import Path
from foreshore_agent.play import recording
from foreshore_api.v1alpha1 import deviceprofile
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
try:
    rows = recording.read(
        Path(sys.argv[1]), [deviceprofile.Property(name="co2")], recording.Wanted()
    )
    print(rows.rows)
except recording.RecordingError as error:
    print(str(error)[:300])
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
print(int(peak[1]) >> 10)
"""


def bounded(path: Path) -> tuple[str, int]:
    """What reading says, and the megabytes it took."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    said, megabytes = run.stdout.rsplit("\n", 2)[:2]
    return said, int(megabytes)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["a line of a gigabyte", "many rows", "an open quote"])
def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"co2,state\n")
        if kind == "a line of a gigabyte":
            file.truncate(1 << 30)  # a sparse file: it takes no room
        elif kind == "many rows":
            block = b"1," + b"x" * 1000 + b"\n"
            for _ in range(100):
                file.write(block * 1000)
        else:
            file.write(b'1,"' + b"text\n" * 2_000_000)
    said, megabytes = bounded(path)
    assert megabytes < 150
    assert said == "100000" if kind == "many rows" else "line 2" in said


def test_the_first_rows_are_shown_as_understood(tmp_path: Path) -> None:
    text = "time;co2;temperature;people;label\n31.12.2024 13:05;600,25;;many;1\n"
    rows = read(tmp_path, text + "31.12.2024 13:06;1;2;3;0\n" * 9, truth_column="label",
                needs_time=True)  # fmt: skip
    assert list(echo.lines(rows, UTC)) == [
        "recording.csv: 10 rows, `;` between the columns, times: day/month/year; the first as"
        " understood:",
        "  time                       co2 [ppm]  temperature [Cel]  people             truth",
        "  2024-12-31 13:05:00+00:00  600.25     –                  'many': WrongType  1",
        "  2024-12-31 13:06:00+00:00  1          2                  3                  0",
        "  2024-12-31 13:06:00+00:00  1          2                  3                  0",
    ]


# Rows that are written in a supported form are read back.

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).filter(
    lambda text: (
        text.strip() == text != "null"
        and "\r" not in text
        and (marks.text(text), marks.refusal(text)) == (text, None)
    )  # else a capture says so with a mark
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "co2": FINITE,
            "temperature": st.floats(-50, 80).map(lambda number: round(number, 2)),
            "people": st.integers(-(2**63), 2**63 - 1),
            "open": st.booleans(),
            "state": TEXTS,
        }
    ),
    min_size=1,
    max_size=8,
)


def written(rows: list[dict[str, object]], separator: str, start: datetime) -> str:
    """The rows as a program with this separator writes them, a minute between two."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerow(["time", *rows[0]])
    for number, row in enumerate(rows):
        cells: Iterator[str] = (
            str(value).replace(".", ",") if isinstance(value, float) and separator != "," else
            str(value)
            for value in (row[name] for name in rows[0])
        )  # fmt: skip
        writer.writerow([(start + timedelta(minutes=number)).isoformat(), *cells])
    return file.getvalue()


@given(ROWS, st.sampled_from(",;\t"), st.sampled_from(["", "\ufeff", "sep"]))
def test_rows_are_read_back_with_the_same_values_and_moments(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, object]],
    separator: str,
    beginning: str,
) -> None:
    start = datetime(2025, 3, 1, tzinfo=UTC)
    first = f"sep={separator}\n" if beginning == "sep" else beginning
    text = first + written(rows, separator, start)
    found = list(read(tmp_path_factory.getbasetemp(), text, needs_time=True))
    assert [dict(row.values) for row in found] == rows
    assert [row.time for row in found] == [
        start + timedelta(minutes=number) for number in range(len(rows))
    ]


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@example(b"\xef")
@example(b"\xef\xbb")
def test_any_bytes_are_a_recording_or_refused(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    try:
        rows = read(tmp_path_factory.getbasetemp(), body, mapped={"a": "co2"})
    except RecordingError:
        return
    assert len(list(rows)) == rows.rows
