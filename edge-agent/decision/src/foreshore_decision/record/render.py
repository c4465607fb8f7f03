"""Render decisions as records, and events in their envelope. Called by the engine and by `replay`.

Built as plain dictionaries, because a record is rendered on the path of every decision; a test
holds them to `wire.record`. What people read (`inputs`, `features`, `state`, `gates`) is rounded
where it is an age; `facts` holds the same exactly, and more, for the replay.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from foreshore_api import printable
from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName
from foreshore_api.wire import record
from foreshore_decision import expr
from foreshore_decision.chain import evaluate, limiter, messages, order
from foreshore_decision.chain.facts import Entry, Facts, Input
from foreshore_decision.policy import compiled
from foreshore_decision.record import facts as codec

SKIPPED: Final = {"phase": record.Phase.SKIPPED.value, "reason": reasons.SKIPPED}
PASS: Final = record.Phase.PASS
PASS_NUMBER: Final = 1
"""The first run of the chain over a decision; further passes come with approvals."""
UNMADE: Final = ("inputs", "gates", "parameters", "variables", "present", "state", "recommendation")
"""What a record lacks that is made of its compact form alone."""


def decision(
    evaluation: evaluate.Evaluation,
    verdict: record.Verdict,
    *,
    command: Mapping[str, Any] | None,
    latency: Mapping[str, float],
    engine: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    names: tuple[GateName, ...] = order.NAMES,
) -> dict[str, Any]:
    """Return the data of a `DECISION` event; `engine` holds site, node, clock and engine.

    `facts` are those of the evaluation where they are encoded already. `names` are those of every
    gate of the chain, so that those that were not asked are named.
    """
    data = shown(evaluation, verdict, command=command, latency=latency, engine=engine, names=names)
    if facts is None:
        facts = codec.encode(evaluation.facts, data)
    else:
        facts = codec.fitted(facts, evaluation.facts.given.policy, data)
    data["facts"] = facts
    return data


def compact(evaluation: evaluate.Evaluation) -> dict[str, Any]:
    """Return what a record of an evaluation is made of: little, plain, and enough.

    Parts of the record's own data, under their names there: `replay.recall` makes the evaluation
    of them again, by the same policy. No sentence, no line of a gate, nothing that follows.
    """
    facts = evaluation.facts
    document = {
        "decisionId": facts.given.decision_id,
        "trigger": _trigger(facts),
        "authority": _authority(facts),
    }
    optional = {
        "model": _model(facts),
        "features": facts.features,
        "inference": _inference(facts),
    }
    document.update((key, value) for key, value in optional.items() if value)
    document["facts"] = codec.encode(facts, document)
    return document


def incomplete(
    document: Mapping[str, Any],
    *,
    identity: Mapping[str, Any],
    command: Mapping[str, Any],
    latency: Mapping[str, float],
    engine: Mapping[str, Any],
    reason: str,
    why: str,
) -> dict[str, Any]:
    """Return the data of a `DECISION` event that was commanded, of its compact form alone.

    `identity` is policy and device as records name them, `reason` that of the rule that permitted
    and `why` says, for people, what keeps the rest from being made again.
    """
    row = reasons.RECORD_INCOMPLETE
    given = ", ".join(f"{name} {messages.plain(value)}" for name, value in command["input"].items())
    action = f"{command['action']} ({given})" if given else command["action"]
    message = printable.line(row.message.format(action=action, why=why))
    line = {
        "gate": reasons.RECORD,
        "phase": record.Phase.PASS,
        "reason": row,
        "operands": {"missing": ", ".join(UNMADE)},
        "message": message,
    }
    return {
        "decisionId": document["decisionId"],
        "passNumber": PASS_NUMBER,
        **engine,
        **identity,
        **{key: value for key, value in document.items() if key not in ("decisionId", "facts")},
        "gates": [line],
        "verdict": {"result": record.Verdict.COMMANDED, "reason": reason, "message": message},
        "latency": dict(latency),
        "command": command,
        "facts": document["facts"],
    }


def shown(
    evaluation: evaluate.Evaluation,
    verdict: record.Verdict,
    *,
    command: Mapping[str, Any] | None,
    latency: Mapping[str, float],
    engine: Mapping[str, Any],
    names: tuple[GateName, ...] = order.NAMES,
) -> dict[str, Any]:
    """Return what people read of a decision: its data without the facts."""
    facts = evaluation.facts
    given, policy = facts.given, facts.given.policy
    identity = policy.identity
    message = messages.render(evaluation.decided_by, facts)
    data: dict[str, Any] = {
        "decisionId": given.decision_id,
        "passNumber": PASS_NUMBER,
        **engine,
        "policy": _policy(facts),
        "device": identity["device"],
        "trigger": _trigger(facts),
        "inputs": list(map(_input, facts.inputs, policy.inputs)),
        "gates": [_line(entry, message) for entry in evaluation.entries],
        "verdict": _decided(evaluation, verdict, message),
        "authority": _authority(facts),
        "state": _state(facts),
        "latency": dict(latency),
    }
    skipped = evaluate.skipped(evaluation.entries, names)
    data["gates"] += [{"gate": name, **SKIPPED} for name in skipped]
    _add(data, "model", _model(facts))
    _add(data, "features", facts.features)
    _add(data, "parameters", policy.parameters and _parameters(policy.parameters))
    _add(data, "variables", facts.variables)
    _add(data, "present", facts.present)
    _add(data, "inference", _inference(facts))
    _add(data, "recommendation", _recommendation(facts))
    _add(data, "replaced", dict(given.replaced))
    _add(data, "command", command)
    return data


def _add(data: dict[str, Any], name: str, part: Mapping[str, Any] | None) -> None:
    """Add a part that a decision may be without."""
    if part:
        data[name] = part


def event(
    *,
    id: str,  # noqa: A002 - the CloudEvents attribute
    type: str,  # noqa: A002 - the CloudEvents attribute
    source: str,
    subject: str | None,
    time: datetime,
    data: Mapping[str, Any],
    sampled_rate: int | None = None,
) -> dict[str, Any]:
    """Return the CloudEvents envelope; the journal fills in `sequence`."""
    envelope: dict[str, Any] = {"specversion": "1.0", "id": id, "source": source, "type": type}
    if subject is not None:
        envelope["subject"] = subject
    envelope["time"] = stamp(time)
    envelope["datacontenttype"] = "application/json"
    envelope["sequence"] = ""
    if sampled_rate is not None:
        envelope["sampledrate"] = sampled_rate
    envelope["data"] = data
    return envelope


def stamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds."""
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return moment.isoformat("T", "microseconds")[: -len("+00:00")] + "Z"


def is_sampled(decision_id: str, rate: float) -> bool:
    """Whether a routine decision is kept: the same answer for the same decision, everywhere."""
    if rate >= 1.0:
        return True
    drawn = hashlib.blake2b(decision_id.encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") < rate * 2**64


def _policy(facts: Facts) -> dict[str, Any]:
    given = facts.given
    policy: dict[str, Any] = {**given.policy.identity["policy"]}
    policy["effectiveMode"] = given.mode.value
    if given.caps:
        policy["cappedBy"] = [cap.reason for cap in given.caps]
    return policy


def _model(facts: Facts) -> Mapping[str, Any] | None:
    """Return what answered, as it said; where nothing did, what was to be asked."""
    answer = facts.answer
    if answer is None or answer.model is None:
        asked: Mapping[str, Any] | None = facts.given.policy.identity["model"]
        return asked
    return answer.model._asdict()


def _trigger(facts: Facts) -> dict[str, Any]:
    trigger = facts.given.trigger
    rendered: dict[str, Any] = {"kind": trigger.kind}
    if trigger.name is not None:
        rendered["name"] = trigger.name
    if trigger.received is not None:
        rendered["receivedAt"] = stamp(trigger.received)
    if trigger.sampled is not None:
        rendered["sampledAt"] = stamp(trigger.sampled)
    return rendered


def _authority(facts: Facts) -> dict[str, Any]:
    holder = facts.given.holder
    return {"holder": holder.node, "epoch": holder.epoch, "standing": holder.standing.value}


def _input(source: Input, declared: compiled.CompiledInput) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": source.name, "quality": "Good"}
    other = declared.other
    if other is not None:
        rendered["readFrom"] = {
            "namespace": other.namespace,
            "device": other.device,
            "uid": other.uid,
            "property": other.property,
        }
    if source.problem is not None:
        rendered["problem"] = source.problem
        rendered["quality"] = "Bad"
    if source.refusal is not None:
        rendered["refusal"] = source.refusal
    if source.substituted is not None:
        rendered["substituted"] = source.substituted
    if source.value is not None:
        rendered["value"] = source.value
    if source.unit is not None:
        rendered["unit"] = source.unit
    if source.age is not None:
        rendered["ageSeconds"] = round(source.age, 6)
    return rendered


def _line(entry: Entry, message: str) -> dict[str, Any]:
    """Return what a gate said; `message` is that of the one that did not pass, and so decided."""
    line: dict[str, Any] = {"gate": entry.gate, "phase": entry.phase, "reason": entry.reason}
    if entry.name is not None:
        line["name"] = entry.name
    if entry.expression is not None:
        line["expression"] = entry.expression
    if entry.operands:
        line["operands"] = dict(entry.operands)
    if entry.margin is not None:
        line["margin"] = entry.margin
    if entry.phase is not PASS:
        line["message"] = message
    return line


def _decided(
    evaluation: evaluate.Evaluation, verdict: record.Verdict, message: str
) -> dict[str, Any]:
    entry, facts = evaluation.decided_by, evaluation.facts
    reason = facts.reason if entry is None else entry.reason
    decided: dict[str, Any] = {
        "result": verdict.value,
        "reason": reason,
        "message": message,
    }
    if entry is not None:
        decided["decidedBy"] = f"{entry.gate}/{entry.name}" if entry.name else entry.gate
    return decided


def _state(facts: Facts) -> dict[str, Any]:
    given = facts.given
    state: dict[str, Any] = {"locked": given.is_locked, "outstanding": given.outstanding}
    policy = given.policy
    state |= _rate(policy.policy_rate, given.policy_spent, given.seconds)
    state |= _rate(policy.actuator_rate, given.actuator_spent, given.seconds)
    if given.held_until is not None and given.held_until > given.seconds:
        state["heldForSeconds"] = round(given.held_until - given.seconds, 6)
    return state


def _rate(limit: compiled.RateLimit | None, spent: limiter.Spent, now: float) -> dict[str, Any]:
    """Return what a rate limit looked at, for people."""
    if limit is None or spent.newest is None:
        return {}
    state: dict[str, Any] = {f"{limit.name}SinceSeconds": round(now - spent.newest, 6)}
    if limit.burst:
        state[f"{limit.name}CommandsLeft"] = limit.burst - spent.recent
    return state


def _parameters(values: Mapping[str, expr.Value]) -> dict[str, expr.Value]:
    return {name.removeprefix("parameters."): value for name, value in values.items()}


def _inference(facts: Facts) -> dict[str, Any] | None:
    answer = facts.answer
    if answer is None:
        return None
    attempts = [_attempt(attempt) for attempt in answer.attempts]
    rendered: dict[str, Any] = {"attempts": attempts, "outputs": dict(facts.outputs)}
    if answer.provider is not None:
        rendered["provider"] = answer.provider
    return rendered


def _attempt(attempt: record.Attempt) -> dict[str, Any]:
    """Return what `model_dump` does, at a tenth of its cost; a test holds both to one another."""
    rendered: dict[str, Any] = {
        "slot": attempt.slot,
        "node": attempt.node,
        "result": attempt.result,
    }
    if attempt.reason is not None:
        rendered["reason"] = attempt.reason
    if attempt.seconds is not None:
        rendered["seconds"] = attempt.seconds
    if attempt.answered is not None:
        rendered["answered"] = attempt.answered.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
    return rendered


def _recommendation(facts: Facts) -> dict[str, Any] | None:
    if facts.recommendation is None:
        return None
    rendered: dict[str, Any] = {
        "action": facts.given.policy.action.name,
        "input": dict(facts.recommendation),
    }
    if facts.limited is not None:
        rendered["limited"] = dict(facts.limited)
    return rendered
