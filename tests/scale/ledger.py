"""The figures of a run: kept, said when they are known, and put beside what is wanted of them.

`trials` measures and notes here what processes took, how loops answered and what was written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from foreshore_api.wire import metrics as names
from harness import process
from scale import processes

Json = dict[str, Any]
Requests = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class ScaleFigure:
    """One figure; `wanted` is what it must reach, None where nothing is asked of it."""

    trial: str
    what: str
    value: float | None
    unit: str
    wanted: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether it reaches what is wanted."""
        if self.wanted is None:
            return ""
        if self.value is None:
            return "not measured"
        return "reached" if self.value <= self.wanted else "MISSED"


@dataclass
class Ledger:
    """All figures so far."""

    figures: list[ScaleFigure] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time of each process in the trial that is going on."""

    def note(
        self,
        trial: str,
        what: str,
        value: float | None,
        unit: str,
        wanted: float | None = None,
        note: str = "",
    ) -> None:
        """Keep a figure and say it."""
        figure = ScaleFigure(trial, what, value, unit, wanted, note)
        self.figures.append(figure)
        process.say(f"  {line(figure)}")

    def note_use(self, trial: str, name: str, use: processes.ProcessUse) -> None:
        limits = (300.0, 0.3) if name == "operator" else (None, None)
        self.note(trial, f"{name}: memory (RSS)", use.rss, "MB", limits[0],
                  f"PSS {use.pss:.0f}, at most {use.peak:.0f}")  # fmt: skip
        self.spent[name] = use.processor_seconds
        self.note(trial, f"{name}: cores", use.cores, "", limits[1],
                  f"of them the loop {use.loop_cores:.2f}, which waited for a processor for"
                  f" {use.queued:.0%} of the time")  # fmt: skip

    def note_loop(self, trial: str, loop: processes.LoopWatch) -> None:
        wanted = 50.0 if trial == "quiet" else None
        asked = len(loop.answers)
        self.note(trial, "longest answer of the operator's loop", loop.longest, "ms", wanted,
                  f"p99 {loop.quantile(0.99) * 1000:.0f} ms, {loop.stalls()} of {asked} over 50 ms,"
                  f" {loop.failures} unanswered")  # fmt: skip

    def note_passes(self, trial: str, before: processes.Samples, after: processes.Samples) -> float:
        """Say how many passes there were, and return that."""
        name = names.OPERATOR_PASS_SECONDS.name
        count = after.total(f"{name}_count") - before.total(f"{name}_count")
        seconds = after.total(f"{name}_sum") - before.total(f"{name}_sum")
        mean = seconds / count if count else None
        self.note(trial, "passes", count, "", note="" if mean is None else f"mean {mean:.3f} s")
        self.note_stalls(trial, before, after)
        return count

    def note_share(self, trial: str, what: str, name: str, count: float) -> None:
        spent = self.spent.get(name)
        value = spent * 1000 / count if spent is not None and count else None
        self.note(trial, what, value, "ms", note="all that the process did, divided")

    def note_stalls(self, trial: str, before: processes.Samples, after: processes.Samples) -> None:
        """Say what the product's own watchdog has seen, where it has one.

        And how much of that its own work can be: where others use the machine every loop is late.
        """
        what = "stalls over 50 ms by the product's own watchdog"
        self._note_stalls(trial, what, processes.STALL_METRIC, before, after)
        what = "stalls over 50 ms of its own work"
        self._note_stalls(trial, what, processes.WORK_METRIC, before, after)

    def _note_stalls(
        self,
        trial: str,
        what: str,
        metric: str,
        before: processes.Samples,
        after: processes.Samples,
    ) -> None:
        stalls, earlier = (samples.beginning(metric) for samples in (after, before))
        within = f"{metric}_bucket{{le={processes.STALL}}}"
        if within not in stalls:
            self.note(trial, what, None, "", note="this release has none")
            return
        risen = {key: value - earlier.get(key, 0.0) for key, value in stalls.items()}
        looks = risen[f"{metric}_count"]
        wanted = 0.0 if trial == "quiet" else None
        self.note(trial, what, looks - risen[within], "", wanted, f"of {looks:.0f} looks")

    def note_requests(self, before: Requests, after: Requests, seconds: float) -> None:
        risen = {
            f"{verb} {resource}": round(count - before.get((resource, verb), 0))
            for (resource, verb), count in after.items()
        }
        moved = {what: count for what, count in risen.items() if count > 0}
        others = {what: count for what, count in moved.items() if "leases" not in what}
        self.note("quiet", "writes of anybody, Leases apart", sum(others.values()) / seconds, "/s",
                  note=listed(others))  # fmt: skip
        leases = sum(moved.values()) - sum(others.values())
        self.note("quiet", "writes of Leases", leases / seconds, "/s")

    def note_agents(self, trial: str, before: Json, after: Json, seconds: float) -> None:
        earlier = before.get("counts", {})
        rates = {
            what: (count - earlier.get(what, 0)) / seconds
            for what, count in sorted(after.get("counts", {}).items())
        }
        for what, rate in rates.items():
            times = after.get("seconds", {}).get(what)
            if times:
                p50, p99 = times["p50"] * 1000, times["p99"] * 1000
                note = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
                self.note(trial, f"agents: {what}", rate, "/s", note=note)
            elif rate:
                self.note(trial, f"agents: {what}", rate, "/s")
        reports = rates.get("report", 0.0) * seconds
        self.note_share(trial, "hub: processor time a report", "hub", reports)


def listed(counts: dict[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def line(figure: ScaleFigure) -> str:
    """A figure in words."""
    value = (
        "–"
        if figure.value is None
        else f"{figure.value:.3g}"
        if figure.value < 100
        else f"{figure.value:.0f}"
    )
    wanted = "" if figure.wanted is None else f"  (≤ {figure.wanted:g}: {figure.verdict})"
    note = f"  {figure.note}" if figure.note else ""
    return f"{figure.trial:8} {figure.what}: {value} {figure.unit}{wanted}{note}"


def one_line(error: Exception) -> str:
    """An error as one line."""
    return " ".join(str(error).split())[:600] or type(error).__name__


def shown(figures: list[ScaleFigure]) -> Iterator[str]:
    """All figures, one a line."""
    yield from map(line, figures)
