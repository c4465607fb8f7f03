"""What a verdict asks for: the command, and the intent behind it.

Called by `commanding.issue`; nothing here has effects.
"""

from datetime import timedelta

from foreshore_agent.engine import effects
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Intent, Phase
from foreshore_decision import record
from foreshore_decision.chain import evaluate, facts


def command(device: Key, policy: Key, found: facts.Facts, at: Instant) -> effects.Command:
    """Return the command that a verdict asks for."""
    given = found.given
    action = given.policy.action
    return effects.Command(
        command_id=f"{given.decision_id}/{record.PASS_NUMBER}",
        attempt=1,
        policy=policy,
        device=device,
        action=action.name,
        values=dict(found.limited or {}),
        holder=given.holder.node or "",  # a right without holder and epoch permits nothing
        epoch=given.holder.epoch or 0,
        priority=action.priority,
        issued_at=at.now,
        not_after=at.now + timedelta(seconds=action.time_to_live),
        time_to_live=action.time_to_live,
        deadline=at.monotonic + action.time_to_live,
    )


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
