"""What a device answers in its own words, as a value of the declared type."""

from typing import Any, Final

from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine.events import Value
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import DataType, commanding
from foreshore_api.v1alpha1.telemetry import Payload

LONGEST: Final = 1024
"""Bytes of an answer that is a bare value."""
_TRUTHS: Final = {"true": True, "false": False}


def read(body: bytes, declared: commanding.ReplySpec) -> Value | str:
    """Return the answer. Raises `payload.PayloadError`; what has no answer in it is WrongType."""
    if declared.payload is Payload.TEXT:
        return payload.typed(_bare(body, declared.type), declared.type)
    path = declared.path or ""
    steps = payload.pointer(path) if path.startswith("/") else (path,)
    return payload.typed(payload.find(payload.read(body), steps), declared.type)


def _bare(body: bytes, kind: DataType) -> Any:
    """Return what a bare text says, where it is of the kind; else the text."""
    if len(body) > LONGEST:
        raise payload.PayloadError(reasons.TOO_LARGE)
    try:
        text = body.decode().strip()
    except UnicodeDecodeError as error:
        raise payload.PayloadError(reasons.INVALID_UTF8) from error
    if kind is DataType.BOOLEAN:
        return _TRUTHS.get(text, text)
    if kind is DataType.STRING:
        return text
    if not text.isascii() or "_" in text:  # Python reads more as a number than others write
        raise payload.PayloadError(reasons.WRONG_TYPE)
    try:
        return float(text) if kind is DataType.NUMBER else int(text)
    except ValueError as error:
        raise payload.PayloadError(reasons.WRONG_TYPE) from error
