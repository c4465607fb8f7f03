"""`make scale N=…`: a fleet of so many nodes on a real control plane, and what the product takes.

API server, etcd, scheduler and controllers are real, nodes and pods are kwok's, operator and hub
are the product's own processes with their own accounts, and one process plays every agent towards
the hub's door with the telemetry of all devices. Nothing is asserted: figures are printed beside
what is wanted of them, and a trial that could not be done says why.

agents     hub, API server and agents alone, before there is any operator
settle     operator started with all applied → everything Ready, nothing written any more
devices    more devices applied → Ready
quiet      memory, cores, answers of the loops, writes while nothing happens
restart    operator ended and started again → nothing written any more
node       one node lost → last urgent write
site       one whole site lost: nothing may move
leader     the leader killed → the next write of the other replica
"""

import argparse
import asyncio
import dataclasses
import importlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "cluster")]

from harness import process  # noqa: E402
from scale import fleet, ledger, processes, trials, world  # noqa: E402

hardware = importlib.import_module("bench.__main__").hardware

ALL: Final = ("agents", "settle", "devices", "quiet", "restart", "node", "site", "leader")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=50, help="nodes (50)")
    parser.add_argument("--devices", type=int, help="devices (ten a node)")
    parser.add_argument("--more", type=int, help="devices applied later (1000, or half of all)")
    parser.add_argument("--replicas", type=int, default=2, help="operators (2)")
    parser.add_argument("--only", default="", help="trials, with commas between them (all)")
    parser.add_argument("--quiet", type=float, default=60.0, help="seconds of watching (60)")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to settle (600)")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="sample where the operator's time goes with py-spy, which uv brings; with --keep",
    )
    parser.add_argument("--keep", type=Path, help="folder for logs; they stay")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    return parser


async def measured(chosen: argparse.Namespace, folder: Path) -> tuple[fleet.FleetShape, list[Any]]:
    """Bring the fleet up, run the trials, end everything; SIGTERM ends it in good order too."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    devices = chosen.devices or 10 * chosen.nodes
    more = chosen.more if chosen.more is not None else min(1000, devices // 2)
    shape = fleet.FleetShape(chosen.nodes, devices)
    wanted = tuple(chosen.only.split(",")) if chosen.only else ALL
    patience = trials.Patience(settle=chosen.patience, quiet=chosen.quiet)
    async with world.brought_up(shape, folder) as fleet_world:
        run = trials.Trials(fleet_world, patience, devices - more, more, chosen.replicas)
        run.is_profiled = chosen.profile
        return shape, await run.run(wanted)


def main() -> int:
    """Measure and print."""
    chosen = arguments().parse_args()
    unknown = sorted(set(chosen.only.split(",") if chosen.only else ()) - set(ALL))
    if unknown:
        process.say(f"scale: no trial {', '.join(unknown)}; there are {', '.join(ALL)}")
        return 2
    before = processes.load()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foreshore-scale-") as place:
        folder = chosen.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            shape, figures = asyncio.run(measured(chosen, folder))
        except process.HarnessError as error:
            process.say(f"scale: {error}")
            return 1
        except asyncio.CancelledError:
            process.say("scale: ended before its time")
            return 130
    head = {
        "hardware": hardware(),
        "load average before": before,
        "load average after": processes.load(),
        "fleet": f"{shape.nodes} nodes ({shape.cloud} cloud), {shape.sites} sites,"
        f" {shape.devices} devices, {fleet.POLICIES * shape.sites} placements,"
        f" {shape.pods()} replicas, {chosen.replicas} operators",
        "duration": f"{time.monotonic() - begun:.0f} s",
    }
    if chosen.json:
        rows = [{**dataclasses.asdict(row), "verdict": row.verdict} for row in figures]
        print(json.dumps({**head, "figures": rows}, indent=1, ensure_ascii=False))
    else:
        print("\n".join([*(f"{key}: {value}" for key, value in head.items()), "",
                         *ledger.shown(figures)]))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
