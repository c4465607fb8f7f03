"""What a device answers in its own words, as a value of the declared type."""

from typing import Any, Final

from foreshore_agent.devices.codecs import document, leaf, places
from foreshore_agent.devices.codecs import text as texts
from foreshore_agent.engine.events import Value
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import DataType, commanding
from foreshore_api.v1alpha1.telemetry import Payload

LONGEST: Final = 1024
"""Bytes of an answer that is a bare value."""
_TRUTHS: Final = {"true": True, "false": False}


def read(body: bytes, declared: commanding.ReplySpec) -> Value | str:
    """Return the answer. Raises `leaf.PayloadError`; what has no answer in it is WrongType."""
    if declared.payload is Payload.TEXT:
        return leaf.typed(_bare(body, declared.type), declared.type)
    answer = places.find(document.read_object(body), places.member(declared.path or ""))
    return leaf.typed(answer, declared.type)


def _bare(body: bytes, kind: DataType) -> Any:
    """Return what a bare text says, where it is of the kind; else the text."""
    if len(body) > LONGEST:
        raise leaf.PayloadError(reasons.TOO_LARGE)
    text = texts.read(body)
    if kind is DataType.BOOLEAN:
        return _TRUTHS.get(text, text)
    if kind is DataType.STRING:
        return text
    if not text.isascii() or "_" in text:  # Python reads more as a number than others write
        raise leaf.PayloadError(reasons.WRONG_TYPE)
    try:
        return float(text) if kind is DataType.NUMBER else int(text)
    except ValueError as error:
        raise leaf.PayloadError(reasons.WRONG_TYPE) from error
