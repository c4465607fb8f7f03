"""One set of given fields for all documents that were given the same fields.

Every document keeps the set of the fields that it was given, some 200 to 700 bytes, and an object
of the API server is eight documents deep. Documents are frozen, so equal sets can be one.
"""

from typing import Any, Final

import pydantic

MOST: Final = 4096
"""Different sets that are kept; whoever brings more kinds of documents keeps their sets apart."""

_SETS: Final[dict[frozenset[str], set[str]]] = {}


def share(document: pydantic.BaseModel) -> None:
    """Let a document, and all in it, have the sets of others that were given the same fields."""
    share_own(document)
    for value in document.__dict__.values():
        _look(value)


def share_own(document: pydantic.BaseModel) -> None:
    """Let a document have the set of others that were given the same fields; all in it has."""
    given = document.__pydantic_fields_set__
    key = frozenset(given)
    kept = _SETS.get(key)
    if kept is None and len(_SETS) < MOST:
        _SETS[key] = kept = given
    if kept is not None:
        object.__setattr__(document, "__pydantic_fields_set__", kept)


def _look(value: Any) -> None:
    if value is None or isinstance(value, str | int):
        return  # most are: whether something is a model takes pydantic a microsecond to say
    if isinstance(value, tuple | list):
        for item in value:
            _look(item)
    elif isinstance(value, dict):
        for item in value.values():
            _look(item)
    elif isinstance(value, pydantic.BaseModel):
        share(value)
