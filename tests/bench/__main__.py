"""`make bench`: the agent beside a C echo, a script and Node-RED in one run. Nothing is asserted.

pairs      sample → command over Mosquitto, QoS 1: p50, p99, decisions/s, processor time, memory,
           start, of the echo in C, the agent (isolation Agent and Child), a script, Node-RED
broker     the same over a broker with its default configuration
routine    decisions that command nothing, a second
overload   what is left where three times the best rate is offered
fleet      a thousand devices on one agent
reading    the same in Shadow, beside a listener in C: only read, decided, recorded
rehearsal  rows a second of a rehearsal
steps      processor time of the engine's steps
clients    MQTT clients beside the echo
stall      the longest tick of the loop while the disk stalls
kills      agents killed at random, and what was lost
intake     Kopf beside the own informer as the eyes for Devices, at a real API server
takeover   operators that lead killed and paused: seconds to the next write, what the paused wrote
placement  the placement engine beside exact solvers and plain schedulers, at full size
kube_scheduler  a real kube-scheduler on tight instances, beside the engine and plain schedulers
prediction predicted beside simulated p99 of placements that share nodes
writes     a lost node's writes while ten thousand statuses are being written, and as many bare
flapping   what a pass takes while a thousand nodes come and go
verdicts   silence over a LAN, a WAN and LTE: false alarms, and how soon a death is seen
evidence   what a thousand agents' reports cost the hub and the operator
reports    a report through the hub's door beside reading it; what is compiled when a right moves
failover   on a real cluster: updates, nodes killed (left out with --skip-cluster)
"""

import argparse
import dataclasses
import importlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "cluster")]

from bench import figures, latency, loads, pairs, resources  # noqa: E402
from harness import process  # noqa: E402

PEERS: Final = ("pairs", "broker")
MEASURED: Final = (*PEERS, "routine", "overload", "fleet", "reading", "rehearsal")
"""Parts that give sections of the table."""
REPORTED: Final[dict[str, tuple[bool, dict[str, Any]]]] = {
    "steps": (False, {}),
    "clients": (True, {}),
    "stall": (True, {}),
    "kills": (True, {"kills": 200}),
    "intake": (True, {}),
    "takeover": (True, {"kills": 5, "pauses": 10}),
    "placement": (False, {}),
    "kube_scheduler": (True, {}),
    "prediction": (False, {}),
    "writes": (False, {}),
    "failover": (False, {}),
    "evidence": (False, {}),
    "reports": (False, {}),
    "verdicts": (False, {}),
    "flapping": (False, {}),
}
"""Parts that print their own report: whether it works in a folder, and its arguments."""
PARTS: Final = (*MEASURED, *REPORTED)


def main() -> int:
    """Run the benches that were asked for and print their figures."""
    chosen = arguments().parse_args()
    parts = tuple(chosen.only.split(",")) if chosen.only else PARTS
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        process.say(f"bench: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    if chosen.skip_cluster:
        parts = tuple(part for part in parts if part != "failover")
    with tempfile.TemporaryDirectory(prefix="foreshore-bench-") as folder:
        head = header(Path(folder))
        sections = measure(Path(folder), parts, plan(chosen.pairs, chosen.samples))
        show(head, sections, chosen.output)
        if chosen.write is not None and sections:
            page = chosen.write.read_text()
            chosen.write.write_text(figures.placed(page, written(head, sections)))
        REPORTED["placement"][1]["is_quick"] = chosen.quick
        failed = report(Path(folder), [part for part in parts if part in REPORTED])
    return 1 if failed else 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="parts, with commas between them (all)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of the table of peers (5)")
    parser.add_argument("--samples", type=int, default=400, help="samples a round at 100/s (400)")
    parser.add_argument("--skip-cluster", action="store_true", help="only what needs no cluster")
    parser.add_argument("--quick", action="store_true", help="placement: fewer, smaller instances")
    parser.add_argument("-o", "--output", choices=("text", "markdown", "json"), default="text")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="write the table between the page's marks"
    )
    return parser


def plan(rounds: int, samples: int) -> pairs.Plan:
    """How much is measured: at 100/s so many samples, at the other rates in proportion."""
    least = max(20, samples // 8)
    return pairs.Plan(rounds, {pairs.SLOW: least, pairs.STEADY: samples, pairs.FULL: 6 * samples})


def measure(folder: Path, parts: Sequence[str], asked: pairs.Plan) -> list[figures.Section]:
    """Measure, part by part, in the table's order."""
    agent = resources.AGENT

    def on_a_plain_broker() -> figures.Section:
        samples = {rate: asked.samples[rate] for rate in (pairs.SLOW, pairs.STEADY)}
        less = pairs.Plan(min(3, asked.rounds), samples)
        results = pairs.measure(folder / "plain", pairs.ON_A_PLAIN_BROKER, less, nodelay=False)
        return pairs.on_a_plain_broker(results, less)

    makers: dict[str, Callable[[], figures.Section]] = {
        "pairs": lambda: pairs.section(pairs.measure(folder / "pairs", pairs.ALL, asked), asked),
        "broker": on_a_plain_broker,
        "routine": lambda: loads.routine(folder / "routine", agent),
        "overload": lambda: loads.overload(folder / "overload", agent),
        "fleet": lambda: loads.fleet(folder / "fleet", agent),
        "reading": lambda: loads.reading(folder / "reading", agent),
        "rehearsal": lambda: loads.rehearsal(folder / "rehearsal", agent),
    }
    made: dict[str, figures.Section] = {}
    for part in MEASURED:
        if part in parts:
            process.say(f"bench: {part}")
            made[part] = makers[part]()
    of_peers = [section for part, section in made.items() if part in PEERS]
    alone = [section for part, section in made.items() if part not in PEERS]
    return [*of_peers, *([loads.together(alone, agent)] if alone else [])]


def report(folder: Path, parts: Iterable[str]) -> list[str]:
    """Let every other part print its own report, and return those that could not.

    Its module is imported only then.
    """
    failed: list[str] = []
    for part in parts:
        has_folder, options = REPORTED[part]
        if importlib.util.find_spec(f"bench.{part}") is None:
            process.say(f"bench: {part} is not in this tree")
            continue
        process.say(f"bench: {part}")
        module = importlib.import_module(f"bench.{part}")
        place = folder / part
        if has_folder:
            place.mkdir()
        try:
            module.report(*([place] if has_folder else []), **options)
        except Exception as error:  # noqa: BLE001 - said; it costs its own figures, and no other's
            process.say(f"bench: {part} failed: {figures.one_line(error)}")
            failed.append(part)
    return failed


def show(head: Sequence[str], sections: Sequence[figures.Section], form: str) -> None:
    """Print the sections."""
    if form == "json":
        body = [as_document(section) for section in sections]
        print(json.dumps({"machine": list(head), "sections": body}, indent=1))
    elif form == "markdown":
        print(written(head, sections))
    else:
        print("\n".join(head), figures.text(sections), sep="\n\n")


def as_document(section: figures.Section) -> dict[str, Any]:
    """A section as JSON data."""
    document = dataclasses.asdict(section)
    return {**document, "figures": [figure.document() for figure in section.figures]}


def written(head: Sequence[str], sections: Sequence[figures.Section]) -> str:
    """The whole table in Markdown."""
    return "\n".join([*(f"{line}  " for line in head), "", figures.markdown(sections)])


def header(folder: Path) -> tuple[str, ...]:
    """What was measured on: the machine, what else ran there, what its disk takes."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"hardware: {hardware()}",
        f"load average before: {load}; fdatasync of a page: {latency.synced(folder):.0f} µs",
    )


def hardware() -> str:
    """The machine in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} × {model}, {memory} GiB, Linux {platform.release()}"


if __name__ == "__main__":
    sys.exit(main())
