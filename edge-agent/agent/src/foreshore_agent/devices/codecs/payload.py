"""Telemetry as JSON, read strictly and within bounds: every refusal has a reason code.

JSON readers differ where it hurts: some take NaN, turn 1e999 into infinity, or keep the last of two
equal keys. Here none of that becomes a value. A document that cannot be trusted as a whole is
refused as a whole; one bad property among good ones is refused alone.

`NaN` and `Infinity` are no JSON, but stock scripts write them where a sensor fails, and then the
decision that was not taken has to be on record. So they are read, and refused where they stand in a
property. Refused as a whole, such a document would be a message that nobody got.

    read ──► orjson ──► as strict as wanted? ──yes──► document
                └── an error, an escape, a doubt ──► json, with a look at every pair

orjson is several times as fast, knows no NaN and keeps the last of two equal keys. So what it reads
counts only where its quotes prove that no key was lost, and json says what is wrong with the rest.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

import orjson

from foreshore_agent import documents
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile

MAXIMUM_BYTES: Final = documents.MAXIMUM_BYTES
MAXIMUM_DEPTH: Final = 8
MAXIMUM_TEXT: Final = 1024
"""Characters of a property of type String."""

_INT64: Final = 1 << 63
_LATEST_UNIX: Final = 253402300800.0
"""The year 10000: seconds beyond it are no time."""

Value = float | int | bool | str


class PayloadError(ValueError):
    """The document says nothing that can be used; `reason` says why.

    Of a document: `TooLarge`, `InvalidUTF8`, `InvalidJSON`, `DuplicateKey`, `TooDeep`,
    `NotAnObject`. Of a property: see `DecodedTelemetry.refused`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DecodedTelemetry:
    """What one document says of the properties it names; properties it does not name are absent."""

    values: Mapping[str, Value] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reason codes by property: `WrongType`, `NonFinite`, `OutOfRange`, `TooLong`, `InvalidText`,
    `InvalidTimestamp`. OutOfRange is beyond the type, not beyond the profile's bounds."""
    sampled_at: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    type: deviceprofile.DataType
    path: tuple[str, ...]
    timestamp_path: tuple[str, ...] | None
    is_simple: bool
    """Whether it is a Number at the top of the document without a time of its own, as most are."""

    @classmethod
    def of(cls, declared: deviceprofile.Property) -> "_Place":
        path = pointer(declared.path or f"/{declared.name}")
        stamp = pointer(declared.timestamp_path) if declared.timestamp_path else None
        is_number = declared.type is deviceprofile.DataType.NUMBER
        is_simple = is_number and len(path) == 1 and stamp is None
        return cls(declared.name, declared.type, path, stamp, is_simple)


class Decoder:
    """Reads the documents of one device profile."""

    def __init__(self, properties: Sequence[deviceprofile.Property]) -> None:
        self._places: Final = tuple(map(_Place.of, properties))

    def decode(self, body: bytes) -> DecodedTelemetry:
        """Read one document. Raises PayloadError."""
        document = read(body)
        values: dict[str, Value] = {}
        refused: dict[str, str] = {}
        sampled_at: dict[str, datetime] = {}
        for place in self._places:
            if place.is_simple:
                value = document.get(place.path[0], _ABSENT)
                if type(value) is float and math.isfinite(value):
                    values[place.name] = value
                    continue
            else:
                value = find(document, place.path)
            if value is _ABSENT:
                continue
            try:
                values[place.name] = typed(value, place.type)
                if place.timestamp_path is not None:
                    stamp = find(document, place.timestamp_path)
                    if stamp is not _ABSENT:
                        sampled_at[place.name] = moment(stamp)
            except PayloadError as error:
                values.pop(place.name, None)
                refused[place.name] = error.reason
        return DecodedTelemetry(values, refused, sampled_at)


_ABSENT: Final = object()


def read(body: bytes) -> dict[str, Any]:
    """Read a JSON object within the bounds; its numbers may not be finite. Raises PayloadError."""
    if len(body) > MAXIMUM_BYTES:
        raise PayloadError(reasons.TOO_LARGE)
    if b"\\" not in body:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _read_strictly(body)
        if type(document) is dict and 2 * _texts(document, MAXIMUM_DEPTH) == body.count(b'"'):
            return document
    return _read_strictly(body)


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


def _read_strictly(body: bytes) -> dict[str, Any]:
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
    if not isinstance(document, dict):
        raise PayloadError(reasons.NOT_AN_OBJECT)
    if _depth_exceeds(document, MAXIMUM_DEPTH):
        raise PayloadError(reasons.TOO_DEEP)
    return document


def pointer(path: str) -> tuple[str, ...]:
    """Split a JSON Pointer (RFC 6901) into its steps."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:])


def find(document: object, path: tuple[str, ...]) -> Any:
    """Follow a pointer; what is not there is `_ABSENT`, which is not null."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step, _ABSENT)
        elif isinstance(document, list) and step.isascii() and step.isdigit():
            document = document[int(step)] if int(step) < len(document) else _ABSENT
        else:
            return _ABSENT
    return document


def typed(value: object, data_type: deviceprofile.DataType) -> Value:
    """Return a value as its declared type; a boolean is no number, a text is never parsed.

    Raises PayloadError.
    """
    match data_type:
        case deviceprofile.DataType.NUMBER:
            return _number(value)
        case deviceprofile.DataType.INTEGER:
            return _integer(value)
        case deviceprofile.DataType.BOOLEAN if isinstance(value, bool):
            return value
        case deviceprofile.DataType.STRING if isinstance(value, str):
            if len(value) > MAXIMUM_TEXT:
                raise PayloadError(reasons.TOO_LONG)
            if not _is_text(value):
                raise PayloadError(reasons.INVALID_TEXT)
            return value
    raise PayloadError(reasons.WRONG_TYPE)


def moment(stamp: object) -> datetime:
    """Read a device's own time: RFC 3339 text with a zone, or Unix seconds. Raises PayloadError."""
    try:
        if isinstance(stamp, str) and len(stamp) <= 40:
            parsed = datetime.fromisoformat(stamp)
            if parsed.tzinfo is not None:
                return parsed.astimezone(UTC)
        elif _is_number(stamp) and 0 <= stamp < _LATEST_UNIX:
            return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise PayloadError(reasons.INVALID_TIMESTAMP) from error
    raise PayloadError(reasons.INVALID_TIMESTAMP)


def _is_text(value: str) -> bool:
    """Whether a text can be written again: JSON can spell half a character, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> float:
    if not _is_number(value):
        raise PayloadError(reasons.WRONG_TYPE)
    try:
        number = float(value)
    except OverflowError as error:
        raise PayloadError(reasons.NON_FINITE) from error
    if not math.isfinite(number):
        raise PayloadError(reasons.NON_FINITE)
    return number


def _integer(value: object) -> int:
    number = _number(value)
    if isinstance(value, float):
        if not number.is_integer():
            raise PayloadError(reasons.WRONG_TYPE)
        value = int(number)
    if not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise PayloadError(reasons.OUT_OF_RANGE)
    return value


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
