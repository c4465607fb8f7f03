"""Counting a rehearsal: latencies by nearest rank, decisions against the row they were taken on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from foreshore_agent.rehearse import score
from foreshore_api.wire import record

T0 = datetime(2015, 2, 2, 14, 0, tzinfo=UTC)
TIMES = [T0 + timedelta(minutes=number) for number in range(4)]


def decision(minutes: float, rule: str | None, **more: Any) -> dict[str, Any]:
    gates = [{"gate": "Arm", "phase": "Pass"}]
    if rule is not None:
        gates.append({"gate": "Rule", "phase": rule})
    received = (T0 + timedelta(minutes=minutes)).isoformat()
    data = {"trigger": {"receivedAt": received}, "gates": gates}
    return {"type": record.DECISION, "data": data, **more}


def test_a_decision_is_held_against_the_row_that_it_was_taken_on() -> None:
    events = [
        decision(0.0, "Pass"),  # row 1: occupied, acted
        decision(1.999, "Fail"),  # row 2: empty, rested
        decision(2.5, "Pass"),  # row 3: empty, acted
        decision(3.0, "Fail"),  # row 4: occupied, rested
        decision(3.1, "Skipped"),  # the rules were not asked
        decision(3.2, None),
        {"type": record.OUTCOME, "data": {}},
        decision(-5.0, "Pass"),  # before the first row: a silence
    ]
    found = score.accuracy(events, TIMES, ["1", "0", "0", "1"], None)
    assert found == score.Accuracy(right=2, wrong_to_act=1, wrong_to_rest=1)
    assert found.share == 0.5


def test_a_sampled_record_stands_for_as_many_as_it_says() -> None:
    events = [decision(0, "Fail", sampledrate=10), decision(1, "Pass")]
    assert score.accuracy(events, TIMES, ["0"] * 4, None) == score.Accuracy(10, 1, 0)


def test_no_decision_has_no_accuracy() -> None:
    assert score.Accuracy(0, 0, 0).share is None


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("1", None, True),
        (" TRUE ", None, True),
        ("0", None, False),
        ("", None, False),
        ("Busy", "busy", True),
        ("1", "busy", False),
    ],
)
def test_what_counts_as_true(text: str, value: str | None, expected: bool) -> None:
    assert score.is_true(text, value) is expected


def test_latencies_come_in_the_order_in_which_time_passes_beside_the_budget() -> None:
    stages = {
        ("hq/p", "EndToEnd"): [0.2],
        ("hq/p", "Decide"): [index / 1000 for index in range(1, 101)],
        ("hq/p", "Network"): [],
    }
    found = score.latencies(stages, {"hq/p": 0.2})
    assert [each.stage for each in found] == ["Decide", "EndToEnd"]
    assert (found[0].p50, found[0].p99, found[0].budget) == (50.0, 99.0, 200.0)


def test_counts_by_verdict_and_reason() -> None:
    decisions = {("a", "Error", "Late"): 1, ("a", "Denied", "X"): 2, ("b", "Denied", "Y"): 2}
    assert score.verdicts(decisions) == {"Denied": 4, "Error": 1}
    assert score.reasons(decisions) == {"Denied/X": 2, "Denied/Y": 2, "Error/Late": 1}


def summary(**changed: Any) -> score.Summary:
    given: dict[str, Any] = {
        "rows": 3,
        "recording_seconds": 1.0,
        "real_seconds": 1.0,
        "decisions": 3,
        "skipped": {},
        "verdicts": {},
        "reasons": {},
        "outcomes": {},
        "stages": (),
        "accuracy": None,
        "records": 0,
        "journal": "j",
    }
    return score.Summary(**{**given, **changed})


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
