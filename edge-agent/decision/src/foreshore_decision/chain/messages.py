"""Every message of the chain, rendered in one place from reason and facts. Called by `record`.

For people; programs read the reason. A rule that has a messageExpression speaks for itself.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api import printable
from foreshore_decision import expr, fencing
from foreshore_decision.chain import reasons
from foreshore_decision.chain.facts import Entry, Facts

TEMPLATES: Final = MappingProxyType(
    {
        reasons.DISABLED: "the policy is disabled",
        reasons.DEVICE_LOCKED: "the device is locked",
        reasons.POLICY_CHANGED: "policy or device changed while the model was being asked",
        reasons.INPUT_MISSING: "no value of {name} has arrived yet",
        reasons.INPUT_STALE: "{name} is older than its maximumAge {maximumAge} s",
        reasons.INPUT_REFUSED: "the newest value of {name} was refused",
        reasons.INPUT_OUT_OF_RANGE: "{name} is {value}: outside the range that is believed",
        reasons.INPUT_IMPLAUSIBLE: "{name} changed to {value} faster than is believed",
        reasons.FEATURE_NOT_READY: "{name} is not ready: {coverage} of its window was"
        " listened to ({minimumCoverage} is needed, in {seconds} s), values in it: {values}",
        reasons.CONDITION_FALSE: "{name} is false: {expression}{operands}",
        reasons.EXPRESSION_ERROR: "{name} has no value: {expression}{operands}",
        reasons.INFERENCE_LATE: "no replica answered in time",
        reasons.INFERENCE_FAILED: "no replica could answer ({detail})",
        reasons.OTHER_VERSION: "no replica answers as {asked}, which is in force",
        reasons.OUTPUT_MISSING: "the answer lacks {name}",
        reasons.OUTPUT_NOT_FINITE: "{name} is not finite",
        reasons.NO_RULE_PERMITS: "no rule permits; {name}: {expression}{operands}",
        reasons.CLAMPED: "{name} was clamped from {value} to {clamped}",
        reasons.OUT_OF_LIMITS: "{name} would be {value}, outside {minimum} to {maximum}",
        reasons.STEP_TOO_LARGE: "{name} would be {value}, too far from the measured {present}",
        reasons.PRESENT_VALUE_UNKNOWN: "{name} needs a fresh measurement to step from",
        reasons.VALUE_NOT_FINITE: "{name} is not finite: {expression}{operands}",
        reasons.MINIMUM_INTERVAL: "the {name} rate limit has room in {seconds} s",
        reasons.BURST_SPENT: "the {name} burst is spent; there is room in {seconds} s",
        reasons.ACTUATOR_HELD: "an earlier command's fate is unknown; held for {seconds} s",
        reasons.TOO_MANY_OUTSTANDING: "{outstanding} commands wait for the device's answer",
        reasons.ADVISE_MODE: "would command {action}; the mode allows advice only{capped}",
        reasons.SHADOW_MODE: "would command {action}; the mode only records{capped}",
        reasons.AUTHORITY_LAPSED: "the right to command was not renewed, or given back",
        reasons.AUTHORITY_SUPERSEDED: "another agent holds a higher epoch than {epoch}",
        reasons.AUTHORITY_MISSING: "this agent holds no grant for the device",
        reasons.RECORDER_FULL: "the intent could not be written: no record, no act",
    }
)
COMMANDED: Final = "commands {action}"
STANDING: Final = MappingProxyType(
    {
        fencing.Standing.RENEWED: "the right to command is renewed",
        fencing.Standing.OFFLINE: "the hub is away; going on alone as the grant allows",
        fencing.Standing.LAPSED: "the right to command is not renewed, or given back",
        fencing.Standing.SUPERSEDED: "another agent holds a higher epoch: deciding stops",
        fencing.Standing.NONE: "no grant for the device: deciding stops",
    }
)
"""What a change of an agent's own standing means."""


def render(entry: Entry | None, facts: Facts) -> str:
    """Return the sentence for the gate that decided; None decided: the command itself."""
    if entry is None:
        return COMMANDED.format(action=_action(facts))
    if entry.gate == "Rule" and facts.message:
        return printable.line(facts.message)
    template = TEMPLATES.get(entry.reason)
    if template is None:
        return printable.line(f"{entry.reason}: {entry.expression}{_operands(entry.operands)}")
    operands = {key: _plain(value) for key, value in entry.operands.items()}
    return printable.line(template.format_map(_Words(entry, facts, operands)))


class _Words(dict[str, str]):
    """The words of a template: operands first, then what the entry and the facts say."""

    def __init__(self, entry: Entry, facts: Facts, operands: Mapping[str, str]) -> None:
        super().__init__(operands)
        self["name"] = entry.name or "it"
        self["expression"] = entry.expression or ""
        self["operands"] = _operands(entry.operands)
        self["action"] = _action(facts)
        caps = ", ".join(cap.reason for cap in facts.given.caps)
        self["capped"] = f" (capped: {caps})" if caps else ""

    def __missing__(self, key: str) -> str:
        return "unknown"


def _action(facts: Facts) -> str:
    values = facts.limited or facts.recommendation or {}
    given = ", ".join(f"{name} {_plain(value)}" for name, value in values.items())
    name = facts.given.policy.action.name
    return f"{name} ({given})" if given else name


def _operands(operands: Mapping[str, expr.Value | None]) -> str:
    if not operands:
        return ""
    return " with " + ", ".join(f"{name} = {_plain(value)}" for name, value in operands.items())


def _plain(value: expr.Value | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
