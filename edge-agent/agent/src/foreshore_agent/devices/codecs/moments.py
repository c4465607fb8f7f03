"""A device's own times, however it writes them. Times without a zone are read where it is known.

Devices' clocks tell order and nothing else (`engine.sampling`), but a time that is hours off in one
half of the year puts new values behind old ones. So what is ambiguous is no time.
"""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foreshore_agent.devices.codecs import leaf
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import telemetry

MAXIMUM_TEXT: Final = 40
_NUMERAL: Final = re.compile(r"\d+(\.\d*)?", re.ASCII)
_CLOCK: Final = re.compile(r"\d[T ]\d", re.ASCII)
_DIVISORS: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
"""Numbers below the first of a pair count so many a second: Unix time in seconds, milliseconds,
microseconds and nanoseconds, each until after the year 5000 and from 1973 on."""


def zone(name: str | None) -> tzinfo | None:
    """Return a time zone; None where none is named, or none of the name is known here."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def moment(
    stamp: object, form: telemetry.TimeFormat | None = None, local: tzinfo | None = None
) -> datetime:
    """Read a time, in one form or in whichever it has. Raises PayloadError."""
    try:
        if isinstance(stamp, str):
            return _of_text(stamp, form, local)
        if leaf.is_number(stamp) and form in (None, *_FACTORS):
            return _of_number(float(stamp), form)
    except (ValueError, OverflowError, OSError) as error:
        raise PayloadError(reasons.INVALID_TIMESTAMP) from error
    raise PayloadError(reasons.INVALID_TIMESTAMP)


_FACTORS: Final = {
    telemetry.TimeFormat.UNIX: 1.0,
    telemetry.TimeFormat.UNIX_MILLISECONDS: 1e3,
}


def _of_number(number: float, form: telemetry.TimeFormat | None) -> datetime:
    """Read Unix time. Raises ValueError."""
    if not number >= 0:
        raise ValueError(number)
    if form is not None:
        return datetime.fromtimestamp(number / _FACTORS[form], UTC)
    for below, divisor in _DIVISORS:
        if number < below:
            return datetime.fromtimestamp(number / divisor, UTC)
    raise ValueError(number)


def _of_text(written: str, form: telemetry.TimeFormat | None, local: tzinfo | None) -> datetime:
    """Read a text. Raises ValueError."""
    written = written.strip()
    if len(written) > MAXIMUM_TEXT:
        raise ValueError(written)
    if form in _FACTORS or (form is None and _NUMERAL.fullmatch(written)):
        if not _NUMERAL.fullmatch(written):
            raise ValueError(written)
        return _of_number(float(written), form)
    if not _CLOCK.search(written.upper()):  # a date alone would be every sample's of a day
        raise ValueError(written)
    parsed = datetime.fromisoformat(written.upper())
    if parsed.tzinfo is not None:
        if form is telemetry.TimeFormat.LOCAL:
            raise ValueError(written)
        return parsed.astimezone(UTC)
    if form is telemetry.TimeFormat.RFC3339 or local is None:
        raise ValueError(written)
    return _in_zone(parsed, local)


def _in_zone(naive: datetime, local: tzinfo) -> datetime:
    """Return the moment of a local time that exists once. Raises ValueError."""
    first, second = (naive.replace(tzinfo=local, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(naive)
    return first.astimezone(UTC)
