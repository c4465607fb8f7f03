"""Latency histograms: what absurd counts of one agent do to the sum of all."""

import math

import pydantic
import pytest

from foreshore_api.wire import document, histogram

READ = pydantic.TypeAdapter(histogram.Histogram)


def test_a_count_without_end_is_refused_where_it_is_read() -> None:
    body = '{"buckets": {"3": 1' + "0" * 400 + "}}"
    with pytest.raises(pydantic.ValidationError):
        READ.validate_json(body)


@pytest.mark.parametrize("total", ["1e400", "1" + "0" * 400, "-1", "1e300"])
def test_a_total_that_is_no_duration_is_refused_where_it_is_read(total: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        READ.validate_json(f'{{"totalSeconds": {total}}}')


def test_the_largest_histograms_together_are_a_histogram_still() -> None:
    most = histogram.Histogram(
        buckets=dict.fromkeys(range(histogram.OVERFLOW + 1), document.LARGEST),
        total_seconds=float(document.LARGEST),
    )
    merged = histogram.merge([most] * 1000)
    assert READ.validate_json(READ.dump_json(merged)) == merged
    assert histogram.quantile(merged, 1.0) == math.inf
    assert sum(histogram.durations(merged).values()) == merged.count


def test_sums_that_end_do_not_depend_on_their_order() -> None:
    parts = [
        histogram.Histogram(buckets={1: document.LARGEST - 1, 2: 5}),
        histogram.Histogram(buckets={1: 7}),
        histogram.Histogram(buckets={1: 1, 2: document.LARGEST}),
    ]
    one = histogram.merge([histogram.merge(parts[:2]), parts[2]])
    assert one == histogram.merge(reversed(parts))
