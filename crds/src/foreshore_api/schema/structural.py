"""From the JSON Schema that Pydantic writes to the structural schema that Kubernetes takes.

Called by `foreshore_api.schema.definition`. Kubernetes takes a subset: no references, no unions but
int-or-string, no null, booleans for exclusive bounds, closed sets of keywords. What this module
does not know it refuses, so that a type that cannot be said in a CRD fails here and not at a user's
`kubectl apply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foreshore_api import contract, meta

Schema = dict[str, Any]

PLANNED_KEY = "x-foreshore-planned-default"
"""Default of a field that is not acted on yet: told in words, not applied to stored objects."""

KEPT = (
    "type", "format", "pattern", "enum", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "minProperties", "maxProperties",
    "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)  # fmt: skip
"""Keywords that both sides spell alike."""

RENDERED = (
    "title", "examples", "additionalProperties", "propertyNames", "patternProperties", "$defs",
    "anyOf", "items", "properties", "required", "description", "default", "exclusiveMinimum",
    "exclusiveMaximum", "const", contract.NOT_SUPPORTED_KEY,
)  # fmt: skip
"""Keywords that are rendered on their own below, or say nothing to Kubernetes."""

INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def of(kind: type[meta.Resource]) -> tuple[Schema, Schema, Schema]:
    """Return the structural schemas of a kind's spec and status, and the rules at its root."""
    whole = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = whole.get("$defs", {})
    spec = convert(whole["properties"]["spec"], definitions)
    status = convert(whole["properties"]["status"], definitions)
    status["default"] = {"observedGeneration": -1}
    rules = {key: whole[key] for key in ("x-kubernetes-validations",) if key in whole}
    return spec, status, rules


def convert(
    node: Mapping[str, Any], definitions: Mapping[str, Any], *, live: bool = True
) -> Schema:
    """Return the structural schema of a node.

    Args:
        node: a node of Pydantic's JSON Schema.
        definitions: its `$defs`.
        live: whether this release acts on the node; defaults are rendered for such nodes only.

    Raises:
        ValueError: the node cannot be said in a CRD.
    """
    flat = _flatten(node, definitions)
    unknown = set(flat) - set(KEPT) - set(RENDERED)
    if unknown:
        raise ValueError(f"a CRD cannot say {sorted(unknown)}: {flat}")
    live = live and flat.get(contract.NOT_SUPPORTED_KEY) != []
    result: Schema = {}
    if "description" in flat:
        result["description"] = " ".join(flat["description"].split())
    result |= {key: flat[key] for key in KEPT if key in flat}
    if "const" in flat:
        result["enum"] = [flat["const"]]
    result |= _exclusive(flat)
    result |= _children(flat, definitions, live=live)
    if contract.NOT_SUPPORTED_KEY in flat:
        result[contract.NOT_SUPPORTED_KEY] = flat[contract.NOT_SUPPORTED_KEY]
    if _is_default(flat):
        key = "default" if live else PLANNED_KEY
        result[key] = {} if "properties" in flat else flat["default"]
    return result


def _flatten(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The node with its reference and its optional union merged in; nearer keywords win."""
    flat = dict(node)
    while "$ref" in flat or "anyOf" in flat:
        if "$ref" in flat:
            inner = definitions[flat.pop("$ref").removeprefix("#/$defs/")]
        elif flat.get("x-kubernetes-int-or-string"):
            break
        else:
            inner = _only(flat.pop("anyOf"))
        rules = [
            *inner.get("x-kubernetes-validations", ()),
            *flat.pop("x-kubernetes-validations", ()),
        ]
        flat = {**inner, **flat}
        if rules:
            flat["x-kubernetes-validations"] = rules
    return flat


def _only(branches: list[Schema]) -> Schema:
    """The one branch of an optional value."""
    others = [branch for branch in branches if branch.get("type") != "null"]
    if len(others) != 1:
        raise ValueError(f"a CRD cannot say a union: {branches}")
    return others[0]


def _exclusive(flat: Schema) -> Schema:
    """Bounds that exclude their end, as Kubernetes spells them: a number and a flag beside it."""
    pairs = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))
    return {
        key: value
        for exclusive, bound in pairs
        if exclusive in flat
        for key, value in ((bound, flat[exclusive]), (exclusive, True))
    }


def _children(flat: Schema, definitions: Mapping[str, Any], *, live: bool) -> Schema:
    """What hangs below the node: properties, items, values of a map, or the int-or-string union."""
    if "properties" in flat:
        children: Schema = {
            "properties": {
                name: convert(child, definitions, live=live)
                for name, child in flat["properties"].items()
            }
        }
        return {**children, "required": flat["required"]} if flat.get("required") else children
    if flat.get("type") == "object":
        return {"additionalProperties": convert(_values(flat), definitions, live=live)}
    if flat.get("type") == "array":
        items = {"items": convert(flat["items"], definitions, live=live)}
        return (
            items
            if "x-kubernetes-list-type" in flat
            else {"x-kubernetes-list-type": "atomic", **items}
        )
    return {"anyOf": INT_OR_STRING} if flat.get("x-kubernetes-int-or-string") else {}


def _values(flat: Schema) -> Mapping[str, Any]:
    """The schema of a map's values. A CRD cannot say rules on its keys; parsing checks them."""
    values = flat.get("additionalProperties")
    for value in flat.get("patternProperties", {}).values():
        values = value
    if not isinstance(values, Mapping):
        raise ValueError(f"a CRD cannot say a free map: {flat}")  # noqa: TRY004
    return values


def _is_default(flat: Schema) -> bool:
    """Whether the default says something: null, empty lists and empty maps mean absent."""
    default = flat.get("default")
    return default is not None and (default not in ([], {}, "") or "properties" in flat)
