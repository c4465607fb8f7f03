"""The rules of the schema (`x-kubernetes-validations`), where no API server checks them.

Called by `foreshore_decision.admission` for folder mode. Unlike the expressions of policies these
are ours, are written for the API server's CEL, and read one untyped `self`; rules over `oldSelf`
are about a change, and a folder has no memory that they could be held against.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

_ENVIRONMENT: Final = cel.NewEnv(variables={"self": cel.Type.DYN})


@lru_cache(maxsize=512)
def _compile(rule: str) -> cel.Expression:
    return _ENVIRONMENT.compile(rule)


def is_about_a_change(rule: str) -> bool:
    """Whether the rule compares with what the object said before."""
    return "oldSelf" in rule


def holds(rule: str, value: Mapping[str, Any]) -> bool:
    """Whether CEL's own `true` comes out; an error or anything else does not hold.

    Raises:
        RuntimeError: the rule does not compile, which a test excludes for every rule of the schema.
    """
    result = _compile(rule).eval(_ENVIRONMENT.Activation({"self": dict(value)}))
    return result.type() == cel.Type.BOOL and result.value() is True


def says(expression: str, value: Mapping[str, Any]) -> str | None:
    """Return the text of a messageExpression, or None where it has none."""
    result = _compile(expression).eval(_ENVIRONMENT.Activation({"self": dict(value)}))
    return str(result.value()) if result.type() == cel.Type.STRING else None
