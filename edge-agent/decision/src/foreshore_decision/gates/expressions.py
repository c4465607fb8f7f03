"""Expressions of a policy inside a gate: what they may read, and the entry that explains one."""

from collections.abc import Mapping

from foreshore_api.reasons.decision import GateName
from foreshore_api.wire.record import Phase
from foreshore_decision import expr
from foreshore_decision.chain.facts import NONE, Entry, Facts
from foreshore_decision.policy import compiled


def with_variables(facts: Facts, scope: compiled.Scope) -> Facts:
    """Evaluate the stage's variables in order; one without a value stays without."""
    if not scope.variables:
        return facts
    values, variables = dict(facts.values), dict(facts.variables)
    for variable in scope.variables:
        bindings = scope.environment.bind(values, variable.expression.references)
        value = variable.expression.evaluate(bindings)
        if not isinstance(value, expr.NoValue):
            values[variable.name] = variables[variable.name] = value
    return facts._replace(values=values, variables=variables)


def bind(scope: compiled.Scope, values: Mapping[str, expr.Value]) -> expr.Bindings:
    """Bind what the expressions of a stage read."""
    return scope.environment.bind(values, scope.used)


def after(facts: Facts, outputs: Mapping[str, expr.Value] = NONE) -> Facts:
    """Return the facts with the model's outputs, and what expressions read from there on."""
    scope = facts.given.policy.after
    values = {**facts.values, **outputs} if outputs else facts.values
    if not scope.variables:
        return facts._replace(outputs=outputs, values=values, bindings=bind(scope, values))
    facts = with_variables(facts._replace(outputs=outputs, values=values), scope)
    return facts._replace(bindings=bind(scope, facts.values))


def bound(facts: Facts) -> expr.Bindings:
    """Return what `after` bound; bind it where a model was never to be asked."""
    return facts.bindings or bind(facts.given.policy.after, facts.values)


def entry(
    gate: GateName,
    phase: Phase,
    reason: str,
    source: compiled.Named | compiled.CompiledRule,
    bindings: expr.Bindings,
) -> Entry:
    """Return the line about an expression: its text, what it read and how close it was."""
    expression = source.expression
    return Entry(
        gate,
        phase,
        reason,
        source.name,
        expression.source,
        expression.operands(bindings),
        expression.margin(bindings),
    )
