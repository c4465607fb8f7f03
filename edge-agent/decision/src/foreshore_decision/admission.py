"""What an API server would refuse at apply, said where there is none: in folder mode.

Types, bounds and names are checked while a document is parsed (`foreshore_api.resources`). What is
left are the rules over several fields, which the schema carries as CEL: they are evaluated here as
they stand there, so that a file means the same with a cluster and without one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from foreshore_api import contract, meta
from foreshore_decision.expr import rules


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that an object breaks: the field to look at, and what the API server would say."""

    path: str
    message: str


def check(resource: meta.Resource) -> tuple[Breach, ...]:
    """Return every rule of the schema that the object breaks, in schema order."""
    return tuple(_walk(resource, ""))


def _walk(part: contract.Document, path: str) -> Iterator[Breach]:
    value = part.document()
    for rule in part.validations:
        if not rules.is_about_a_change(rule.rule) and not rules.holds(rule.rule, value):
            yield Breach(f"{path}{rule.field_path}".lstrip("."), _message(rule, value))
    for name, field in type(part).model_fields.items():
        yield from _below(getattr(part, name), f"{path}.{field.alias or name}")


def _below(value: object, path: str) -> Iterator[Breach]:
    if isinstance(value, contract.Document):
        yield from _walk(value, path)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for position, item in enumerate(value):
            yield from _below(item, f"{path}[{position}]")


def _message(rule: contract.Rule, value: dict[str, Any]) -> str:
    message = rules.says(rule.message_expression, value) if rule.message_expression else None
    return message or rule.message
