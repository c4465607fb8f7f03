"""Where a value stands in a document: pointers, members, and what stands beside a value."""

from typing import Any, Final

from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.reasons import telemetry as reasons

Path = tuple[str, ...]
ABSENT: Final = object()
"""What is not there, which is not null."""


def pointer(path: str) -> Path:
    """Split a JSON Pointer (RFC 6901) into its steps."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:])


def member(name: str) -> Path:
    """Split a member's name, or a pointer, into its steps."""
    return pointer(name) if name.startswith("/") else (name,)


def find(document: object, path: Path, *, is_fixed: bool = True) -> Any:
    """Follow a pointer; what is not there is `ABSENT`.

    Raises PayloadError where a number would count the elements of an array that has no fixed order.
    """
    for step in path:
        if isinstance(document, dict):
            document = document.get(step, ABSENT)
        elif isinstance(document, list) and step.isascii() and step.isdigit():
            if not is_fixed:
                raise PayloadError(reasons.WRONG_TYPE)
            document = document[int(step)] if int(step) < len(document) else ABSENT
        else:
            return ABSENT
    return document


def beside(scopes: tuple[object, ...], path: Path, *, is_fixed: bool = True) -> Any:
    """Return what stands at a place beside a value: innermost first; null is nothing.

    Raises PayloadError as `find` does.
    """
    for scope in scopes:
        standing = find(scope, path, is_fixed=is_fixed)
        if standing is not ABSENT and standing is not None:
            return standing
    return ABSENT
