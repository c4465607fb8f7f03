"""What Prometheus answers is believed only where it is whole."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api.wire import histogram
from foreshore_operator.history import answers

LABELS = ("namespace", "version", "class")
AT = ("hq", "v1", "arm64-pi")
durations = st.lists(st.floats(min_value=0, max_value=1000), min_size=1, max_size=200)


def vector(measured: histogram.Histogram, **labels: str) -> list[dict[str, Any]]:
    """The series of one histogram, as an instant vector has them."""
    metric: dict[str, str] = {**dict(zip(LABELS, AT, strict=True)), **labels}
    series: list[dict[str, Any]] = []
    running = 0
    for index in range(histogram.OVERFLOW + 1):
        running += measured.buckets.get(index, 0)
        bound = "+Inf" if index == histogram.OVERFLOW else repr(round(histogram.BOUNDS[index], 9))
        series.append({"metric": {**metric, "le": bound}, "value": [1.0, str(float(running))]})
    return series


MEASURED = histogram.Histogram.of([0.002, 0.002, 0.1, 500.0])


@settings(max_examples=50)
@given(durations, st.randoms(use_true_random=False))
def test_a_histogram_comes_back_as_it_was_measured_in_whichever_order(
    measured: list[float], order: Any
) -> None:
    expected = histogram.Histogram.of(measured)
    series = vector(expected)
    order.shuffle(series)
    assert answers.read(series, LABELS).histograms[AT].buckets == expected.buckets


def test_parts_of_samples_that_increase_makes_are_rounded_and_none_is_lost() -> None:
    series = vector(MEASURED)
    for sample in series:
        sample["value"][1] = str(float(sample["value"][1]) * 1.0734)
    read = answers.read(series, LABELS).histograms[AT]
    assert read.count == round(4 * 1.0734)
    assert histogram.quantile(read, 0.5) == histogram.quantile(MEASURED, 0.5)


def without(index: int) -> list[dict[str, Any]]:
    series = vector(MEASURED)
    del series[index]
    return series


def changed(index: int, value: str) -> list[dict[str, Any]]:
    series = vector(MEASURED)
    series[index]["value"][1] = value
    return series


def renamed(index: int, le: str) -> list[dict[str, Any]]:
    series = vector(MEASURED)
    series[index]["metric"]["le"] = le
    return series


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(without(-1), id="its last bucket is missing"),
        pytest.param(without(40), id="a bucket is missing"),
        pytest.param(changed(60, "NaN"), id="a count is NaN"),
        pytest.param(changed(60, "+Inf"), id="a count is infinite"),
        pytest.param(changed(0, "-1"), id="a count is negative"),
        pytest.param(changed(-1, "1"), id="counts fall"),
        pytest.param(changed(-1, "1e300"), id="a count is absurd"),
        pytest.param([*vector(MEASURED), vector(MEASURED)[0]], id="a series is there twice"),
        pytest.param(renamed(3, "0.3"), id="a bound that is not ours"),
        pytest.param(renamed(3, "soon"), id="a bound that is no number"),
        pytest.param(renamed(3, "NaN"), id="a bound that is NaN"),
    ],
)
def test_what_is_not_whole_is_unknown_and_stands_in_nobody_elses_way(
    series: list[dict[str, Any]],
) -> None:
    other = {"version": "v2"}
    read = answers.read([*series, *vector(MEASURED, **other)], LABELS)
    assert list(read.histograms) == [("hq", "v2", "arm64-pi")]
    assert sum(read.refused.values()) == 1


@pytest.mark.parametrize(
    "result",
    [
        None,
        "up",
        {"a": 1},
        [1],
        [{}],
        [{"metric": {}, "value": 1}],
        [{"metric": [], "value": [1, "2"]}],
        [{"metric": {"le": "1"}, "value": [1, 10**400]}],
    ],
)
def test_an_answer_that_is_no_vector_is_an_error(result: Any) -> None:
    with pytest.raises(answers.NoVectorError):
        answers.read(result, LABELS)


def test_every_bound_that_agents_expose_is_known() -> None:
    exposed = [repr(round(bound, 9)) for bound in histogram.BOUNDS]
    assert [answers.bound_of(bound) for bound in exposed] == list(range(len(exposed)))
    assert answers.bound_of("+Inf") == histogram.OVERFLOW
    assert answers.bound_of(repr(math.nan)) is None


def test_warnings_are_read_from_any_body() -> None:
    assert answers.warnings({"warnings": ["PromQL info: series left out"]}) != ()
    assert answers.warnings({"status": "success"}) == ()
    assert answers.warnings([]) == ()
