"""Device times: every common form, and those that are no moment."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.devices.codecs import moments
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.v1alpha1.telemetry import TimeFormat

BRUSSELS = ZoneInfo("Europe/Brussels")
NOON = datetime(2026, 3, 1, 14, 20, 38, tzinfo=UTC)


def unread(stamp: object, form: TimeFormat | None = None, *, is_local: bool = True) -> str:
    with pytest.raises(PayloadError) as caught:
        moments.moment(stamp, form, BRUSSELS if is_local else None)
    return caught.value.reason


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-03-01T14:20:38Z",
        "2026-03-01t14:20:38z",
        "2026-03-01 14:20:38+00:00",
        "2026-03-01T15:20:38+0100",
        "2026-03-01T14:20:38.000Z",
        "20260301T142038Z",
        1772374838,
        1772374838.0,
        1772374838000,
        1772374838000000,
        1772374838000000000,
        "1772374838",
        "1772374838000",
        "2026-03-01T15:20:38",  # in Brussels
        "2026-03-01 15:20:38",
    ],
)
def test_a_time_is_recognised(stamp: object) -> None:
    assert moments.moment(stamp, None, BRUSSELS) == NOON


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("2026-03-01T14:20:38Z", TimeFormat.RFC3339),
        (1772374838, TimeFormat.UNIX),
        ("1772374838", TimeFormat.UNIX),
        (1772374838000, TimeFormat.UNIX_MILLISECONDS),
        ("1772374838000", TimeFormat.UNIX_MILLISECONDS),
        ("2026-03-01T15:20:38", TimeFormat.LOCAL),
    ],
)
def test_a_declared_form_is_read(stamp: object, form: TimeFormat) -> None:
    assert moments.moment(stamp, form, BRUSSELS) == NOON


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("2026-03-01T14:20:38", TimeFormat.RFC3339),
        ("2026-03-01T14:20:38Z", TimeFormat.LOCAL),
        (1772374838, TimeFormat.LOCAL),
        (1772374838, TimeFormat.RFC3339),
        ("2026-03-01T14:20:38Z", TimeFormat.UNIX),
    ],
)
def test_what_has_not_the_declared_form_is_no_time(stamp: object, form: TimeFormat) -> None:
    assert unread(stamp, form) == "InvalidTimestamp"


@pytest.mark.parametrize(
    "stamp",
    [
        "yesterday", "", "2026-03-01", "2026-W09-7", "14:20:38", -1, 1e300, float("nan"),
        float("inf"), True, [], {}, "9" * 39, "x" * 50, "9999-12-31T23:59:59-12:00", 10**400,
    ],
    ids=lambda stamp: str(stamp)[:20],
)  # fmt: skip
def test_what_is_no_moment_is_unread(stamp: object) -> None:
    assert unread(stamp) == "InvalidTimestamp"


def test_a_time_without_a_zone_is_no_moment_where_none_is_known() -> None:
    assert unread("2026-03-01T14:20:38", is_local=False) == "InvalidTimestamp"


@pytest.mark.parametrize("stamp", ["2026-10-25T02:30:00", "2026-03-29T02:30:00"])
def test_an_hour_that_comes_twice_or_never_is_no_moment(stamp: str) -> None:
    assert unread(stamp) == "InvalidTimestamp"


def test_a_zone_that_nobody_knows_is_none() -> None:
    assert moments.zone("Europe/Brussels") is not None
    assert moments.zone("Atlantis/Capital") is None
    assert moments.zone(None) is None


@given(
    st.one_of(st.text(max_size=50), st.integers(), st.floats(), st.booleans(), st.none()),
    st.sampled_from([None, *TimeFormat]),
)
def test_nothing_but_a_moment_or_a_refusal_comes_out(stamp: object, form: TimeFormat) -> None:
    with contextlib.suppress(PayloadError):
        assert moments.moment(stamp, form, BRUSSELS).tzinfo is UTC


@given(st.integers(10**9, 4 * 10**9))
def test_a_moment_is_the_same_in_every_form(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    for stamp in (seconds, seconds * 1000, seconds * 1_000_000, moment.isoformat(), str(seconds)):
        assert moments.moment(stamp) == moment
