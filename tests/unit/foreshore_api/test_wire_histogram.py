"""Latency histograms: what absurd counts of one agent do to the sum of all."""

import json
import math
import tracemalloc
from collections import Counter
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.wire import document, histogram

READ = pydantic.TypeAdapter(histogram.Histogram)
Index = Annotated[int, pydantic.Field(ge=0, le=histogram.OVERFLOW)]
PLAIN: pydantic.TypeAdapter[dict[int, int]] = pydantic.TypeAdapter(
    Annotated[dict[Index, document.Count], pydantic.Field(max_length=histogram.OVERFLOW + 1)]
)
"""Buckets as a dictionary."""

counts = st.one_of(
    st.integers(0, 300), st.integers((1 << 32) - 2, (1 << 32) + 2), st.integers(0, document.LARGEST)
)
buckets = st.dictionaries(st.integers(0, histogram.OVERFLOW), counts)


def read(written: Any) -> histogram.Histogram:
    return READ.validate_json(json.dumps({"buckets": written}))


def errors(adapter: pydantic.TypeAdapter[Any], body: str) -> list[tuple[Any, ...]]:
    """What is wrong with a body, without the field that it stands in."""
    with pytest.raises(pydantic.ValidationError) as refused:
        adapter.validate_json(body)
    return [
        ([str(step) for step in error["loc"] if step != "buckets"], error["type"], error["msg"])
        for error in refused.value.errors()
    ]


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


@given(buckets)
def test_buckets_are_read_and_written_as_a_dictionary_of_them_is(written: dict[int, int]) -> None:
    kept = read(written)
    assert kept.buckets == written
    assert kept.buckets != {**written, 0: written.get(0, 0) + 1}
    assert [*kept.buckets] == [index for index, _ in kept.buckets.items()] == sorted(written)
    assert [*kept.buckets.values()] == [written[index] for index in kept.buckets]
    assert {index: kept.buckets[index] for index in written} == written
    assert len(kept.buckets) == len(written)
    assert kept.count == sum(written.values())
    assert READ.validate_json(READ.dump_json(kept)) == kept
    assert READ.dump_python(kept)["buckets"] == written
    assert repr(kept.buckets) == repr(dict(sorted(written.items())))


@given(buckets, st.randoms())
def test_histograms_whose_buckets_came_in_another_order_are_equal(
    written: dict[int, int], draw: Any
) -> None:
    shuffled = dict(draw.sample([*written.items()], len(written)))
    assert read(written) == read(shuffled) == histogram.Histogram(buckets=shuffled)
    assert histogram.quantile(read(written), 0.5) == histogram.quantile(read(shuffled), 0.5)


@given(st.lists(buckets, max_size=5))
def test_a_sum_has_what_all_have_up_to_the_largest_count(parts: list[dict[int, int]]) -> None:
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    merged = histogram.merge(map(read, parts))
    assert merged.buckets == {index: min(document.LARGEST, count) for index, count in total.items()}


@pytest.mark.parametrize(
    "written",
    [
        '{"3": -1}',
        '{"3": 9007199254740993}',
        '{"3": 18446744073709551616, "4": 4294967296, "5": -7}',
        '{"3": 1.5}',
        '{"3": null, "4": "many"}',
        '{"114": 1}',
        '{"-1": 1, "256": 1}',
        '{"three": 1}',
        '{"3": 1' + "0" * 4000 + "}",
        json.dumps(dict.fromkeys(map(str, range(115)), 1)),
        "[1]",
        "7",
    ],
)
def test_what_is_no_bucket_is_refused_as_in_a_dictionary(written: str) -> None:
    assert errors(READ, f'{{"buckets": {written}}}') == errors(PLAIN, written)


@pytest.mark.parametrize("written", ['{"03": 7.0, "4": "5"}', '{"3": true}'])
def test_what_a_dictionary_takes_for_a_number_is_one(written: str) -> None:
    assert READ.validate_json(f'{{"buckets": {written}}}').buckets == PLAIN.validate_json(written)


def test_a_histogram_that_was_read_takes_some_hundred_bytes() -> None:
    bodies = [
        json.dumps({"buckets": {30 + index: index + number for index in range(20)}})
        for number in range(500)
    ]
    READ.validate_json(bodies[0])
    tracemalloc.start()
    kept = [READ.validate_json(body) for body in bodies]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(kept) < 320
