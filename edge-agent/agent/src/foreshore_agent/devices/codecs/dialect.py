"""Commands in a device's own dialect: the value of the action's expression, as JSON or as text.

A number that is whole is written without decimals, `21` for 21.0, in both: what is written so is
read as a whole number by devices that want one, and as the same number by all others. In text no
number has an exponent, which simple devices cannot read.
"""

from decimal import Decimal
from typing import Any, Final

import orjson

from foreshore_agent.engine import effects
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.v1alpha1.telemetry import Payload
from foreshore_decision import expr
from foreshore_decision.policy import compiled

MAXIMUM_BYTES: Final = 4096
"""Bytes of one message."""
_EXACT: Final = float(1 << 53)
"""Below it a whole number has one spelling."""


class MessageError(ValueError):
    """A command that has no message; the text says why."""


def is_spoken(action: deviceprofile.Action | None, payload: Payload) -> bool:
    """Whether an action is told in the device's own dialect, as this kind of payload."""
    return action is not None and action.mqtt is not None and action.mqtt.payload is payload


def document(command: effects.SendCommand, message: compiled.CompiledMessage | None) -> bytes:
    """Return a command as a JSON document. Raises MessageError."""
    value = _value(command, message)
    try:
        return _bounded(orjson.dumps(_shortest(value)))
    except orjson.JSONEncodeError as error:
        raise MessageError(str(error)) from error


def text(command: effects.SendCommand, message: compiled.CompiledMessage | None) -> bytes:
    """Return a command as a bare value. Raises MessageError."""
    value = _shortest(_value(command, message))
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return _bounded(format(Decimal(repr(value)), "f").encode())
    try:
        return _bounded(str(value).encode())
    except UnicodeEncodeError as error:
        raise MessageError("it holds half a character") from error


def _value(command: effects.SendCommand, message: compiled.CompiledMessage | None) -> expr.Document:
    if message is None:
        raise MessageError(f"{command.action} has no message that compiles")
    value = message.document(command.values)
    if isinstance(value, expr.NoValue):
        raise MessageError(value.message)
    return value


def _shortest(value: Any) -> Any:
    """Return a document whose whole numbers are integers."""
    if isinstance(value, dict):
        return {key: _shortest(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_shortest(element) for element in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return int(value) if is_whole else value


def _bounded(body: bytes) -> bytes:
    if len(body) > MAXIMUM_BYTES:
        raise MessageError(f"it has {len(body)} bytes; {MAXIMUM_BYTES} are allowed")
    return body
