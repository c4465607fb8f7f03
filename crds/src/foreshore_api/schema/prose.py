"""The last touch on descriptions: what the schema knows is said in words, so that it cannot drift.

`kubectl explain` is the manual: meaning, unit and example come from the docstring beside the field,
the default and what this release refuses from the schema itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from foreshore_api import contract
from foreshore_api.schema import structural

Schema = dict[str, Any]

OURS = (contract.NOT_SUPPORTED_KEY, structural.PLANNED_KEY)
"""Keywords that are told in words and then taken out."""


def complete(node: Schema, *, required: bool = False, refused: bool = False) -> Schema:
    """Return the schema with descriptions that also tell default, necessity and support."""
    mark = node.get(contract.NOT_SUPPORTED_KEY)
    result = {key: value for key, value in node.items() if key not in OURS}
    if "description" in node:
        words = [node["description"], *_facts(node, required=required)]
        if not refused:
            words += _support(mark)
        result["description"] = " ".join(words)
    refused = refused or mark == []
    necessary = node.get("required", ())
    if "properties" in node:
        result["properties"] = {
            name: complete(child, required=name in necessary, refused=refused)
            for name, child in node["properties"].items()
        }
    for below in ("items", "additionalProperties"):
        if below in node:
            result[below] = complete(node[below], refused=refused)
    return result


def _facts(node: Schema, *, required: bool) -> Iterator[str]:
    if required:
        yield "Required."
    if "properties" in node:
        return
    if "default" in node:
        yield f"Default: {json.dumps(node['default'])}."
    if structural.PLANNED_KEY in node:
        yield f"Default once acted on: {json.dumps(node[structural.PLANNED_KEY])}."


def _support(mark: list[str | int] | None) -> Iterator[str]:
    if mark == []:
        yield "Not acted on yet: setting it makes the object Stalled (NotSupported)."
    elif mark is not None:
        acted = ", ".join(map(str, mark))
        yield f"Acted on: {acted}; any other value makes the object Stalled (NotSupported)."
