"""Expressions: CEL with static types, strict truth and finite numbers.

    environment(names → types) ──compile(text, wanted)──► Expression
    Expression ──evaluate(Bindings)──► Value | Problem

`policy` compiles, the gates of `chain` evaluate; `lexis` reads the text for names and comparisons.
"""

from foreshore_decision.expr.compiler import (
    ENGINE,
    MAXIMUM_TEXT,
    Bindings,
    CompileError,
    Environment,
    Expression,
    NoValue,
    Value,
    compile_shared,
    environment,
    is_fit,
)

__all__ = [
    "ENGINE",
    "MAXIMUM_TEXT",
    "Bindings",
    "CompileError",
    "Environment",
    "Expression",
    "NoValue",
    "Value",
    "compile_shared",
    "environment",
    "is_fit",
]
