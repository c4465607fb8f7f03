"""How much of a window was listened to: held to a reference that counts second by second."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foreshore_decision import features

WINDOW = 12
SECONDS = st.lists(st.sampled_from(["value", "gap", "nothing"]), max_size=3 * WINDOW)
"""What happens at the beginning of each second."""


def window_after(happened: Sequence[str]) -> features.Window:
    window = features.Window(float(WINDOW))
    for second, what in enumerate(happened):
        if what == "value":
            window = features.add(window, float(second), 1.0)
        elif what == "gap":
            window = features.interrupt(window, float(second))
    return window


def listened(happened: Sequence[str]) -> int:
    """Seconds of the window's last ones, as of the end, that were listened to."""
    is_listening, seconds = False, []
    for what in happened:
        is_listening = what == "value" or (what == "nothing" and is_listening)
        seconds.append(is_listening)
    return sum(seconds[-WINDOW:])


@given(SECONDS)
def test_coverage_is_what_counting_second_by_second_gives(happened: list[str]) -> None:
    window = window_after(happened)
    measured = features.coverage(window, float(len(happened)))
    assert measured == pytest.approx(listened(happened) / WINDOW)


@given(SECONDS, st.integers(0, WINDOW))
@example(["value", "value", *["gap"] * 5], 7)  # seven twelfths of twelve are a little more
def test_it_is_covered_as_soon_as_it_says_and_no_second_sooner(
    happened: list[str], wanted: int
) -> None:
    """Wanted in whole seconds: the reference does not look between."""
    wait = features.uncovered(window_after(happened), wanted / WINDOW, float(len(happened)))
    later = next(
        seconds
        for seconds in range(WINDOW + 1)
        if listened([*happened, *["value"] * seconds]) >= wanted
    )
    assert wait == pytest.approx(later)


@given(SECONDS, st.floats(0, 1))
def test_after_the_wait_the_share_is_covered(happened: list[str], share: float) -> None:
    now = float(len(happened))
    window = window_after(happened)
    wait = features.uncovered(window, share, now)
    assert 0 <= wait <= WINDOW + 1e-6
    if wait and window.since is None:
        window = features.add(window, now, 1.0)
    assert features.coverage(window, now + wait) >= share - 1e-6


def test_a_device_that_speaks_less_than_once_a_window_is_listened_to_all_the_same() -> None:
    window = features.add(features.Window(300.0), 0.0, 1.0)
    assert features.coverage(window, 599.0) == 1.0
    assert features.coverage(features.add(window, 600.0, 2.0), 600.0) == 1.0


def test_a_gap_ends_with_a_value_and_not_with_one_from_before_it() -> None:
    window = features.interrupt(features.add(features.Window(60.0), 0.0, 1.0), 20.0)
    late = features.interrupt(features.add(window, 15.0, 2.0), 20.0)
    assert features.coverage(late, 30.0) == features.coverage(window, 30.0) == 20 / 60


def test_a_window_before_its_first_value_is_not_listened_to() -> None:
    window = features.interrupt(features.Window(60.0), 10.0)
    assert features.coverage(window, 1000.0) == 0.0
    assert features.uncovered(window, 0.5, 1000.0) == 30.0


def test_half_of_a_window_is_half_whatever_floats_make_of_it() -> None:
    window = features.add(features.Window(60.0), 1000.1, 1.0)
    assert math.isclose(features.coverage(window, 1030.1), 0.5)
    assert features.uncovered(window, 0.5, 1030.1) == 0.0


def test_a_connection_that_flaps_does_not_grow_the_window_and_never_flatters_it() -> None:
    window = features.Window(1000.0)
    for second in range(1000):
        window = features.add(window, float(second), 1.0)
        window = features.interrupt(window, second + 0.5)
    assert len(window.listened) == features.STRETCHES
    assert features.coverage(window, 1000.0) == features.STRETCHES * 0.5 / 1000


@pytest.mark.parametrize("tenths", range(1, 10))
def test_half_of_a_window_is_half_also_of_a_recording_at_ten_hertz(tenths: int) -> None:
    began = datetime(2026, 3, 1, 10, 0, 0, 100_000 * tenths, tzinfo=UTC)
    for steps in (1, 3, 7, 11):
        window = features.add(features.Window(0.2 * steps), began.timestamp(), 1.0)
        now = (began + steps * timedelta(milliseconds=100)).timestamp()
        assert features.uncovered(window, 0.5, now) == 0.0
