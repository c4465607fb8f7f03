"""What calls take beside others, and how their own queue grows with it."""

import dataclasses
import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api.wire import histogram
from foreshore_planner import contention, distributions

SOMETIMES = ((1.0, 0.7), (3.0, 0.3))
AVERAGE = 1.6

counts = st.dictionaries(st.integers(20, 80), st.integers(1, 1000), min_size=1, max_size=8)


def answered(rate: float, load: float) -> histogram.Histogram:
    """Responses of M/M/1: exponential, as densely as ten thousand calls show them."""
    mean = 1.0 / (rate / load - rate)
    reached = (numpy.arange(10_000) + 0.5) / 10_000
    taken = histogram.Histogram.of((-mean * numpy.log(1.0 - reached)).tolist())
    return dataclasses.replace(taken, waited_seconds=load * taken.total_seconds)


def slowed(measured: histogram.Histogram, beside: contention.Contention, q: float) -> float:
    return distributions.quantiles(
        histogram.durations(measured), beside, (q,), contention.waits(measured, beside)
    )[0]


@pytest.mark.parametrize("load", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("factor", [1.2, 1.6])
def test_a_slower_single_server_answers_as_late_as_the_formula_says_or_somewhat_later(
    load: float, factor: float
) -> None:
    rate = 10.0
    measured = answered(rate, load)
    in_system = load / (1.0 - load)
    beside = contention.Contention(((factor, 1.0),), calls=in_system)
    wanted = math.log(100.0) / (rate / load / factor - rate)
    assert wanted <= slowed(measured, beside, 0.99) <= 1.5 * wanted
    without = dataclasses.replace(measured, waited_seconds=None)
    assert slowed(without, beside, 0.99) < slowed(measured, beside, 0.99)


@settings(max_examples=200)
@given(counts, st.floats(0.01, 0.95))
def test_waits_have_the_sum_that_was_measured(counted: dict[int, int], share: float) -> None:
    seconds = {histogram.middle(index): times for index, times in counted.items()}
    total = math.fsum(of * times for of, times in seconds.items())
    measured = histogram.Histogram(
        buckets=counted, total_seconds=total, waited_seconds=share * total
    )
    beside = contention.Contention(SOMETIMES, calls=0.2)
    wait = contention.waits(measured, beside)
    served = math.fsum(
        times * -math.expm1(-wait.rate * of) / wait.rate for of, times in seconds.items()
    )
    assert served == pytest.approx((1.0 - share) * total, rel=1e-3)


def test_a_long_call_meets_the_average_and_a_short_one_what_it_comes_to() -> None:
    beside = contention.Contention(SOMETIMES, persistence=0.01)
    assert distributions.quantiles({1e-5: 1}, beside, (0.99,))[0] == pytest.approx(3e-5, rel=0.01)
    assert distributions.quantiles({10.0: 1}, beside, (0.99,))[0] == pytest.approx(16.0, rel=0.1)
    unknown = contention.Contention(SOMETIMES)
    assert distributions.quantiles({10.0: 1}, unknown, (0.99,)) == pytest.approx((30.0,))


@settings(max_examples=200)
@given(counts, st.floats(1e-4, 10.0), st.floats(0.0, 5.0), st.floats(0.0, 1.0))
def test_company_makes_no_call_faster(
    counted: dict[int, int], persistence: float, calls: float, share: float
) -> None:
    seconds = math.fsum(histogram.middle(index) * times for index, times in counted.items())
    measured = histogram.Histogram(
        buckets=counted, total_seconds=seconds, waited_seconds=share * seconds
    )
    beside = contention.Contention(SOMETIMES, persistence, calls)
    alone = histogram.quantile(measured, 0.99)
    assert alone is not None
    assert slowed(measured, beside, 0.99) >= alone - 1e-12


def test_what_lasted_longer_than_is_counted_stays_so() -> None:
    beside = contention.Contention(SOMETIMES, 0.01, 0.5)
    measured = dataclasses.replace(
        histogram.Histogram.of([0.01] * 9 + [1000.0]), waited_seconds=500.0
    )
    assert slowed(measured, beside, 0.99) == math.inf
    assert slowed(measured, beside, 0.5) < 0.1
    beyond = dataclasses.replace(histogram.Histogram.of([1000.0]), waited_seconds=1.0)
    assert contention.waits(beyond, beside) == contention.NO_WAIT


def test_merging_adds_waits_and_keeps_what_nobody_measured_unknown() -> None:
    unknown = histogram.Histogram.of([0.01])
    waited = dataclasses.replace(unknown, waited_seconds=0.004)
    assert histogram.merge([unknown, unknown]).waited_seconds is None
    assert histogram.merge([unknown, waited, waited]).waited_seconds == pytest.approx(0.008)
