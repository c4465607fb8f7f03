"""Bodies for the journal: decisions, outcomes, notices, as `Record` effects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from foreshore_agent.engine import effects
from foreshore_agent.engine.events import Key, Value
from foreshore_agent.engine.state import EMPTY, DeviceState, Intent
from foreshore_agent.engine.turn import Turn
from foreshore_api import printable
from foreshore_api.reasons import command as reasons
from foreshore_api.wire import record as wire
from foreshore_decision import expr, record
from foreshore_decision.chain import evaluate, messages

CRITICAL: Final = frozenset({wire.Verdict.COMMANDED, wire.Verdict.ADVISED, wire.Verdict.DENIED})
"""Verdicts that are never dropped before the hub has them."""
OF_OTHERS: Final[Mapping[wire.Outcome, str]] = MappingProxyType(
    {
        wire.Outcome.REJECTED: "the device refused the command; its reason is {reason}",
        wire.Outcome.ACKNOWLEDGED: "the device took the command; its reason is {reason}",
        wire.Outcome.NOT_SENT: "the broker refused the command; its reason is {reason}",
    }
)
"""Sentences for reasons that are no rows of ours: those of devices and of brokers."""
KEEP: Final = 50
"""Records kept of each outcome where the policy is gone that said how many."""


def decision(
    turn: Turn,
    evaluation: evaluate.Evaluation,
    verdict: wire.Verdict,
    *,
    latency: Mapping[str, float] = EMPTY,
    sampled_rate: int | None = None,
    is_routine: bool = False,
) -> effects.Record:
    """Render the record of one pass of the chain that commanded nothing."""
    policy = evaluation.facts.given.policy
    device = policy.identity["device"]["name"]
    data = record.decision(evaluation, verdict, command=None, latency=latency, engine=engine(turn))
    event = record.event(
        id=data["decisionId"],
        type=wire.DECISION,
        source=turn.source,
        subject=f"{policy.namespace}/devices/{device}",
        time=turn.at.now,
        data=data,
        sampled_rate=sampled_rate,
    )
    return effects.Record(
        body=orjson.dumps(event),
        critical=verdict in CRITICAL and not is_routine,
        policy=f"{policy.namespace}/{policy.name}",
        device=f"{policy.namespace}/{device}",
        verdict=verdict.value,
        keep=policy.keep_per_verdict,
    )


def outcome(
    turn: Turn,
    device: DeviceState,
    intent: Intent,
    result: wire.Outcome,
    reason: str,
    *,
    measured: Mapping[str, Value | None] = EMPTY,
    latency: Mapping[str, float] = EMPTY,
    is_critical: bool = True,
) -> effects.Record:
    """Render what became of a command."""
    binding = device.bindings.get(intent.policy)
    data = {
        "decisionId": intent.decision_id,
        "commandId": intent.command_id,
        **intent.identity,
        "site": turn.site,
        "node": turn.identity.node,
        "outcome": result.value,
        "reason": reason,
        "message": _sentence(intent, result, reason, measured),
        "readBack": dict(measured),
        "latency": dict(latency),
    }
    event = record.event(
        id=f"{intent.command_id}/{result.value}",
        type=wire.OUTCOME,
        source=turn.source,
        subject=f"{device.key.namespace}/devices/{device.key.name}",
        time=turn.at.now,
        data=data,
    )
    return effects.Record(
        body=orjson.dumps(event),
        critical=is_critical,
        policy=str(intent.policy),
        device=str(device.key),
        verdict=result.value,
        keep=KEEP if binding is None else binding.compiled.keep_per_verdict,
        reserve=is_critical,
    )


def _sentence(
    intent: Intent, result: wire.Outcome, reason: str, measured: Mapping[str, Value | None]
) -> str:
    """Say an outcome in words, cause and remedy, or whose reason it is where it is none of ours.

    A device's own word counts as its own, also where it is spelled like a row that is not for it.
    """
    is_of_device = result in (wire.Outcome.REJECTED, wire.Outcome.ACKNOWLEDGED)
    row = reasons.TABLE.get(reason)
    if row is None or (is_of_device and reason not in reasons.OF_DEVICES):
        return printable.line(OF_OTHERS.get(result, "the reason is {reason}").format(reason=reason))
    compared = "; ".join(
        f"{name} is {messages.plain(measured.get(name))}, commanded was"
        f" {messages.plain(intent.values.get(key))}"
        for key, name in intent.properties.items()
    )
    cause = row.message.format(readBack=compared) or row.meaning.rstrip(".")
    return printable.line(f"{cause}; {row.remedy}" if row.remedy else cause)


def notice(
    turn: Turn,
    reason: str,
    message: str,
    *,
    device: Key | None = None,
    policy: Key | None = None,
    epoch: int | None = None,
) -> tuple[effects.Effect, ...]:
    """Record and announce a change of the agent's own standing."""
    data = {
        "reason": reason,
        "message": message,
        "device": None if device is None else str(device),
        "policy": None if policy is None else str(policy),
        "epoch": epoch,
    }
    event = record.event(
        id=turn.identifiers.take(),
        type=wire.NOTICE,
        source=turn.source,
        subject=None if device is None else f"{device.namespace}/devices/{device.name}",
        time=turn.at.now,
        data={name: value for name, value in data.items() if value is not None},
    )
    body = effects.Record(
        body=orjson.dumps(event),
        critical=False,
        policy=str(policy or ""),
        device=str(device or ""),
        verdict="Notice",
        reserve=True,
    )
    return (
        effects.AppendRecords((body,)),
        effects.Notice(reason, message, device, policy, epoch),
    )


def engine(turn: Turn) -> dict[str, Any]:
    """Return who decides, and by which clock, as records of decisions name it."""
    identity = turn.identity
    return {
        "site": turn.site,
        "node": identity.node,
        "clock": {
            "bootId": identity.boot_id,
            "monotonicSeconds": turn.at.monotonic,
            "virtual": identity.virtual,
        },
        "engine": {"agent": identity.agent_version, "expressions": expr.ENGINE},
    }
