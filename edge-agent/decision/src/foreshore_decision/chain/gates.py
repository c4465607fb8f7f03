"""The gates: one function each, facts in, facts and one entry out. `order` says in which order.

A gate never raises for what it is given, never reads a clock and changes nothing. What it looked at
goes into the operands of its entry; how close it was goes into the margin.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import record
from foreshore_decision import expr, features, fencing, served
from foreshore_decision.chain import bounding, limiter, readings, reasons
from foreshore_decision.chain.facts import Answer, Entry, Facts, Step
from foreshore_decision.policy import compiled

Gate = Callable[[Facts], Step]

PASS, FAIL, ERROR = record.Phase.PASS, record.Phase.FAIL, record.Phase.ERROR
NO_ANSWER = Answer({}, problem=reasons.INFERENCE_FAILED)
MAXIMUM_OUTSTANDING = 64
"""Commands to one actuator that may wait for the device's answer at once."""


def arm(facts: Facts) -> Step:
    """Pass while the policy is enabled and the device unlocked."""
    given = facts.given
    if given.mode is Mode.DISABLED:
        return Step(facts, Entry("Arm", FAIL, reasons.DISABLED))
    if given.is_locked:
        return Step(facts, Entry("Arm", FAIL, reasons.DEVICE_LOCKED))
    return Step(facts, Entry("Arm", PASS, reasons.ARMED))


def validity(facts: Facts) -> Step:
    """Pass when every input can be believed or is substituted, and the model's features exist."""
    given = facts.given
    inputs = tuple(
        readings.input_of(
            each,
            given.readings.get(each.property),
            given.last_good.get(each.name),
            given.seconds,
        )
        for each in given.policy.inputs
    )
    values: dict[str, expr.Value] = {
        each.name: each.value
        for each in inputs
        if each.value is not None and (each.problem is None or each.substituted is not None)
    }
    values.update(given.policy.parameters)
    measured = _features(facts, values)
    values.update({name: each for name, each in measured.items() if each is not None})
    facts = facts._replace(inputs=inputs, features=measured, values=values)
    for each, source in zip(inputs, given.policy.inputs, strict=True):
        if each.problem is not None and each.substituted is None:
            operands = {"value": each.value, "age": each.age, "maximumAge": source.maximum_age}
            entry = Entry("Validity", FAIL, each.problem, each.name, operands=operands)
            return Step(facts, entry)
    absent = next((name for name, each in measured.items() if each is None), None)
    if absent is not None and _model_takes(given.policy.inference, absent):
        return Step(facts, Entry("Validity", FAIL, reasons.FEATURE_NOT_READY, absent))
    return Step(facts, Entry("Validity", PASS, reasons.INPUTS_VALID))


def context(facts: Facts) -> Step:
    """Pass when every match condition is true."""
    policy = facts.given.policy
    if not policy.conditions and not policy.before.variables:
        return Step(facts, Entry("Context", PASS, reasons.CONDITIONS_HOLD))
    facts = _with_variables(facts, policy.before)
    bindings = _bind(policy.before, facts.values)
    facts = facts._replace(bindings=None)
    for condition in policy.conditions:
        truth = condition.expression.is_true(bindings)
        if truth is not True:
            reason = reasons.CONDITION_FALSE if truth is False else reasons.EXPRESSION_ERROR
            phase = FAIL if truth is False else ERROR
            return Step(facts, _entry("Context", phase, reason, condition, bindings))
    return Step(facts, Entry("Context", PASS, reasons.CONDITIONS_HOLD))


def inference(facts: Facts) -> Step:
    """Pass when the model has answered with finite numbers and the inputs are still fresh."""
    policy = facts.given.policy
    if policy.inference is None:
        return Step(_after(facts), Entry("Inference", PASS, reasons.NO_MODEL))
    answer = facts.answer or NO_ANSWER
    stale = _grown_stale(facts)
    if stale is not None:
        return Step(facts, Entry("Inference", FAIL, reasons.INPUT_STALE, stale))
    refused = _unanswered(policy.inference, answer)
    if refused is not None:
        if policy.inference.is_rule_only:
            entry = refused._replace(phase=PASS, reason=reasons.RULE_ONLY)
            return Step(_after(facts), entry)
        return Step(facts, refused)
    outputs: dict[str, float] = {}
    for output in policy.inference.outputs:
        data = answer.outputs.get(output.tensor, ())
        if output.index >= len(data):
            return Step(facts, Entry("Inference", FAIL, reasons.OUTPUT_MISSING, output.name))
        outputs[output.name] = float(data[output.index])
        if not math.isfinite(outputs[output.name]):
            return Step(facts, Entry("Inference", FAIL, reasons.OUTPUT_NOT_FINITE, output.name))
    facts = facts._replace(outputs=outputs, values={**facts.values, **outputs})
    return Step(_after(facts), Entry("Inference", PASS, reasons.ANSWERED))


def rule(facts: Facts) -> Step:
    """Pass when a Permit is true and no Forbid is; a Forbid that errors forbids."""
    policy, bindings = facts.given.policy, _bound(facts)
    for each in policy.forbids:
        truth = each.expression.is_true(bindings)
        if truth is not False:
            reason = each.reason if truth is True else reasons.EXPRESSION_ERROR
            facts = facts._replace(message=_message(each, bindings))
            return Step(facts, _entry("Rule", FAIL, reason, each, bindings))
    nearest: Entry | None = None
    for each in policy.permits:
        truth = each.expression.is_true(bindings)
        if truth is True:
            entry = _entry("Rule", PASS, each.reason, each, bindings)
            facts = facts._replace(reason=each.reason, message=_message(each, bindings))
            return Step(facts, entry)
        phase = FAIL if truth is False else ERROR
        reason = reasons.NO_RULE_PERMITS if truth is False else reasons.EXPRESSION_ERROR
        nearest = _nearest(nearest, _entry("Rule", phase, reason, each, bindings))
    return Step(facts, nearest or Entry("Rule", FAIL, reasons.NO_RULE_PERMITS))


def limits(facts: Facts) -> Step:
    """Pass when each value of the action is finite and, clamped where allowed, within bounds."""
    policy, bindings = facts.given.policy, _bound(facts)
    wanted: dict[str, expr.Value] = {}
    for bound in policy.action.bounds:
        value = bound.expression.evaluate(bindings)
        if isinstance(value, expr.Problem):
            is_error = value.reason == expr.EXPRESSION_ERROR
            reason = reasons.EXPRESSION_ERROR if is_error else reasons.VALUE_NOT_FINITE
            source = compiled.Named(bound.name, bound.expression)
            return Step(facts, _entry("Limits", ERROR, reason, source, bindings))
        wanted[bound.name] = value
    present = {
        bound.property: bounding.present_value(bound, facts.given)
        for bound in policy.action.bounds
        if bound.property is not None
    }
    facts = facts._replace(recommendation=wanted, present=present)
    limited: dict[str, expr.Value] = {}
    entry = Entry("Limits", PASS, reasons.WITHIN_LIMITS)
    for bound in policy.action.bounds:
        value, found = bounding.limit(
            bound, policy.action.on_limit, wanted[bound.name], present.get(bound.property or "")
        )
        if found.phase is not PASS:
            return Step(facts, found)
        limited[bound.name] = value
        entry = bounding.tighter(entry, found)
    return Step(facts._replace(limited=limited), entry)


def rate_limit(facts: Facts) -> Step:
    """Pass when neither policy nor actuator has been commanded too often or waits for news."""
    given = facts.given
    if given.held_until is not None and given.seconds < given.held_until:
        operands = {"seconds": given.held_until - given.seconds}
        return Step(facts, Entry("RateLimit", FAIL, reasons.ACTUATOR_HELD, operands=operands))
    if given.outstanding >= MAXIMUM_OUTSTANDING:
        operands = {"outstanding": float(given.outstanding)}
        return Step(
            facts, Entry("RateLimit", FAIL, reasons.TOO_MANY_OUTSTANDING, operands=operands)
        )
    policy = given.policy
    for limit, spent in (
        (policy.policy_rate, given.policy_spent),
        (policy.actuator_rate, given.actuator_spent),
    ):
        refusal = None if limit is None else limiter.blocked(limit, spent, given.seconds)
        if refusal is not None:
            entry = Entry(
                "RateLimit",
                FAIL,
                refusal.reason,
                refusal.name,
                operands={"seconds": refusal.seconds},
                margin=-refusal.seconds,
            )
            return Step(facts, entry)
    return Step(facts, Entry("RateLimit", PASS, reasons.WITHIN_RATE))


def mode(facts: Facts) -> Step:
    """Pass when the policy may act by itself; Shadow and Advise end here, as they should."""
    match facts.given.mode:
        case Mode.AUTONOMOUS:
            return Step(facts, Entry("Mode", PASS, reasons.AUTONOMOUS_MODE))
        case Mode.ADVISE | Mode.SUPERVISED:
            # Supervised is refused at compile time; were it here, it would not act.
            return Step(facts, Entry("Mode", FAIL, reasons.ADVISE_MODE))
        case Mode.SHADOW | Mode.DISABLED:
            return Step(facts, Entry("Mode", FAIL, reasons.SHADOW_MODE))
        case _:
            assert_never(facts.given.mode)


def authority(facts: Facts) -> Step:
    """Pass while this agent's right to command the device holds."""
    holder = facts.given.holder
    reason = AUTHORITY[holder.standing]
    phase = PASS if holder.standing.is_permitting else FAIL
    operands = {"holder": holder.node, "epoch": holder.epoch}
    return Step(facts, Entry("Authority", phase, reason, operands=operands))


AUTHORITY: Mapping[fencing.Standing, str] = {
    fencing.Standing.RENEWED: reasons.AUTHORITY_RENEWED,
    fencing.Standing.OFFLINE: reasons.AUTHORITY_OFFLINE,
    fencing.Standing.LAPSED: reasons.AUTHORITY_LAPSED,
    fencing.Standing.SUPERSEDED: reasons.AUTHORITY_SUPERSEDED,
    fencing.Standing.NONE: reasons.AUTHORITY_MISSING,
}


def _features(facts: Facts, values: Mapping[str, expr.Value]) -> dict[str, float | None]:
    """Return every number that the policy makes: features, and inputs that the model takes."""
    given = facts.given
    measured: dict[str, float | None] = {}
    for feature in given.policy.features:
        if not feature.seconds:
            measured[feature.name] = _number(values.get(feature.input))
            continue
        if feature.name in given.measured:
            measured[feature.name] = given.measured[feature.name]
            continue
        window = given.windows.get(feature.name, features.Window(feature.seconds))
        measured[feature.name] = features.measure(window, feature.aggregate, given.seconds)
    if given.policy.inference is not None:
        for tensor in given.policy.inference.tensors:
            for name in tensor.features:
                if name not in measured:
                    measured[name] = _number(values.get(name))
    return measured


def _number(value: expr.Value | None) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def _model_takes(asked: compiled.Inference | None, name: str) -> bool:
    return asked is not None and any(name in tensor.features for tensor in asked.tensors)


def _with_variables(facts: Facts, scope: compiled.Scope) -> Facts:
    """Evaluate the stage's variables in order; one without a value stays without."""
    if not scope.variables:
        return facts
    values, variables = dict(facts.values), dict(facts.variables)
    for variable in scope.variables:
        bindings = scope.environment.bind(_some(values, variable.expression.references))
        value = variable.expression.evaluate(bindings)
        if not isinstance(value, expr.Problem):
            values[variable.name] = variables[variable.name] = value
    return facts._replace(values=values, variables=variables)


def _bind(scope: compiled.Scope, values: Mapping[str, expr.Value]) -> expr.Bindings:
    return scope.environment.bind(_some(values, scope.used))


def _some(values: Mapping[str, expr.Value], names: Iterable[str]) -> dict[str, expr.Value]:
    return {name: values[name] for name in names if name in values}


def _after(facts: Facts) -> Facts:
    """Bind what the expressions after inference read."""
    scope = facts.given.policy.after
    facts = _with_variables(facts, scope)
    return facts._replace(bindings=_bind(scope, facts.values))


def _bound(facts: Facts) -> expr.Bindings:
    return facts.bindings or _bind(facts.given.policy.after, facts.values)


def _unanswered(asked: compiled.Inference, answer: Answer) -> Entry | None:
    """Return why nothing can be decided on an answer: there is none, or another version gave it."""
    is_other = answer.model is not None and served.contradicts(asked.asked, answer.model)
    if is_other or answer.problem == reasons.OTHER_VERSION:
        operands: dict[str, expr.Value | None] = {"asked": asked.version}
        return Entry("Inference", FAIL, reasons.OTHER_VERSION, operands=operands)
    if answer.problem is None:
        return None
    return Entry("Inference", FAIL, answer.problem, operands={"detail": answer.detail})


def _grown_stale(facts: Facts) -> str | None:
    """Return an input that outlived its maximumAge while the model was being asked."""
    now = facts.given.seconds
    for each, source in zip(facts.inputs, facts.given.policy.inputs, strict=True):
        is_own = each.substituted != "Default" and each.received is not None
        if is_own and each.received is not None and now - each.received > source.maximum_age:
            return each.name
    return None


def _entry(
    gate: str,
    phase: record.Phase,
    reason: str,
    source: compiled.Named | compiled.Rule,
    bindings: expr.Bindings,
) -> Entry:
    expression = source.expression
    return Entry(
        gate,
        phase,
        reason,
        source.name,
        expression.source,
        expression.operands(bindings),
        expression.margin(bindings),
    )


def _message(source: compiled.Rule, bindings: expr.Bindings) -> str:
    """Render what the author wants people to read; an error renders nothing."""
    text = "" if source.message is None else source.message.evaluate(bindings)
    return text if isinstance(text, str) else ""


def _nearest(one: Entry | None, other: Entry) -> Entry:
    """Return the Permit that explains more: one that errored, else the one closest to true."""
    if one is None:
        return other
    if one.phase is ERROR or other.phase is ERROR:
        return one if one.phase is ERROR else other
    left = -math.inf if one.margin is None else one.margin
    right = -math.inf if other.margin is None else other.margin
    return other if right > left else one
