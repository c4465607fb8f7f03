"""From what a device says to what it means: listed values, scale and offset, declared types.

Numbers are scaled in decimal: 30 tenths are 3, not 3.0000000000000004, which would be no Integer.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal

from foreshore_agent.devices.codecs import leaf, text
from foreshore_agent.devices.codecs.leaf import PayloadError, Value
from foreshore_api import scalars
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import DataType, deviceprofile, telemetry

Convert = Callable[[object], Value | None]
"""Returns the value of a property; None where the device says that it has none for now. Raises
PayloadError."""


def converter(declared: deviceprofile.Property) -> Convert:
    """Return what makes a property's value of what stands in a message."""
    if declared.values:
        return _listed(declared)
    if declared.payload is telemetry.Payload.TEXT:
        return _written(declared)
    if is_scaled(declared):
        return _scaled(declared)
    kind = declared.type
    return lambda raw: leaf.typed(raw, kind)


def is_scaled(declared: deviceprofile.Property) -> bool:
    """Whether a property's numbers are in another unit than the device's."""
    return declared.scale is not None or declared.offset is not None


def words(literals: Iterable[int | str]) -> frozenset[str]:
    """Return the texts by which values that a profile lists are recognised."""
    return frozenset(spelling for listed in literals for spelling in spellings(listed))


def spellings(listed: int | str) -> tuple[str, ...]:
    """Return a listed value as it stands and, of a number, as a number is spelled: `1.0`, `1`."""
    written = str(listed)
    try:
        number = leaf.spelled(float(written))
    except ValueError:
        return (written,)
    return (written,) if number is None or number == written else (written, number)


def _listed(declared: deviceprofile.Property) -> Convert:
    """Look values up; one that is not listed is no value."""
    meanings: dict[str, Value] = {}
    for row in declared.values:
        try:
            meaning = scalars.literal(row.to, declared.type.value)
        except ValueError:  # admission refuses such a row; here it means nothing
            continue
        for spelling in spellings(row.from_):
            meanings.setdefault(spelling, meaning)
        meanings[str(row.from_)] = meaning

    is_text = declared.payload is telemetry.Payload.TEXT

    def convert(raw: object) -> Value | None:
        spelling = leaf.spelled(raw)
        meaning = None if spelling is None else meanings.get(spelling)
        if meaning is not None:
            return meaning
        if is_text and spelling is not None and text.is_silent(spelling):
            return None
        if leaf.is_number(raw) and spelling is None:
            raise PayloadError(reasons.NON_FINITE)
        raise PayloadError(reasons.UNKNOWN_VALUE)

    return convert


def _written(declared: deviceprofile.Property) -> Convert:
    """Read texts as numbers and Booleans; what a document says in types of its own stays so."""
    kind, mark, suffix = declared.type, declared.decimal, declared.suffix
    scaled = _scaled(declared)

    def convert(raw: object) -> Value | None:
        if not isinstance(raw, str):
            return scaled(raw)
        if text.is_silent(raw):
            return None
        value = text.typed(raw, kind, mark, suffix)
        return scaled(value) if isinstance(value, Decimal) else value

    return convert


def _scaled(declared: deviceprofile.Property) -> Convert:
    """Scale numbers, and leave other types alone."""
    kind = declared.type
    if kind not in (DataType.NUMBER, DataType.INTEGER):
        return lambda raw: leaf.typed(raw, kind)
    factor = None if declared.scale is None else Decimal(str(declared.scale))
    addend = None if declared.offset is None else Decimal(str(declared.offset))

    def convert(raw: object) -> Value:
        if factor is None and addend is None and not isinstance(raw, Decimal):
            return leaf.typed(raw, kind)
        number = raw if isinstance(raw, Decimal) else _exact(raw)
        if factor is not None:
            number = number * factor
        if addend is not None:
            number = number + addend
        return _integer(number) if kind is DataType.INTEGER else _finite(number)

    return convert


def _exact(raw: object) -> Decimal:
    """Return a finite number of a document, digit by digit."""
    number = leaf.typed(raw, DataType.NUMBER)
    return Decimal(raw if isinstance(raw, int) else repr(number))


def _finite(number: Decimal) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise PayloadError(reasons.NON_FINITE)
    return value


def _integer(number: Decimal) -> int:
    _finite(number)
    if not -leaf.INT64 <= number < leaf.INT64:
        raise PayloadError(reasons.OUT_OF_RANGE)
    whole = int(number)
    if whole != number:
        raise PayloadError(reasons.WRONG_TYPE)
    return whole
