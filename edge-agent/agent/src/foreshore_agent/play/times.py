"""How a recording writes its times: recognised from the whole column, or as a person says.

A column is written in one form. Where two forms can read every cell of it, as the third of April
and the fourth of March are both `03/04/2024`, nothing is guessed: both readings are shown.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from foreshore_agent.play.layout import RecordingError
from foreshore_api import hints, printable

MAXIMUM_TEXT: Final = 64
"""Characters of a time."""
_FORMAT: Final = 128
"""Characters of a pattern."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - of a sheet, which has no zone
"""Day 0 of a spreadsheet's dates, from March 1900 on."""
_SAMPLE: Final = datetime(2023, 11, 25, 13, 46, 59, tzinfo=UTC)
"""A time whose parts all differ."""
_MILLISECONDS: Final = Decimal(86_400_000)
"""Of a day."""

_NUMERAL: Final = re.compile(r"[+-]?\d+([.,]\d*)?([eE]\+?\d{1,2})?", re.ASCII)
_DIGITS: Final = re.compile(r"\d+", re.ASCII)
_CLOCK: Final = (
    r"(?:[T,\s]+(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?)?"
)
_YEAR_FIRST: Final = re.compile(r"(?P<a>\d{4})([./-])(?P<b>\d{1,2})\2(?P<c>\d{1,2})" + _CLOCK)
_YEAR_LAST: Final = re.compile(
    r"(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{4})" + _CLOCK
)
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
_WEEK: Final = "W"
"""In a time, a week's number: no sensor writes it, so it is a slip."""
_DATE: Final = 8
"""Digits of a date without dashes; any other number alone is no date, though it may look so."""
_MINUTES: Final = 12
"""Digits of a date with hours and minutes; two more with seconds."""
_SECONDS: Final = 14
_JITTER: Final = timedelta(minutes=1)
"""How far rows may go back without being a second pass through a repeated hour."""
_SPARSE: Final = timedelta(minutes=30)
"""Between two rows: then one that does not go on is no jitter."""
_SEARCHED: Final = 1000
"""Cells in which a first time is looked for."""
_REMEDY: Final = (
    "write it as 2015-02-02 14:19:00, or say how it is written with --time-format, such as"
    " '%m/%d/%y %I:%M %p'"
)


class TimeForm(NamedTuple):
    """One form of times."""

    name: str
    """For a person."""
    option: str
    """By which `--time-format` names it."""
    read: Callable[[str], datetime]
    """Returns a time, with or without a zone; raises ValueError, OverflowError."""


def iso(text: str) -> datetime:
    """Read a year first, in any form of ISO 8601 but weeks. Raises ValueError."""
    if _NUMERAL.fullmatch(text) and len(text) != _DATE:
        raise ValueError(text)  # some milliseconds would be dates: 1701011200000 is in 1701
    if _WEEK not in text.upper():
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    match = _YEAR_FIRST.fullmatch(text)
    return _assembled(text, match, "a", "b", "c")


def day_first(text: str) -> datetime:
    """Read day, month, year. Raises ValueError."""
    return _assembled(text, _YEAR_LAST.fullmatch(text), "c", "b", "a")


def month_first(text: str) -> datetime:
    """Read month, day, year. Raises ValueError."""
    match = _YEAR_LAST.fullmatch(text)
    if match is not None and match["mark"] == ".":
        raise ValueError(text)  # nobody who writes dots writes the month first
    return _assembled(text, match, "c", "a", "b")


def _assembled(text: str, match: re.Match[str] | None, year: str, month: str, day: str) -> datetime:
    if match is None:
        raise ValueError(text)
    hour, half = int(match["hour"] or 0), match["half"]
    if half is not None:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if half in "pP" else 0)
    fraction = (match["fraction"] or "").ljust(6, "0")[:6]
    return datetime(
        int(match[year]),
        int(match[month]),
        int(match[day]),
        hour,
        int(match["minute"] or 0),
        int(match["second"] or 0),
        int(fraction),
        tzinfo=None if match["zone"] is None else _offset(match["zone"]),
    )


def _offset(text: str) -> tzinfo:
    """Return a zone that is written as an offset. Raises ValueError."""
    if text in ("Z", "UTC", "GMT"):
        return UTC
    if _OFFSET.fullmatch(text) is None:
        raise ValueError(text)
    return datetime.strptime(text, "%z").tzinfo or UTC


def compact(text: str, digits: int = _SECONDS) -> datetime:
    """Read a date and a time as digits alone. Raises ValueError."""
    if _DIGITS.fullmatch(text) is None or len(text) != digits:
        raise ValueError(text)
    return _by_pattern(text, "%Y%m%d%H%M%S" if digits == _SECONDS else "%Y%m%d%H%M")


def _by_pattern(text: str, pattern: str) -> datetime:
    """Read a time, with or without a zone. Raises ValueError."""
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is the reader's


def compact_minutes(text: str) -> datetime:
    """Read a date, hours and minutes as digits alone. Raises ValueError."""
    return compact(text, _MINUTES)


def excel(text: str) -> datetime:
    """Read days since the end of 1899, as spreadsheets count them. Raises ValueError."""
    days = _decimal(text)
    if days <= 0:
        raise ValueError(text)
    return _FIRST_DAY + timedelta(milliseconds=int((days * _MILLISECONDS).to_integral_value()))


class _Unix(NamedTuple):
    """Reads Unix time of one unit."""

    ticks: int
    """Of a second."""
    low: float = -1e30
    high: float = 1e30

    def read(self, text: str) -> datetime:
        """Read a number within the bounds. Raises ValueError, OverflowError."""
        number = _decimal(text)
        if not self.low <= number < self.high:
            raise ValueError(text)
        microseconds = (number * 1_000_000 / self.ticks).to_integral_value()
        return _EPOCH + timedelta(microseconds=int(microseconds))


def _decimal(text: str) -> Decimal:
    """Read a number as files write it. Raises ValueError."""
    if _NUMERAL.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text.replace(",", "."))


_ISO: Final = TimeForm("ISO 8601", "iso", iso)
_DAY_FIRST: Final = TimeForm("day/month/year", "day-first", day_first)
_MONTH_FIRST: Final = TimeForm("month/day/year", "month-first", month_first)
_UNITS: Final = (
    ("unix", "Unix seconds", 1),
    ("unix-ms", "Unix milliseconds", 10**3),
    ("unix-us", "Unix microseconds", 10**6),
    ("unix-ns", "Unix nanoseconds", 10**9),
)
_RECOGNISED: Final = (
    _ISO,
    _DAY_FIRST,
    _MONTH_FIRST,
    # Each unit from March 1973 until November 2286: so no number is of two units.
    *(
        TimeForm(name, option, _Unix(ticks, 1e8 * ticks, 1e10 * ticks).read)
        for option, name, ticks in _UNITS
    ),
    TimeForm("year to second in digits", "%Y%m%d%H%M%S", compact),
    TimeForm("year to minute in digits", "%Y%m%d%H%M", compact_minutes),
)
NAMED: Final = {
    form.option: form
    for form in (
        _ISO,
        _DAY_FIRST,
        _MONTH_FIRST,
        *(TimeForm(name, option, _Unix(ticks).read) for option, name, ticks in _UNITS),
        TimeForm("days of a spreadsheet", "excel", excel),
    )
}
"""Forms by the words of `--time-format`."""


def named(option: str) -> TimeForm:
    """Return the form that a person names: a word, or a pattern of strptime.

    Raises RecordingError.
    """
    if option in NAMED:
        return NAMED[option]
    words = ", ".join(NAMED)
    if "%" not in option:
        raise RecordingError(
            f"--time-format knows no {printable.clean(option, _FORMAT)};"
            f" {hints.near(option, NAMED)}it takes {words}, or a pattern such as"
            " '%d.%m.%Y %H:%M'"
        )
    pattern = option.strip()
    if len(pattern) > _FORMAT:
        raise RecordingError(
            f"--time-format {pattern[:_FORMAT]!r}… is longer than {_FORMAT} characters: write a"
            " shorter pattern"
        )
    try:
        is_dated = _by_pattern(_SAMPLE.strftime(pattern), pattern).date() == _SAMPLE.date()
    except (ValueError, re.error) as error:
        raise RecordingError(f"--time-format {pattern!r} is no pattern: {error}") from error
    if not is_dated:
        raise RecordingError(
            f"--time-format {pattern!r} does not say year, month and day (such as %Y-%m-%d)"
        )
    return TimeForm(f"as {pattern}", pattern, lambda text: _by_pattern(text, pattern))


def choose(cells: Iterable[str]) -> TimeForm:
    """Return the form in which a column's times are written, by as many cells as it takes.

    A cell that no form reads decides nothing; where none is read, it is ISO 8601, and every row
    will be refused. Raises RecordingError where two forms read all of them.
    """
    left: list[TimeForm] = []
    doubtful: str | None = None
    for number, cell in enumerate(cells):
        text = cell.strip()
        read = ((form, _reading(form, text)) for form in left or _RECOGNISED)
        readings = {form: moment for form, moment in read if moment is not None}
        if len(readings) == 1:
            return next(iter(readings))
        if readings:
            left = list(readings)
            if doubtful is None and len(set(readings.values())) > 1:
                doubtful = text
        elif not left and number >= _SEARCHED:
            break
    if doubtful is not None:
        raise RecordingError(_ambiguous(doubtful, left))
    return left[0] if left else _ISO


def zone(name: str) -> tzinfo:
    """Return a time zone by its name or its offset. Raises RecordingError."""
    try:
        return _offset(name)
    except ValueError:
        pass
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RecordingError(
            f"--time-zone: no zone {printable.clean(name, _FORMAT)} is known here;"
            f" {hints.near(name, available_timezones())}it takes a name such as Europe/Brussels,"
            " or an offset such as +01:00"
        ) from error


def _reading(form: TimeForm, text: str) -> datetime | None:
    """Read a time in one form; None where it is none."""
    if len(text) > MAXIMUM_TEXT:
        return None
    try:
        return form.read(text)
    except (ValueError, OverflowError):
        return None


def _ambiguous(text: str, forms: Iterable[TimeForm]) -> str:
    """Say between which readings nobody but a person can choose."""
    readings = " or ".join(
        f"{form.read(text):%Y-%m-%d %H:%M} ({form.name}: --time-format {form.option})"
        for form in forms
    )
    return f"{text!r} may be {readings}, and no other row tells which: say so with --time-format"


class TimeReader:
    """Reads the times of one pass over a recording, in the order of its rows.

    A local time that the clock shows twice, when summer time ends, is the earlier of its two
    moments, unless the rows have come back to it: then it is the later one.
    """

    def __init__(self, form: TimeForm, local: tzinfo) -> None:
        """Read times of a form; those without a zone are `local` times."""
        self._form: Final = form
        self._local: Final = local
        self._before: datetime | None = None
        self._step = timedelta(0)
        """Between the two rows before."""

    def read(self, cell: str) -> tuple[datetime, bool]:
        """Return a moment in UTC, and whether the clock showed its time twice.

        Raises RecordingError.
        """
        text = cell.strip()
        parsed = self._parsed(text)
        try:
            if parsed.tzinfo is not None:
                moment, is_repeated = parsed.astimezone(UTC), False
            else:
                moment, is_repeated = self._of_local(text, parsed)
        except OverflowError as error:
            raise RecordingError(_uncalendared(text)) from error
        if self._before is not None:
            self._step = moment - self._before
        self._before = moment
        return moment, is_repeated

    def _parsed(self, text: str) -> datetime:
        """Return a time as it stands. Raises RecordingError."""
        if len(text) > MAXIMUM_TEXT:
            raise RecordingError(f"{text[:MAXIMUM_TEXT]!r}… is no time: {_REMEDY}")
        try:
            return self._form.read(text)
        except OverflowError as error:
            raise RecordingError(_uncalendared(text)) from error
        except ValueError as error:
            raise RecordingError(self._refusal(text)) from error

    def _of_local(self, text: str, naive: datetime) -> tuple[datetime, bool]:
        """Return the moment of a local time, and whether there are two. Raises RecordingError."""
        first, second = (naive.replace(tzinfo=self._local, fold=fold) for fold in (0, 1))
        before, after = first.utcoffset(), second.utcoffset()
        if before == after or before is None or after is None:
            return first.astimezone(UTC), False
        if before < after:
            raise RecordingError(
                f"{text!r} does not exist in {self._local}, whose clock is put forward then: is the"
                f" logger's not? --time-zone {_written(before)}"
            )
        earlier, later = first.astimezone(UTC), second.astimezone(UTC)
        return (later if self._has_come_back(earlier) else earlier), True

    def _has_come_back(self, earlier: datetime) -> bool:
        """Whether a repeated time is the second one, by the rows above.

        They have passed the first one by more than a jitter; or they lie far apart, and the last of
        them is not before it.
        """
        if self._before is None:
            return False
        return self._before - earlier > _JITTER or (
            self._before >= earlier and self._step >= _SPARSE
        )

    def _refusal(self, text: str) -> str:
        """Say why a text is no time, and in which form it would be one."""
        read = (form for form in _RECOGNISED if _reading(form, text) is not None)
        if (other := next(read, None)) is not None:
            return (
                f"{text!r} is no time in the form of the column ({self._form.name}) but"
                f" {other.name}: write all in one form"
            )
        if _NUMERAL.fullmatch(text):
            return (
                f"{text!r} is no time by itself: Unix time is recognised between 1973 and 2286;"
                " say what it counts with --time-format unix, unix-ms, unix-us, unix-ns or excel"
            )
        return f"{text!r} is no time; {_REMEDY}"


def _uncalendared(text: str) -> str:
    return f"{text!r} is no time between the years 1 and 9999 in UTC: mend the cell"


def _written(offset: timedelta) -> str:
    """Return an offset from UTC as people write it."""
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
