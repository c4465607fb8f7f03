"""The base of every document of the contract, and the marks that its fields carry.

Resources are written once, as frozen Pydantic models; CRDs, JSON Schemas and the field reference
are rendered from them (`foreshore_api.schema`), and `foreshore_api.support` reads the same marks. A
mark is an object inside `Annotated[...]`: it adds what Kubernetes needs to know to the JSON Schema,
and, where the rule can be checked without an API server, checks it while parsing, because folder
mode has no API server.

Attribute names are snake_case here and camelCase on the wire. Unknown fields are ignored while
reading, so that an older agent survives a newer CRD; `foreshore_api.resources` parses strictly
where a person wrote the file.
"""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pydantic
from pydantic import GetJsonSchemaHandler, alias_generators
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

NOT_SUPPORTED_KEY = "x-foreshore-not-supported"
"""Schema key of `NotSupported`; the generator reads and removes it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule (`x-kubernetes-validations`), checked by the API server at apply."""

    rule: str
    message: str
    message_expression: str = ""
    field_path: str = ""
    reason: str = "FieldValueInvalid"

    def document(self) -> dict[str, str]:
        """The rule as the API server reads it; absent parts are left out."""
        parts = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
        }
        return {key: value for key, value in parts.items() if value}

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule to the rules of an annotated value."""
        schema = handler(core)
        schema.setdefault("x-kubernetes-validations", []).append(self.document())
        return schema


@dataclass(frozen=True, slots=True)
class NotSupported:
    """This field, or every value of it but those in `unless`, is not acted on by this release.

    An object that uses it becomes `Stalled/NotSupported`; the schema gives it no default, so that
    no stored object is bound to a default that nobody has tried.
    """

    unless: tuple[str | int, ...] = ()

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Leave the mark in the schema for the generator and the field reference."""
        schema = handler(core)
        schema[NOT_SUPPORTED_KEY] = list(self.unless)
        return schema


@dataclass(frozen=True, slots=True)
class FolderOnly:
    """This field is acted on in folder mode only; a cluster answers `Stalled/NotSupported`."""


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose items are told apart by `keys`: server-side apply merges it item by item."""

    keys: tuple[str, ...] = ("name",)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> CoreSchema:
        """Refuse two items with the same key, as the API server does."""
        return core_schema.no_info_after_validator_function(self.unique, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell the API server how to merge."""
        schema = handler(core)
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = list(self.keys)
        return schema

    def unique(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items, unless two share a key. Raises ValueError."""
        seen: set[tuple[Any, ...]] = set()
        for item in items:
            key = tuple(getattr(item, _attribute(name)) for name in self.keys)
            if key in seen:
                raise ValueError(f"{'/'.join(map(str, key))} appears twice")
            seen.add(key)
        return items


def _attribute(name: str) -> str:
    """The attribute of a wire name; a word that Python keeps for itself has `_` behind it."""
    snake = alias_generators.to_snake(name)
    return f"{snake}_" if keyword.iskeyword(snake) else snake


@dataclass(frozen=True, slots=True)
class ListSet:
    """A list of scalars without duplicates; server-side apply merges it value by value."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> CoreSchema:
        """Refuse duplicates, as the API server does."""
        return core_schema.no_info_after_validator_function(self.unique, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell the API server how to merge."""
        schema = handler(core)
        schema["x-kubernetes-list-type"] = "set"
        return schema

    def unique(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items, unless one appears twice. Raises ValueError."""
        if len(set(items)) != len(items):
            raise ValueError("the same value appears twice")
        return items


class Document(pydantic.BaseModel):
    """A part of the contract: frozen, camelCase on the wire, unknown fields ignored."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        alias_generator=alias_generators.to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    validations: ClassVar[tuple[Rule, ...]] = ()
    """CEL rules over several fields of this part (`self`)."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rules of the class to its schema."""
        schema = handler(core)
        if cls.validations:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [
                rule.document() for rule in cls.validations
            ]
        return schema

    def document(self) -> dict[str, Any]:
        """This part as plain JSON data with wire names; what is absent or empty is left out."""
        written = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: _filled(value) for key, value in written.items() if value not in ([], {})}


def _filled(value: Any) -> Any:
    """The value without empty lists and maps, as the API server stores an object."""
    if isinstance(value, dict):
        return {key: _filled(element) for key, element in value.items() if element not in ([], {})}
    if isinstance(value, list):
        return [_filled(element) for element in value]
    return value
