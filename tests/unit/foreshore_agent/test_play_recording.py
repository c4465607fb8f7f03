"""Recordings as people have them: separators, quotes, cases, bad cells."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from foreshore_agent.play import recording
from foreshore_api.v1alpha1 import deviceprofile

Property = deviceprofile.Property
PROPERTIES = (
    Property(name="co2"),
    Property(name="light"),
    Property(name="people", type=deviceprofile.DataType.INTEGER),
    Property(name="windowOpen", type=deviceprofile.DataType.BOOLEAN),
)


def read(
    tmp_path: Path, text: str, **wanted: object
) -> tuple[recording.Recording, list[recording.Row]]:
    path = tmp_path / "recording.csv"
    path.write_text(text, encoding="utf-8")
    found = recording.read(path, PROPERTIES, recording.Wanted(**wanted))  # type: ignore[arg-type]
    return found, list(found)


def test_quoted_headers_in_any_case_find_their_property_by_name(tmp_path: Path) -> None:
    found, rows = read(tmp_path, '"Date","CO2","Light","Other"\n"2015-02-02",749.2,585,x\n')
    assert found.rows == 1
    assert rows == [recording.Row(1, {"co2": 749.2, "light": 585.0})]


def test_semicolons_with_decimal_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "\ufeffco2;light\n749,2;1.5\n\n1;2\n")
    assert [row.values for row in rows] == [
        {"co2": 749.2, "light": 1.5},
        {"co2": 1.0, "light": 2.0},
    ]


def test_a_mapped_column_wins_over_one_of_the_same_name(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "co2,raw\n1,2\n", mapped={"RAW": "CO2"})
    assert rows[0].values == {"co2": 2.0}


def test_cells_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "co2,light,people,windowopen\nnan,,1.5,maybe\n1e999,2,2.0,YES\n7\n")
    assert rows[0].unread == ("co2", "light", "people", "windowOpen")
    assert rows[1].values == {"light": 2.0, "people": 2, "windowOpen": True}
    assert rows[1].unread == ("co2",)
    assert rows[2].values == {"co2": 7.0}


def test_times_without_a_zone_are_the_sites(tmp_path: Path) -> None:
    path = tmp_path / "recording.csv"
    path.write_text("Date,co2,Occupancy\n2015-02-02 14:19:00,1,1\n1422883140,1,0\n")
    wanted = recording.Wanted(needs_time=True, truth_column="occupancy")
    rows = list(recording.read(path, PROPERTIES, wanted, ZoneInfo("Europe/Brussels")))
    assert [row.time for row in rows] == [datetime(2015, 2, 2, 13, 19, tzinfo=UTC)] * 2
    assert [row.truth for row in rows] == ["1", "0"]


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("", {}, "has no rows"),
        ("co2\n", {}, "has no rows"),
        ("a,b\n1,2\n", {}, "--map COLUMN=PROPERTY"),
        ("a,b\n1,2\n", {"mapped": {"a": "nothing"}}, "no property 'nothing'"),
        ("a,b\n1,2\n", {"mapped": {"c": "co2"}}, "no column 'c'; it has a, b"),
        ("a,co2\n1,2\n", {"needs_time": True}, "--time-column"),
        ("a,co2\n1,2\n", {"time_column": "when"}, "no column 'when'"),
        ("co2\n" + "9" * 70000 + "\n", {}, "longer than"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_said_with_the_way_out(
    tmp_path: Path, text: str, wanted: dict[str, object], message: str
) -> None:
    with pytest.raises(recording.RecordingError, match=message):
        read(tmp_path, text, **wanted)


def test_a_time_that_is_none_is_an_error_and_not_a_guess(tmp_path: Path) -> None:
    with pytest.raises(recording.RecordingError, match="'soon' is no time"):
        read(tmp_path, "time,co2\nsoon,1\n", needs_time=True)


@pytest.mark.parametrize("pair", ["co2", "=co2", "Column="])
def test_a_map_that_maps_nothing_is_refused(pair: str) -> None:
    with pytest.raises(recording.RecordingError, match="COLUMN=PROPERTY"):
        recording.mapping([pair])


def test_a_column_with_an_equals_sign_can_be_mapped() -> None:
    assert recording.mapping(["a=b=co2"]) == {"a=b": "co2"}
