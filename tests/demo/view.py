"""What the demo prints: chapters, what is happening, and the product's own output."""

import collections
import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)


def title() -> None:
    """Say what is about to happen."""
    console.print(
        Panel(
            "A room is ventilated when a model is sure that somebody is there. The model runs on a "
            "site of three edge nodes, or in the cloud behind a slow link, wherever its latency "
            "budget holds. We kill the node that infers, then the node whose agent commands the "
            "room, then the site's uplink. Decisions go on, and everybody can see why.",
            title="Foreshore",
            padding=(1, 2),
        )
    )


def devices_title() -> None:
    """Say what is about to happen in the demo of stock devices."""
    console.print(
        Panel(
            "Stock devices are decided for as they are: a Zigbee plug, a Tasmota relay, an ESPHome "
            "thermostat and the tags of a PLC gateway, behind one broker with a password. The "
            "devices are played in their makers' dialects; broker and agent are real, and there is "
            "no cluster.",
            title="Foreshore",
            padding=(1, 2),
        )
    )


def chapter(number: int, name: str, sentence: str) -> None:
    """Begin a chapter."""
    console.print()
    console.rule(f"[bold]{number}  {name}", align="left")
    console.print(f"{sentence}\n")


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something is awaited, and that it came."""
    with console.status(what):
        yield
    console.print(f"[green]✓[/] {what}")


def command(line: str, output: str) -> None:
    """Show a command that anybody could type, and what it printed."""
    console.print(f"[bold cyan]$ {line}[/]", soft_wrap=True)
    console.print(Text(output.rstrip("\n")), soft_wrap=True)  # its lines are its own
    console.print()


def fact(name: str, value: str) -> None:
    """Show one figure."""
    console.print(f"  {name:<44} [bold]{value}[/]", soft_wrap=True)


def stages(rows: Mapping[str, tuple[float, float, int]], budget: float) -> None:
    """Show the latency of each stage against the budget, in milliseconds."""
    table = Table(title=f"latency by stage, budget {budget:g} ms at p99", title_justify="left")
    for heading in ("stage", "p50", "p99", "share of budget", "samples"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, (p50, p99, count) in rows.items():
        table.add_row(
            stage, f"{p50:.1f} ms", f"{p99:.1f} ms", f"{p99 / budget * 100:.0f} %", str(count)
        )
    console.print(table)


def note(sentence: str) -> None:
    """Say something beside what is shown."""
    console.print(f"\n{sentence}")


def confirmations(rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Show commands that devices have confirmed: device, reason, what it was told, latency."""
    table = Table(title="decisions, confirmed", title_justify="left")
    for heading in ("device", "because", "told", "outcome", "sample to echo"):
        table.add_column(heading, overflow="fold")
    for device, reason, told, latency in rows:
        table.add_row(device, reason, Text(told), "[green]Confirmed[/]", latency)
    console.print(table)


def beliefs(rows: Iterable[tuple[bool | None, str, str]]) -> None:
    """Show what decisions took a door for; equal ones one after another are one row."""
    table = Table(title="decisions since the cable was cut", title_justify="left")
    for heading in ("the door is", "because", "verdicts"):
        table.add_column(heading)
    for (value, problem), equal in itertools.groupby(rows, key=lambda row: row[:2]):
        door = "not known" if value is None else "closed" if value else "open"
        verdicts = collections.Counter(verdict for *_, verdict in equal)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        table.add_row(door, problem or "its own word", counts)
    console.print(table)


def excerpt(name: str, text: str, lines: int = 24) -> None:
    """Show the beginning of a file."""
    written = text.splitlines()
    left = len(written) - lines
    console.print(f"[bold]{name}[/]")
    console.print(Text("\n".join(written[:lines])), soft_wrap=True)
    console.print(f"[dim]… {left} more lines[/]\n" if left > 0 else "")


def failure(message: str, evidence: Iterable[str] = ()) -> None:
    """Say why the demo ends early, after what the cluster said at that moment."""
    for each in evidence:
        console.print(Text(f"\n{each}"), soft_wrap=True)
    console.print(Text.assemble("\n", ("the demo ended early:", "red"), f" {message}"))


def farewell(*, kept: bool, engine_started: bool) -> None:
    """Say what is left running."""
    console.print()
    if kept:
        console.print(
            "The cluster is still up; `make cluster-down NAME=foreshore-demo` takes it away."
        )
    else:
        console.print("Cluster, broker and device are gone.")
    if engine_started:
        console.print("The Docker engine had to be started and is left running.")
