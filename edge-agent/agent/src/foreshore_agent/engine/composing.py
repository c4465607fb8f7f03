"""What a verdict asks for, put into words: the command's envelope, and the intent behind it.

Called by `commanding.issue`; nothing here has effects.
"""

from datetime import timedelta
from typing import Any

from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Intent, Phase
from foreshore_decision import record
from foreshore_decision.chain import evaluate, facts


def envelope(found: facts.Facts, at: Instant) -> dict[str, Any]:
    """Render the envelope; a test holds it to `wire.command.Command`."""
    given = found.given
    action = given.policy.action
    return {
        "commandId": f"{given.decision_id}/{record.PASS_NUMBER}",
        "attempt": 1,
        "action": action.name,
        "input": dict(found.limited or {}),
        "holder": given.holder.node,
        "epoch": given.holder.epoch,
        "priority": action.priority,
        "issuedAt": record.stamp(at.now),
        "notAfter": record.stamp(at.now + timedelta(seconds=action.time_to_live)),
    }


def intent(policy: Key, evaluation: evaluate.Evaluation, received: float, at: Instant) -> Intent:
    """Return the command that a verdict asks for, before anything is written."""
    given = evaluation.facts.given
    made = given.policy
    return Intent(
        decision_id=given.decision_id,
        policy=policy,
        action=made.action.name,
        values=dict(evaluation.facts.limited or {}),
        properties={
            bound.name: bound.property for bound in made.action.bounds if bound.property is not None
        },
        phase=Phase.INTENT,
        time_to_live=made.action.time_to_live,
        settling=made.action.settling_time,
        issued=given.seconds,
        deadline=at.boot + made.action.time_to_live,
        received=received,
        identity={
            "policy": {**made.identity["policy"], "effectiveMode": given.mode.value},
            "device": made.identity["device"],
        },
    )
