"""Times as loggers write them: recognised from the whole column, and never guessed."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.play import times
from foreshore_agent.play.layout import RecordingError

BRUSSELS = ZoneInfo("Europe/Brussels")
NOON = datetime(2024, 12, 31, 13, 5, tzinfo=UTC)


def read(*cells: str, zone: Any = UTC, option: str | None = None) -> list[datetime]:
    form = times.choose(cells) if option is None else times.named(option)
    reader = times.TimeReader(form, zone)
    return [reader.read(cell)[0] for cell in cells]


@pytest.mark.parametrize(
    "text",
    [
        "2024-12-31 13:05",
        "2024-12-31T13:05:00Z",
        "2024-12-31T14:05:00+01:00",
        "2024-12-31 14:05:00 +0100",
        "2024-12-31 13:05:00.000000000",
        "2024-12-31 13:05:00 UTC",
        "2024-12-31, 1:05 PM",
        "20241231T130500",
        "2024/12/31 13:05",
        "2024.12.31 13:05:00",
        "31.12.2024 13:05",
        "31.12.2024 13:05:00,000",
        "31/12/2024 13:05",
        "31-12-2024 13:05:00",
        "31/12/2024, 13:05:00",
        "12/31/2024 1:05 PM",
        "12/31/2024 01:05:00 p.m.",
        "12/31/2024 1:05\u202fpm",
        "12-31-2024 13:05",
        "1735650300",
        "1735650300.0",
        "1.7356503e9",
        "1735650300000",
        "1735650300000000",
        "1735650300000000000",
        "20241231130500",
    ],
)
def test_a_form_that_can_be_read_in_one_way_is_recognised(text: str) -> None:
    assert read(text) == [NOON]


def test_one_row_tells_for_the_whole_column() -> None:
    days = read("03/04/2024", "12/04/2024", "13/04/2024")
    assert [day.strftime("%m-%d") for day in days] == ["04-03", "04-12", "04-13"]
    days = read("03/04/2024", "04/13/2024")
    assert [day.strftime("%m-%d") for day in days] == ["03-04", "04-13"]


def test_what_may_be_two_days_in_every_row_is_refused_with_both() -> None:
    with pytest.raises(RecordingError) as refused:
        read("05/05/2024 10:00", "03/04/2024 10:00", "03/05/2024 10:00")
    said = str(refused.value)
    assert said.startswith("'03/04/2024 10:00' may be 2024-04-03 10:00 (day/month/year")
    assert "or 2024-03-04 10:00 (month/day/year" in said
    assert "--time-format day-first" in said
    assert "--time-format month-first" in said
    (first, *_) = read("03/04/2024 10:00", option="month-first")
    assert first == datetime(2024, 3, 4, 10, tzinfo=UTC)


def test_twelve_digits_may_be_milliseconds_of_1976() -> None:
    with pytest.raises(RecordingError, match=r"Unix milliseconds.*--time-format %Y%m%d%H%M"):
        read("202412311305")
    assert read("202412311305", option="%Y%m%d%H%M") == [NOON]


def test_a_day_that_is_the_same_in_both_readings_is_no_doubt() -> None:
    assert read("05/05/2024") == [datetime(2024, 5, 5, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["1", "45657.545138889", "45657,545138889", "-5", "12345678901"])
def test_a_number_that_counts_nobody_knows_what_is_refused(text: str) -> None:
    """Regression: row numbers were taken for seconds of January 1970."""
    with pytest.raises(RecordingError, match=r"no time by itself.*unix-ms.*excel"):
        read(text)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("unix", "1735650300"),
        ("unix-ms", "1735650300000"),
        ("unix-us", "1735650300000000"),
        ("unix-ns", "1735650300000000000"),
        ("excel", "45657.545138889"),
        ("excel", "45657,545138889"),
        ("%d.%m.%y %H:%M", "31.12.24 13:05"),
        ("%d-%b-%Y %I:%M %p", "31-Dec-2024 01:05 PM"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-12-31T14:05:00+0100"),
    ],
)
def test_a_form_that_is_named_is_read(option: str, text: str) -> None:
    assert read(text, option=option) == [NOON]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("unix-msec", "did you mean unix-ms?"),
        ("%H:%M", "does not say year, month and day"),
        ("%Q", "is no pattern"),
        ("%Y-%m-%d" + " " * 120 + "%H", "is longer than 128 characters"),
        ("", "it takes iso, day-first"),
    ],
)
def test_a_format_that_is_none_is_refused(option: str, words: str) -> None:
    with pytest.raises(RecordingError) as refused:
        times.named(option)
    assert words in str(refused.value)


def test_a_column_in_two_forms_names_the_row_that_is_in_the_other() -> None:
    with pytest.raises(RecordingError, match=r"form of the column \(ISO 8601\) but Unix seconds"):
        read("2024-12-31 13:05", "1735650300")


def test_seconds_and_milliseconds_are_not_one_column() -> None:
    with pytest.raises(RecordingError, match=r"\(Unix seconds\) but Unix milliseconds"):
        read("1735650300", "1735650300000")


# Summer time.


def test_the_repeated_hour_is_read_in_the_order_of_the_file() -> None:
    local = ["01:30", "02:00", "02:30", "02:59", "02:00", "02:30", "02:59", "03:00"]
    moments = read(*(f"2024-10-27 {clock}" for clock in local), zone=BRUSSELS)
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] == timedelta(hours=2.5)


def test_an_hour_between_rows_tells_the_two_passes_apart() -> None:
    local = ["00:00", "01:00", "02:00", "02:00", "03:00"]
    moments = read(*(f"2024-10-27 {clock}" for clock in local), zone=BRUSSELS)
    assert {after - before for before, after in itertools.pairwise(moments)} == {timedelta(hours=1)}


def test_a_jitter_is_no_second_pass() -> None:
    local = ["02:30:05", "02:30:04", "02:30:04"]
    moments = read(*(f"2024-10-27 {clock}" for clock in local), zone=BRUSSELS)
    assert max(moments) - min(moments) == timedelta(seconds=1)


def test_an_hour_that_the_clock_leaves_out_is_refused_with_the_loggers_likely_zone() -> None:
    with pytest.raises(RecordingError, match=r"does not exist in Europe/Brussels.*\+01:00"):
        read("2024-03-31 02:30", zone=BRUSSELS)
    (moment,) = read("2024-03-31 02:30", zone=times.zone("+01:00"))
    assert moment == datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["UTC", "Z", "+00:00", "Etc/UTC"])
def test_a_zone_by_name_or_offset(name: str) -> None:
    assert read("2024-12-31 13:05", zone=times.zone(name)) == [NOON]


@pytest.mark.parametrize("name", ["Europe/Brussel", "../../etc/passwd", "", "+25", "\0"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RecordingError, match="--time-zone: no zone"):
        times.zone(name)


@pytest.mark.parametrize(
    "text", ["9" * 60, "9" * 70, "1" + "0" * 40 + "e99", "1e99", "１７３５６５０３００"]
)
def test_a_hostile_time_is_refused_at_once(text: str) -> None:
    with pytest.raises(RecordingError, match="no time"):
        read(text)
    for option in times.NAMED:
        with pytest.raises(RecordingError, match="no time"):
            read(text, option=option)


# Whatever is written in a form is read back as the same moment.

MOMENTS = st.datetimes(datetime(1974, 1, 1), datetime(2286, 1, 1))  # noqa: DTZ001
MINUTES = MOMENTS.map(lambda moment: moment.replace(second=0, microsecond=0))
SECONDS = MOMENTS.map(lambda moment: moment.replace(microsecond=0))


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.integers(-14 * 60, 14 * 60))
def test_iso_times_are_read_back(moments: list[datetime], minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    zone = times.zone(f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}")
    expected = [moment.replace(tzinfo=zone).astimezone(UTC) for moment in moments]
    for separator in " T":
        assert read(*(each.isoformat(separator) for each in moments), zone=zone) == expected
    assert read(*(each.isoformat() for each in expected)) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y/%m/%d %H:%M:%S",
        "%Y%m%d%H%M%S", "%d-%m-%Y, %I:%M:%S %p",
    ],
)  # fmt: skip
@given(moments=st.lists(SECONDS, min_size=1, max_size=20))
def test_times_by_a_pattern_are_read_back_or_refused_as_ambiguous(
    pattern: str, moments: list[datetime]
) -> None:
    written = [moment.strftime(pattern) for moment in moments]
    expected = [moment.replace(tzinfo=UTC) for moment in moments]
    assert read(*written, option=pattern) == expected
    if (
        pattern.startswith("%Y")
        or "." in pattern
        or any(moment.day > 12 for moment in moments)
        or all(moment.day == moment.month for moment in moments)
    ):
        assert read(*written) == expected
    else:
        with pytest.raises(RecordingError, match="may be"):
            read(*written)


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from([0, 3, 6, 9]))
def test_unix_times_are_read_back_in_every_unit(moments: list[datetime], digits: int) -> None:
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001
    microseconds = [(moment - epoch) // timedelta(microseconds=1) for moment in moments]
    expected = [moment.replace(tzinfo=UTC) for moment in moments]
    if digits == 0:
        written = [f"{each // 10**6}.{each % 10**6:06}" for each in microseconds]
    elif digits == 3:
        written = [f"{each // 10**3}.{each % 10**3:03}" for each in microseconds]
    else:
        written = [str(each * 10 ** (digits - 6)) for each in microseconds]
    assert read(*written) == expected


@given(
    st.datetimes(datetime(2024, 10, 26, 12), datetime(2024, 10, 26, 22)),  # noqa: DTZ001 - in UTC
    st.integers(61, 3600),
    st.integers(2, 200),
)
def test_local_times_in_order_are_read_back_over_the_repeated_hour(
    start: datetime, seconds: int, count: int
) -> None:
    """From a beginning before the hour, at any even step from a minute to an hour."""
    first = start.replace(tzinfo=UTC, microsecond=0)
    moments = [first + number * timedelta(seconds=seconds) for number in range(count)]
    local = [moment.astimezone(BRUSSELS).replace(tzinfo=None) for moment in moments]
    assert read(*(each.isoformat(" ") for each in local), zone=BRUSSELS) == moments


@given(st.text(max_size=80))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        (moment,) = read(text)
    except RecordingError:
        return
    assert moment.utcoffset() == timedelta(0)
