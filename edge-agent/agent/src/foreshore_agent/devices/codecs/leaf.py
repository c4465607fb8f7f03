"""One value of a message as its declared type, and why it is none.

The lowest module of the reading side: whatever reads messages raises `PayloadError` and nothing
else, with a reason of `foreshore_api.reasons.telemetry`.
"""

import math
from typing import Final, TypeGuard

from foreshore_agent import documents
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import DataType

MAXIMUM_BYTES: Final = documents.MAXIMUM_BYTES
MAXIMUM_TEXT: Final = 1024
"""Characters of a property of type String."""

INT64: Final = 1 << 63
"""Integers lie within it, of either sign."""
_EXACT: Final = 1e15
"""Below it a whole number of type double has the digits of an integer."""

Value = float | int | bool | str


class PayloadError(ValueError):
    """The message, or a value in it, says nothing that can be used; `reason` says why.

    Of a message: `TooLarge`, `InvalidUTF8`, `InvalidJSON`, `DuplicateKey`, `TooDeep`,
    `NotAnObject`, `TooMany`. Of a property: see `payload.DecodedTelemetry.refused`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def typed(value: object, data_type: DataType) -> Value:
    """Return a value as its declared type; a boolean is no number, a text is never parsed.

    Raises PayloadError.
    """
    match data_type:
        case DataType.NUMBER:
            return _number(value)
        case DataType.INTEGER:
            return _integer(value)
        case DataType.BOOLEAN if isinstance(value, bool):
            return value
        case DataType.STRING if isinstance(value, str):
            if len(value) > MAXIMUM_TEXT:
                raise PayloadError(reasons.TOO_LONG)
            if not _is_text(value):
                raise PayloadError(reasons.INVALID_TEXT)
            return value
    raise PayloadError(reasons.WRONG_TYPE)


def spelled(value: object) -> str | None:
    """Return a value as the text that a profile names it by; None of what has none.

    A text is itself, a Boolean `true` or `false`, a number its shortest digits: `1`, also of 1.0.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not is_number(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
    return str(value) if -INT64 <= value < INT64 else None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a document is a number, finite or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: str) -> bool:
    """Whether a text can be written again: JSON can spell half a character, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: object) -> float:
    if not is_number(value):
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
    if not isinstance(value, int) or not -INT64 <= value < INT64:
        raise PayloadError(reasons.OUT_OF_RANGE)
    return value
