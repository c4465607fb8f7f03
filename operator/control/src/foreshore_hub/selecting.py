"""What a list request asks for: field selector, page, and where the last page ended.

`records` calls it; everything that cannot be read is refused with what would have been right.
"""

import base64
import binascii
import datetime
import re
from typing import Final

import orjson

from foreshore_hub import ingest, store

FIELDS: Final = (
    "metadata.name",
    "namePrefix",
    "metadata.namespace",
    "device",
    "policy",
    "verdict",
    "since",
    "until",
)
MAXIMUM_SELECTOR: Final = 1024
STORED: Final = 1 << 63
"""Integers of the store have 64 bits."""
_LIMIT: Final = re.compile(r"[0-9]{1,9}")
_TERM: Final = re.compile(r"([A-Za-z.]+)(==|=)([^,=!]*)")


class BadSelectorError(ValueError):
    """The request cannot be read; the message says what would be right."""


def selection(written: str, namespace: str | None) -> store.Selection | None:
    """Return what a field selector in a namespace selects; None when nothing can match.

    Raises:
        BadSelectorError: an unknown field, another operator than `=`, a time that is not RFC 3339.
    """
    terms = _terms(written)
    named = terms.get("metadata.namespace")
    if named is not None and namespace not in (None, named):
        return None
    return store.Selection(
        namespace=namespace if named is None else named,
        decision=terms.get("metadata.name"),
        beginning=terms.get("namePrefix"),
        device=terms.get("device"),
        policy=terms.get("policy"),
        verdict=terms.get("verdict"),
        since=_micros("since", terms),
        until=_micros("until", terms),
    )


def page(limit: str) -> int:
    """Return how many objects to give, at most a page. Raises BadSelectorError."""
    if not limit:
        return store.PAGE
    if _LIMIT.fullmatch(limit) is None:
        raise BadSelectorError(f"limit {limit!r} is not a number")
    return min(int(limit), store.PAGE) or store.PAGE


def token(last: store.StoredDecision) -> str:
    """Return what `continue` carries: where the page ended."""
    return base64.urlsafe_b64encode(orjson.dumps([last.time, last.id])).decode()


def place(written: str) -> tuple[int, int] | None:
    """Return where the last page ended, from `continue`. Raises BadSelectorError."""
    if not written:
        return None
    try:
        time, id_ = orjson.loads(base64.urlsafe_b64decode(written[:200]))
        return _stored(time), _stored(id_)
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadSelectorError("the continue token is not one of this server") from error


def _stored(value: object) -> int:
    """Return a value if it is an integer that the store can compare with. Raises ValueError."""
    if type(value) is not int or not -STORED <= value < STORED:
        raise ValueError("a place is a time and a number of the store")
    return value


def _terms(written: str) -> dict[str, str]:
    if len(written) > MAXIMUM_SELECTOR:
        raise BadSelectorError("the field selector is too long")
    terms: dict[str, str] = {}
    for part in filter(None, written.split(",")):
        match = _TERM.fullmatch(part)
        if match is None:
            raise BadSelectorError(f"{part!r} is not of the form field=value")
        if match[1] not in FIELDS:
            raise BadSelectorError(f"field {match[1]!r} is not one of {', '.join(FIELDS)}")
        if terms.setdefault(match[1], match[3]) != match[3]:
            raise BadSelectorError(f"field {match[1]!r} is given twice")
    return terms


def _micros(name: str, terms: dict[str, str]) -> int | None:
    if name not in terms:
        return None
    try:
        moment = datetime.datetime.fromisoformat(terms[name])
    except ValueError as error:
        raise BadSelectorError(f"{name} is not a time such as 2026-03-01T10:00:00Z") from error
    if moment.tzinfo is None:
        raise BadSelectorError(f"{name} names no time zone; write 2026-03-01T10:00:00Z")
    return ingest.micros(moment)
