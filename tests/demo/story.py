"""The demo's chapters, told on a World.

Every figure comes from the cluster's records or the device's log.
"""

import csv
import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from demo import view
from e2e import world as worlds
from foreshore_api import scalars
from harness import cluster, install

JUDGED = ("Commanded", "NotTriggered")
"""Verdicts that say whether somebody was thought to be there; a Denied or an Error says nothing."""

Record = dict[str, Any]


def tell(made: cluster.Cluster, folder: Path) -> None:
    """Tell the whole story."""
    with worlds.raised(made, folder) as world:
        placed(world)
        decided(world)
        inference_dies(world)
        holder_dies(world)
        site_is_cut_off(world)
        summary(world)


def placed(world: worlds.World) -> None:
    """Chapter one: where the replicas landed and why."""
    view.chapter(
        1, "Placed", "Site, device, model and policy are applied; the operator finds room for two."
    )
    with view.waiting("an active and a standby replica serve"):
        world.until_redundant()
    foreshore(world, "placements", "-n", worlds.NAMESPACE)


def decided(world: worlds.World) -> None:
    """Chapter two: telemetry in, gated and recorded commands out."""
    view.chapter(
        2,
        "Decided",
        "The room reports five times a second, from a real recording. Each report is one decision.",
    )
    world.play(rows=None)
    with view.waiting("decisions are stored"):
        world.until(lambda: len(world.decisions()) > 50, "decisions are stored", 120)
    with view.waiting("the room was commanded"):
        world.until_deciding(180)
    kubectl(world, "get", "decisions", "-n", worlds.NAMESPACE, rows=8)
    foreshore(world, "why", "--device", worlds.DEVICE, "--last", "-n", worlds.NAMESPACE)


def inference_dies(world: worlds.World) -> None:
    """Chapter three: the node that infers is killed, and comes back."""
    node = world.replicas()["Active"]
    view.chapter(3, "The node that infers dies", f"{node} serves the model. We cut its power.")
    moment = worlds.now()
    world.cluster.kill(node)
    with view.waiting("a replacement serves on another node"):
        world.until_replaced(node, 90)
    took = (worlds.now() - moment).total_seconds()
    report_gap(world, moment)
    view.fact("replacement serving after", f"{took:.1f} s")
    foreshore(world, "placements", "-n", worlds.NAMESPACE)
    with view.waiting(f"{node} boots again"):
        world.cluster.restart(node)


def holder_dies(world: worlds.World) -> None:
    """Chapter four: the node whose agent may command the room is killed."""
    before = world.authority()
    if before is None:
        raise RuntimeError("no agent holds the device")
    holder, epoch = before
    view.chapter(
        4,
        "The node that commands dies",
        f"The agent on {holder} alone may command the room, under the number {epoch}.",
    )
    bound = world.find("devices", worlds.DEVICE)["status"]["authority"]["takeoverBound"]
    moment = worlds.now()
    world.cluster.kill(holder)
    with view.waiting("the right has moved, and no sooner than the old one ran out"):
        world.until(lambda: (world.authority() or before)[1] > epoch, "the right moves", 120)
    with view.waiting("decisions go on"):
        world.until(lambda: since(world.decisions(), moment), "decisions go on", 60)
    after = world.authority() or before
    report_gap(world, moment)
    view.fact("takeoverBound in the device's status", str(bound))
    view.fact("holder", f"{holder} → {after[0]}")
    view.fact("number (epoch)", f"{epoch} → {after[1]}")
    kubectl(world, "get", "devices.foreshore.dev", "-n", worlds.NAMESPACE)
    with view.waiting(f"{holder} boots again, without its right"):
        world.cluster.restart(holder)
    world.until_redundant()


def site_is_cut_off(world: worlds.World) -> None:
    """Chapter five: the site's uplink is cut.

    It decides on, nothing is moved, records arrive later.
    """
    view.chapter(
        5,
        "The site is cut off",
        "No packet passes between the site and the rest: three nodes fall silent.",
    )
    authority, placement = world.authority(), world.placement()["replicas"]
    world.cluster.isolate(world.cluster.edge)
    moment = worlds.now()
    with view.waiting("the control plane has lost sight of the site"):
        world.cluster.wait_not_ready(*world.cluster.edge)
    with view.waiting("half a minute of silence"):
        worlds.wait(30)
    ended = worlds.now()
    missing = len(since(world.decisions(), moment))
    kubectl(world, "get", "sites.foreshore.dev", "-n", worlds.NAMESPACE)
    moved = world.authority() != authority or nodes(world.placement()["replicas"]) != nodes(
        placement
    )
    view.fact("anything moved", "yes" if moved else "nothing")
    view.fact("records of the silence at the hub so far", str(missing))
    world.cluster.rejoin(world.cluster.edge)
    with view.waiting("the uplink is back, and the records arrive"):
        world.cluster.wait_ready(*world.cluster.edge)
        world.until(lambda: is_complete(world), "every record has arrived", 120)
    arrived = [one for one in since(world.decisions(), moment) if worlds.time_of(one) <= ended]
    view.fact("decisions taken while cut off", str(len(arrived)))
    report_gap(world, moment)


def summary(world: worlds.World) -> None:
    """Chapter six: the figures of the whole run."""
    view.chapter(6, "Summary", "From the records at the hub, and the journals on the nodes.")
    world.close()  # the device falls silent, so that no more records are made
    with view.waiting("the last records arrive"):
        world.until(lambda: is_complete(world), "every record has arrived", 120)
    records = world.decisions()
    judged = [one for one in records if verdict_of(one) in JUDGED and truth_of(one) is not None]
    right = sum(1 for one in judged if acted(one) == truth_of(one))
    written, acknowledged = journals(world)
    view.fact("decisions", str(len(records)))
    for verdict, count in counted(verdict_of(one) for one in records):
        view.fact(f"  {verdict}", str(count))
    if judged:
        view.fact("accuracy against who was really there", f"{right / len(judged) * 100:.1f} %")
    view.fact("commands that the device obeyed", str(len(world.taken())))
    view.fact("records written on the nodes", str(written))
    view.fact("records that the hub has acknowledged", str(acknowledged))
    budget = world.find("decisionpolicies", worlds.POLICY)["spec"]["latencyBudget"]
    view.stages(stages(records), scalars.seconds(budget) * 1000)


# -- figures -------------------------------------------------------------------------------------


def report_gap(world: worlds.World, moment: datetime) -> None:
    """The longest time without a decision since shortly before a moment."""
    with view.waiting("records have arrived"):
        world.until(lambda: since(world.decisions(), moment), "records have arrived", 60)
    times = sorted(worlds.time_of(one) for one in world.decisions())
    around = [
        *[one for one in times if one <= moment][-1:],
        *[one for one in times if one > moment],
    ]
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(around)]
    view.fact("longest time without a decision", f"{max(gaps, default=0.0) * 1000:.0f} ms")


def since(records: Iterable[Record], moment: datetime) -> list[Record]:
    """Decisions after a moment."""
    return [one for one in records if worlds.time_of(one) > moment]


def acted(record: Record) -> bool:
    """Whether the decision was to ventilate."""
    return verdict_of(record) == "Commanded"


def verdict_of(record: Record) -> str:
    """How the decision ended."""
    return str(record["decision"]["verdict"]["result"])


def truth_of(record: Record) -> bool | None:
    """Whether somebody was there in the row that was seen; None where it is not found."""
    inputs = {one["name"]: one.get("value") for one in record["decision"].get("inputs", [])}
    return recording().get((inputs.get("light"), inputs.get("co2"), inputs.get("temperature")))


@functools.cache
def recording() -> dict[tuple[Any, Any, Any], bool]:
    """Ground truth by what the sensors said."""
    with (worlds.EXAMPLE / "occupancy.csv").open() as file:
        return {
            (float(row["Light"]), float(row["CO2"]), float(row["Temperature"])): row["Occupancy"]
            == "1"
            for row in csv.DictReader(file)
        }


def stages(records: Iterable[Record]) -> dict[str, tuple[float, float, int]]:
    """Milliseconds at p50 and p99 and the count, by stage."""
    seen: dict[str, list[float]] = {}
    for record in records:
        for stage, seconds in latency(record).items():
            seen.setdefault(stage, []).append(seconds * 1000)
    return {
        stage: (quantile(values, 0.5), quantile(values, 0.99), len(values))
        for stage, values in sorted(seen.items())
    }


def latency(record: Record) -> dict[str, float]:
    """Seconds by stage of one decision and its command.

    A command's Decide ends when it is published, as in the agent's histograms. The record is
    rendered before the intent is on disk, so that it is reckoned from the whole; it is left out
    where nobody answered.
    """
    found = dict(record["decision"].get("latency", {}))
    for outcome in record.get("outcomes", []):
        found |= outcome.get("latency", {})
    if verdict_of(record) != "Commanded":
        return found
    found.pop("Decide", None)
    if "EndToEnd" in found:
        rest = sum(seconds for stage, seconds in found.items() if stage != "EndToEnd")
        found["Decide"] = max(0.0, found["EndToEnd"] - rest)
    return found


def quantile(values: Sequence[float], q: float) -> float:
    """Nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[max(0, int(len(ordered) * q + 0.5) - 1)]


def counted(values: Iterable[str]) -> list[tuple[str, int]]:
    """How often each value occurs, most frequent first."""
    found: dict[str, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


def nodes(replicas: Iterable[Record]) -> list[tuple[str, str]]:
    """Slot and node of every replica."""
    return sorted((one["slot"], one["node"]) for one in replicas)


def is_complete(world: worlds.World) -> bool:
    """Whether the hub has acknowledged every record that the journals hold."""
    written, acknowledged = journals(world)
    return acknowledged >= written > 0


def journals(world: worlds.World) -> tuple[int, int]:
    """Records that the agents wrote, and those of which they have the hub's word.

    The hub acknowledges after its own commit; what it stores is not asked here.
    """
    written = acknowledged = 0
    for pod in world.cluster.get("pods", "-n", install.AGENTS)["items"]:
        said = world.cluster.kubectl(
            "exec", pod["metadata"]["name"], "-n", install.AGENTS, "-c", "agent", "--",
            "foreshore-agent", "verify", "--state", "/state", "-o", "json",
        )  # fmt: skip
        journal = json.loads(said)
        written += journal["last"]
        acknowledged += journal["acknowledged"]
    return written, acknowledged


# -- commands ------------------------------------------------------------------------------------


def kubectl(world: worlds.World, *args: str, rows: int | None = None) -> None:
    """Show a kubectl command and the first rows of its output (the newest, for decisions)."""
    lines = world.cluster.kubectl(*args).splitlines()
    shown = (
        lines if rows is None else [*lines[: rows + 1], f"… {max(0, len(lines) - 1 - rows)} more"]
    )
    view.command(f"kubectl {' '.join(args)}", "\n".join(shown))


def foreshore(world: worlds.World, *args: str) -> None:
    """Show a `kubectl foreshore` command and its output."""
    program = Path(sys.executable).with_name("kubectl-foreshore")
    done = subprocess.run(
        [str(program), *args, "--kubeconfig", str(world.cluster.kubeconfig)],
        env={**os.environ, "COLUMNS": str(view.console.width)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    view.command(f"kubectl foreshore {' '.join(args)}", done.stdout + done.stderr)
