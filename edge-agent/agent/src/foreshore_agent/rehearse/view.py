"""How a rehearsal looks: live on a terminal, plain lines elsewhere, the summary at the end."""

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rich import box, console, live, progress_bar, table, text

from foreshore_agent.play import device as played_device
from foreshore_agent.rehearse import plan as planning
from foreshore_agent.rehearse import score
from foreshore_api import printable

_LINE_SECONDS: Final = 5.0
_FRAME_SECONDS: Final = 0.1
_COLOURS: Final = {
    "Commanded": "green",
    "Advised": "green",
    "Shadowed": "green",
    "Denied": "yellow",
    "Suppressed": "yellow",
    "Error": "red",
}


class RehearsalView:
    """What a person sees while it runs; on standard error."""

    def __init__(
        self, plan: planning.RehearsalPlan, counts: score.Score, played: played_device.PlayedDevice
    ) -> None:
        self._plan: Final = plan
        self._zone: Final = plan.played.zone
        self._rows: Final = plan.rows.rows
        self._counts: Final = counts
        self._played: Final = played
        self._console = console.Console(stderr=True)
        self._shown_at = time.monotonic()
        self._live: live.Live | None = None

    def __enter__(self) -> "RehearsalView":
        begin, end = (
            f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M}"
            for moment in self._plan.rows.span or ()
        )
        request = self._plan.request
        what = f"rehearsing {request.device} on {self._rows} rows of {request.csv.name}"
        print(f"{what}, {begin} to {end}", file=sys.stderr)  # noqa: T201 - progress
        if self._console.is_terminal:
            self._live = live.Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, moment: datetime) -> None:
        """Show how far it is, now and then."""
        now, row = time.monotonic(), self._counts.rows
        pause = _LINE_SECONDS if self._live is None else _FRAME_SECONDS
        if now - self._shown_at < pause and row != self._rows:
            return
        self._shown_at = now
        by_verdict = score.verdicts(self._counts.decisions)
        if self._live is None:
            text = ", ".join(f"{count} {_word(verdict)}" for verdict, count in by_verdict.items())
            print(f"  row {row} of {self._rows}: {text}", file=sys.stderr, flush=True)  # noqa: T201
            return
        self._live.update(self._frame(row, moment, by_verdict), refresh=True)

    def _frame(self, row: int, moment: datetime, by_verdict: dict[str, int]) -> table.Table:
        frame = table.Table.grid(padding=(0, 2))
        bar = progress_bar.ProgressBar(total=self._rows, completed=row, width=40)
        when = f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
        frame.add_row("recording", bar, f"{row}/{self._rows}  {when}")
        most = max(by_verdict.values(), default=1)
        for verdict, count in by_verdict.items():
            block = text.Text("▇" * max(1, 40 * count // most), _COLOURS.get(verdict, "dim"))
            frame.add_row(text.Text(_word(verdict)), block, str(count))
        values = "  ".join(f"{name} {_short(value)}" for name, value in self._played.values.items())
        taken = f"{self._played.tally.commands['Accepted']} commands taken"
        frame.add_row("device", text.Text(_word(values)), taken)
        return frame


def render(summary: score.Summary, output: console.Console) -> None:
    """Print the summary for a person."""
    hours = summary.recording_seconds / 3600
    output.print(
        f"[bold]{summary.rows} rows[/] ({hours:.1f} h of recording),"
        f" [bold]{summary.decisions} decisions[/], {summary.records} records",
        highlight=False,
        soft_wrap=True,
    )
    for title, counts in (
        ("verdicts", summary.verdicts),
        ("reasons", summary.reasons),
        ("afterwards", summary.outcomes),
        ("skipped", summary.skipped),
    ):
        if any(counts.values()):
            line = ", ".join(f"{count} {_word(name)}" for name, count in counts.items() if count)
            output.print(f"  {title:<11}{line}", highlight=False, markup=False, soft_wrap=True)
    if summary.comparison is not None:
        for title, line in _compared(summary.comparison):
            output.print(f"  {title:<11}{line}", highlight=False, markup=False, soft_wrap=True)
    if summary.measured is not None:
        _render_measured(summary.measured, summary.rows, output)


def _compared(comparison: score.TruthComparison) -> Iterator[tuple[str, str]]:
    """Yield title and text of each line about the truth."""
    if not comparison.decisions:
        remedy = (
            "if its cells say yes by another word than 1 or true, name it: --truth COLUMN=VALUE"
        )
        yield "truth", f"no decision could be held against it; {remedy}"
        return
    yield (
        "truth",
        f"{comparison.right_to_act} right to act, {comparison.right_to_rest} right to rest,"
        f" {comparison.wrong_to_act} wrong to act, {comparison.wrong_to_rest} wrong to rest",
    )
    yield (
        "accuracy",
        f"{_percent(comparison.accuracy)} of {comparison.decisions} decisions were right",
    )
    never_acted = "undefined: it never acted"
    never_due = "undefined: acting was never right"
    yield "precision", _percent(comparison.precision, never_acted, "of its acts were right")
    yield "recall", _percent(comparison.recall, never_due, "of the rows to act on were acted on")
    yield "F1", _percent(comparison.f1, "undefined: neither acted nor to act", "of both together")
    yield "base rate", _percent(comparison.base_rate, "", "of the rows were to act on")


def _percent(share: float | None, undefined: str = "", meaning: str = "") -> str:
    return undefined if share is None else f"{100 * share:.1f} % {meaning}".rstrip()


def _render_measured(measured: score.Measured, rows: int, output: console.Console) -> None:
    """Print what the machine took, apart from what a second run would repeat."""
    pace = f", {rows / measured.seconds:.0f} rows a second" if measured.seconds else ""
    output.print(
        f"\nmeasured on this machine: {measured.seconds:.1f} s{pace}",
        highlight=False,
        soft_wrap=True,
    )
    for policy in dict.fromkeys(stage.policy for stage in measured.stages):
        output.print(_stages([stage for stage in measured.stages if stage.policy == policy]))


def _stages(stages: Sequence[score.MeasuredStage]) -> table.Table:
    """One policy's stages; each p99 beside the whole budget, which is for the sum."""
    first = stages[0]
    budget = "" if first.budget is None else f", latency budget {first.budget:g} ms"
    title = f"{first.policy}{budget}"
    shown = table.Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    shown.add_column("stage")
    for name in ("count", "p50 ms", "p99 ms", "p99 of budget"):
        shown.add_column(name, justify="right")
    for stage in stages:
        share = f"{100 * stage.p99 / stage.budget:.0f} %" if stage.budget else ""
        shown.add_row(stage.stage, str(stage.count), f"{stage.p50:.2f}", f"{stage.p99:.2f}", share)
    return shown


def _word(word: object) -> str:
    """Fit for a terminal: devices and policies name reasons and values as they like."""
    return printable.clean(word)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
