"""Windows of samples: the grid is what a naive look at every sample makes of them."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_decision import samples
from foreshore_decision.instant import RESOLUTION

STEPS, EVERY, WIDTH = 4, 2.0, 2
VALUES = st.floats(-1e6, 1e6) | st.sampled_from(["idle", "running"])
DISTANCES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.75, 4.0, 4.25, 6.0, 20.0])
Message = tuple[float, dict[int, samples.Sample]]
"""Distance to the message before, and the values by column."""
MESSAGES = st.lists(
    st.tuples(
        DISTANCES, st.dictionaries(st.integers(0, WIDTH - 1), VALUES, min_size=1, max_size=WIDTH)
    ),
    min_size=1,
    max_size=40,
)


class Naive:
    """Every sample that ever came, looked at anew each time."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int, samples.Sample]] = []

    def add(self, at: float, values: dict[int, samples.Sample]) -> None:
        self.samples += [(at, column, value) for column, value in values.items()]

    def origin(self) -> float:
        """The first sample after the newest silence of all columns."""
        moments = [at for at, _, _ in self.samples]
        begins = [
            at
            for before, at in zip([-math.inf, *moments], moments, strict=False)
            if at - before > 2 * EVERY + RESOLUTION
        ]
        return begins[-1]

    def look(self, now: float) -> tuple[tuple[samples.Sample, ...], ...] | None:
        """The rows of a full window, or None."""
        origin = self.origin()
        slots: list[dict[int, samples.Sample]] = []
        for column in range(WIDTH):
            run: list[tuple[float, samples.Sample]] = []
            for at, whose, value in self.samples:
                if whose == column:
                    if run and at - run[-1][0] > 2 * EVERY + RESOLUTION:
                        run = []
                    run.append((at, value))
            if not run or now - run[-1][0] > 2 * EVERY + RESOLUTION:
                return None
            slots.append(
                {math.floor((at - origin + RESOLUTION) / EVERY + 0.5): value for at, value in run}
            )
        newest = max(slot for column in slots for slot in column)
        rows = []
        for slot in range(newest - STEPS + 1, newest + 1):
            row = [column.get(slot, column.get(slot - 1)) for column in slots]
            rows.append(row)
        if any(value is None for row in rows for value in row):
            return None
        return tuple(tuple(row) for row in rows)  # type: ignore[arg-type]


@given(MESSAGES, st.sampled_from([0.0, 1.0, 3.9, 4.0, 4.5]))
def test_a_grid_is_what_a_look_at_every_sample_says(story: list[Message], later: float) -> None:
    grid, naive, now = samples.empty(STEPS, EVERY, WIDTH), Naive(), 1000.0
    for distance, values in story:
        now += distance
        grid = samples.add(grid, now, values)
        naive.add(now, values)
        for moment in (now, now + later):
            window = samples.look(grid, moment)
            assert (window.rows if window.is_full else None) == naive.look(moment)
            assert 0 <= window.samples <= STEPS
            assert window.is_full is (window.samples == STEPS) is (window.seconds == 0.0)
            assert bool(samples.fingerprint(window)) is window.is_full


@given(MESSAGES)
def test_a_grid_holds_steps_times_columns_at_most(story: list[Message]) -> None:
    grid, now = samples.empty(STEPS, EVERY, WIDTH), 0.0
    for distance, values in story:
        now += distance
        grid = samples.add(grid, now, values)
        held = [len(column.values) for column in grid.columns if column is not None]
        assert max(held) <= STEPS


@given(st.lists(st.floats(-0.49, 0.49), min_size=9, max_size=60))
def test_jitter_below_half_the_distance_loses_no_sample(jitter: list[float]) -> None:
    """As long as the gaps that it makes may be filled: what is nearest to a slot stays in it."""
    grid = samples.add(samples.empty(8, 1.0, 1), 0.0, {0: -1.0})
    for index, moved in enumerate(jitter, start=1):
        grid = samples.add(grid, index + moved, {0: float(index)})
    window = samples.look(grid, len(jitter) + jitter[-1])
    assert window.is_full
    assert [value for (value,) in window.rows] == [
        float(index) for index in range(len(jitter) - 7, len(jitter) + 1)
    ]


def fed(moments: list[float], steps: int = 3) -> samples.SampleGrid:
    grid = samples.empty(steps, 1.0, 1)
    for at in moments:
        grid = samples.add(grid, at, {0: at})
    return grid


def values_of(grid: samples.SampleGrid, now: float) -> list[samples.Sample]:
    return [value for (value,) in samples.look(grid, now).rows]


def test_what_comes_faster_counts_once_and_the_newest_of_a_slot_does() -> None:
    assert values_of(fed([0.0, 0.3, 0.9, 1.2, 1.4, 2.0]), 2.0) == [0.3, 1.4, 2.0]


def test_a_slot_without_a_sample_holds_the_one_before() -> None:
    assert values_of(fed([0.0, 2.0]), 2.0) == [0.0, 0.0, 2.0]


def test_a_gap_of_more_than_twice_the_distance_starts_anew() -> None:
    grid = fed([0.0, 1.0, 2.0, 4.1])
    assert samples.look(grid, 4.1) == samples.SampledWindow(1, 0, 2.0, gap=4.1 - 2.0)
    assert values_of(fed([0.0, 1.0, 2.0, 4.1, 5.1, 6.1]), 6.1) == [4.1, 5.1, 6.1]


def test_a_window_says_how_many_steps_are_there_and_which_column_lacks_most() -> None:
    grid = samples.empty(3, 1.0, 2)
    assert samples.look(grid, 0.0) == samples.SampledWindow(0, 0, 3.0)
    for at in (0.0, 1.0, 2.0):
        grid = samples.add(grid, at, {0: 1.0} if at < 1 else {0: 1.0, 1: 2.0})
    assert samples.look(grid, 2.0) == samples.SampledWindow(2, 1, 1.0)


def test_a_full_window_is_over_once_nothing_comes() -> None:
    grid = fed([0.0, 1.0, 2.0])
    assert samples.look(grid, 4.0).is_full
    assert samples.look(grid, 4.1) == samples.SampledWindow(0, 0, 3.0, gap=4.1 - 2.0)


@given(st.lists(st.sampled_from([0.5, 1.0, 1.9, 2.1, 5.0, 60.0]), max_size=12))
def test_a_window_says_which_gap_it_began_anew_after(distances: list[float]) -> None:
    """A device that is slower than the grid never fills it: what is said must not only be when."""
    grid, now, gaps = samples.add(samples.empty(100, 1.0, 1), 0.0, {0: 0.0}), 0.0, [0.0]
    for distance in distances:
        before, now = now, now + distance
        gaps += [now - before] if now - before > 2.0 + RESOLUTION else []
        grid = samples.add(grid, now, {0: now})
        assert samples.look(grid, now).gap == gaps[-1]
        assert samples.look(grid, now + 7.0).gap == now + 7.0 - now


def test_each_column_has_the_gap_that_is_its_own() -> None:
    """Also where both begin anew, and the grid with them."""
    grid = samples.empty(3, 1.0, 2)
    for at in (0.0, 60.0, 120.0):
        grid = samples.add(grid, at, {0: at})
        grid = samples.add(grid, at + 0.25, {1: at})
    assert [column and column.gap for column in grid.columns] == [60.0, 60.0]


def test_an_older_value_is_refused() -> None:
    grid = fed([0.0, 1.0, 2.0])
    assert samples.add(grid, 1.5, {0: 99.0}) == grid


def test_the_earlier_grid_is_untouched() -> None:
    before = fed([0.0, 1.0])
    samples.add(before, 2.0, {0: 5.0})
    assert before == fed([0.0, 1.0])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_never_enters(poison: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        samples.add(samples.empty(2, 1.0, 1), 0.0, {0: poison})


@pytest.mark.parametrize("hertz", [3, 7, 10, 30])
def test_steady_samples_fill_the_grid_whatever_floats_make_of_their_moments(hertz: int) -> None:
    """In a rehearsal engine seconds are Unix seconds: a tenth of a second is no float."""
    recorded = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    grid = samples.empty(30, 1 / hertz, 1)
    for index in range(300):
        at = (recorded + timedelta(seconds=index / hertz)).timestamp()
        grid = samples.add(grid, at, {0: float(index)})
        if index >= 29:
            expected = [float(value) for value in range(index - 29, index + 1)]
            assert values_of(grid, at) == expected


@given(
    st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=2),
    st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=2),
)
def test_a_fingerprint_tells_rows_apart_to_the_last_bit(
    one: list[tuple[samples.Sample, samples.Sample]],
    other: list[tuple[samples.Sample, samples.Sample]],
) -> None:
    prints = [
        samples.fingerprint(samples.SampledWindow(2, 0, 0.0, tuple(rows))) for rows in (one, other)
    ]
    assert (prints[0] == prints[1]) is (repr(one) == repr(other))


def test_a_fingerprint_is_what_it_was_when_records_were_written() -> None:
    """Where this fails, records that are on disk no longer replay: FORMAT goes up."""
    window = samples.SampledWindow(2, 0, 0.0, ((1.5, "idle"), (-0.0, "running")))
    assert samples.fingerprint(window) == "d11cdac9e278dacc"
