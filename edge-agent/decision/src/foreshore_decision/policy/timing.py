"""How long the expressions of a policy take at worst, measured before it is admitted.

    expression × worst-case values of its names ──best of a few──► seconds ──over budget──► problem

`expr.cost` has bounded each expression already, from the text alone and alike everywhere; this is
the measurement that holds the estimate to the truth, on the machine that admits. What decides later
on slower machines is watched there (`foreshore_agent.runtime.pace`). Called by `compile.check`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from foreshore_api import conditions
from foreshore_api.v1alpha1 import DataType
from foreshore_decision import expr
from foreshore_decision.policy.problems import PolicyProblem

EXPRESSION_SECONDS: Final = 0.002
"""Budget of one expression; an everyday one takes a few millionths."""
POLICY_SECONDS: Final = 0.010
"""Budget of all expressions of a policy together, as if each were evaluated in every decision."""
ROUNDS: Final = 3
"""The best of so many counts: a machine that pauses is no fault of the policy."""

Clock = Callable[[], float]
"""Seconds of processor time, as `time.thread_time` counts them; only differences are looked at."""

_TEXT: Final = expr.MAXIMUM_TEXT
_WORST: Final[tuple[Mapping[DataType, expr.Value], ...]] = tuple(
    MappingProxyType(
        dict(
            zip(
                (DataType.NUMBER, DataType.INTEGER, DataType.BOOLEAN, DataType.STRING),
                values,
                strict=True,
            )
        )
    )
    for values in (
        (1.7976931348623157e308, 2**63 - 1, True, "a" * _TEXT),
        (-1.7976931348623157e308, -(2**63), False, "\N{GRINNING FACE}" * _TEXT),
        (1.0, 1, True, "ab" * (_TEXT // 2)),
    )
)
"""Values of each type: extremes, the longest texts of narrow and of wide characters, and both
truths, so that the two sides of most conditions are measured."""


class Timed(NamedTuple):
    """An expression to be timed."""

    path: str
    """Where it stands, in the words of the resource."""
    expression: expr.Expression
    environment: expr.Environment


def problems(expressions: Iterable[Timed], clock: Clock) -> tuple[PolicyProblem, ...]:
    """Return the expressions that break the budget, or that they do so together."""
    spent = [(timed.path, seconds(timed, clock)) for timed in expressions]
    slow = tuple(
        _problem(path, "takes", taken, EXPRESSION_SECONDS)
        for path, taken in spent
        if taken > EXPRESSION_SECONDS
    )
    total = sum(taken for _, taken in spent)
    if slow or total <= POLICY_SECONDS:
        return slow
    dearest, _ = max(spent, key=lambda pair: pair[1])
    together = "takes most of all expressions, which together take"
    return (_problem(dearest, together, total, POLICY_SECONDS),)


def seconds(timed: Timed, clock: Clock) -> float:
    """Return how long an evaluation takes on the worst of the values."""
    return max(_seconds(timed.expression, bound, clock) for bound in _bindings(timed.environment))


def _seconds(expression: expr.Expression, bound: expr.Bindings, clock: Clock) -> float:
    taken: list[float] = []
    for _ in range(ROUNDS):
        start = clock()
        expression.evaluate(bound)
        expression.margin(bound)  # a record has it too
        taken.append(clock() - start)
    return min(taken)


@lru_cache(maxsize=64)
def _bindings(environment: expr.Environment) -> tuple[expr.Bindings, ...]:
    """Bind every name, and make the library's form of the values before anything is timed."""
    bindings = tuple(
        environment.bind({name: worst[kind] for name, kind in environment.names.items()})
        for worst in _WORST
    )
    for bound in bindings:
        _ = bound.activation
    return bindings


def _problem(path: str, verb: str, taken: float, budget: float) -> PolicyProblem:
    return PolicyProblem(
        conditions.Reason.EXPRESSION_TOO_SLOW,
        path,
        f"{verb} {taken * 1e3:.1f} ms of a processor on the longest texts and extreme numbers, and"
        f" {budget * 1e3:g} ms is the most: use shorter lists, fewer loops or simpler patterns",
    )
