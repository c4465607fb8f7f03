"""Expressions: CEL with static types, strict truth and finite numbers.

    environment(names → types) ──compile(text, wanted)──► Expression
    Expression ──evaluate(Bindings)──► Value | Problem

    environment ──compile_template(text)──► Template, whose value may be a map or a list

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
from foreshore_decision.expr.templates import Document, Template, compile_template

__all__ = [
    "ENGINE",
    "MAXIMUM_TEXT",
    "Bindings",
    "CompileError",
    "Document",
    "Environment",
    "Expression",
    "NoValue",
    "Template",
    "Value",
    "compile_shared",
    "compile_template",
    "environment",
    "is_fit",
]
