"""The record of a command, from the verdict until it is written: first small, later rendered.

    verdict ──compact──► Unrecorded ──durable──► the command leaves ──render──► the record
                             └── (the process ended) ── recalled ──► Unrecorded ──render──► the same

Nothing is rendered while the device waits: what is durable before a command leaves is what its
record is made of. Called by `life` and `table`, and by `durable`, which keeps it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from foreshore_agent.engine import effects, recording
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Intent, Unrecorded
from foreshore_agent.engine.turn import Turn
from foreshore_api.reasons import agent as reasons
from foreshore_api.v1alpha1.actuation import RecordLevel
from foreshore_api.wire import record as wire
from foreshore_decision import record
from foreshore_decision.chain import evaluate
from foreshore_decision.policy.compiled import CompiledPolicy
from foreshore_decision.record import replay

LONGEST: Final = wire.MAXIMUM_BYTES - 64
"""Bytes of a rendered record; the journal adds its number."""

# Why a record is incomplete.
NO_POLICY: Final = (
    "the agent ended before it was written, and policy and device are not assigned any more as they"
    " were"
)
ANOTHER: Final = "the agent ended before it was written, and this release decides otherwise"
UNMADE: Final = "the agent ended before it was written, and it cannot be made again ({problem})"
TOO_LONG: Final = "it would be longer than a record may be"


class RenderedRecord(NamedTuple):
    """The record of a command; `why` it is incomplete, where it is."""

    line: effects.Record
    why: str = ""


def compact(
    turn: Turn,
    evaluation: evaluate.Evaluation,
    command: effects.SendCommand,
    latency: Mapping[str, float],
) -> Unrecorded:
    """Return what the record of a command will be made of; `latency` is seconds by stage."""
    policy, document = evaluation.facts.given.policy, record.compact(evaluation)
    if policy.record_level is not RecordLevel.FULL:  # of those the record may have less room
        document["facts"] = orjson.Fragment(orjson.dumps(document["facts"]))
    made = {
        "source": turn.source,
        "time": turn.at.now,
        "engine": recording.engine(turn),
        "latency": latency,
        "attempt": command.attempt,
        "holder": command.holder,
        "epoch": command.epoch,
        "priority": command.priority,
        "reason": evaluation.facts.reason,
        "keep": policy.keep_per_verdict,
    }
    return Unrecorded(document, made, orjson.dumps({"of": document, "made": made}), evaluation)


def read(written: Any, intent: Intent) -> Unrecorded:
    """Read what `compact` wrote of an intent.

    Raises:
        LookupError, TypeError, ValueError: it is not what a record can be made of.
    """
    made = {**written["made"], "time": datetime.fromisoformat(written["made"]["time"])}
    unrecorded = Unrecorded(written["of"], made, orjson.dumps(written))
    line = _incomplete(intent, unrecorded, "")
    event = wire.Event.model_validate_json(line.body)
    is_decision = isinstance(event.data, wire.Decision) and isinstance(line.keep, int)
    if event.id != intent.decision_id or not is_decision:
        message = "not what the record of this decision is made of"
        raise ValueError(message)
    return unrecorded


def recalled(intent: Intent, unrecorded: Unrecorded, made: CompiledPolicy | None) -> Unrecorded:
    """Return what a process that ended left unrecorded, with its decision made again.

    `made` is the policy that it was decided by; None where that is not known any more.
    """
    result = NO_POLICY if made is None else _recall(intent, unrecorded, made)
    if isinstance(result, str):
        return unrecorded._replace(why=result)
    return unrecorded._replace(evaluation=result)


def render(intent: Intent, unrecorded: Unrecorded) -> RenderedRecord:
    """Render the record of a decision whose command has left, or surely will not.

    The command may be out: it is recorded in any case. Where the decision cannot be made again, or
    its record would be too long, the record holds what the compact form has, and says so.
    """
    made, why = unrecorded.made, unrecorded.why
    if unrecorded.evaluation is not None:
        data = record.decision(
            unrecorded.evaluation,
            wire.Verdict.COMMANDED,
            command=_command(intent, made),
            latency=made["latency"],
            engine=made["engine"],
            facts=unrecorded.document["facts"],
        )
        line = _line(intent, made, data)
        if len(line.body) <= LONGEST:
            return RenderedRecord(line)
        why = TOO_LONG
    return RenderedRecord(_incomplete(intent, unrecorded, why), why)


def announce(turn: Turn, device: Key, intent: Intent, why: str) -> tuple[effects.Effect, ...]:
    """Say that a record is incomplete."""
    row = reasons.RECORD_INCOMPLETE
    text = row.message.format(action=intent.action, why=why)
    return recording.notice(turn, row, text, device=device, policy=intent.policy)


def _recall(
    intent: Intent, unrecorded: Unrecorded, made: CompiledPolicy
) -> evaluate.Evaluation | str:
    """Make the evaluation again, or say why it cannot be."""
    try:
        result = replay.recall(unrecorded.document, made)
    except Exception as error:  # noqa: BLE001 - named in the record; one command must not end the agent
        return UNMADE.format(problem=type(error).__name__)
    if not isinstance(result, evaluate.Evaluation):
        return UNMADE.format(problem=type(result).__name__)
    is_commanded = evaluate.verdict(result) is wire.Verdict.COMMANDED
    return result if is_commanded and result.facts.limited == intent.values else ANOTHER


def _incomplete(intent: Intent, unrecorded: Unrecorded, why: str) -> effects.Record:
    made = unrecorded.made
    data = record.incomplete(
        unrecorded.document,
        identity=intent.identity,
        command=_command(intent, made),
        latency=made["latency"],
        engine=made["engine"],
        reason=made["reason"],
        why=why,
    )
    return _line(intent, made, data)


def _line(intent: Intent, made: Mapping[str, Any], data: Mapping[str, Any]) -> effects.Record:
    device = intent.identity["device"]
    event = record.event(
        id=data["decisionId"],
        type=wire.DECISION,
        source=made["source"],
        subject=f"{device['namespace']}/devices/{device['name']}",
        time=made["time"],
        data=data,
    )
    return effects.Record(
        body=orjson.dumps(event),
        critical=True,
        policy=str(intent.policy),
        device=f"{device['namespace']}/{device['name']}",
        verdict=wire.Verdict.COMMANDED.value,
        keep=made["keep"],
        reserve=True,
    )


def _command(intent: Intent, made: Mapping[str, Any]) -> dict[str, Any]:
    """Render a command; a test holds it to `wire.command.Command`, and to what is sent."""
    issued: datetime = made["time"]
    return {
        "commandId": intent.command_id,
        "attempt": made["attempt"],
        "action": intent.action,
        "input": dict(intent.values),
        "holder": made["holder"],
        "epoch": made["epoch"],
        "priority": made["priority"],
        "issuedAt": record.stamp(issued),
        "notAfter": record.stamp(issued + timedelta(seconds=intent.time_to_live)),
    }
