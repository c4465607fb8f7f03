"""What the demo prints: chapters, what is happening, and the product's own output."""

import contextlib
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
