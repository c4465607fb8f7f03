"""Whether the data carries a decision: the inputs, the conditions, the model's answer."""

import math
from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.v1alpha1 import DataType
from foreshore_api.wire.record import Phase
from foreshore_decision import expr, features, samples, served
from foreshore_decision.chain import readings
from foreshore_decision.chain.facts import NONE, Answer, Entry, Facts, Given, Input, Step
from foreshore_decision.gates import expressions
from foreshore_decision.instant import is_beyond
from foreshore_decision.policy import compiled

PASS, FAIL, ERROR = Phase.PASS, Phase.FAIL, Phase.ERROR
NO_ANSWER: Final = Answer({}, problem=reasons.INFERENCE_FAILED)


def validity(gate: GateName, facts: Facts) -> Step:
    """Pass when every input can be believed or is substituted, and the features are ready.

    Without enough of its window listened to no feature is ready, whoever reads it: a rule that met
    half a minute's mean as a minute's would act on it. One that has no value although it was
    listened to matters to the model only; an expression says itself what it makes of that.
    """
    given = facts.given
    inputs: list[Input] = []
    values: dict[str, expr.Value] = {}
    refused: Entry | None = None
    for source in given.policy.inputs:
        reading, good = given.readings.get(source.property), given.last_good.get(source.name)
        seen = readings.input_of(source, reading, good, given.seconds)
        inputs.append(seen)
        if seen.problem is None or seen.substituted is not None:
            if seen.value is not None:
                values[seen.name] = seen.value
        elif refused is None:
            operands = {"value": seen.value, "age": seen.age, "maximumAge": source.maximum_age}
            if seen.refusal is not None:
                operands["refusal"] = seen.refusal
            refused = Entry(gate, FAIL, seen.problem, seen.name, operands=operands)
    values.update(given.policy.parameters)
    measured = _features(facts, values)
    for name, value in measured.items():
        if value is not None:
            values.setdefault(name, value)  # an input that the model takes keeps its own type
    facts = facts._replace(
        inputs=tuple(inputs), features=measured, values=values, sampled=sampled(given)
    )
    entry = refused or _not_ready(gate, facts)
    return Step(facts, entry or Entry(gate, PASS, reasons.INPUTS_VALID))


def context(gate: GateName, facts: Facts) -> Step:
    """Pass when every match condition is true."""
    policy = facts.given.policy
    if not policy.conditions and not policy.before.variables:
        return Step(facts, Entry(gate, PASS, reasons.CONDITIONS_HOLD))
    facts = expressions.with_variables(facts, policy.before)
    bindings = expressions.bind(policy.before, facts.values)
    for condition in policy.conditions:
        truth = condition.expression.is_true(bindings)
        if truth is not True:
            reason = reasons.CONDITION_FALSE if truth is False else reasons.EXPRESSION_ERROR
            phase = FAIL if truth is False else ERROR
            return Step(facts, expressions.entry(gate, phase, reason, condition, bindings))
    return Step(facts, Entry(gate, PASS, reasons.CONDITIONS_HOLD))


def inference(gate: GateName, facts: Facts) -> Step:
    """Pass when the model has answered with values that can be used, and the inputs are fresh."""
    policy = facts.given.policy
    if policy.inference is None:
        return Step(expressions.after(facts), Entry(gate, PASS, reasons.NO_MODEL))
    answer = facts.answer or NO_ANSWER
    expired = _expired(gate, facts)
    if expired is not None:
        return Step(facts, expired)
    refused = _unanswered(gate, policy.inference, answer)
    if refused is not None:
        if policy.inference.is_rule_only:
            entry = refused._replace(phase=PASS, reason=reasons.RULE_ONLY)
            return Step(expressions.after(facts), entry)
        return Step(facts, refused)
    outputs: dict[str, expr.Value] = {}
    for output in policy.inference.outputs:
        data = answer.outputs.get(output.tensor, ())
        if output.index >= len(data):
            return Step(facts, Entry(gate, FAIL, reasons.OUTPUT_MISSING, output.name))
        value = data[output.index]
        problem = _unusable(output, value)
        if problem is not None:
            return Step(facts, Entry(gate, FAIL, problem, output.name))
        outputs[output.name] = value if isinstance(value, str) else float(value)
    return Step(expressions.after(facts, outputs), Entry(gate, PASS, reasons.ANSWERED))


def sampled(given: Given) -> Mapping[str, samples.SampledWindow]:
    """Return the windows of samples that the model takes, by tensor, as they are now."""
    taken = given.policy.sampled
    return {tensor.name: _look(given, tensor.name, window) for tensor, window in taken} or NONE


def _look(given: Given, name: str, window: compiled.SampledInputs) -> samples.SampledWindow:
    recorded = given.sampled.get(name)
    if recorded is not None:
        return recorded
    return samples.look(given.grids.get(name) or window.grid(), given.seconds)


def _unusable(output: compiled.Output, value: expr.Value) -> GateReason | None:
    """Return why an element of an answer is no value of an output, or None."""
    is_text = output.type is DataType.STRING
    if isinstance(value, str) is not is_text:
        return reasons.OUTPUT_OF_WRONG_TYPE
    if isinstance(value, str):
        return reasons.OUTPUT_TOO_LONG if len(value) > expr.MAXIMUM_TEXT else None
    return None if math.isfinite(value) else reasons.OUTPUT_NOT_FINITE


def _features(facts: Facts, values: Mapping[str, expr.Value]) -> dict[str, samples.Sample | None]:
    """Return everything that the policy measures: features, and inputs that the model takes."""
    given = facts.given
    measured: dict[str, samples.Sample | None] = {}
    for feature in given.policy.features:
        if not feature.seconds:
            measured[feature.name] = readings.measured(values.get(feature.input))
            continue
        if feature.name in given.measured:
            measured[feature.name] = given.measured[feature.name].number
            continue
        window = _window(given, feature)
        is_covered = not features.uncovered(window, feature.coverage, given.seconds)
        measured[feature.name] = (
            features.measure(window, feature.aggregate, given.seconds) if is_covered else None
        )
    if given.policy.inference is not None:
        for name in given.policy.inference.features:
            if name not in measured:
                measured[name] = readings.measured(values.get(name))
    return measured


def _not_ready(gate: GateName, facts: Facts) -> Entry | None:
    """Return the first value that is missing, and when its window will be covered, or full."""
    if None in facts.features.values():
        entry = _unmeasured(gate, facts)
        if entry is not None:
            return entry
    return _unfilled(gate, facts)


def _unfilled(gate: GateName, facts: Facts) -> Entry | None:
    """Return the first window of samples that is not full, and the column that lacks most of it."""
    for tensor, window in facts.given.policy.sampled:
        seen = facts.sampled[tensor.name]
        if not seen.is_full:
            operands: dict[str, expr.Value | None] = {
                "samples": seen.samples,
                "steps": window.steps,
                "every": window.every,
                "seconds": seen.seconds,
            }
            if seen.gap:
                operands |= {"gap": seen.gap, "longest": samples.GAP * window.every}
            name = tensor.features[seen.column]
            return Entry(gate, FAIL, reasons.FEATURE_NOT_READY, name, operands=operands)
    return None


def _unmeasured(gate: GateName, facts: Facts) -> Entry | None:
    """Return the first value that is missing, and when its window will be covered."""
    given = facts.given
    declared = {feature.name: feature for feature in given.policy.features}
    for name, number in facts.features.items():
        if number is not None:
            continue
        operands: dict[str, expr.Value | None] = {}
        seconds, feature = 0.0, declared.get(name)
        if feature is not None and feature.seconds:
            window = _window(given, feature)
            seconds = features.uncovered(window, feature.coverage, given.seconds)
            operands = {
                "values": _values(given, feature),
                "coverage": features.coverage(window, given.seconds),
                "minimumCoverage": feature.coverage,
                "seconds": seconds,
            }
        if seconds or _model_takes(given.policy.inference, name):
            return Entry(gate, FAIL, reasons.FEATURE_NOT_READY, name, operands=operands)
    return None


def _values(given: Given, feature: compiled.Feature) -> int:
    measured = given.measured.get(feature.name)
    if measured is not None:
        return measured.values
    return features.count(_window(given, feature), given.seconds)


def _window(given: Given, feature: compiled.Feature) -> features.Window:
    return given.windows.get(feature.name, features.Window(feature.seconds))


def _model_takes(asked: compiled.Inference | None, name: str) -> bool:
    return asked is not None and name in asked.features


def _unanswered(gate: GateName, asked: compiled.Inference, answer: Answer) -> Entry | None:
    """Return why nothing can be decided on an answer: there is none, or another version gave it."""
    is_other = answer.model is not None and served.contradicts(asked.asked, answer.model)
    if is_other or answer.problem == reasons.OTHER_VERSION:
        operands: dict[str, expr.Value | None] = {"asked": asked.version}
        return Entry(gate, FAIL, reasons.OTHER_VERSION, operands=operands)
    if answer.problem is None:
        return None
    return Entry(gate, FAIL, answer.problem, operands={"detail": answer.detail})


def _expired(gate: GateName, facts: Facts) -> Entry | None:
    """Return the line about an input that outlived its maximumAge while the model was asked."""
    now = facts.given.seconds
    for seen, source in zip(facts.inputs, facts.given.policy.inputs, strict=True):
        if seen.received is None or seen.substituted == "Default":
            continue
        if is_beyond(seen.received, source.maximum_age, now):
            operands = {"age": now - seen.received, "maximumAge": source.maximum_age}
            return Entry(gate, FAIL, reasons.INPUT_EXPIRED, seen.name, operands=operands)
    return None
