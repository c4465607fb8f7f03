"""The gates, one at a time and together: what passes, what decides, what can never happen."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import record
from foreshore_decision import features, fencing, instant, policy
from foreshore_decision.chain import evaluate, facts, limiter, messages, modes, order, reasons
from foreshore_decision.instant import Instant
from foreshore_decision.policy import CompiledPolicy
from foreshore_decision.policy.compiled import Cap, RateLimit

GOOD = {"light": 400.0, "co2": 900.0, "temperature": 21.0, "airflow": 300.0}
FORBID = {"name": "cold", "effect": "Forbid", "expression": "temperature < 0.0", "reason": "Cold"}


def made(*documents: room.Json, **spec: Any) -> CompiledPolicy:
    document = room.policy()
    document["spec"].update(spec)
    assigned = engine_rig.assign(document, *documents)
    return policy.compile(assigned.policies[0], assigned.devices[0], "hq")


def given_(compiled: CompiledPolicy, values: dict[str, Any] = GOOD, **more: Any) -> facts.Given:
    defaults: dict[str, Any] = {
        "decision_id": "d",
        "at": Instant(engine_rig.START, 100.0, 100.0),
        "seconds": 100.0,
        "policy": compiled,
        "mode": Mode.AUTONOMOUS,
        "caps": (),
        "is_locked": False,
        "trigger": facts.Trigger("Property", "co2", engine_rig.START),
        "readings": {name: facts.Reading(value, 99.0) for name, value in values.items()},
        "windows": {},
        "last_good": {},
        "policy_log": (),
        "actuator_log": (),
        "outstanding": 0,
        "held_until": None,
        "holder": facts.Holder("edge-1", 7, fencing.Standing.RENEWED),
    }
    return facts.Given(**{**defaults, **more})


def run(given: facts.Given, score: float = 0.9) -> evaluate.Evaluation:
    before = evaluate.evaluate(order.BEFORE_INFERENCE, facts.Facts(given))
    if before.decided_by is not None:
        return before
    answer = facts.Answer({"probabilities": (1 - score, score)})
    found = before.facts._replace(answer=answer)
    return evaluate.evaluate(order.AFTER_INFERENCE, found, before.entries)


def decided(given: facts.Given, score: float = 0.9) -> tuple[str, str, str]:
    result = run(given, score)
    entry = result.decided_by
    verdict = evaluate.verdict(result).value
    if entry is None:
        return verdict, "", ""
    return verdict, entry.gate, entry.reason


POLICY = made()


def test_the_order_of_the_gates_is_what_the_design_says() -> None:
    asked = [gate.__name__ for gate in (*order.BEFORE_INFERENCE, *order.AFTER_INFERENCE)]
    assert asked == [
        "arm",
        "validity",
        "context",
        "inference",
        "rule",
        "limits",
        "rate_limit",
        "mode",
        "authority",
    ]
    passed = run(given_(POLICY))
    assert tuple(entry.gate for entry in passed.entries) == order.NAMES
    assert passed.decided_by is None


def test_every_reason_is_explained() -> None:
    codes = {
        value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)
    }
    assert codes == set(reasons.MEANING)
    assert set(messages.TEMPLATES) <= codes


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
    window = features.add(features.Window(60.0), 90.0, 800.0)
    ready = run(given._replace(windows={"co2Mean": window}))
    assert ready.facts.features == {"co2Mean": 800.0, "light": 400.0, "temperature": 21.0}


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
        if limiter.blocked(limit, log, now) is None:
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
        assert limiter.blocked(limit, (earlier,), later) is None
        assert limiter.blocked(limit, (earlier,), later - 0.001) is not None
    for start, end in zip(moments, moments[2:], strict=False):
        log = (start, start + 0.05)
        assert limiter.blocked(burst, log, end) is None
        assert limiter.left(burst, log, end) == 1


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
