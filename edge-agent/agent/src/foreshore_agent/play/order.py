"""How a recording's times follow each other, and now: purely, from one pass over its rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from foreshore_agent.play.layout import RowPosition

LONGEST_GAP: Final = timedelta(days=366)
"""Between two rows: more is a clock that was wrong, or two recordings in one file."""
LONGEST_RETURN: Final = timedelta(hours=1)
"""How far times may go back: an hour comes twice when summer time ends."""
CLOCK_SKEW: Final = timedelta(days=1)
"""How far a row may lie ahead of now unsaid: clocks and zones differ."""
_YEAR: Final = timedelta(days=365.25)


class _Tally:
    """How many rows are so, and where the first one stands."""

    def __init__(self) -> None:
        self.count = 0
        self.first: RowPosition | None = None

    def add(self, place: RowPosition) -> None:
        self.count += 1
        self.first = self.first or place

    def note(self, is_what: str, are_what: str, rule: str) -> Iterator[str]:
        """Yield a sentence, if there are any."""
        if self.count:
            rows = f"1 row {is_what}" if self.count == 1 else f"{self.count} rows {are_what}"
            yield f"{rows} (first: {self.first}): {rule}"


class TimeOrder:
    """Holds each row's time against the one before it, and against now."""

    def __init__(self, column: str, now: datetime | None) -> None:
        """Follow the times of a column; `now` is None where no clock is asked."""
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._column: Final = column
        self._limit: Final = None if now is None else now + CLOCK_SKEW
        self._earlier = _Tally()
        self._later = 0
        """Rows that go on in time."""
        self._equal = _Tally()
        self._ahead = _Tally()
        self._repeated = _Tally()
        self._before: tuple[RowPosition, datetime] | None = None
        self._leap: tuple[RowPosition, datetime] | None = None
        """The row before the one that lies too far ahead."""

    def take(self, place: RowPosition, time: datetime, *, is_repeated: bool = False) -> str | None:
        """Look at a row's time; return what is wrong with it.

        `is_repeated`: the clock showed this local time twice.
        """
        self.first = self.first or time
        self.last = time if self.last is None else max(self.last, time)
        if self._limit is not None and time > self._limit:
            self._ahead.add(place)
        if is_repeated:
            self._repeated.add(place)
        before, self._before = self._before, (place, time)
        if before is None:
            return None
        leap, self._leap = self._leap, None
        if time - before[1] > LONGEST_GAP:
            self._leap = before
            return self._misplaced(time, before, "after")
        if before[1] - time > LONGEST_RETURN:
            is_said = leap is not None and time >= leap[1]  # of the row that lay too far ahead
            return None if is_said else self._misplaced(time, before, "before")
        if time < before[1]:
            self._earlier.add(place)
        elif time == before[1]:
            self._equal.add(place)
        else:
            self._later += 1
        return None

    def mistakes(self) -> Iterator[str]:
        """Yield that the newest row comes first, where most rows go back."""
        if self._earlier.count > self._later:
            yield (
                f"{self._earlier.count} rows are dated before the row above them (first:"
                f" {self._earlier.first}), and {self._later} after it: the newest seem to come"
                " first; sort the rows by time"
            )

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of the times."""
        yield from self._earlier.note(
            "is dated before the row above it",
            "are dated before the row above them",
            "played at the time of that row",
        )
        yield from self._equal.note(
            "has the time of the row above it",
            "have the time of the row above them",
            "each is decided on by itself, at one moment",
        )
        yield from self._repeated.note(
            "lies in an hour that the local clock shows twice",
            "lie in an hour that the local clock shows twice",
            "taken for the first pass until the times go back; of a logger without summer time,"
            " --time-zone gives the offset, such as +01:00",
        )
        yield from self._ahead.note(
            "lies in the future by this machine's clock",
            "lie in the future by this machine's clock",
            "are the times read rightly? --time-format says how they are written",
        )

    def _misplaced(self, time: datetime, other: tuple[RowPosition, datetime], side: str) -> str:
        far = _far(abs(time - other[1]))
        remedy = (
            "remove the row, or play the two parts one by one"
            if side == "after"
            else "sort the rows by time, or remove the row"
        )
        return f", column {self._column}: {time.isoformat()} is {far} {side} {other[0]}: {remedy}"


def _far(span: timedelta) -> str:
    """Say a time span in the unit that a person would use."""
    for unit, size in (
        ("years", _YEAR),
        ("days", timedelta(days=1)),
        ("hours", timedelta(hours=1)),
    ):
        if span >= 2 * size:
            return f"{span / size:.0f} {unit}"
    return f"{span.total_seconds() / 60:.0f} minutes"
