"""JSON, read strictly and within bounds: every refusal has a reason code.

JSON readers differ where it hurts: some take NaN, turn 1e999 into infinity, or keep the last of two
equal keys. Here none of that becomes a value. A document that cannot be trusted as a whole is
refused as a whole; one bad property among good ones is refused alone (`payload`).

`NaN` and `Infinity` are no JSON, but stock scripts write them where a sensor fails, and then the
decision that was not taken has to be on record. So they are read, and refused where they stand in a
property. Refused as a whole, such a document would be a message that nobody got.

    read ──► orjson ──► as strict as wanted? ──yes──► document
                └── an error, an escape, a doubt ──► json, with a look at every pair

orjson is several times as fast, knows no NaN and keeps the last of two equal keys. So what it reads
counts only where its quotes prove that no key was lost, and json says what is wrong with the rest.
"""

import json
from typing import Any, Final

import orjson

from foreshore_agent.devices.codecs.leaf import MAXIMUM_BYTES, PayloadError
from foreshore_api.reasons import telemetry as reasons

MAXIMUM_DEPTH: Final = 8


def read(body: bytes) -> Any:
    """Read a JSON document within the bounds: an object, an array or a single value.

    Its numbers may not be finite. Raises PayloadError.
    """
    if len(body) > MAXIMUM_BYTES:
        raise PayloadError(reasons.TOO_LARGE)
    if b"\\" not in body:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _read_strictly(body)
        kind = type(document)
        if kind is dict or kind is list:
            if 2 * _texts(document, MAXIMUM_DEPTH) == body.count(b'"'):
                return document
        else:
            return document
    return _read_strictly(body)


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object within the bounds. Raises PayloadError."""
    document = read(body)
    if not isinstance(document, dict):
        raise PayloadError(reasons.NOT_AN_OBJECT)
    return document


def _texts(document: Any, depth: int) -> int:
    """Return how many texts a document has, keys included; fewer than none where it is too deep."""
    if not depth:
        return -MAXIMUM_BYTES
    is_object = type(document) is dict
    count = len(document) if is_object else 0
    for child in document.values() if is_object else document:
        kind = type(child)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _texts(child, depth - 1)
    return count


def _read_strictly(body: bytes) -> Any:
    """Read a document pair by pair. Raises PayloadError."""
    try:
        document = _JSON.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PayloadError(reasons.INVALID_UTF8) from error
    except RecursionError as error:
        raise PayloadError(reasons.TOO_DEEP) from error
    except PayloadError:
        raise
    except ValueError as error:
        raise PayloadError(reasons.INVALID_JSON) from error
    if _depth_exceeds(document, MAXIMUM_DEPTH):
        raise PayloadError(reasons.TOO_DEEP)
    return document


def _depth_exceeds(document: object, depth: int) -> bool:
    if not isinstance(document, dict | list):
        return False
    if depth == 0:
        return True
    children = document.values() if isinstance(document, dict) else document
    return any(_depth_exceeds(child, depth - 1) for child in children)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise PayloadError(reasons.DUPLICATE_KEY)
    return document


_JSON: Final = json.JSONDecoder(object_pairs_hook=_object)
