"""The gates, one at a time and together: what passes, what decides, what can never happen."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.chain import GOOD, made, run
from builders.chain import given as given_
from foreshore_api.reasons import decision as reasons
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import record
from foreshore_decision import features, fencing, instant
from foreshore_decision.chain import evaluate, facts, limiter, messages, modes, order, readings
from foreshore_decision.policy.compiled import Cap, RateLimit

FORBID = {"name": "cold", "effect": "Forbid", "expression": "temperature < 0.0", "reason": "Cold"}


def decided(given: facts.Given, score: float = 0.9) -> tuple[str, str, str]:
    result = run(given, score)
    entry = result.decided_by
    verdict = evaluate.verdict(result).value
    if entry is None:
        return verdict, "", ""
    return verdict, entry.gate, entry.reason


POLICY = made()


def test_the_order_of_the_gates_is_what_the_design_says() -> None:
    assert order.NAMES == (
        "Arm",
        "Validity",
        "Context",
        "Inference",
        "Rule",
        "Limits",
        "RateLimit",
        "Mode",
        "Authority",
    )
    assert [row.name for row in order.BEFORE_INFERENCE] == ["Arm", "Validity", "Context"]
    passed = run(given_(POLICY))
    assert tuple(entry.gate for entry in passed.entries) == order.NAMES
    assert passed.decided_by is None


def test_each_row_of_the_order_asks_the_function_of_its_name() -> None:
    for row in (*order.BEFORE_INFERENCE, *order.AFTER_INFERENCE):
        assert row.ask.__name__.replace("_", "") == row.name.lower()


@pytest.mark.parametrize("row", [row for row in reasons.TABLE.values() if row.verdict], ids=str)
def test_a_reason_that_decides_says_why_and_what_would_change_it(row: reasons.GateReason) -> None:
    assert row.message
    assert row.remedy
    assert row.gates


@pytest.mark.parametrize("gate", order.NAMES, ids=str)
def test_a_gate_without_a_reason_in_the_table_would_be_silent(gate: reasons.GateName) -> None:
    rows = [row for row in reasons.TABLE.values() if gate in row.gates]
    assert rows
    assert gate.question.endswith("?")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"is_locked": True}, ("NotTriggered", "Arm", "DeviceLocked")),
        ({"mode": Mode.DISABLED}, ("NotTriggered", "Arm", "Disabled")),
        ({"mode": Mode.SHADOW}, ("Shadowed", "Mode", "ShadowMode")),
        ({"mode": Mode.ADVISE}, ("Advised", "Mode", "AdviseMode")),
        ({"held_until": 101.0}, ("Suppressed", "RateLimit", "ActuatorHeld")),
        ({"outstanding": 64}, ("Suppressed", "RateLimit", "TooManyOutstanding")),
        ({"seconds": 1000.0}, ("NotApplicable", "Validity", "InputStale")),
    ],
)
def test_what_is_given_decides(more: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert decided(given_(POLICY, **more)) == expected


@pytest.mark.parametrize("standing", list(fencing.Standing))
def test_only_renewed_and_offline_permit(standing: fencing.Standing) -> None:
    verdict, gate, _ = decided(given_(POLICY, holder=facts.Holder("edge-1", 7, standing)))
    permits = standing in (fencing.Standing.RENEWED, fencing.Standing.OFFLINE)
    assert (verdict, gate) == (("Commanded", "") if permits else ("Denied", "Authority"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({**GOOD, "co2": 10001.0}, "InputOutOfRange"),
        ({**GOOD, "co2": -1.0}, "InputOutOfRange"),
        ({**GOOD, "co2": "much"}, "InputRefused"),
        ({**GOOD, "co2": True}, "InputRefused"),
        ({name: value for name, value in GOOD.items() if name != "light"}, "InputMissing"),
    ],
)
def test_an_input_that_cannot_be_believed_decides(values: dict[str, Any], reason: str) -> None:
    assert decided(given_(POLICY, values)) == ("NotApplicable", "Validity", reason)


@pytest.mark.parametrize(
    ("reading", "refusal"),
    [
        (facts.Reading(None, 99.0, "InvalidQuality"), "InvalidQuality"),
        (facts.Reading("much", 99.0), "WrongType"),
        (facts.Reading(None, 99.0, "Dropped"), "Dropped"),
    ],
)
@pytest.mark.parametrize("on_invalid", ["Skip", "LastGood"])
def test_a_refused_input_says_why(reading: facts.Reading, refusal: str, on_invalid: str) -> None:
    document = room.policy()
    document["spec"]["inputs"][1]["onInvalid"] = on_invalid
    given = given_(made(inputs=document["spec"]["inputs"]))
    good = {"co2": facts.Good(900.0, 98.0)}
    result = run(given._replace(readings={**given.readings, "co2": reading}, last_good=good))
    assert result.facts.inputs[1].refusal == refusal
    if result.decided_by is not None and result.decided_by.name == "co2":
        sentence = messages.render(result.decided_by, result.facts)
        assert sentence == f"the newest value of co2 was refused: {refusal}"


def test_a_jump_faster_than_is_believed_is_refused() -> None:
    document = room.policy()
    document["spec"]["inputs"][1]["maximumRate"] = 50
    compiled = made(inputs=document["spec"]["inputs"])
    given = given_(compiled)
    readings = {**given.readings, "co2": facts.Reading(900.0, 99.0, None, 51.0)}
    assert decided(given._replace(readings=readings))[2] == "InputImplausible"


def test_the_last_good_value_stands_in_until_its_own_maximum_age() -> None:
    document = room.policy()
    document["spec"]["inputs"][1]["onInvalid"] = "LastGood"
    compiled = made(inputs=document["spec"]["inputs"])
    given = given_(compiled, {**GOOD, "co2": 99999.0})
    fresh = given._replace(last_good={"co2": facts.Good(1500.0, 50.0)})
    result = run(fresh)
    assert result.facts.limited == {"value": 600.0}
    assert result.facts.inputs[1].substituted == "LastGood"
    old = given._replace(last_good={"co2": facts.Good(1500.0, 5.0)})
    assert decided(old)[2] == "InputOutOfRange"


def test_a_default_stands_in_for_a_missing_value() -> None:
    document = room.policy()
    document["spec"]["inputs"][1].update(onInvalid="Default", default=1200)
    compiled = made(inputs=document["spec"]["inputs"])
    values = {name: value for name, value in GOOD.items() if name != "co2"}
    assert run(given_(compiled, values)).facts.limited == {"value": 600.0}


def test_a_feature_that_the_model_takes_and_nobody_has_is_not_ready() -> None:
    document = room.model()
    document["spec"]["inputs"][0]["features"] = ["light", "co2Mean", "temperature"]
    mean = {"name": "co2Mean", "input": "co2", "window": "1m", "aggregate": "Mean"}
    compiled = made(document, features=[mean])
    given = given_(compiled)
    assert decided(given)[2] == "FeatureNotReady"
    window = features.add(features.Window(60.0), 70.0, 800.0)
    ready = run(given._replace(windows={"co2Mean": window}))
    assert ready.facts.features == {"co2Mean": 800.0, "light": 400.0, "temperature": 21.0}


def mean_of(seconds_ago: float, **feature: Any) -> evaluate.Evaluation:
    """What becomes of a rule over a minute's mean whose only value came so long ago, at 100 s."""
    mean = {"name": "co2Mean", "input": "co2", "window": "1m", "aggregate": "Mean", **feature}
    permit = {"name": "high", "expression": "co2Mean > 500.0", "reason": "High"}
    given = given_(made(features=[mean], rules=[permit]))
    window = features.add(features.Window(60.0), 100.0 - seconds_ago, 800.0)
    return run(given._replace(windows={"co2Mean": window}))


def test_a_rule_does_not_meet_a_mean_of_which_too_little_was_listened_to() -> None:
    entry = mean_of(12.0).decided_by
    assert entry is not None
    assert (entry.gate, entry.reason, entry.name) == ("Validity", "FeatureNotReady", "co2Mean")
    assert entry.operands == {
        "values": 1.0, "coverage": 0.2, "minimumCoverage": 0.5, "seconds": 18.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds_ago", "feature"),
    [
        pytest.param(30.0, {}, id="half by default"),
        pytest.param(6.0, {"minimumCoverage": "0.1"}, id="as much as the policy asks for"),
        pytest.param(0.0, {"minimumCoverage": 0}, id="none where the policy asks for none"),
        pytest.param(0.0, {"aggregate": "Count"}, id="a count is true of what was heard"),
    ],
)
def test_a_rule_meets_a_feature_that_is_covered(
    seconds_ago: float, feature: dict[str, Any]
) -> None:
    evaluation = mean_of(seconds_ago, **feature)
    assert evaluation.facts.features["co2Mean"] is not None
    assert all(entry.reason != "FeatureNotReady" for entry in evaluation.entries)


def test_a_feature_that_is_not_ready_says_when_it_will_be() -> None:
    evaluation = mean_of(12.0)
    said = messages.render(evaluation.decided_by, evaluation.facts)
    assert said == (
        "co2Mean is not ready: 0.2 of its window was listened to (0.5 is needed, in 18 s),"
        " values in it: 1"
    )


def test_a_condition_that_is_false_does_not_apply_and_one_that_errors_is_an_error() -> None:
    dark = made(matchConditions=[{"name": "lit", "expression": "light > 500.0"}])
    assert decided(given_(dark)) == ("NotApplicable", "Context", "ConditionFalse")
    broken = made(matchConditions=[{"name": "b", "expression": "1 % int(light - light) > 0"}])
    assert decided(given_(broken)) == ("Error", "Context", "ExpressionError")


def test_variables_are_read_by_conditions_rules_and_actions() -> None:
    compiled = made(
        variables=[
            {"name": "excess", "expression": "co2 - 400.0"},
            {"name": "sure", "expression": "score > 0.5 && excess > 100.0"},
        ],
        matchConditions=[{"name": "stuffy", "expression": "excess > 0.0"}],
        rules=[{"name": "r", "expression": "sure", "reason": "Sure"}],
        action={
            **room.policy()["spec"]["action"],
            "input": [{"name": "value", "expression": "excess"}],
        },
    )
    result = run(given_(compiled))
    assert result.facts.limited == {"value": 500.0}
    assert result.facts.variables == {"excess": 500.0, "sure": True}


def test_a_variable_that_is_not_finite_has_no_value_and_permits_nothing() -> None:
    compiled = made(
        variables=[{"name": "ratio", "expression": "co2 / (light - light)"}],
        rules=[{"name": "r", "expression": "!(ratio < 1.0)", "reason": "R"}],
    )
    assert decided(given_(compiled)) == ("Error", "Rule", "ExpressionError")


def test_no_permit_is_routine_and_names_the_nearest_rule() -> None:
    far = {"name": "far", "expression": "score >= 0.99", "reason": "Far"}
    compiled = made(rules=[far, *room.policy()["spec"]["rules"]])
    result = run(given_(compiled), score=0.7)
    assert evaluate.verdict(result) is record.Verdict.NOT_TRIGGERED
    assert result.decided_by is not None
    assert result.decided_by.name == "occupied"
    assert result.decided_by.margin == pytest.approx(-0.1)


def test_a_forbid_overrides_and_one_that_errors_forbids() -> None:
    rules = room.policy()["spec"]["rules"]
    cold = given_(made(rules=[*rules, FORBID]), {**GOOD, "temperature": -1.0})
    assert decided(cold) == ("Denied", "Rule", "Cold")
    broken = {**FORBID, "expression": "1 % int(light - light) > 0"}
    assert decided(given_(made(rules=[*rules, broken]))) == ("Denied", "Rule", "ExpressionError")


def test_a_rule_speaks_for_itself() -> None:
    rules = [
        {
            "name": "r",
            "expression": "score > 0.5",
            "reason": "R",
            "messageExpression": "'score ' + string(score)",
        }
    ]
    result = run(given_(made(rules=rules)))
    assert result.facts.message == "score 0.9"


def action(**fields: Any) -> dict[str, Any]:
    return {**room.policy()["spec"]["action"], **fields}


def value(expression: str) -> list[dict[str, str]]:
    return [{"name": "value", "expression": expression}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input": value("900.0")}, ("Denied", "Limits", "OutOfLimits")),
        ({"input": value("-1.0")}, ("Denied", "Limits", "OutOfLimits")),
        ({"input": value("co2 / 0.0")}, ("Error", "Limits", "ValueNotFinite")),
        (
            {"input": value("double(1 / int(light - light))")},
            ("Error", "Limits", "ExpressionError"),
        ),
        (
            {"limits": [{"input": "value", "maximum": 200}]},
            ("Denied", "Limits", "OutOfLimits"),
        ),
        (
            {"input": value("500.0"), "limits": [{"input": "value", "maximumStep": 100}]},
            ("Denied", "Limits", "StepTooLarge"),
        ),
    ],
)
def test_a_value_that_the_actuator_must_not_get_decides(
    fields: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert decided(given_(made(action=action(**fields)))) == expected


@pytest.mark.parametrize(
    ("expression", "clamped"), [("900.0", 400.0), ("0.0", 200.0), ("350.0", 350.0)]
)
def test_clamping_moves_to_the_nearest_allowed_value(expression: str, clamped: float) -> None:
    limit = {"input": "value", "maximumStep": 100}
    compiled = made(action=action(input=value(expression), limits=[limit], onLimit="Clamp"))
    result = run(given_(compiled))
    assert result.decided_by is None
    assert result.facts.limited == {"value": clamped}
    assert result.facts.recommendation == {"value": float(expression)}


def test_a_step_from_nowhere_is_denied_even_with_clamping() -> None:
    values = {name: value_ for name, value_ in GOOD.items() if name != "airflow"}
    compiled = made(action=action(onLimit="Clamp"))
    assert decided(given_(compiled, values)) == ("Denied", "Limits", "PresentValueUnknown")


def test_a_step_counts_from_what_is_measured_not_from_what_was_commanded() -> None:
    stuck = given_(made(action=action(input=value("790.0"))), {**GOOD, "airflow": 0.0})
    assert decided(stuck) == ("Denied", "Limits", "StepTooLarge")


def test_a_measured_value_beyond_all_bounds_leaves_nothing_to_clamp_to() -> None:
    compiled = made(action=action(onLimit="Clamp", limits=[{"input": "value", "maximumStep": 10}]))
    assert decided(given_(compiled, {**GOOD, "airflow": 2000.0}))[0] == "Denied"


# What can never happen.

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=150)
@given(
    st.fixed_dictionaries(dict.fromkeys(GOOD, ANY_FLOAT)),
    ANY_FLOAT,
    st.sampled_from(["score >= 0.8", "!(score < 0.8)", "!(co2 > 1e9)", "light != light || true"]),
)
def test_a_number_that_is_not_finite_never_commands(
    values: dict[str, float], score: float, expression: str
) -> None:
    compiled = made(rules=[{"name": "r", "expression": expression, "reason": "R"}])
    result = run(given_(compiled, values), score)
    if evaluate.verdict(result) is record.Verdict.COMMANDED:
        numbers = [*values.values(), score, *(result.facts.limited or {}).values()]
        assert all(math.isfinite(float(number)) for number in numbers)


@settings(max_examples=100)
@given(
    st.fixed_dictionaries(dict.fromkeys(GOOD, st.floats(-50, 1500))),
    st.floats(0, 1),
    st.sampled_from(["temperature < 0.0", "co2 > 0.0", "1 % int(light) > 0", "score < 0.9"]),
)
def test_adding_a_forbid_never_turns_a_denial_into_a_command(
    values: dict[str, float], score: float, expression: str
) -> None:
    rules = room.policy()["spec"]["rules"]
    plain = decided(given_(made(rules=rules), values), score)
    more = made(rules=[*rules, {**FORBID, "expression": expression}])
    if decided(given_(more, values), score)[0] == "Commanded":
        assert plain[0] == "Commanded"


@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=80),
    st.integers(1, 6),
    st.floats(1, 60),
    st.floats(0, 10),
)
def test_a_limiter_never_lets_more_through_than_it_says(
    gaps: list[float], burst: int, per: float, interval: float
) -> None:
    limit = RateLimit("policy", interval, burst, per)
    now = 0.0
    log: limiter.Log = ()
    issued: list[float] = []
    for gap in gaps:
        now += gap
        if limiter.blocked(limit, limiter.spent(limit, log, now), now) is None:
            log = limiter.taken((limit,), log, now)
            issued.append(now)
    pairs = itertools.pairwise(issued)
    assert all(later - earlier >= interval - instant.RESOLUTION for earlier, later in pairs)
    for start in issued:
        end = start + per - 2 * instant.RESOLUTION
        assert sum(start <= moment < end for moment in issued) <= burst
    assert len(log) <= burst


def test_neighbouring_samples_of_10_hz_are_a_tenth_of_a_second_apart_whatever_floats_say() -> None:
    limit, burst = RateLimit("policy", 0.1, 0, 0.0), RateLimit("policy", 0.0, 2, 0.2)
    moments = [1.7e9 + number / 10 for number in range(200)]
    for earlier, later in itertools.pairwise(moments):
        for now, is_blocked in ((later, False), (later - 0.001, True)):
            spent = limiter.spent(limit, (earlier,), now)
            assert (limiter.blocked(limit, spent, now) is not None) is is_blocked
    for start, end in zip(moments, moments[2:], strict=False):
        log = (start, start + 0.05)
        spent = limiter.spent(burst, log, end)
        assert limiter.blocked(burst, spent, end) is None
        assert spent.recent == 1


@given(st.lists(st.floats(0, 1e6), max_size=9).map(sorted), st.floats(0, 1e6))
def test_a_log_of_another_boot_counts_as_if_just_now(log: list[float], now: float) -> None:
    moved = limiter.rebased(tuple(log), now)
    assert len(moved) == len(log)
    assert not moved or moved[-1] == pytest.approx(now)


def test_the_lowest_cap_counts_and_higher_ones_are_not_named() -> None:
    caps = (Cap("A", Mode.ADVISE), Cap("B", Mode.SHADOW), Cap("C", Mode.AUTONOMOUS))
    mode, lowering = modes.effective(Mode.AUTONOMOUS, caps)
    assert (mode, [cap.reason for cap in lowering]) == (Mode.SHADOW, ["A", "B"])
    assert modes.effective(Mode.SHADOW, caps[:1]) == (Mode.SHADOW, ())


BEGAN = engine_rig.START.timestamp()
TENTHS = [(BEGAN + (step + 1) / 10, BEGAN + step / 10) for step in range(10)]
"""Moments a tenth of a second apart, as a rehearsal has them: some a hair more, some less."""


@pytest.mark.parametrize(("now", "received"), TENTHS)
def test_an_input_as_old_as_it_may_be_is_not_stale_whatever_floats_make_of_its_age(
    now: float, received: float
) -> None:
    inputs = [{**each, "maximumAge": "100ms"} for each in room.policy()["spec"]["inputs"]]
    inputs[1]["onInvalid"] = "LastGood"
    given = given_(made(inputs=inputs), seconds=now)
    seen = {name: facts.Reading(value, received) for name, value in GOOD.items()}
    assert decided(given._replace(readings=seen))[0] == "Commanded"
    refused = {**seen, "co2": facts.Reading(None, received, "NotFinite")}
    good = given._replace(readings=refused, last_good={"co2": facts.Good(900.0, received)})
    assert decided(good)[0] == "Commanded"


@pytest.mark.parametrize(("now", "began"), TENTHS)
def test_a_hold_is_over_when_its_time_is_whatever_floats_make_of_it(
    now: float, began: float
) -> None:
    given = given_(POLICY, seconds=now, held_until=began - 0.3 + 0.4)
    seen = {name: facts.Reading(value, began) for name, value in GOOD.items()}
    assert decided(given._replace(readings=seen))[0] == "Commanded"


@pytest.mark.parametrize(("now", "received"), TENTHS)
def test_a_change_as_fast_as_is_believed_is_believed_whatever_floats_make_of_it(
    now: float, received: float
) -> None:
    source = dataclasses.replace(POLICY.inputs[1], maximum_rate=50.0)
    rate = readings.rate_of(905.0, now - received, facts.Reading(900.0, received))
    assert readings.judge(source, facts.Reading(905.0, now, None, rate)) is None
    assert readings.rate_of(905.0, 0.0, facts.Reading(900.0, now)) is None


def test_what_an_expression_reads_is_no_word_of_its_sentence_whatever_it_is_called() -> None:
    entry = facts.Entry(
        reasons.CONTEXT,
        record.Phase.FAIL,
        reasons.CONDITION_FALSE,
        "lit",
        "name > action",
        {"name": 1.0, "action": 2.0},
    )
    said = messages.render(entry, facts.Facts(given_(POLICY)))
    assert said == "lit is false: name > action with name = 1, action = 2"
