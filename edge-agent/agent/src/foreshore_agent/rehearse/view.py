"""How a rehearsal looks: live on a terminal, plain lines elsewhere, the summary at the end."""

import sys
import time
from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from rich import box, console, live, progress_bar, table, text

from foreshore_agent.play import player
from foreshore_agent.rehearse import clock, score, watch
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


class View:
    """What a person sees while it runs; on standard error."""

    def __init__(self, rows: int, what: str, zone: tzinfo) -> None:
        self._zone = zone
        self._rows = rows
        self._what = what
        self._console = console.Console(stderr=True)
        self._said = time.monotonic()
        self._live: live.Live | None = None

    def __enter__(self) -> "View":
        print(self._what, file=sys.stderr)  # noqa: T201 - progress
        if self._console.is_terminal:
            self._live = live.Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(
        self, row: int, at: clock.PacedClock, seen: watch.Watch, device: player.Player
    ) -> None:
        """Show how far it is, now and then."""
        now = time.monotonic()
        pause = _LINE_SECONDS if self._live is None else _FRAME_SECONDS
        if now - self._said < pause and row != self._rows:
            return
        self._said = now
        counts = score.verdicts(seen.decisions)
        if self._live is None:
            said = ", ".join(f"{count} {_word(each)}" for each, count in counts.items())
            print(f"  row {row} of {self._rows}: {said}", file=sys.stderr, flush=True)  # noqa: T201
            return
        self._live.update(self._frame(row, at, counts, device), refresh=True)

    def _frame(
        self, row: int, at: clock.PacedClock, counts: dict[str, int], device: player.Player
    ) -> table.Table:
        frame = table.Table.grid(padding=(0, 2))
        bar = progress_bar.ProgressBar(total=self._rows, completed=row, width=40)
        frame.add_row(
            "recording",
            bar,
            f"{row}/{self._rows}  {at.now().astimezone(self._zone):%Y-%m-%d %H:%M:%S}",
        )
        most = max(counts.values(), default=1)
        for verdict, count in counts.items():
            block = text.Text("▇" * max(1, 40 * count // most), _COLOURS.get(verdict, "dim"))
            frame.add_row(text.Text(_word(verdict)), block, str(count))
        values = "  ".join(
            f"{name} {_short(value)}" for name, value in device.played.values.items()
        )
        shown = text.Text(_word(values))
        frame.add_row("device", shown, f"{device.played.tally.commands['Accepted']} commands taken")
        return frame


def render(summary: score.Summary, output: console.Console) -> None:
    """Print the summary for a person."""
    hours = summary.recording_seconds / 3600
    output.print(
        f"[bold]{summary.rows} rows[/] ({hours:.1f} h of recording in"
        f" {summary.real_seconds:.1f} s), [bold]{summary.decisions} decisions[/],"
        f" {summary.records} records",
        highlight=False,
    )
    for title, counts in (
        ("verdicts", summary.verdicts),
        ("reasons", summary.reasons),
        ("afterwards", summary.outcomes),
        ("skipped", summary.skipped),
    ):
        if any(counts.values()):
            said = ", ".join(f"{count} {_word(name)}" for name, count in counts.items() if count)
            output.print(f"  {title:<11}{said}", highlight=False, markup=False)
    if summary.accuracy is not None and summary.accuracy.share is not None:
        found = summary.accuracy
        output.print(
            f"  accuracy   [bold]{100 * summary.accuracy.share:.1f} %[/] of"
            f" {found.right + found.wrong_to_act + found.wrong_to_rest} decisions right;"
            f" {found.wrong_to_act} acted wrongly, {found.wrong_to_rest} failed to act",
            highlight=False,
        )
    for policy in dict.fromkeys(each.policy for each in summary.stages):
        output.print(_stages([each for each in summary.stages if each.policy == policy]))


def _stages(stages: Sequence[score.Latency]) -> table.Table:
    """One policy's stages; each p99 beside the whole budget, which is for the sum."""
    first = stages[0]
    budget = "" if first.budget is None else f", latency budget {first.budget:g} ms"
    title = f"{first.policy}{budget}"
    shown = table.Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    shown.add_column("stage")
    for name in ("count", "p50 ms", "p99 ms", "p99 of budget"):
        shown.add_column(name, justify="right")
    for each in stages:
        share = f"{100 * each.p99 / each.budget:.0f} %" if each.budget else ""
        shown.add_row(each.stage, str(each.count), f"{each.p50:.2f}", f"{each.p99:.2f}", share)
    return shown


def _word(said: object) -> str:
    """Fit for a terminal: devices and policies name reasons and values as they like."""
    return printable.clean(said)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
