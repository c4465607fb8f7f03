"""Recordings as people have them: separators, quotes, cases, bad cells."""

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from builders import recordings
from foreshore_agent.play import recording, times
from foreshore_api.v1alpha1 import deviceprofile

Property = deviceprofile.Property
PROPERTIES = (
    Property(name="co2"),
    Property(name="light"),
    Property(name="people", type=deviceprofile.DataType.INTEGER),
    Property(name="windowOpen", type=deviceprofile.DataType.BOOLEAN),
)


def read(
    tmp_path: Path, text: str, **wanted: Any
) -> tuple[recording.Recording, list[recording.RecordedRow]]:
    found = recordings.read(PROPERTIES, tmp_path, text, **wanted)
    return found, list(found)


refusal = functools.partial(recordings.refusal, PROPERTIES)


def test_quoted_headers_in_any_case_find_their_property_by_name(tmp_path: Path) -> None:
    found, rows = read(tmp_path, '"Date","CO2","Light","Other"\n"2015-02-02",749.2,585,x\n')
    assert found.rows == 1
    assert rows == [recording.RecordedRow(1, {"co2": 749.2, "light": 585.0})]


def test_semicolons_with_decimal_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "\ufeffco2;light\n749,2;1.5\n\n1;2\n")
    assert [row.values for row in rows] == [
        {"co2": 749.2, "light": 1.5},
        {"co2": 1.0, "light": 2.0},
    ]


def test_a_mapped_column_wins_over_one_of_the_same_name(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "co2,raw\n1,2\n", mapped={"RAW": "CO2"})
    assert rows[0].values == {"co2": 2.0}


def test_cells_that_are_no_values_are_refused_or_say_nothing(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "co2,light,people,windowopen\nnan,,1.5,maybe\n1e999,2,2.0,YES\n7,,,\n")
    assert rows[0].values == {}
    assert rows[0].silent == ("co2", "light")
    assert rows[0].refused == {"people": ("1.5", "WrongType"), "windowOpen": ("maybe", "WrongType")}
    assert rows[0].message == {"people": "1.5", "windowOpen": "maybe", "co2": None, "light": None}
    assert rows[1].values == {"light": 2.0, "people": 2, "windowOpen": True}
    assert rows[1].refused == {"co2": ("1e999", "NonFinite")}
    assert rows[2].values == {"co2": 7.0}


def test_times_without_a_zone_are_the_sites(tmp_path: Path) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("Date,co2,Occupancy\n2015-02-02 14:19:00,1,1\n2015-02-02T13:19:00Z,1,0\n")
    wanted = recording.Wanted(needs_time=True, truth_column="occupancy")
    rows = list(recording.read(path, PROPERTIES, wanted, ZoneInfo("Europe/Brussels")))
    assert [row.time for row in rows] == [datetime(2015, 2, 2, 13, 19, tzinfo=UTC)] * 2
    assert [row.truth for row in rows] == ["1", "0"]


def test_a_time_that_is_none_is_an_error_and_not_a_guess(tmp_path: Path) -> None:
    with pytest.raises(recording.RecordingError, match="'soon' is no time"):
        read(tmp_path, "time,co2\nsoon,1\n", needs_time=True)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "1_000",
        "2015-W05",
        "2015-w05-1",
    ],
)
def test_a_time_that_is_beyond_the_calendar_or_a_slip_is_refused_with_its_place(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(recording.RecordingError) as refused:
        read(tmp_path, f"time,co2\n{text},1\n", needs_time=True)
    assert f"row 1 (line 2), column time: {text!r} is no time" in str(refused.value)


def test_a_time_of_the_sites_zone_that_is_beyond_the_calendar_is_refused() -> None:
    reader = times.TimeReader(times.named("iso"), ZoneInfo("Europe/Brussels"))
    with pytest.raises(recording.RecordingError, match="is no time"):
        reader.read("0001-01-01 00:00:00")


def test_a_number_with_an_underscore_is_refused(tmp_path: Path) -> None:
    _, [first, _] = read(tmp_path, "co2\n1_000\n2\n")
    assert first.refused == {"co2": ("1_000", "WrongType")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e30", "OutOfRange"),
        ("18446744073709551616", "OutOfRange"),
        ("1" * 5000, "TooLong"),
        ("2.5", "WrongType"),
        ("inf", "NonFinite"),
    ],
    ids=["1e30", "2^64", "5000 digits", "2.5", "inf"],
)
def test_a_whole_number_that_no_device_could_send_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    _, [first, _] = read(tmp_path, f"people\n{text}\n2\n")
    assert first.refused == {"people": (text, reason)}


def test_a_long_whole_number_is_read_to_its_last_digit(tmp_path: Path) -> None:
    _, [first] = read(tmp_path, "people\n9007199254740993\n")
    assert first.values == {"people": 9007199254740993}


@pytest.mark.parametrize("text", ["1701011200000", "1612121300000", "1701010112233"])
def test_milliseconds_that_look_like_a_date_are_milliseconds(tmp_path: Path, text: str) -> None:
    _, [first] = read(tmp_path, f"time,co2\n{text},1\n", needs_time=True)
    assert first.time == datetime.fromtimestamp(int(text) / 1000, UTC)


def test_a_date_without_dashes_is_a_time(tmp_path: Path) -> None:
    _, [first] = read(tmp_path, "time,co2\n20150202,1\n", needs_time=True)
    assert first.time == datetime(2015, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("pair", ["co2", "=co2", "Column="])
def test_a_map_that_maps_nothing_is_refused(pair: str) -> None:
    with pytest.raises(recording.RecordingError, match="COLUMN=PROPERTY"):
        recording.mapping([pair])


def test_a_column_with_an_equals_sign_can_be_mapped() -> None:
    assert recording.mapping(["a=b=co2"]) == {"a=b": "co2"}


TIMED = {"needs_time": True}


def minutes(*lines: str) -> str:
    return "Date,co2\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        pytest.param(
            minutes("2015-02-02 14:19:00,1", "soon,2", "2015-02-02 14:21:00,3"),
            TIMED,
            ("row 2 (line 3), column Date: 'soon' is no time", "2015-02-02 14:19:00"),
            id="a broken time",
        ),
        pytest.param(
            minutes("2015-02-02 14:19:00,1", "1422883140000,2"),
            TIMED,
            ("row 2 (line 3), column Date", "Unix milliseconds", "write all in one form"),
            id="milliseconds among times of ISO 8601",
        ),
        pytest.param(
            minutes("2015-02-02 14:19:00,1", "2099-02-02 14:20:00,2", "2015-02-02 14:21:00,3"),
            TIMED,
            ("row 2 (line 3), column Date: 2099-02-02", "84 years after row 1", "remove the row"),
            id="a row dated 2099 among others",
        ),
        pytest.param(
            minutes("2015-02-02 14:19:00,1", "2015-02-02 14:20:00,2", "2099-02-02 14:21:00,3"),
            TIMED,
            ("row 3 (line 4), column Date: 2099-02-02", "after row 2"),
            id="the last row dated 2099",
        ),
        pytest.param(
            minutes("1970-01-01 00:00:07,1", "2015-02-02 14:20:00,2"),
            TIMED,
            ("row 2 (line 3), column Date: 2015-02-02", "years after row 1"),
            id="a first row of a clock that was not set yet",
        ),
        pytest.param(
            minutes("2015-02-02 14:19:00,1", "2015-02-02 14:20:00,2", "2015-02-01 14:21:00,3"),
            TIMED,
            ("row 3 (line 4), column Date: 2015-02-01", "before row 2", "sort"),
            id="a row of the day before",
        ),
        pytest.param(
            "time,co2,light,CO2\n2024-01-01,1,2,3\n",
            {},
            ("columns 2 (co2) and 4 (CO2) have one name", "rename"),
            id="a header with one name twice",
        ),
        pytest.param(
            "a,b\n1,2\n",
            {"mapped": {"a": "co2", "b": "co2"}},
            ("columns a and b are both mapped to co2", "--map"),
            id="two columns for one property",
        ),
        pytest.param(
            "co2,light\n1,2\n3,4,5\n",
            {},
            ("row 2 (line 3) has 3 cells where the header has 2", "too many"),
            id="a row with a cell too many",
        ),
        pytest.param(
            "co2,light\n1,2\n\n3\n",
            {},
            ("row 2 (line 4) has 1 cell where the header has 2", "no cell for column light"),
            id="a row that is too short",
        ),
        pytest.param(
            '"co2","light"\n"1",7,8\n"2",9,10\n',
            {},
            ("every row has one cell more than the header", "row names", "first column"),
            id="row names without a name of their own",
        ),
        pytest.param("co2|light\n1|2\n", {}, ("separated by `|`",), id="bars between the columns"),
        pytest.param(
            "co2,light\n1,2\n".encode("utf-16"), {}, ("UTF-16", "save it as UTF-8"), id="UTF-16"
        ),
        pytest.param(
            "co2,light\n1,2\n".encode("utf-16-le"), {}, ("NUL", "UTF-8"), id="UTF-16 without a mark"
        ),
        pytest.param(
            "co2,light\n1,2\n3,4 °\n".encode("latin-1"),
            {},
            ("line 3", "0xb0", "not UTF-8", "iconv"),
            id="Latin 1",
        ),
        pytest.param("", {}, ("is empty", "has no rows"), id="an empty file"),
        pytest.param("co2\n", {}, ("has no rows",), id="a header alone"),
        pytest.param("a,b\n1,2\n", {}, ("--map COLUMN=PROPERTY",), id="no column of a property"),
        pytest.param(
            "a,b\n1,2\n",
            {"mapped": {"a": "nothing"}},
            ("no property 'nothing'",),
            id="a map to no property",
        ),
        pytest.param(
            "a,b\n1,2\n",
            {"mapped": {"c": "co2"}},
            ("no column 'c'; it has a, b",),
            id="a map of no column",
        ),
        pytest.param("a,co2\n1,2\n", TIMED, ("--time-column",), id="no time"),
        pytest.param(
            "a,co2\n1,2\n",
            {"time_column": "when"},
            ("no column 'when'",),
            id="no column of the time's name",
        ),
        pytest.param("co2\n" + "9" * 70000 + "\n", {}, ("longer than",), id="a long line"),
        pytest.param(
            "when,co2\n2015-02-02,1\n2015-02-03,2\n",
            {"mapped": {"when": "light"}},
            ("column when is mapped to light", "no cell of it is a Number", "row 1 (line 2)"),
            id="a column of times mapped to a number",
        ),
    ],
)
def test_a_recording_that_cannot_be_played_right_is_refused_with_place_and_remedy(
    tmp_path: Path, text: str | bytes, wanted: dict[str, object], words: tuple[str, ...]
) -> None:
    said = refusal(tmp_path, text, **wanted)
    for each in words:
        assert each in said


def test_every_row_that_is_wrong_is_said_up_to_a_bound(tmp_path: Path) -> None:
    said = refusal(tmp_path, minutes(*("soon,1" for _ in range(20))), **TIMED)
    assert "row 8 (line 9)" in said
    assert "row 9 (line 10)" not in said
    assert "and 12 more" in said


@pytest.mark.parametrize(
    "pairs", [("a=co2", "A=light"), ("a=co2", "a=light")], ids=["in another case", "again"]
)
def test_a_column_that_is_mapped_twice_is_refused(pairs: tuple[str, ...]) -> None:
    with pytest.raises(recording.RecordingError, match=r"column [aA] is mapped twice"):
        recording.mapping(pairs)


def test_an_hour_twice_at_the_end_of_summer_is_played_and_said(tmp_path: Path) -> None:
    text = minutes("2015-10-25 02:30:00,1", "2015-10-25 02:59:00,2", "2015-10-25 02:00:00,3")
    found, rows = read(tmp_path, text, needs_time=True)
    assert len(rows) == 3
    assert "1 row is dated before the row above it (first: row 3 (line 4)" in found.notes[0]


def test_a_column_whose_values_the_device_cannot_have_is_said(tmp_path: Path) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("CO2\n440\n441\n")
    temperature = Property(name="temperature", minimum="-20", maximum="60")
    wanted = recording.Wanted(mapped={"CO2": "temperature"})
    found = recording.read(path, [temperature], wanted)
    assert "no value of column CO2 lies within -20 … 60 of temperature" in found.notes[0]


def test_the_first_and_the_last_time_are_known(tmp_path: Path) -> None:
    found, _ = read(tmp_path, minutes("2015-02-02 14:19:00,1", "2015-02-02 14:25:00,2"), **TIMED)
    assert found.span == (
        datetime(2015, 2, 2, 14, 19, tzinfo=UTC),
        datetime(2015, 2, 2, 14, 25, tzinfo=UTC),
    )


def test_a_long_recording_is_read_with_word_of_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("co2\n" + "1\n" * 25_000)
    seen: list[int] = []
    recording.read(path, PROPERTIES, recording.Wanted(), progress=seen.append)
    assert seen == [10_000, 20_000]
