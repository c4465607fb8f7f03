"""FIELDS.md: every field of every kind on one page, from the same schemas as the CRDs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from foreshore_api import contract, meta
from foreshore_api.schema import structural

Schema = dict[str, Any]

HEAD = """\
# Fields of foreshore.dev/v1alpha1

Generated from `src/foreshore_api` by `make generate`; `kubectl explain` says the same.
*Not yet*: an object that sets the field, or sets it to another value than those named, is `Stalled`
with reason `NotSupported`.
"""


def render(kinds: Sequence[type[meta.Resource]]) -> str:
    """Return the page."""
    return HEAD + "".join(_kind(kind) for kind in kinds)


def _kind(kind: type[meta.Resource]) -> str:
    spec, status, _ = structural.of(kind)
    lines = [
        "",
        f"## {kind.kind}",
        "",
        f"`{kind.plural}.{meta.GROUP}`, short `{kind.short_name}`. "
        + " ".join((kind.__doc__ or "").split()),
        "",
        "| field | type | default | acted on | meaning |",
        "|---|---|---|---|---|",
    ]
    for root, schema in (("spec", spec), ("status", status)):
        lines += [_row(*field) for field in fields(schema, root)]
    return "\n".join(lines) + "\n"


def fields(
    node: Schema, path: str, *, refused: bool = False
) -> Iterator[tuple[str, Schema, bool, bool]]:
    """Yield every field below a node: path, schema, whether it is required, whether refused."""
    necessary = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        gone = refused or child.get(contract.NOT_SUPPORTED_KEY) == []
        yield f"{path}.{name}", child, name in necessary, gone
        yield from fields(child, f"{path}.{name}", refused=gone)
        if "items" in child:
            yield from fields(child["items"], f"{path}.{name}[]", refused=gone)


def _row(path: str, node: Schema, required: bool, refused: bool) -> str:  # noqa: FBT001
    cells = (
        f"`{path}`",
        _type(node),
        "required" if required else _default(node),
        _support(node, refused=refused),
        node.get("description", ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(node: Schema) -> str:
    if "enum" in node:
        return " ".join(f"`{value}`" for value in node["enum"])
    if "x-kubernetes-int-or-string" in node:
        return "integer or string"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return str(node.get("format") or node.get("type"))


def _default(node: Schema) -> str:
    return f"`{json.dumps(node['default'])}`" if "default" in node and node["default"] != {} else ""


def _support(node: Schema, *, refused: bool) -> str:
    mark = node.get(contract.NOT_SUPPORTED_KEY)
    if refused:
        return "not yet"
    return "yes" if mark is None else " ".join(f"`{value}`" for value in mark)
