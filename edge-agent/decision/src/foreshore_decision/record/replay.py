"""Run the chain again on a recorded decision: the proof that a record explains itself.

    record ──decode──► facts as the gates saw them ──► the same gates ──► record
                                                                            └── projection equal,
                                                                            byte for byte

Whoever asks "what if" replays with another policy: the same moment, everything before it as it was,
and this policy in place of the one that decided. What that policy asks for beyond what the record
knows is named, never guessed. A projection leaves out what clocks measured, the command, which is
made after the chain, the facts themselves, and who fences the device: no gate asks, and records of
older releases do not say it.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import assignment
from foreshore_decision import policy
from foreshore_decision.chain import evaluate, gate, order
from foreshore_decision.chain.facts import Facts
from foreshore_decision.policy import compiled
from foreshore_decision.record import answers, facts, plain, render

Json = Mapping[str, Any]

UNPROJECTED: Final = frozenset({"latency", "clock", "command", "facts"})
"""Keys of a record that hold what clocks say, what is made after the chain, what it is made of."""
ABANDONED: Final = (reasons.POLICY_CHANGED, reasons.READINGS_VOID)
"""Why a decision ended before its model had answered."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the chain makes of a record's facts now."""

    data: Json
    is_same: bool
    """Whether the projection is that of the record, byte for byte."""


@dataclass(frozen=True, slots=True)
class MissingFact:
    """The record does not know something that this policy asks for."""

    name: str
    """What: `window of co2Mean`, `reading of humidity`, …"""


@dataclass(frozen=True, slots=True)
class OlderFormat:
    """The record holds no facts that this release reads; it still explains itself."""


@dataclass(frozen=True, slots=True)
class UnreadableFacts:
    """The facts are not of the form that they say they are: somebody changed the record."""

    problem: str


NoEvaluation = MissingFact | OlderFormat | UnreadableFacts
Result = Replayed | NoEvaluation


def replay(
    recorded: Json,
    assigned: assignment.AssignedPolicy,
    device: assignment.AssignedDevice,
    chain: gate.Chain = order.CHAIN,
    others: Mapping[str, policy.OtherDevice] = policy.NOBODY,
) -> Result:
    """Decide again on the data of a `DECISION` event.

    With the policy and device that the record names (their digests tell) an intact record of this
    engine replays to the same projection; with others, this is what they would have decided. What
    the policy reads of `others` (the devices of the site, by name) is their properties' types and
    bounds: the readings are the record's.

    Raises:
        policy.PolicyError: the policy does not compile for the device.
    """
    evaluation = recall(recorded, policy.compile(assigned, device, others), chain)
    if not isinstance(evaluation, evaluate.Evaluation):
        return evaluation
    engine = {key: recorded[key] for key in ("site", "node", "clock", "engine") if key in recorded}
    data = render.shown(
        evaluation,
        evaluate.verdict(evaluation),
        command=None,
        latency={},
        engine=engine,
        names=chain.names,
    )
    return Replayed(data, projection(data) == projection(recorded))


def recall(
    recorded: Json, made: compiled.CompiledPolicy, chain: gate.Chain = order.CHAIN
) -> evaluate.Evaluation | NoEvaluation:
    """Make the evaluation again of the data of a `DECISION` event, or of its compact form.

    With the policy that it was decided by, it is what the engine came to then.
    """
    try:
        return _evaluate(chain, facts.decode(recorded, made), recorded)
    except plain.MissingFactError as error:
        return MissingFact(error.name)
    except facts.OlderFormatError:
        return OlderFormat()
    except (facts.UnreadableFactsError, OverflowError) as error:
        return UnreadableFacts(str(error))


def projection(data: Json) -> bytes:
    """Return what is decided of a record's data, as canonical JSON."""
    kept = _written({key: value for key, value in data.items() if key not in UNPROJECTED})
    device = kept.get("device")
    if isinstance(device, Mapping):
        kept["device"] = {key: value for key, value in device.items() if key != "fence"}
    body = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return body.encode()


def _evaluate(chain: gate.Chain, recalled: facts.Recalled, recorded: Json) -> evaluate.Evaluation:
    """Ask the gates as the engine asked them."""
    first = evaluate.evaluate(chain.before, Facts(recalled.given))
    asked = recalled.given.policy.inference
    if first.decided_by is not None:
        return first
    if asked is None:
        return _written_down(evaluate.proceed(first, chain=chain), recorded)
    for reason in ABANDONED:
        if _line(recorded, reasons.ARM, reason) is not None:
            return evaluate.abandon(first.facts, reason)
    if recalled.question != answers.question(asked, first.facts.features, first.facts.sampled):
        raise plain.MissingFactError(f"answer of {asked.version} to what it is asked")
    return _written_down(evaluate.proceed(first, recalled.answer, recalled.later, chain), recorded)


def _written_down(evaluation: evaluate.Evaluation, recorded: Json) -> evaluate.Evaluation:
    """Return the evaluation as it ended where the intent could not be written."""
    line = _line(recorded, reasons.RECORD, reasons.RECORDER_FULL)
    if line is None or evaluation.decided_by is not None:
        return evaluation
    operands = line.get("operands")
    cause = operands.get("cause", "") if isinstance(operands, Mapping) else ""
    return evaluate.unwritten(evaluation, str(cause))


def _line(recorded: Json, gate: str, reason: str) -> Json | None:
    """Return the line of a gate that ended with a reason, if there is one."""
    lines: Iterable[Json] = recorded.get("gates", ())
    return next(
        (line for line in lines if (line.get("gate"), line.get("reason")) == (gate, reason)), None
    )


def _written(value: Any) -> Any:
    """Return plain data as a journal writes it: JSON has no number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _written(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_written(element) for element in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
