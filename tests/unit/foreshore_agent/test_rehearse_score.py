"""Counting a rehearsal while it runs: decisions against the row they were taken on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.engine import effects, events
from foreshore_agent.play import recording, truth
from foreshore_agent.rehearse import score
from foreshore_api.wire import record

T0 = datetime(2015, 2, 2, 14, 0, tzinfo=UTC)
POLICY, DEVICE = events.Key("hq", "ventilate"), events.Key("hq", "room-301")
Phase, Verdict = record.Phase, record.Verdict


def decided(
    rules: record.Phase, verdict: record.Verdict = Verdict.COMMANDED, *, is_silence: bool = False
) -> effects.Decided:
    return effects.Decided(POLICY, DEVICE, verdict, "Reason", rules, None if is_silence else T0)


def counted(*rows: tuple[str, effects.Decided], value: str | None = None) -> score.Score:
    """A score of rows of a truth and the decision that followed."""
    found = score.Score(has_truth=True, true_value=value)
    for number, (label, decision) in enumerate(rows, start=1):
        found.begin_row(
            recording.RecordedRow(number, {}, truth=label), T0 + timedelta(minutes=number)
        )
        found.take(decision)
    return found


def compared(found: score.Score) -> score.TruthComparison:
    assert found.comparison is not None
    return found.comparison


def test_a_decision_is_held_against_the_row_that_it_was_taken_on() -> None:
    found = counted(
        ("1", decided(Phase.PASS)),
        ("0", decided(Phase.FAIL, Verdict.NOT_TRIGGERED)),
        ("0", decided(Phase.PASS)),
        ("1", decided(Phase.FAIL, Verdict.NOT_TRIGGERED)),
    )
    assert compared(found) == score.TruthComparison(1, 1, 1, 1)


def test_what_a_limit_or_the_mode_kept_from_acting_wanted_to_act() -> None:
    rows = [
        ("1", decided(Phase.PASS, each))
        for each in (Verdict.SHADOWED, Verdict.ADVISED, Verdict.SUPPRESSED, Verdict.DENIED)
    ]
    assert compared(counted(*rows)) == score.TruthComparison(right_to_act=4)


@pytest.mark.parametrize(
    "decision",
    [
        decided(Phase.SKIPPED, Verdict.NOT_APPLICABLE),
        decided(Phase.ERROR, Verdict.ERROR),
        decided(Phase.PASS, is_silence=True),
    ],
    ids=["rules that were not asked", "rules that failed", "a silence: it has no row"],
)
def test_what_says_nothing_about_a_row_is_not_compared(decision: effects.Decided) -> None:
    assert compared(counted(("1", decision))).decisions == 0


def test_without_a_truth_nothing_is_compared() -> None:
    assert score.Score(has_truth=False).comparison is None


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
)
def test_shares_are_those_of_the_textbook_and_undefined_where_nothing_is_to_divide_by(
    pairs: list[tuple[bool, bool]],
) -> None:
    rows = [
        (str(int(is_due)), decided(Phase.PASS if acts else Phase.FAIL)) for is_due, acts in pairs
    ]
    found = compared(counted(*rows))
    acted = [is_due for is_due, acts in pairs if acts]
    due = [acts for is_due, acts in pairs if is_due]
    assert found.decisions == len(pairs)
    assert found.accuracy == mean([is_due == acts for is_due, acts in pairs])
    assert found.precision == mean(acted)
    assert found.recall == mean(due)
    assert found.base_rate == mean([is_due for is_due, _ in pairs])
    if found.precision and found.recall:
        harmonic = 2 / (1 / found.precision + 1 / found.recall)
        assert found.f1 == pytest.approx(harmonic)
    else:
        assert not found.f1


def mean(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def test_a_row_after_which_nothing_is_decided_is_counted() -> None:
    found = score.Score(has_truth=False)
    for number in range(3):
        found.begin_row(recording.RecordedRow(number, {}), T0 + timedelta(seconds=number))
        if number == 1:
            found.take(decided(Phase.PASS))
    found.end_row()
    assert found.summary({}, None).skipped["rows without a decision"] == 2
    assert found.summary({}, None).recording_seconds == 2.0


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("1", None, True),
        (" TRUE ", None, True),
        ("0", None, False),
        ("", None, None),
        ("", "busy", None),
        ("on", None, None),
        ("Busy", "busy", True),
        ("1", "busy", False),
    ],
)
def test_what_counts_as_true(text: str, value: str | None, expected: bool | None) -> None:
    assert truth.is_right_to_act(text, value) is expected


def test_a_truth_that_cannot_be_read_is_no_truth_and_is_said() -> None:
    found = counted(
        ("on", decided(Phase.PASS)),
        ("", decided(Phase.FAIL, Verdict.NOT_TRIGGERED)),
        ("1", decided(Phase.PASS)),
    )
    assert compared(found) == score.TruthComparison(right_to_act=1)
    assert found.summary({}, None).skipped["truths not readable"] == 2


def test_latencies_come_in_the_order_in_which_time_passes_beside_the_budget() -> None:
    counted = score.Score(has_truth=False, is_live=True)
    counted.observe(POLICY, "EndToEnd", 0.2)
    for index in range(1, 101):
        counted.observe(POLICY, "Decide", index / 1000)
    decide, whole = score.latencies(counted.stages, {str(POLICY): 0.2})
    assert (decide.stage, whole.stage) == ("Decide", "EndToEnd")
    assert (decide.count, decide.budget) == (100, 200.0)
    assert 50.0 <= decide.p50 < 50.0 * 1.16, "to the bucket"
    assert 99.0 <= decide.p99 < 99.0 * 1.16


def test_counts_by_verdict_and_reason() -> None:
    decisions = {("a", "Error", "Late"): 1, ("a", "Denied", "X"): 2, ("b", "Denied", "Y"): 2}
    assert score.verdicts(decisions) == {"Denied": 4, "Error": 1}
    assert score.reasons(decisions) == {"Denied/X": 2, "Denied/Y": 2, "Error/Late": 1}


def summary(**changed: Any) -> score.Summary:
    given: dict[str, Any] = {
        "rows": 3,
        "recording_seconds": 1.0,
        "decisions": 3,
        "records": 0,
        "skipped": {},
        "verdicts": {},
        "reasons": {},
        "outcomes": {},
    }
    return score.Summary(**{**given, **changed})


def test_a_result_holds_nothing_of_the_machine_unless_it_is_asked_for() -> None:
    assert "measured" not in summary().document()
    assert "seconds" in summary(measured=score.Measured(2.0, ())).document()["measured"]


@pytest.mark.parametrize(
    ("reasons", "is_undecided"),
    [
        ({}, True),
        ({"NotApplicable/InputMissing": 3}, True),
        ({"Error/InferenceLate": 3}, True),
        ({"NotTriggered/Disabled": 3}, True),
        ({"NotTriggered/NoRulePermits": 3}, False),
        ({"Error/InferenceLate": 2, "Denied/OutOfLimits": 1}, False),
    ],
    ids=["nothing", "inputs", "inference", "disabled", "a rule said no", "one is enough"],
)
def test_rows_that_never_came_to_a_rule_are_no_decisions(
    reasons: dict[str, int], is_undecided: bool
) -> None:
    assert score.is_undecided(summary(reasons=reasons)) is is_undecided


def test_why_nothing_was_decided_is_said_with_counts() -> None:
    skipped = {"rows without a decision": 3, "rows not published": 0}
    assert score.undecided(summary(decisions=0, skipped=skipped)) == (
        "no row of 3 led to a decision: 3 rows without a decision"
    )
    assert score.undecided(summary(reasons={"Error/InferenceLate": 3})) == (
        "no row of 3 came as far as a decision: 3 Error/InferenceLate"
    )
