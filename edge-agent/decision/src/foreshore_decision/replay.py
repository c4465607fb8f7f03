"""Run the chain again on a recorded decision: the proof that a record explains itself.

    record ──► facts as the gates saw them ──► the same gates ──► record
                                                                    └── projection equal, byte for
                                                                    byte

Whoever asks "what if" replays with another policy. The facts are rebuilt from the record alone,
with the moment of the decision as zero: what a record holds as an age or a rest becomes a moment
before or after it. A projection leaves out durations and clocks (they are measured, not decided)
and the command, which is made after the chain.
"""

import datetime
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.v1alpha1 import DataType, Mode
from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_api.wire import assignment
from foreshore_api.wire import record as wire
from foreshore_decision import expr, features, fencing, policy, record, served
from foreshore_decision.chain import evaluate, facts, gate, limiter, order
from foreshore_decision.instant import Instant
from foreshore_decision.policy import compiled

Json = Mapping[str, Any]

NOW: Final = 0.0
"""The moment of the decision, in the engine seconds of a replay."""
MEASURED: Final = frozenset({"latency", "clock", "command"})
"""Keys of a record that hold what clocks say, or what is made after the chain."""
TIMED: Final = frozenset(
    {
        reasons.MINIMUM_INTERVAL,
        reasons.BURST_SPENT,
        reasons.ACTUATOR_HELD,
        reasons.INPUT_STALE,
        reasons.FEATURE_NOT_READY,
        reasons.INPUT_EXPIRED,
    }
)
"""Reasons whose operands, margin and message speak of a duration."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the chain makes of a record's facts now."""

    data: Mapping[str, Any]
    is_same: bool
    """Whether the projection is that of the record, byte for byte."""


def replay(
    recorded: Json,
    assigned: assignment.AssignedPolicy,
    device: assignment.AssignedDevice,
    chain: gate.Chain = order.CHAIN,
) -> Replayed:
    """Decide again on the data of a `DECISION` event.

    With the policy and device that the record names (their digests tell) an intact record of this
    engine replays to the same projection; with others, this is what they would have decided.

    Raises:
        policy.PolicyError: the policy does not compile for the device.
    """
    made = _told_apart(policy.compile(assigned, device, str(recorded.get("site", ""))))
    evaluation = _run(chain, made, recorded)
    if _gate(recorded, reasons.RECORD):  # the intent could not be written
        entry = facts.Entry(reasons.RECORD, wire.Phase.ERROR, reasons.RECORDER_FULL)
        entries = (*evaluation.entries, entry)
        evaluation = evaluation._replace(decided_by=entry, entries=entries)
    engine = {key: recorded[key] for key in ("site", "node", "clock", "engine") if key in recorded}
    data = record.decision(
        evaluation,
        evaluate.verdict(evaluation),
        command=None,
        latency={},
        engine=engine,
        names=chain.names,
    )
    return Replayed(data, projection(data) == projection(recorded))


def projection(data: Json) -> bytes:
    """Return what is decided of a record's data, as canonical JSON."""
    kept = _decided({key: value for key, value in data.items() if key not in MEASURED})
    body = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return body.encode()


def _decided(value: Any) -> Any:
    """Leave out durations, wherever they are."""
    if isinstance(value, Mapping):
        gone = {"operands", "margin", "message"} if value.get("reason") in TIMED else set()
        if value.get("gate") == reasons.VALIDITY and "operands" in value:
            value = {**value, "operands": {**value["operands"], "age": None}}
        return {
            key: _decided(each)
            for key, each in value.items()
            if key not in gone and not key.lower().endswith("seconds")
        }
    return [_decided(each) for each in value] if isinstance(value, list | tuple) else value


def _run(chain: gate.Chain, made: compiled.CompiledPolicy, recorded: Json) -> evaluate.Evaluation:
    """Ask the gates that the record asked, on the same facts."""
    given = _given(made, recorded)
    armed = _gate(recorded, reasons.ARM)
    if armed.get("phase") == wire.Phase.FAIL and recorded.get("inputs"):
        # dropped while the model was being asked: everything before had passed
        before = given._replace(mode=Mode.SHADOW, is_locked=False)
        found = evaluate.evaluate(chain.before, facts.Facts(before)).facts
        found = found._replace(given=given, answer=_answer(made, recorded))
        return evaluate.abandon(found, reasons.TABLE[armed["reason"]])
    first = evaluate.evaluate(chain.before, facts.Facts(given))
    if first.decided_by is not None:
        return first
    later = given._replace(seconds=NOW + _waited(made, recorded))
    found = first.facts._replace(given=later, answer=_answer(made, recorded))
    return evaluate.evaluate(chain.after, found, first.entries)


def _told_apart(made: compiled.CompiledPolicy) -> compiled.CompiledPolicy:
    """Give each input a property of its own: a record says what each input saw."""
    inputs = tuple(replace(each, property=_reading_name(each.name)) for each in made.inputs)
    return replace(made, inputs=inputs)


def _reading_name(name: str) -> str:
    return f"input {name}"


def _given(made: compiled.CompiledPolicy, recorded: Json) -> facts.Given:
    """Return everything that the engine knew, as far as the gates look at it."""
    told, authority = recorded["policy"], recorded.get("authority", {})
    mode = Mode(told["effectiveMode"])
    held = _state(recorded, "heldForSeconds")
    inputs = {each["name"]: each for each in recorded.get("inputs", ())}
    known = [(each, inputs[each.name]) for each in made.inputs if each.name in inputs]
    readings = {each.property: _reading(each, saw) for each, saw in known}
    return facts.Given(
        decision_id=str(recorded["decisionId"]),
        at=Instant(datetime.datetime.fromtimestamp(0, datetime.UTC), NOW, NOW),
        seconds=NOW,
        policy=made,
        mode=mode,
        caps=tuple(compiled.Cap(reason, mode) for reason in told.get("cappedBy", ())),
        is_locked=_state(recorded, "locked") is True,
        trigger=_trigger(recorded["trigger"]),
        readings={
            **_present(recorded),
            **{name: each for name, each in readings.items() if each is not None},
        },
        windows=_windows(made.features, recorded.get("features", {})),
        last_good={
            each.name: facts.Good(saw["value"], NOW - min(saw["ageSeconds"], each.maximum_age))
            for each, saw in known
            if saw.get("substituted") == "LastGood"
        },
        policy_log=_log(made.policy_rate, recorded),
        actuator_log=_log(made.actuator_rate, recorded),
        outstanding=int(_state(recorded, "outstanding") or 0),
        held_until=None if held is None else NOW + max(held, 1e-9),
        holder=facts.Holder(
            authority.get("holder"),
            authority.get("epoch"),
            fencing.Standing(authority.get("standing", "None")),
        ),
    )


def _reading(source: compiled.CompiledInput, saw: Json) -> facts.Reading | None:
    """Return a reading that an input with this line was made from.

    Of a substituted input the record holds what stood in; the reading itself only has to be bad in
    the same way. Ages were rounded: the problem tells on which side of maximumAge they were.
    """
    problem = saw.get("problem")
    if problem == reasons.INPUT_MISSING:
        return None
    limit, age = source.maximum_age, saw.get("ageSeconds", 0.0)
    if saw.get("substituted") == "LastGood":
        age = limit + 1 if problem == reasons.INPUT_STALE else 0.0
    is_stale = problem == reasons.INPUT_STALE
    age = max(age, math.nextafter(limit, math.inf)) if is_stale else age
    age = min(age, limit) if problem is None else age
    value = saw.get("value")
    if saw.get("substituted") is not None:
        value = _value_with(source, problem)
    return facts.Reading(
        value=value,
        received=NOW - age,
        problem="Refused" if problem == reasons.INPUT_REFUSED else None,
        rate=math.inf if problem == reasons.INPUT_IMPLAUSIBLE else None,
    )


def _value_with(source: compiled.CompiledInput, problem: str | None) -> expr.Value | None:
    """Return some value of an input that has this problem, where the record lacks the real one."""
    if problem == reasons.INPUT_REFUSED:
        return None
    if problem == reasons.INPUT_OUT_OF_RANGE:
        return source.maximum + 1 if source.maximum is not None else (source.minimum or 0.0) - 1
    match source.type:
        case DataType.STRING:
            return ""
        case DataType.BOOLEAN:
            return False
        case DataType.INTEGER | DataType.NUMBER:
            near = source.minimum if source.minimum is not None else min(0.0, source.maximum or 0.0)
            return math.ceil(near) if source.type is DataType.INTEGER else float(near)


def _present(recorded: Json) -> dict[str, facts.Reading]:
    measured = recorded.get("present", {})
    return {
        name: facts.Reading(value, NOW) for name, value in measured.items() if value is not None
    }


def _windows(wanted: Iterable[compiled.Feature], measured: Json) -> dict[str, features.Window]:
    """Return windows that give the recorded features: one pane with just these moments."""
    return {
        each.name: _window(each, measured[each.name])
        for each in wanted
        if each.seconds and measured.get(each.name)
    } | {
        each.name: _window(each, 0.0)
        for each in wanted
        if each.seconds and measured.get(each.name) == 0 and each.aggregate is not Aggregate.COUNT
    }


def _window(feature: compiled.Feature, value: float) -> features.Window:
    panes = (_pane(feature.aggregate, value),)
    return features.Window(feature.seconds, panes, since=NOW - feature.seconds)


def _pane(aggregate: Aggregate, value: float) -> features.Pane:
    is_count = aggregate is Aggregate.COUNT
    return features.Pane(
        start=NOW,
        end=NOW,
        size=int(value) if is_count else 2,
        minimum=value,
        maximum=value,
        time=NOW,
        value=value,
        time2=1.0,
        value2=value * value,  # its root over (2 - 1) is the value again
        product=value,
    )


def _log(limit: compiled.RateLimit | None, recorded: Json) -> limiter.Log:
    """Return a log of commands that leaves the room that the record tells."""
    if limit is None:
        return ()
    since = _state(recorded, f"{limit.name}SinceSeconds")
    if since is None:
        return ()
    asked = _gate(recorded, reasons.RATE_LIMIT)
    refused = asked.get("reason") if asked.get("name") == limit.name else None
    newest = NOW - _beside(since, limit.minimum_interval, refused == reasons.MINIMUM_INTERVAL)
    if not limit.burst:
        return (newest,)
    recent = limit.burst - int(_state(recorded, f"{limit.name}CommandsLeft") or 0)
    oldest = _state(recorded, f"{limit.name}OldestSeconds")
    if oldest is None:
        return (newest,) * max(1, recent)
    first = NOW - _beside(oldest, limit.per, recent == limit.burst)
    return (*(first,) * max(1, limit.burst - recent), *(newest,) * limit.burst)[-limit.burst :]


def _beside(seconds: float, bound: float, is_below: bool) -> float:  # noqa: FBT001 - a side
    """Return rounded seconds on the side of a bound where they were before rounding."""
    if is_below:
        return min(seconds, math.nextafter(bound, -math.inf))
    return seconds if abs(seconds - bound) > 1e-5 else max(seconds, bound)


def _waited(made: compiled.CompiledPolicy, recorded: Json) -> float:
    """Return how long the model was waited for, as far as it changed the verdict."""
    asked = _gate(recorded, reasons.INFERENCE)
    if asked.get("reason") != reasons.INPUT_EXPIRED:
        return 0.0
    source = next(each for each in made.inputs if each.name == asked["name"])
    saw = next(each for each in recorded["inputs"] if each["name"] == asked["name"])
    return max(0.0, source.maximum_age - float(saw.get("ageSeconds", 0.0))) + 1e-9


def _answer(made: compiled.CompiledPolicy, recorded: Json) -> facts.Answer | None:
    """Return what the model said, as tensors that hold the recorded outputs."""
    told = recorded.get("inference")
    if told is None or made.inference is None:
        return None
    asked = _gate(recorded, reasons.INFERENCE)
    attempts = tuple(wire.Attempt.model_validate(each) for each in told.get("attempts", ()))
    reason, detail = asked.get("reason"), asked.get("operands", {}).get("detail")
    if reason in (reasons.INFERENCE_LATE, reasons.INFERENCE_FAILED):
        return facts.Answer({}, attempts, problem=reasons.TABLE[reason], detail=detail)
    answered = _served(recorded)
    if reason == reasons.OTHER_VERSION or "asked" in asked.get("operands", {}):
        return facts.Answer({}, attempts, problem=reasons.OTHER_VERSION, model=answered)
    if reason == reasons.RULE_ONLY:
        return facts.Answer({}, attempts, problem=reasons.INFERENCE_FAILED, detail=detail)
    values = {name: float(value) for name, value in told.get("outputs", {}).items()}
    if reason == reasons.OUTPUT_NOT_FINITE:
        values[asked["name"]] = math.nan
    tensors: dict[str, tuple[float, ...]] = {}
    for output in made.inference.outputs:
        if reason == reasons.OUTPUT_MISSING and output.name == asked["name"]:
            tensors[output.tensor] = tensors.get(output.tensor, ())[: output.index]
            break
        held = list(tensors.get(output.tensor, ()))
        held += [0.0] * (output.index + 1 - len(held))
        held[output.index] = values.get(output.name, 0.0)
        tensors[output.tensor] = tuple(held)
    return facts.Answer(tensors, attempts, model=answered)


def _served(recorded: Json) -> served.Served | None:
    """Return what answered: of a policy that asks another version it decides nothing."""
    told = recorded.get("model")
    if told is None:
        return None
    return served.Served(*(str(told.get(key, "")) for key in served.Served._fields))


def _trigger(told: Json) -> facts.Trigger:
    def moment(name: str) -> datetime.datetime | None:
        written = told.get(name)
        return None if written is None else datetime.datetime.fromisoformat(written)

    return facts.Trigger(
        str(told["kind"]), told.get("name"), moment("receivedAt"), moment("sampledAt")
    )


def _gate(recorded: Json, name: str) -> Json:
    """Return a gate's line; empty when the record has none."""
    found: Iterable[Json] = recorded.get("gates", ())
    return next((each for each in found if each["gate"] == name), {})


def _state(recorded: Json, name: str) -> Any:
    return recorded.get("state", {}).get(name)
