import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent import windows
from foreshore_api.wire import histogram


@given(st.lists(st.floats(0, 10), max_size=50))
def test_a_window_holds_what_a_histogram_of_the_same_durations_holds(
    durations: list[float],
) -> None:
    series = windows.Series()
    for each in durations:
        series.observe(each, at=1000.0)
    found = series.window(1000.0)
    assert found.buckets == histogram.Histogram.of(durations).buckets
    assert found.total_seconds == pytest.approx(sum(durations))


def test_a_window_forgets_and_totals_do_not() -> None:
    series = windows.Series()
    series.observe(0.001, at=0.0)
    series.observe(0.002, at=320.0)
    assert series.window(320.0).count == 1
    assert sum(series.counts) == 2
    assert series.newest == 320.0


def test_a_long_silence_empties_a_window_that_nobody_wrote_to() -> None:
    series = windows.Series()
    series.observe(0.001, at=0.0)
    assert series.window(10_000.0).count == 0


def test_a_clock_that_steps_back_makes_no_negative_latency() -> None:
    series = windows.Series()
    series.observe(-1.0, at=0.0)
    assert series.total_seconds == 0.0


def test_counts_forget_too() -> None:
    counts = windows.Counts(60.0)
    counts.add(0.0)
    counts.add(30.0)
    assert counts.window(31.0) == 2
    assert counts.window(75.0) == 1
    assert counts.window(1000.0) == 0


def test_a_window_adds_what_was_waited_and_leaves_out_what_nobody_measured() -> None:
    series = windows.Series()
    series.observe(0.004, at=0.0)
    assert series.window(0.0).waited_seconds is None
    series.observe(0.004, at=0.0, queued=0.001)
    series.observe(0.004, at=30.0, queued=9.0)
    series.observe(0.004, at=30.0, queued=-1.0)
    assert series.window(30.0).waited_seconds == pytest.approx(0.005)
    assert series.window(320.0).waited_seconds == pytest.approx(0.004)
