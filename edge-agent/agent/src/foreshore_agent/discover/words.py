"""Names, units and types that fit a resource, from what devices and their announcements write."""

import re
import unicodedata
from collections.abc import Container
from typing import Any, Final

from foreshore_api import scalars
from foreshore_api.v1alpha1 import DataType

_LONGEST_IDENTIFIER: Final = 60
_LONGEST_OBJECT: Final = 48
_LONGEST_DECIMAL: Final = 24
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+([.,][0-9]+)?")
_LITERAL: Final = re.compile(r"[^{}#+\x00-\x1f\x7f]+")
_FAHRENHEIT: Final = re.compile(r"(?i:temp(erature)?)_?(F|f|(?i:fahrenheit))$")

UNITS: Final = {
    "°C": "Cel",
    "C": "Cel",
    "°F": "[degF]",
    "F": "[degF]",
    "K": "K",
    "%": "%",
    "lx": "lx",
    "W": "W",
    "kW": "kW",
    "Wh": "W.h",
    "kWh": "kW.h",
    "VA": "V.A",
    "V": "V",
    "mV": "mV",
    "A": "A",
    "mA": "mA",
    "Hz": "Hz",
    "hPa": "hPa",
    "mbar": "mbar",
    "kPa": "kPa",
    "Pa": "Pa",
    "bar": "bar",
    "ppm": "[ppm]",
    "ppb": "[ppb]",
    "µg/m³": "ug/m3",
    "μg/m³": "ug/m3",
    "mg/m³": "mg/m3",
    "m³": "m3",
    "m³/h": "m3/h",
    "L": "L",
    "L/min": "L/min",
    "m/s": "m/s",
    "km/h": "km/h",
    "mm": "mm",
    "cm": "cm",
    "m": "m",
    "g": "g",
    "kg": "kg",
    "ms": "ms",
    "s": "s",
    "min": "min",
    "h": "h",
    "d": "d",
    "°": "deg",
    "dB": "dB",
    "µS/cm": "uS/cm",
}
"""UCUM codes of units as announcements write them."""
BY_NAME: Final = {
    "temperature": "Cel",
    "temp": "Cel",
    "humidity": "%",
    "battery": "%",
    "illuminance": "lx",
    "power": "W",
    "voltage": "V",
    "current": "A",
    "co2": "[ppm]",
}
"""Units that a name suggests where nobody announced one; `current` before another word is `now`."""
_PAIRS: Final = (("true", "false"), ("on", "off"), ("open", "closed"))
TRUTHS: Final = (
    *_PAIRS,
    *((true.capitalize(), false.capitalize()) for true, false in _PAIRS),
    *((true.upper(), false.upper()) for true, false in _PAIRS),
)
"""Pairs of words that are taken for a Boolean, as devices write them."""


def identifier(text: str, taken: Container[str] = ()) -> str:
    """Return a name in camelCase that expressions can read and that is not taken."""
    words = _WORD.findall(_plain(text)) or ["value"]
    head, *tail = (word.lower() for word in words)
    name = head + "".join(word.capitalize() for word in tail)
    if name[0].isdigit():
        name = f"value{name}"
    name = name[:_LONGEST_IDENTIFIER]
    if name in scalars.RESERVED_IDENTIFIERS:
        name = f"{name}Value"
    return _unique(name, "", taken)


def object_name(text: str, taken: Container[str] = (), noun: str = "device") -> str:
    """Return a name that Kubernetes takes, in lower case with hyphens, and that is not taken.

    `noun` is what is named, for a text that gives no name.
    """
    words = re.findall(r"[a-z0-9]+", _plain(text).lower()) or [noun]
    name = "-".join(words)[:_LONGEST_OBJECT].strip("-")
    if re.fullmatch(r"[0-9]+e[0-9]+", name):  # a power of ten to some readers of YAML
        name = f"{noun}-{name}"
    return _unique(name, "-", taken)


def _plain(text: str) -> str:
    """Return a text without accents, as far as ASCII can say it."""
    return unicodedata.normalize("NFKD", text[:512]).encode("ascii", "ignore").decode()


def _unique(name: str, separator: str, taken: Container[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}{separator}{number}"
    return unique


def is_literal(topic: str) -> bool:
    """Whether a part of a topic can stand in a profile as it is."""
    return _LITERAL.fullmatch(topic) is not None


def pointer(*keys: str) -> str:
    """Return the JSON Pointer of a member of a member."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)


def decimal(value: object) -> int | str | None:
    """Return a bound as a resource writes it; None if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    if len(text) > _LONGEST_DECIMAL or re.fullmatch(scalars.DECIMAL_PATTERN, text) is None:
        return None
    return value if isinstance(value, int) else text


def unit_fields(unit: object) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the UCUM code of an announced unit, or a note that nobody knows it."""
    if not isinstance(unit, str) or not unit:
        return {}, ()
    if unit in UNITS:
        return {"unit": UNITS[unit]}, ()
    return {}, (f"the announced unit {unit} has no UCUM code here: add it",)


def guessed_unit(name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the unit that a name suggests, with a note that it is a guess."""
    if _FAHRENHEIT.search(name):
        return {"unit": "[degF]"}, ("unit [degF] is guessed by the name",)
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+[0-9]?|[A-Z]+[0-9]?", name)]
    for word in reversed(words):
        if word in BY_NAME and not (word == "current" and word != words[-1]):
            unit = BY_NAME[word]
            return {"unit": unit}, (f"unit {unit} is guessed by the name",)
    return {}, ()


def truth(text: str) -> dict[str, Any] | None:
    """Return what makes a Boolean of a word, if it is one of a known pair."""
    for true, false in TRUTHS:
        if text in (true, false):
            return truth_fields(true, false)
    return None


def truth_fields(true: object, false: object) -> dict[str, Any]:
    """Return what makes a Boolean of a device's own two words; JSON's own need nothing."""
    if true is True and false is False:
        return {}
    if (true, false) == ("true", "false"):
        return {}
    words = [_word(true), _word(false)]
    values = [{"from": word, "to": to} for word, to in zip(words, ("true", "false"), strict=True)]
    return {"values": values}


def _word(value: object) -> int | str:
    """Return a device's word as a resource writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int) else str(value)[:64]


def typed(value: object) -> tuple[DataType, dict[str, Any], tuple[str, ...]] | None:
    """Return type, fields and notes of a value in a JSON document; None if it is no value."""
    if isinstance(value, bool):
        return DataType.BOOLEAN, {}, ()
    if isinstance(value, int | float):
        return DataType.NUMBER, {}, ()
    if not isinstance(value, str) or len(value) > 64 or not value.isprintable():
        return None
    words = truth(value)
    if words is not None:
        return DataType.BOOLEAN, words, (f"taken for a Boolean because it said {value}",)
    if _NUMBER.fullmatch(value.strip()):
        comma = {"decimal": "Comma"} if "," in value else {}
        return DataType.NUMBER, {"payload": "Text", **comma}, ("a number that is written as text",)
    return DataType.STRING, {}, ()


def bare(text: str) -> tuple[DataType, dict[str, Any], tuple[str, ...]]:
    """Return type, fields and notes of a message that is the bare value."""
    payload = {"payload": "Text"}
    words = truth(text)
    if words is not None:
        return DataType.BOOLEAN, {**payload, **words}, (f"taken for a Boolean: it said {text}",)
    match = _NUMBER.match(text)
    if match is None:
        return DataType.STRING, payload, ()
    fields: dict[str, Any] = dict(payload)
    if "," in match[0]:
        fields["decimal"] = "Comma"
    suffix = text[match.end() :].strip()
    if not suffix:
        return DataType.NUMBER, fields, ()
    if len(suffix) > 8 or any(character.isdigit() for character in suffix):
        return DataType.STRING, payload, ()
    unit, notes = unit_fields(suffix)
    return DataType.NUMBER, {**unit, **fields, "suffix": suffix}, notes
