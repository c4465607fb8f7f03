"""The names that expressions may read, and the variables among them. Called by `compile`.

    before   inputs, features, parameters.*, variables that read no output    matchConditions
    after    before, outputs, every variable                                  rules, action

A variable that compiles without the outputs belongs to both. Variables are declared in order: one
reads only those above it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foreshore_api import conditions
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.evaluation import Variable
from foreshore_decision import expr
from foreshore_decision.policy.compiled import Named, Scope
from foreshore_decision.policy.problems import Problems


@dataclass
class Names:
    """Names and variables of both stages while a policy is being compiled."""

    before: dict[str, DataType]
    outputs: Mapping[str, DataType]
    early: dict[str, DataType] = field(default_factory=dict)
    """Variables that read no output, in order, with their types."""
    late: dict[str, DataType] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def environment_before(self) -> expr.Environment:
        """The names without the outputs."""
        return expr.environment({**self.before, **self.early})

    def environment_after(self) -> expr.Environment:
        """All names."""
        return expr.environment({**self.before, **self.early, **self.outputs, **self.late})

    def declare(self, variables: Iterable[Variable], problems: Problems) -> None:
        """Find each variable's type and stage."""
        for variable in variables:
            self.sources[variable.name] = variable.expression
            kind = _type(self.environment_before(), variable.expression)
            if isinstance(kind, DataType):
                self.early[variable.name] = kind
                continue
            kind = _type(self.environment_after(), variable.expression)
            if isinstance(kind, DataType):
                self.late[variable.name] = kind
                continue
            path = f"spec.variables[{variable.name}].expression"
            problems.add(conditions.Reason.COMPILE_FAILED, path, kind)

    def dependent(self) -> frozenset[str]:
        """Outputs, and the variables that have no value without them."""
        return frozenset(self.outputs) | frozenset(self.late)

    def scope_before(self, expressions: Iterable[expr.Expression]) -> Scope:
        """The stage before inference, for these expressions."""
        return _scope(self.environment_before(), self.early, self.sources, expressions)

    def scope_after(self, expressions: Iterable[expr.Expression]) -> Scope:
        """The stage after inference, for these expressions; early variables are known by then."""
        return _scope(self.environment_after(), self.late, self.sources, expressions)


def _type(environment: expr.Environment, source: str) -> DataType | str:
    """Return the type of a variable, or why it has none."""
    try:
        return environment.infer(source)
    except expr.CompileError as error:
        return str(error)


def _scope(
    environment: expr.Environment,
    variables: Mapping[str, DataType],
    sources: Mapping[str, str],
    expressions: Iterable[expr.Expression],
) -> Scope:
    named = tuple(
        Named(name, expr.compile_shared(environment, sources[name], kind))
        for name, kind in variables.items()
    )
    used = {name for expression in expressions for name in expression.references}
    used.update(name for variable in named for name in variable.expression.references)
    return Scope(environment, tuple(sorted(used)), named)


def compile_into(
    problems: Problems, environment: expr.Environment, source: str, wanted: DataType, path: str
) -> expr.Expression | None:
    """Compile one expression, or note why it does not."""
    try:
        return expr.compile_shared(environment, source, wanted)
    except expr.CompileError as error:
        problems.add(conditions.Reason.COMPILE_FAILED, path, str(error))
        return None
