"""What the actuator may get whatever anybody wants, and how often."""

from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName
from foreshore_api.wire.record import Phase
from foreshore_decision import expr
from foreshore_decision.chain import bounding, limiter
from foreshore_decision.chain.facts import Entry, Facts, Step
from foreshore_decision.gates import expressions
from foreshore_decision.instant import has_passed
from foreshore_decision.policy import compiled

PASS, FAIL, ERROR = Phase.PASS, Phase.FAIL, Phase.ERROR
MAXIMUM_OUTSTANDING: Final = 64
"""Commands to one actuator that may wait for the device's answer at once."""


def limits(gate: GateName, facts: Facts) -> Step:
    """Pass when each value of the action is finite and, clamped where allowed, within bounds."""
    policy, bindings = facts.given.policy, expressions.bound(facts)
    wanted: dict[str, expr.Value] = {}
    for bound in policy.action.bounds:
        value = bound.expression.evaluate(bindings)
        if isinstance(value, expr.NoValue):
            source = compiled.Named(bound.name, bound.expression)
            return Step(facts, expressions.entry(gate, ERROR, value.reason, source, bindings))
        wanted[bound.name] = value
    present = {
        bound.property: bounding.present_value(bound, facts.given)
        for bound in policy.action.bounds
        if bound.property is not None
    }
    facts = facts._replace(recommendation=wanted, present=present)
    limited: dict[str, expr.Value] = {}
    entry = Entry(gate, PASS, reasons.WITHIN_LIMITS)
    for bound in policy.action.bounds:
        value, bound_entry = bounding.limit(
            gate,
            bound,
            policy.action.on_limit,
            wanted[bound.name],
            present.get(bound.property or ""),
        )
        if bound_entry.phase is not PASS:
            return Step(facts, bound_entry)
        limited[bound.name] = value
        entry = bounding.tighter(entry, bound_entry)
    return Step(facts._replace(limited=limited), entry)


def rate_limit(gate: GateName, facts: Facts) -> Step:
    """Pass when neither policy nor actuator has been commanded too often or waits for news."""
    given = facts.given
    if given.held_until is not None and not has_passed(given.held_until, 0.0, given.seconds):
        operands = {"seconds": given.held_until - given.seconds}
        return Step(facts, Entry(gate, FAIL, reasons.ACTUATOR_HELD, operands=operands))
    if given.outstanding >= MAXIMUM_OUTSTANDING:
        operands = {"outstanding": float(given.outstanding)}
        return Step(facts, Entry(gate, FAIL, reasons.TOO_MANY_OUTSTANDING, operands=operands))
    policy = given.policy
    pairs = (
        (policy.policy_rate, given.policy_spent),
        (policy.actuator_rate, given.actuator_spent),
    )
    for limit, spent in pairs:
        refusal = None if limit is None else limiter.blocked(limit, spent, given.seconds)
        if refusal is not None:
            entry = Entry(
                gate,
                FAIL,
                refusal.reason,
                refusal.name,
                operands={"seconds": refusal.seconds},
                margin=-refusal.seconds,
            )
            return Step(facts, entry)
    return Step(facts, Entry(gate, PASS, reasons.WITHIN_RATE))
