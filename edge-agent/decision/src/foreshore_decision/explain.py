"""Why a decision ended as it did: from its record alone, never from a guess.

`foreshore-agent why` and `kubectl foreshore why` call `of_events` or `of_object`, then print
`lines` or `document`. The structured form is the same facts for programs; `would_change` is what
would have given another verdict, `close_calls` are the gates that nearly did.
"""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from foreshore_api import printable
from foreshore_api.reasons import Reason, cap, inference, telemetry
from foreshore_api.reasons import command as outcomes
from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateReason
from foreshore_api.v1alpha1 import protection
from foreshore_api.wire import record
from foreshore_decision import served

CLOSE: Final = 3
"""Gates that nearly decided otherwise, at most."""


MARKS: Final[Mapping[str, str]] = {record.Phase.PASS: "+", record.Phase.SKIPPED: " "}
"""What stands before a gate's line; x where it did not pass."""
CUT: Final = (
    "{name}: the record has no room for its values; fewer or shorter windows, or fewer steps, fit"
)
"""Of a window, also one of a feature, that a record of level Full does not hold as a whole."""
FORBIDS: Final = "{name} false: {expression}"
"""What would have passed a Forbid, which has a reason of its author."""


FENCES: Final[Mapping[str, str]] = {
    protection.Fence.DEVICE: "Device: it refuses a lower epoch and does a command once",
    protection.Fence.NONE: "None: two agents may overlap for as long as one can be stopped between"
    " its last look at its right and the socket",
}
"""What the fence that a record names comes to."""


class UnknownDecisionError(Exception):
    """The records do not hold this decision."""


@dataclass(frozen=True, slots=True)
class GateLine:
    """What a gate decided, in words."""

    gate: str
    phase: str
    reason: str
    text: str
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What was learnt later."""

    outcome: str
    reason: str
    message: str
    time: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision, explained. Text is for people, the fields are for programs."""

    decision_id: str
    time: str
    verdict: str
    reason: str
    because: str
    decided_by: str
    policy: str
    device: str
    node: str
    mode: str
    trigger: str
    authority: str
    inputs: tuple[str, ...]
    model: tuple[str, ...]
    wanted: str
    gates: tuple[GateLine, ...]
    would_change: str
    close_calls: tuple[str, ...]
    afterwards: tuple[Afterwards, ...]
    latency: Mapping[str, float]
    caps: tuple[str, ...] = ()
    """What lowers the mode, and how to lift it."""
    fence: str = ""
    """Who keeps another agent's commands from taking effect; empty where nobody is named."""
    windows: tuple[str, ...] = ()
    """Windows of samples that the model takes, how full they were, and what was left out of any."""
    replaced: tuple[str, ...] = ()
    """What became of samples that nobody decided on since the record before."""


def of_events(bodies: Iterable[bytes | str], decision_id: str | None = None) -> Explanation:
    """Explain a decision from journalled events; without an id, the last decision.

    Raises:
        UnknownDecisionError: the events hold no such decision.
    """
    recorded: tuple[str, record.Decision] | None = None
    later: dict[str, list[Afterwards]] = {}
    for body in bodies:
        event = json.loads(body) if body else {}
        data = event.get("data") or {}
        if event.get("type") == record.OUTCOME:
            later.setdefault(data["decisionId"], []).append(_afterwards(event["time"], data))
        elif event.get("type") == record.DECISION and decision_id in (None, data["decisionId"]):
            recorded = event["time"], record.Decision.model_validate(data)
    if recorded is None:
        raise UnknownDecisionError(decision_id or "there is no decision")
    return explain(recorded[1], recorded[0], later.get(recorded[1].decision_id, ()))


def of_object(document: Mapping[str, Any]) -> Explanation:
    """Explain a Decision object of `records.foreshore.dev`."""
    return explain(
        record.Decision.model_validate(document["decision"]),
        document["event"]["time"],
        [_afterwards(outcome["time"], outcome) for outcome in document.get("outcomes", ())],
    )


def explain(
    decision: record.Decision,
    time: str,
    afterwards: Sequence[Afterwards] = (),
    table: Mapping[str, GateReason] = reasons.TABLE,
) -> Explanation:
    """Put a decision into words; `table` holds the reasons that its gates can give."""
    deciding = next((entry for entry in decision.gates if not _is_passed(entry)), None)
    return Explanation(
        decision_id=decision.decision_id,
        time=time,
        verdict=decision.verdict.result.value,
        reason=decision.verdict.reason,
        because=decision.verdict.message,
        decided_by=decision.verdict.decided_by or "",
        policy=f"{decision.policy.namespace}/{decision.policy.name}"
        f" (generation {decision.policy.generation})",
        device=f"{decision.device.namespace}/{decision.device.name}",
        node=f"{decision.node} of site {decision.site}",
        mode=_mode(decision.policy),
        trigger=_trigger(decision.trigger, time),
        authority=_authority(decision.authority),
        inputs=tuple(map(_input, decision.inputs)),
        model=_model(decision),
        wanted=_wanted(decision.recommendation),
        gates=tuple(map(_gate, decision.gates)),
        would_change=_change(deciding, table) if deciding is not None else "",
        close_calls=_close_calls(decision.gates),
        afterwards=tuple(afterwards),
        latency=dict(decision.latency),
        caps=tuple(_with_remedy(code, cap.TABLE.get(code)) for code in decision.policy.capped_by),
        fence=_fence(decision.device),
        windows=_windows(decision),
        replaced=_replaced(decision.replaced or {}),
    )


def document(explanation: Explanation) -> dict[str, Any]:
    """Return the structured form as plain data."""
    return asdict(explanation)


def summary(explanation: Explanation) -> tuple[str, ...]:
    """Return the shortest text form: the verdict, the gate that decided, what would change it."""
    text = [f"{explanation.verdict}: {explanation.reason}"]
    text += [
        f"{gate.gate}: {gate.text}"
        for gate in explanation.gates
        if gate.gate == explanation.decided_by and gate.text
    ]
    if explanation.would_change:
        text.append(f"it would have gone on with {explanation.would_change}")
    return tuple(text)


def lines(explanation: Explanation) -> tuple[str, ...]:
    """Return the text form: the verdict and why first, then what it was made from.

    Each is fit for a terminal: policies and devices put their own words into it.
    """
    head = f"{explanation.verdict}: {explanation.reason}"
    text = [f"{head} ({explanation.because})" if explanation.because else head, ""]
    text += _pairs(explanation)
    text += ["", "gates"]
    width = max((len(gate.gate) for gate in explanation.gates), default=0)
    for gate in explanation.gates:
        detail = f": {gate.text}" if gate.text else ""
        text.append(f"  {_mark(gate)} {gate.gate:<{width}}  {gate.reason}{detail}")
    if explanation.would_change:
        text += ["", f"it would have gone on with {explanation.would_change}"]
    text += [f"close call: {call}" for call in explanation.close_calls]
    text += ["", *_later(explanation)]
    return tuple(printable.line(line) for line in text)


def _pairs(explanation: Explanation) -> list[str]:
    facts: list[tuple[str, str]] = [
        ("decision", explanation.decision_id),
        ("time", f"{explanation.time}, {explanation.trigger}"),
        ("device", explanation.device),
        ("policy", f"{explanation.policy}, {explanation.mode}"),
        *(("capped by", text) for text in explanation.caps),
        ("agent", f"{explanation.node}, {explanation.authority}"),
        *((("fence", explanation.fence),) if explanation.fence else ()),
        *(("input", text) for text in explanation.inputs),
        *(("window", text) for text in explanation.windows),
        *(("model", text) for text in explanation.model),
        *((("wanted", explanation.wanted),) if explanation.wanted else ()),
        *(("replaced", text) for text in explanation.replaced),
        # on a clock that stands (a rehearsal) nothing takes any time: that is no measurement
        *((("took", _took(explanation.latency)),) if any(explanation.latency.values()) else ()),
    ]
    return [f"{name:<9} {text}" for name, text in facts]


def _replaced(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Say of how many samples newer ones took the place, why, and what helps."""
    total = sum(counts.values())
    if not total:
        return ()
    head = (
        f"{total:,} samples since the record before were not decided on: newer ones took their"
        " place, or could not be taken"
    )
    rows = (
        f"{count:,} {_with_remedy(reason, telemetry.TABLE.get(reason))}"
        for reason, count in counts.items()
    )
    return (head, *rows)


def _with_remedy(code: str, row: Reason | None) -> str:
    """Return a code with what it means and what helps, where its table has it."""
    if row is None:
        return code
    remedy = f"; remedy: {row.remedy}" if row.remedy else ""
    return f"{code}: {row.meaning.rstrip('.')}{remedy}"


def _took(latency: Mapping[str, float]) -> str:
    return ", ".join(
        f"{stage} {_plain(round(1000 * seconds, 2))} ms" for stage, seconds in latency.items()
    )


def _later(explanation: Explanation) -> list[str]:
    if explanation.verdict != record.Verdict.COMMANDED:
        return ["nothing was commanded"]
    if not explanation.afterwards:
        return ["afterwards: nothing is known yet"]
    return [
        f"afterwards: {later.outcome} at {later.time}"
        + (f" ({cause})" if (cause := _cause(later)) else "")
        for later in explanation.afterwards
    ]


def _cause(later: Afterwards) -> str:
    """Return why a command ended so: the code, and what the record or the table says of it."""
    text, row = later.message, outcomes.TABLE.get(later.reason)
    if not text and row is not None:
        remedy = f"; {row.remedy}" if row.remedy else ""
        text = f"{row.meaning.rstrip('.')}{remedy}"
    return ": ".join(part for part in (later.reason, text) if part)


def _mark(line: GateLine) -> str:
    return MARKS.get(line.phase, "x")


def _is_passed(entry: record.GateEntry) -> bool:
    return entry.phase is record.Phase.PASS


def _gate(entry: record.GateEntry) -> GateLine:
    parts = [entry.message or _expression(entry)]
    if entry.margin is not None:
        parts.append(f"margin {_plain(entry.margin)}")
    return GateLine(
        gate=entry.gate,
        phase=entry.phase.value,
        reason=entry.reason,
        text=", ".join(part for part in parts if part),
        margin=entry.margin,
    )


def _expression(entry: record.GateEntry) -> str:
    operands = ", ".join(f"{name} = {_plain(value)}" for name, value in entry.operands.items())
    if entry.expression is None:
        return f"{entry.name}: {operands}" if entry.name and operands else entry.name or operands
    given = f" with {operands}" if operands else ""
    return f"{entry.name}: {entry.expression}{given}"


def _change(entry: record.GateEntry, table: Mapping[str, GateReason]) -> str:
    """Return what would have passed the gate that decided."""
    words = {key: _plain(value) for key, value in entry.operands.items()}
    words |= {"name": entry.name or "it", "expression": entry.expression or ""}
    row = table.get(entry.reason)
    template = row.remedy if row is not None and entry.gate in row.gates else FORBIDS
    text = template.format_map(_Words(words))
    if entry.reason == reasons.FEATURE_NOT_READY and "longest" in words:
        text += f", no more than {words['longest']} s apart"  # to listen on alone helps nobody
    if entry.margin is not None and entry.expression is not None:
        text += f" (it missed by {_plain(abs(entry.margin))})"
    return text


def _close_calls(entries: Sequence[record.GateEntry]) -> tuple[str, ...]:
    """Return the gates that passed with the least room, and how much they had."""
    passed = [
        entry
        for entry in entries
        if _is_passed(entry) and entry.margin is not None and entry.expression
    ]
    nearest = sorted(passed, key=lambda entry: abs(entry.margin or 0.0))[:CLOSE]
    return tuple(
        f"{entry.gate}/{entry.name} had {_plain(abs(entry.margin or 0.0))} to spare: "
        f"{entry.expression}"
        for entry in nearest
    )


def _mode(policy: record.PolicyReference) -> str:
    if policy.mode == policy.effective_mode:
        return f"mode {policy.mode}"
    why = ", ".join(policy.capped_by) or "capped"
    return f"mode {policy.effective_mode} instead of {policy.mode} ({why})"


def _trigger(trigger: record.RecordedTrigger, time: str) -> str:
    if trigger.name is None:
        return "nothing had come for a while"
    if trigger.received_at is None:
        return f"a sample of {trigger.name}"
    waited = (datetime.datetime.fromisoformat(time) - trigger.received_at).total_seconds()
    return f"{_plain(round(1000 * waited, 1))} ms after a sample of {trigger.name}"


def _authority(authority: record.Authority) -> str:
    if authority.epoch is None:
        return "without a grant"
    return f"epoch {authority.epoch}, {authority.standing}"


def _fence(device: record.DeviceReference) -> str:
    """Say who fences, and what it means where nobody does."""
    if device.fence is None:
        return ""
    return FENCES.get(device.fence, device.fence)


def _input(source: record.RecordedInput) -> str:
    unit = f" {source.unit}" if source.unit else ""
    age = (
        f", {_plain(round(source.age_seconds, 3))} s old" if source.age_seconds is not None else ""
    )
    stand_in = f", {source.substituted} stands in" if source.substituted else ""
    problem = f", {source.problem}{_refusal(source.refusal)}" if source.problem else ""
    other = source.read_from
    place = "" if other is None else f" ({other.device}.{other.property})"
    return f"{source.name}{place} = {_plain(source.value)}{unit}{age}{stand_in}{problem}"


def _refusal(code: str | None) -> str:
    """Say why a value was refused at the door, and what helps."""
    if code is None:
        return ""
    return f" ({_with_remedy(code, telemetry.TABLE.get(code))})"


def _model(decision: record.Decision) -> tuple[str, ...]:
    if decision.model is None:
        return ()
    name = f"{decision.model.name} {decision.model.version}"
    if decision.inference is None:
        return (f"{name} was not asked",)
    outputs = ", ".join(
        f"{key} = {_plain(value)}" for key, value in decision.inference.outputs.items()
    )
    attempts = tuple(
        f"asked {attempt.slot} on {attempt.node}: {attempt.result}"
        + (f" ({_why_unanswered(attempt)})" if attempt.reason else "")
        + (
            f" in {_plain(round(1000 * attempt.seconds, 2))} ms"
            if attempt.seconds is not None
            else ""
        )
        for attempt in decision.inference.attempts
    )
    provider = decision.inference.provider
    by = f" (computed by {provider})" if provider else ""
    return (f"{name}: {outputs or 'no answer'}{by}", *attempts)


def _windows(decision: record.Decision) -> tuple[str, ...]:
    """Say of each window of samples what it holds: `30 × 3 samples every 1 s, full`."""
    facts = decision.facts or {}
    written, left_out = facts.get("samples"), facts.get("cut")
    lines = written if isinstance(written, Mapping) else {}
    cut: Sequence[Any] = left_out if isinstance(left_out, list | tuple) else ()
    return (
        *(_window(name, line) for name, line in lines.items() if isinstance(line, Mapping)),
        *(CUT.format(name=name) for name in cut),
    )


def _window(name: str, line: Mapping[str, Any]) -> str:
    features, steps = line.get("features"), _plain(line.get("steps"))
    width = len(features) if isinstance(features, Sequence) else 0
    state = "full"
    if "seconds" in line:
        state = f"{_plain(line.get('samples'))} there, full in {_plain(line['seconds'])} s"
        if "gap" in line:
            state += f", begun anew after {_plain(line['gap'])} s without one"
    return f"{name}: {steps} × {width} samples every {_plain(line.get('every'))} s, {state}"


def _why_unanswered(attempt: record.Attempt) -> str:
    """Return why an attempt is not the answer, and what answered in its place, or what helps."""
    model, code = attempt.answered, attempt.reason or ""
    if model is not None:
        return f"{code}: {served.Served(model.name, model.version, model.digest)}"
    row = inference.TABLE.get(code)
    return code if isinstance(row, GateReason) else _with_remedy(code, row)


def _wanted(recommendation: record.Recommendation | None) -> str:
    if recommendation is None:
        return ""
    wanted = ", ".join(f"{key} = {_plain(value)}" for key, value in recommendation.input.items())
    limited = recommendation.limited
    if limited is None or limited == recommendation.input:
        return f"{recommendation.action} {wanted}".strip()
    bound = ", ".join(f"{key} = {_plain(value)}" for key, value in limited.items())
    return f"{recommendation.action} {wanted}, limited to {bound}"


def _afterwards(time: str, data: Mapping[str, Any]) -> Afterwards:
    return Afterwards(
        outcome=str(data.get("outcome", "")),
        reason=str(data.get("reason", "")),
        message=str(data.get("message", "")),
        time=time,
    )


def _plain(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "unknown"
