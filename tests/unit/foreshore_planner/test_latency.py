"""Predicted latencies: a bound that always holds, and the sum of independent stages."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import latency

BUDGET = 0.2

measured = st.lists(st.floats(1e-5, 0.3), min_size=1, max_size=6).map(histogram.Histogram.of)
parts = st.lists(st.none() | st.floats(1e-4, 0.1) | measured, min_size=1, max_size=4)


@settings(deadline=None, max_examples=200)
@given(parts)
def test_a_convolution_is_the_quantile_of_every_combination(
    found: list[histogram.Histogram | float | None],
) -> None:
    spreads = [
        {one: 1} if isinstance(one, float) else histogram.durations(one)
        for one in found
        if one is not None
    ]
    combined = sorted(
        (math.fsum(seconds for seconds, _ in each), math.prod(times for _, times in each))
        for each in itertools.product(*(spread.items() for spread in spreads))
    )
    whole = sum(times for _, times in combined)
    reached = itertools.accumulate(times for _, times in combined)
    exact = next(
        seconds
        for (seconds, _), times in zip(combined, reached, strict=True)
        if times >= latency.TARGET * whole - 1e-9
    )
    answer = latency.convolve(found, BUDGET)
    rounding = len(found) * BUDGET / latency.CELLS
    if answer is None:
        assert exact > BUDGET - rounding
    else:
        assert exact - 1e-9 <= answer <= exact + rounding + 1e-9


def evidence(*, slow: int) -> latency.Evidence:
    """Three stages, usually 20 ms each, `slow` times of a thousand 90 ms."""
    seen = histogram.Histogram.of([0.02] * (1000 - slow) + [0.09] * slow)
    lines = tuple(
        report.StageReport(
            namespace="hq", policy="ventilate", stage=stage, node=node, histogram=seen
        )
        for stage, node in (
            (histogram.Stage.DECIDE, None),
            (histogram.Stage.NETWORK, "edge-1"),
            (histogram.Stage.ACTUATE, None),
        )
    )
    return latency.gather("hq", "ventilate", [build.agent("edge-1", stages=lines)])


def test_rare_delays_that_never_meet_do_not_keep_a_replica_from_a_node_that_holds_the_budget() -> (
    None
):
    found = latency.predict(evidence(slow=5), "edge-1", 0.01, BUDGET)
    assert found.bound == pytest.approx(0.31, rel=0.2), "each stage's worst at once"
    assert found.total is not None
    assert found.total <= BUDGET


def test_delays_that_are_not_rare_miss_the_budget_either_way() -> None:
    found = latency.predict(evidence(slow=200), "edge-1", 0.01, BUDGET)
    assert found.convolved is None
    assert found.total == found.bound


def test_a_bound_that_holds_the_budget_is_what_is_shown() -> None:
    found = latency.predict(evidence(slow=5), "edge-1", 0.01, 1.0)
    assert found.convolved is None
    assert found.total == found.bound
