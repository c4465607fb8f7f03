"""Windows: exact while they hold few values, bounded whatever the rate."""

import functools
import math
import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_decision import features

VALUES = st.lists(
    st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False), min_size=2, max_size=60
)


def window_of(values: list[float], seconds: float = 600.0, period: float = 10.0) -> features.Window:
    window = features.Window(seconds)
    for index, value in enumerate(values):
        window = features.add(window, index * period, value)
    return window


@given(VALUES)
def test_few_values_give_what_the_standard_library_gives(values: list[float]) -> None:
    window = window_of(values)
    now = (len(values) - 1) * 10.0
    expected = {
        Aggregate.MEAN: statistics.fmean(values),
        Aggregate.MINIMUM: min(values),
        Aggregate.MAXIMUM: max(values),
        Aggregate.STANDARD_DEVIATION: statistics.stdev(values),
        Aggregate.SLOPE: statistics.linear_regression(
            [index * 10.0 for index in range(len(values))], values
        ).slope,
        Aggregate.COUNT: float(len(values)),
    }
    for aggregate, wanted in expected.items():
        measured = features.measure(window, aggregate, now)
        assert measured == pytest.approx(wanted, rel=1e-6, abs=1e-4), aggregate


def test_values_leave_at_the_old_end() -> None:
    window = window_of([100.0, 1.0, 1.0, 1.0], seconds=30.0, period=10.0)
    assert features.measure(window, Aggregate.MAXIMUM, 30.0) == 1.0
    assert features.measure(window, Aggregate.COUNT, 30.0) == 3.0


def test_values_leave_although_nothing_new_arrives() -> None:
    window = window_of([1.0, 2.0], seconds=30.0)
    assert features.measure(window, Aggregate.MEAN, 1000.0) is None
    assert features.measure(window, Aggregate.COUNT, 1000.0) == 0.0


def test_a_kilohertz_does_not_grow_the_window() -> None:
    window = features.Window(10.0)
    for index in range(30_000):
        window = features.add(window, index / 1000, float(index % 7))
    assert len(window.panes) <= features.PANES + 1
    count = features.measure(window, Aggregate.COUNT, 29.999)
    assert count is not None
    assert 10_000 <= count <= 10_000 * (1 + 1 / features.PANES) + 1


def test_an_older_value_is_refused() -> None:
    window = window_of([1.0, 2.0])
    assert features.add(window, 5.0, 99.0) == window


def test_the_earlier_window_is_untouched() -> None:
    before = window_of([1.0])
    features.add(before, 20.0, 2.0)
    assert before == window_of([1.0])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_never_enters(poison: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        features.add(features.Window(1.0), 0.0, poison)


def test_one_value_has_no_slope_and_no_deviation() -> None:
    window = window_of([1.0])
    assert features.measure(window, Aggregate.SLOPE, 0.0) is None
    assert features.measure(window, Aggregate.STANDARD_DEVIATION, 0.0) is None


def test_two_values_at_one_time_have_no_slope() -> None:
    window = features.add(features.add(features.Window(10.0), 1.0, 1.0), 1.0, 2.0)
    assert features.measure(window, Aggregate.SLOPE, 1.0) is None


def test_an_overflow_is_no_number() -> None:
    window = window_of([1e308, -1e308, 1e308])
    assert features.measure(window, Aggregate.STANDARD_DEVIATION, 20.0) is None


RECORDED = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
"""In a rehearsal engine seconds are Unix seconds: a tenth of a second is no float."""


def moments(hertz: int, values: int) -> list[float]:
    return [(RECORDED + timedelta(seconds=index / hertz)).timestamp() for index in range(values)]


@pytest.mark.parametrize("hertz", [3, 7, 10, 30])
@pytest.mark.parametrize("seconds", [1.0, 2.0, 6.0])
def test_a_value_as_old_as_the_window_is_out_of_it_whatever_floats_make_of_its_age(
    hertz: int, seconds: float
) -> None:
    window = features.Window(seconds)
    for at in moments(hertz, 300):
        window = features.add(window, at, at)
        held = features.count(window, at)
        assert features.measure(window, Aggregate.COUNT, at) == held
        if at - RECORDED.timestamp() > seconds and all(pane.size == 1 for pane in window.panes):
            assert held == round(seconds * hertz)


@pytest.mark.parametrize("hertz", [10, 32])
def test_sixty_four_evenly_spaced_values_are_kept_one_by_one(hertz: int) -> None:
    window = features.Window(features.PANES / hertz)
    for at in moments(hertz, 300):
        window = features.add(window, at, 1.0)
        assert {pane.size for pane in window.panes} == {1}
    assert len(window.panes) == features.PANES


def summed_up() -> st.SearchStrategy[features.Pane]:
    """Panes of one value and of several."""
    runs = st.lists(st.tuples(st.floats(0, 1e3), st.floats(-1e6, 1e6)), min_size=1, max_size=5)
    return runs.map(
        lambda run: functools.reduce(features.merge, (features.single(*pair) for pair in run))
    )


@given(st.lists(summed_up(), min_size=1, max_size=20))
def test_panes_read_together_are_the_panes_merged_one_after_another_to_the_last_bit(
    panes: list[features.Pane],
) -> None:
    whole = functools.reduce(features.merge, panes)
    moments = features._moments(panes)
    assert moments == tuple(getattr(whole, name) for name in moments._fields)
    assert features._mean(panes) == whole.value
