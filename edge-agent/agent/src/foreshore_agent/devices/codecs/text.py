"""The bare value as text, as firmware without a JSON library says it: `21.5`, `ON`, ` 21,5 °C`.

A number is digits, at most one decimal mark and an exponent: no groups of thousands, no other
script's digits, no underscores. What two readers could take for two numbers is none.
"""

import re
from decimal import Decimal
from typing import Final

from foreshore_agent.devices.codecs import leaf
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import DataType, telemetry

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_NON_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_BOOLEANS: Final = {
    "true": True, "on": True, "1": True,
    "false": False, "off": False, "0": False,
}  # fmt: skip
_SILENT: Final = frozenset({"", "null"})


def read(body: bytes) -> str:
    """Read a message that is one value, without the space around it. Raises PayloadError."""
    if len(body) > leaf.MAXIMUM_BYTES:
        raise PayloadError(reasons.TOO_LARGE)
    try:
        return body.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise PayloadError(reasons.INVALID_UTF8) from error


def is_silent(written: str) -> bool:
    """Whether a text says that there is no value for now."""
    return written.strip() in _SILENT


def typed(
    written: str, data_type: DataType, mark: telemetry.DecimalMark, suffix: str | None
) -> leaf.Value | Decimal:
    """Return a text as its declared type; a number exactly as it stands. Raises PayloadError."""
    if data_type is DataType.STRING:
        return leaf.typed(written.strip(), data_type)
    if data_type is DataType.BOOLEAN:
        value = _BOOLEANS.get(written.strip().lower())
        if value is None:
            raise PayloadError(reasons.WRONG_TYPE)
        return value
    return _number(written, mark, suffix)


def _number(written: str, mark: telemetry.DecimalMark, suffix: str | None) -> Decimal:
    if len(written) > leaf.MAXIMUM_TEXT:
        raise PayloadError(reasons.TOO_LONG)
    digits = written.strip()
    if suffix is not None:
        digits = digits.removesuffix(suffix.strip()).rstrip()
    if _NON_FINITE.fullmatch(digits):
        raise PayloadError(reasons.NON_FINITE)
    if mark is telemetry.DecimalMark.COMMA:
        digits = "" if "." in digits else digits.replace(",", ".")
    if not _NUMBER.fullmatch(digits):
        raise PayloadError(reasons.WRONG_TYPE)
    return Decimal(digits)
