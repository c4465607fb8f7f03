"""YAML in block style for the CRDs, from plain data, with nothing left to a reader's guess.

A CRD is for people too, so it is not written as JSON; and this package stays pure and depends on
pydantic alone, so PyYAML is not asked. Every string that is more than a plain word is written as a
JSON string, which is a double-quoted YAML scalar. A test reads all of it back with PyYAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9.\-/]*")
WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
"""Words that some YAML reader takes for a boolean or nothing."""


def render(value: Mapping[str, Any]) -> str:
    """Return a mapping as a YAML document."""
    return "\n".join(_mapping(value, 0)) + "\n"


def _mapping(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, child in value.items():
        yield from _entry(f"{'  ' * depth}{_scalar(key)}:", child, depth)


def _entry(head: str, child: Any, depth: int) -> Iterator[str]:
    if isinstance(child, Mapping) and child:
        yield head
        yield from _mapping(child, depth + 1)
    elif isinstance(child, list) and child:
        yield head
        yield from _sequence(child, depth)
    else:
        yield f"{head} {_scalar(child)}"


def _sequence(items: list[Any], depth: int) -> Iterator[str]:
    """Items stand under their key without further indentation, as kubectl writes them."""
    pad = "  " * depth
    for item in items:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, depth + 1)
            yield f"{pad}- {first.lstrip()}"
            yield from rest
        elif isinstance(item, list):
            raise ValueError("a list of lists has no place in a CRD")
        else:
            yield f"{pad}- {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
