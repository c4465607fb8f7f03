"""What the benches compute and how it is shown: quantiles, medians of pairs, limits, the table.

Pure: no process, no clock. A figure is the median over rounds; beside it stands its limit, and
where it is missed the profile of what was measured. What could not be measured says why.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

BEGIN: Final = "<!-- bench: written by `make bench` with --write README.md -->"
END: Final = "<!-- bench: end -->"


class Verdict(StrEnum):
    """Whether a figure is where it has to be."""

    HOLDS = "holds"
    HOLDS_THE_MUST = "MISSED, holds the must"
    MISSED = "MISSED"
    NOT_MEASURED = "not measured"
    NO_LIMIT = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound: at most, or with `is_least` at least; `must` is the weaker one that has to hold."""

    bound: float
    must: float | None = None
    is_least: bool = False

    def verdict(self, value: float) -> Verdict:
        """Compare a value."""
        if self._holds(value, self.bound):
            return Verdict.HOLDS
        if self.must is not None and self._holds(value, self.must):
            return Verdict.HOLDS_THE_MUST
        return Verdict.MISSED

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.is_least else value <= bound

    def __str__(self) -> str:
        must = "" if self.must is None else f" (must {plain(self.must)})"
        return f"{'≥' if self.is_least else '≤'} {plain(self.bound)}{must}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with one value a round, its limit, and what a person needs where it is missed."""

    name: str
    values: tuple[float, ...] = ()
    unit: str = ""
    limit: Limit | None = None
    profile: str = ""
    cause: str = ""
    """Why there is no value, and what to do about it."""

    @property
    def value(self) -> float | None:
        """The median over the rounds."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> Verdict:
        """Whether it holds."""
        if self.value is None:
            return Verdict.NOT_MEASURED
        return Verdict.NO_LIMIT if self.limit is None else self.limit.verdict(self.value)

    def document(self) -> dict[str, Any]:
        """The figure as JSON data."""
        parts = {
            "name": self.name,
            "value": _finite(self.value),
            "values": [_finite(value) for value in self.values],
            "unit": self.unit,
            "limit": "" if self.limit is None else str(self.limit),
            "verdict": str(self.verdict),
            "profile": self.profile if self.is_missed else "",
            "cause": self.cause,
        }
        return {key: value for key, value in parts.items() if value not in ("", None, [])}

    @property
    def is_missed(self) -> bool:
        """Whether its profile has to be shown."""
        return self.verdict in (Verdict.MISSED, Verdict.HOLDS_THE_MUST)


def _finite(value: float | None) -> float | None:
    """A number as JSON has it: what never came is null."""
    return None if value is None or math.isinf(value) else value


@dataclass(frozen=True, slots=True)
class Trips:
    """What one run of the device gave.

    `microseconds` has a sample's round trip a place, in the order in which they were sent, None
    without an answer; of the first, which `warm_up` counts, only those are looked at that are
    answered later: a queue does not empty when the measurement begins.
    """

    rate: int
    microseconds: tuple[int | None, ...]
    warm_up: int = 0

    @property
    def measured(self) -> tuple[int | None, ...]:
        """The round trips of the samples that count."""
        return self.microseconds[self.warm_up :]

    @property
    def answered(self) -> list[int]:
        """Those that there were, sorted."""
        return sorted(trip for trip in self.measured if trip is not None)

    @property
    def share_answered(self) -> float:
        """Of the samples that count; quantiles are of these alone."""
        return len(self.answered) / max(1, len(self.measured))

    @property
    def per_second(self) -> float:
        """Answers a second while samples were offered; what a queue gave later does not count."""
        period = 1e6 / self.rate
        begin, end = period * self.warm_up, period * len(self.microseconds)
        arrivals = (
            position * period + trip
            for position, trip in enumerate(self.microseconds)
            if trip is not None
        )
        # between the answers, not the samples: else the last ones' would always be missing
        first = begin + (self.answered[0] if self.answered else 0)
        last = end + (self.answered[0] if self.answered else 0)
        return sum(first <= arrival < last for arrival in arrivals) / (end - begin) * 1e6

    def milliseconds(self, q: float) -> float:
        """A quantile of the round trips; infinite where nothing was answered."""
        answered = self.answered
        return quantile(answered, q) / 1000 if answered else float("inf")


@dataclass(frozen=True, slots=True)
class Section:
    """A table and the figures below it."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()


def quantile(values: Sequence[int], q: float) -> int:
    """Nearest-rank quantile of sorted values, of which there is at least one."""
    return values[max(0, int(len(values) * q + 0.5) - 1)]


def ratios(over: Iterable[float], under: Iterable[float]) -> tuple[float, ...]:
    """Round by round, one over the other: pairs share their minute, so noise cancels out.

    A round in which there is nothing to compare with (nothing came, it never came) is left out.
    """
    return tuple(a / b for a, b in zip(over, under, strict=True) if 0 < b < math.inf)


def compared(
    name: str,
    pairs: Iterable[tuple[float, float]],
    limit: Limit,
    profile: str = "",
    unit: str = "×",
) -> Figure:
    """The figure of one thing over another, pair by pair."""
    paired = list(pairs)
    values = ratios((a for a, _ in paired), (b for _, b in paired))
    return Figure(name, values, unit, limit, profile)


def one_line(error: Exception) -> str:
    """An error's text on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:600]


def plain(value: float | None, digits: int = 3) -> str:
    """A number for people: three digits, no exponent; a dash where there is none."""
    if value is None:
        return "–"
    if value == float("inf"):
        return "∞"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits - max(1, len(str(int(abs(value)))))
    return f"{value:.{decimals}f}"


def listed(milliseconds: Mapping[str, float]) -> str:
    """Name and milliseconds, by name."""
    return ", ".join(f"{name} {plain(value)} ms" for name, value in sorted(milliseconds.items()))


def lines(figures: Iterable[Figure]) -> tuple[tuple[str, ...], ...]:
    """Rows of the table of limits."""
    return tuple(
        (
            figure.name,
            f"{plain(figure.value)} {figure.unit}".strip() if figure.values else "–",
            "" if figure.limit is None else str(figure.limit),
            str(figure.verdict),
        )
        for figure in figures
    )


LIMIT_COLUMNS: Final = ("figure", "median", "limit", "")


def text(sections: Iterable[Section]) -> str:
    """The sections for a terminal."""
    return "\n".join(_section(section, _aligned, "{}") for section in sections)


def markdown(sections: Iterable[Section]) -> str:
    """The sections as Markdown, for README.md."""
    return "\n".join(_section(section, _piped, "**{}**\n") for section in sections)


def _profiles(section: Section) -> Iterable[tuple[str, list[str]]]:
    """Each profile that a missed figure has, with the names of all that share it."""
    names: dict[str, list[str]] = {}
    for figure in section.figures:
        if figure.is_missed and figure.profile:
            names.setdefault(figure.profile, []).append(figure.name)
    return names.items()


Render = Callable[[tuple[str, ...], Sequence[Sequence[str]]], list[str]]


def _section(section: Section, render: Render, title: str) -> str:
    written = [title.format(section.title)]
    if section.rows:
        written += [*render(section.columns, section.rows), ""]
    if section.figures:
        written += [*render(LIMIT_COLUMNS, lines(section.figures)), ""]
    written += [f"- {'; '.join(names)}: {profile}" for profile, names in _profiles(section)]
    causes = dict.fromkeys(figure.cause for figure in section.figures if figure.cause)
    written += [f"- not measured: {cause}" for cause in causes]
    written += [f"- {note}" for note in section.notes]
    return "\n".join(written) + "\n"


def _aligned(columns: tuple[str, ...], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    return [
        ("  " + "  ".join(_padded(cell, widths[i], i) for i, cell in enumerate(row))).rstrip()
        for row in (columns, *rows)
    ]


def _padded(cell: str, width: int, position: int) -> str:
    return cell.ljust(width) if position == 0 else cell.rjust(width)


def _piped(columns: tuple[str, ...], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in columns[1:])]
    return [f"| {' | '.join(row)} |" for row in (columns, rule, *rows)]


def placed(page: str, table: str) -> str:
    """A page with the table between its two marks. Raises ValueError without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"
