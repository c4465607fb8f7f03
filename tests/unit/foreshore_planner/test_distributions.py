"""Sums of independent durations, and durations that share a processor."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api.wire import histogram
from foreshore_planner import contention, distributions, latency

LIMIT = 0.2

measured = st.lists(st.floats(1e-5, 0.3), min_size=1, max_size=6).map(histogram.Histogram.of)
parts = st.lists(measured, min_size=1, max_size=4)


def floor(seconds: float) -> float:
    """The lower bound of the bucket with this upper bound."""
    return seconds / 10 ** (1 / histogram.PER_DECADE) if seconds > histogram.LOWEST else 0.0


def exact(summed: list[histogram.Histogram], *, lowest: bool) -> float:
    """The p99 of all combinations, of the bounds of buckets."""
    spreads = [histogram.durations(part) for part in summed]
    combined = sorted(
        (
            math.fsum(floor(seconds) if lowest else seconds for seconds, _ in chosen),
            math.prod(times for _, times in chosen),
        )
        for chosen in itertools.product(*(spread.items() for spread in spreads))
    )
    whole = sum(times for _, times in combined)
    reached = itertools.accumulate(times for _, times in combined)
    return next(
        seconds
        for (seconds, _), times in zip(combined, reached, strict=True)
        if times >= latency.TARGET * whole - 1e-9
    )


@settings(max_examples=200)
@given(parts)
def test_a_sum_lies_between_those_of_the_lower_and_of_the_upper_bounds(
    summed: list[histogram.Histogram],
) -> None:
    spreads = [distributions.of(part) for part in summed]
    answer = distributions.convolved(spreads, LIMIT, latency.TARGET)
    rounding = len(summed) * LIMIT / distributions.CELLS
    if answer is None:
        assert exact(summed, lowest=False) > LIMIT - rounding
    else:
        lowest, highest = exact(summed, lowest=True), exact(summed, lowest=False)
        assert lowest - 1e-9 <= answer <= highest + rounding + 1e-9


@settings(max_examples=200)
@given(measured, st.floats(0.01, 1.0))
def test_the_quantile_of_what_nobody_stretches_is_that_of_its_histogram(
    counted: histogram.Histogram, q: float
) -> None:
    (alone,) = distributions.quantiles(histogram.durations(counted), contention.NONE, (q,))
    assert alone == histogram.quantile(counted, q)


def test_what_lasted_longer_than_is_counted_has_no_quantile() -> None:
    counted = histogram.Histogram.of([0.01] * 98 + [1000.0] * 2)
    assert distributions.of(counted).estimate(0.99) == math.inf
    assert distributions.of(histogram.Histogram.of([1000.0])).estimate(0.5) == math.inf
    assert distributions.convolved([distributions.of(counted)], 50.0, 0.99) is None


def test_a_call_that_is_sometimes_stretched_has_the_tail_of_the_stretched_ones() -> None:
    sometimes = contention.Contention(((1.0, 0.9), (2.0, 0.1)))
    assert distributions.quantiles({0.01: 1}, sometimes, (0.5,)) == pytest.approx((0.01,))
    both = distributions.quantiles({0.01: 7, 0.001: 3}, sometimes, (0.5, 0.99))
    assert both == pytest.approx((0.01, 0.02))
    whole = distributions.convolved([distributions.constant(0.01, sometimes)] * 2, 0.1, 0.97)
    assert whole == pytest.approx(0.03, rel=0.02), "both at once is rarer than that"
