"""What the author of the policy wants: Permit and Forbid, and why it was not to be."""

import math

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName
from foreshore_api.wire.record import Phase
from foreshore_decision import expr
from foreshore_decision.chain.facts import Entry, Facts, Step
from foreshore_decision.gates import expressions
from foreshore_decision.policy import compiled

PASS, FAIL, ERROR = Phase.PASS, Phase.FAIL, Phase.ERROR


def rule(gate: GateName, facts: Facts) -> Step:
    """Pass when a Permit is true and no Forbid is; a Forbid that errors forbids."""
    policy, bindings = facts.given.policy, expressions.bound(facts)
    for forbid in policy.forbids:
        truth = forbid.expression.is_true(bindings)
        if truth is not False:
            reason = forbid.reason if truth is True else reasons.EXPRESSION_ERROR
            facts = facts._replace(message=_message(forbid, bindings))
            return Step(facts, expressions.entry(gate, FAIL, reason, forbid, bindings))
    nearest: Entry | None = None
    for permit in policy.permits:
        truth = permit.expression.is_true(bindings)
        if truth is True:
            entry = expressions.entry(gate, PASS, permit.reason, permit, bindings)
            facts = facts._replace(reason=permit.reason, message=_message(permit, bindings))
            return Step(facts, entry)
        phase = FAIL if truth is False else ERROR
        reason = reasons.NO_RULE_PERMITS if truth is False else reasons.EXPRESSION_ERROR
        nearest = _nearest(nearest, expressions.entry(gate, phase, reason, permit, bindings))
    return Step(facts, nearest or Entry(gate, FAIL, reasons.NO_RULE_PERMITS))


def _message(source: compiled.CompiledRule, bindings: expr.Bindings) -> str:
    """Render what the author wants people to read; an error renders nothing."""
    text = "" if source.message is None else source.message.evaluate(bindings)
    return text if isinstance(text, str) else ""


def _nearest(nearest: Entry | None, other: Entry) -> Entry:
    """Return the Permit that explains more: one that errored, else the one closest to true."""
    if nearest is None:
        return other
    if nearest.phase is ERROR or other.phase is ERROR:
        return nearest if nearest.phase is ERROR else other
    left = -math.inf if nearest.margin is None else nearest.margin
    right = -math.inf if other.margin is None else other.margin
    return other if right > left else nearest
