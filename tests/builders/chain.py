"""The chain without an engine: compiled policies, facts as an engine gathers them, and a run."""

from typing import Any

from builders import engine_rig, room
from foreshore_api.reasons.decision import GateReason
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire.record import Phase
from foreshore_decision import fencing, policy
from foreshore_decision.chain import evaluate, facts, gate, limiter, order
from foreshore_decision.policy import CompiledPolicy

GOOD = {"light": 400.0, "co2": 900.0, "temperature": 21.0, "airflow": 300.0}


def made(*documents: room.Json, **spec: Any) -> CompiledPolicy:
    """Compile the policy of the room with these fields of its spec."""
    document = room.policy()
    document["spec"].update(spec)
    assigned = engine_rig.assign(document, *documents)
    return policy.compile(assigned.policies[0], assigned.devices[0])


def given(compiled: CompiledPolicy, values: dict[str, Any] = GOOD, **more: Any) -> facts.Given:
    """Return facts that command, with these changes."""
    defaults: dict[str, Any] = {
        "decision_id": "d",
        "seconds": 100.0,
        "policy": compiled,
        "mode": Mode.AUTONOMOUS,
        "caps": (),
        "is_locked": False,
        "trigger": facts.Trigger("Property", "co2", engine_rig.START),
        "readings": {name: facts.Reading(value, 99.0) for name, value in values.items()},
        "windows": {},
        "last_good": {},
        "policy_spent": limiter.Spent(),
        "actuator_spent": limiter.Spent(),
        "outstanding": 0,
        "held_until": None,
        "holder": facts.Holder("edge-1", 7, fencing.Standing.RENEWED),
    }
    return facts.Given(**{**defaults, **more})


def run(
    given: facts.Given, score: float = 0.9, chain: gate.Chain = order.CHAIN
) -> evaluate.Evaluation:
    """Ask every gate, as the engine does, of a model that answers with this score."""
    evaluation = _run(given, score, chain)
    for entry in evaluation.entries:
        if isinstance(entry.reason, GateReason):
            assert entry.gate in entry.reason.gates, f"{entry.gate} gives {entry.reason}"
            assert (entry.reason.verdict is None) == (entry.phase is Phase.PASS)
    return evaluation


def _run(given: facts.Given, score: float, chain: gate.Chain) -> evaluate.Evaluation:
    before = evaluate.evaluate(chain.before, facts.Facts(given))
    if before.decided_by is not None:
        return before
    answer = facts.Answer({"probabilities": (1 - score, score)})
    answered = before.facts._replace(answer=answer)
    return evaluate.evaluate(chain.after, answered, before.entries)
