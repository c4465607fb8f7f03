import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import figures


@given(st.lists(st.integers(0, 10**7), min_size=1), st.floats(0, 1))
def test_a_quantile_is_a_value_with_its_share_at_or_below_it(values: list[int], q: float) -> None:
    value = figures.quantile(sorted(values), q)
    assert value in values
    assert sum(other <= value for other in values) >= int(len(values) * q + 0.5)


@given(st.lists(st.floats(0.1, 1e6), min_size=1), st.floats(0.1, 10))
def test_a_round_that_is_slow_for_both_changes_no_ratio(times: list[float], slower: float) -> None:
    pairs = [(time, time / 4) for time in times]
    disturbed = [(pairs[0][0] * slower, pairs[0][1] * slower), *pairs[1:]]
    limit = figures.Limit(5)
    calm, noisy = (figures.compared("p50", taken, limit).value for taken in (pairs, disturbed))
    assert calm == pytest.approx(noisy)


def test_a_figure_is_the_median_of_its_rounds_not_their_mean() -> None:
    assert figures.Figure("x", (1.0, 1.0, 100.0)).value == 1.0


@pytest.mark.parametrize(
    ("value", "limit", "verdict"),
    [
        pytest.param(6.0, figures.Limit(6, 8), figures.Verdict.HOLDS, id="at its limit"),
        pytest.param(7.0, figures.Limit(6, 8), figures.Verdict.HOLDS_THE_MUST, id="at most, must"),
        pytest.param(8.1, figures.Limit(6, 8), figures.Verdict.MISSED, id="beyond the must"),
        pytest.param(900, figures.Limit(1000, 800, is_least=True),
                     figures.Verdict.HOLDS_THE_MUST, id="at least, must"),
        pytest.param(799, figures.Limit(1000, 800, is_least=True),
                     figures.Verdict.MISSED, id="below the must"),
        pytest.param(float("inf"), figures.Limit(10), figures.Verdict.MISSED, id="no answer"),
    ],
)  # fmt: skip
def test_a_value_beside_its_limit(
    value: float, limit: figures.Limit, verdict: figures.Verdict
) -> None:
    assert figures.Figure("x", (value,), limit=limit).verdict is verdict


def test_what_was_not_measured_neither_holds_nor_is_missed() -> None:
    figure = figures.Figure("x", limit=figures.Limit(1), cause="npm is missing")
    assert figure.verdict is figures.Verdict.NOT_MEASURED
    shown = figures.text([figures.Section("t", figures=(figure, figure))])
    assert shown.count("npm is missing") == 1


def test_a_queue_that_empties_after_the_load_counts_for_no_rate() -> None:
    # one sample a millisecond, each answered twice as slowly as it is offered
    queued = figures.Trips(1000, tuple(1000 * (position + 1) for position in range(2000)))
    assert queued.per_second == pytest.approx(500, rel=0.01)


@given(st.integers(0, 100), st.integers(0, 5_000_000))
def test_who_answers_everything_does_what_is_offered_however_late(
    warm_up: int, microseconds: int
) -> None:
    trips = figures.Trips(1000, (microseconds,) * 300, warm_up)
    assert trips.per_second == pytest.approx(1000)


def test_a_queue_that_the_warm_up_left_is_work_of_the_measured_time() -> None:
    queued = tuple(1000 * (position + 1) for position in range(2000))
    assert figures.Trips(1000, queued, warm_up=500).per_second == pytest.approx(500, rel=0.01)


@pytest.mark.parametrize("nothing", [0.0, float("inf")])
def test_a_round_with_nothing_to_compare_with_flatters_nobody_and_breaks_no_table(
    nothing: float,
) -> None:
    pairs = [(float("inf"), nothing), (6.0, 2.0), (5.0, nothing)]
    figure = figures.compared("p50", pairs, figures.Limit(4))
    assert figure.values == (3.0,)
    alone = figures.compared("p50", pairs[:1], figures.Limit(4))
    assert alone.verdict is figures.Verdict.NOT_MEASURED
    assert "3.00" in figures.text([figures.Section("t", figures=(figure, alone))])


def test_samples_without_an_answer_are_in_no_quantile_and_said() -> None:
    trips = figures.Trips(100, (None, 2000, None, 4000))
    assert trips.milliseconds(0.5) == 2.0
    assert trips.share_answered == 0.5
    assert figures.Trips(100, (None,)).milliseconds(0.5) == float("inf")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(0.183, "0.18", id="below one"),
        pytest.param(2.217, "2.22", id="units"),
        pytest.param(12.34, "12.3", id="tens"),
        pytest.param(942.4, "942", id="hundreds"),
        pytest.param(12345.0, "12,345", id="thousands"),
        pytest.param(None, "–", id="nothing"),
        pytest.param(float("inf"), "∞", id="never"),
    ],
)
def test_a_number_is_shown_to_three_digits(value: float | None, shown: str) -> None:
    assert figures.plain(value) == shown


def test_a_missed_figure_shows_its_profile_and_one_that_holds_does_not() -> None:
    limit = figures.Limit(1)
    held = figures.Figure("held", (1.0,), limit=limit, profile="loop 1 ms")
    missed = figures.Figure("missed", (2.0,), limit=limit, profile="loop 2 ms")
    shown = figures.text([figures.Section("t", figures=(held, missed))])
    assert "missed: loop 2 ms" in shown
    assert "loop 1 ms" not in shown
    assert "profile" not in held.document()


def test_a_profile_that_several_figures_share_is_shown_once() -> None:
    limit = figures.Limit(1)
    missed = tuple(figures.Figure(name, (2.0,), "", limit, "loop 2 ms") for name in ("p50", "p99"))
    shown = figures.text([figures.Section("t", figures=missed)])
    assert shown.count("loop 2 ms") == 1
    assert "p50; p99: loop 2 ms" in shown


def test_columns_stand_below_each_other() -> None:
    section = figures.Section("t", ("", "p50 ms"), (("C echo", "0.18"), ("agent, Child", "12.3")))
    lines = figures.text([section]).splitlines()[1:4]
    assert len({len(line) for line in lines}) == 1


def test_a_table_in_markdown_has_as_many_cells_in_every_line() -> None:
    section = figures.Section("t", ("", "p50"), (("a", "1"), ("b", "2")))
    piped = [line for line in figures.markdown([section]).splitlines() if line.startswith("|")]
    assert [line.count("|") for line in piped] == [3] * 4


def test_a_page_keeps_everything_but_what_is_between_its_marks() -> None:
    page = f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n"
    once = figures.placed(page, "new")
    assert once == f"before\n{figures.BEGIN}\n\nnew\n\n{figures.END}\nafter\n"
    assert figures.placed(once, "new") == once


@pytest.mark.parametrize("page", ["nothing", figures.BEGIN, figures.END])
def test_a_page_without_marks_is_not_written(page: str) -> None:
    with pytest.raises(ValueError, match="has no lines"):
        figures.placed(page, "new")


def test_what_was_never_answered_is_json_all_the_same() -> None:
    document = figures.Figure("x", (float("inf"),)).document()
    assert json.loads(json.dumps(document, allow_nan=False))["values"] == [None]


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_a_document_says_the_rounds_and_their_median(values: list[float]) -> None:
    document = figures.Figure("x", tuple(values)).document()
    assert document["values"] == values
    assert document["value"] == statistics.median(values)
