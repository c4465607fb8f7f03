"""What this release does not act on: one walk over an object, by the markers beside its fields.

Operator, agent and folder mode ask alike, so that a field is either acted on or named in a
condition, never ignored. `NotSupported` marks a field, or all of its values but some; `FolderOnly`
one that a cluster does not act on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import pydantic

from foreshore_api import contract, meta


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A field that asks for what is not built yet: where it is, and what it says."""

    path: str
    """Dotted path from the object's root, as YAML spells it: `spec.action.priority`."""
    value: str


def unsupported(resource: meta.Resource, *, in_cluster: bool = True) -> tuple[Unsupported, ...]:
    """Return every field of the spec that this release does not act on, in schema order."""
    spec: object = getattr(resource, "spec", None)
    if not isinstance(spec, pydantic.BaseModel):
        return ()
    return tuple(_walk(spec, "spec", in_cluster=in_cluster))


def _walk(document: pydantic.BaseModel, path: str, *, in_cluster: bool) -> Iterator[Unsupported]:
    for name, field in type(document).model_fields.items():
        value = getattr(document, name)
        where = f"{path}.{field.alias or name}"
        if _is_unset(value):
            continue
        if _is_refused(value, field.metadata, in_cluster=in_cluster):
            yield Unsupported(where, _spoken(value))
            continue
        yield from _inside(value, where, in_cluster=in_cluster)


def _inside(value: object, path: str, *, in_cluster: bool) -> Iterator[Unsupported]:
    if isinstance(value, pydantic.BaseModel):
        yield from _walk(value, path, in_cluster=in_cluster)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for position, item in enumerate(value):
            yield from _inside(item, f"{path}[{position}]", in_cluster=in_cluster)


def _is_unset(value: object) -> bool:
    return value is None or (isinstance(value, Sequence | Mapping) and len(value) == 0)


def _is_refused(value: object, marks: Sequence[object], *, in_cluster: bool) -> bool:
    for mark in marks:
        if isinstance(mark, contract.NotSupported) and _plain(value) not in mark.unless:
            return True
        if isinstance(mark, contract.FolderOnly) and in_cluster:
            return True
    return False


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _spoken(value: object) -> str:
    plain = _plain(value)
    return str(plain) if isinstance(plain, str | int) else "…"
