"""A node is lost while ten thousand statuses are being written: how long until all is written.

    lanes   the operator's two lanes: rights, placements, pods and what they read, to the last
    bare    as many writes of the same size straight at the API server, sixteen at a time, under
            the same flood of statuses

The API server is a fake one in a process of its own that takes each write after two milliseconds.
Rounds of both are interleaved, so that what else the machine does falls on both.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from bench import figures
from builders import fake_apiserver, lanes
from foreshore_api import v1alpha1
from foreshore_kube import apply, kinds
from foreshore_operator import watchdog
from harness import process

STATUSES: Final = 10_000
PART: Final = 500
"""Statuses offered in a row, as a pass does."""
ROUNDS: Final = 100
PAUSE: Final = 0.7
"""Seconds between rounds, in which the flood goes on and the pace of urgent writes recovers."""
PROGRAM: Final = Path(fake_apiserver.__file__)


@dataclass
class WriteRun:
    """What was measured, in seconds."""

    lanes: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """How late the event loop was, at each heartbeat."""
    statuses: int = 0
    seconds: float = 0.0
    urgent_at: float = 0.0


def report() -> None:
    """Measure and print."""
    run = uvloop.run(measured())
    writes = lanes.GRANTS + 3 * lanes.REPLICAS
    print(f"{writes} urgent writes while {STATUSES:,} statuses are being written, {ROUNDS} rounds")
    for name, seconds in (("lanes", run.lanes), ("bare", run.bare)):
        print(f"  {name:6} {quantiles(seconds)}")
    for q, label in ((0.5, "p50"), (0.99, "p99")):
        ratio = _quantile(run.lanes, q) / _quantile(run.bare, q)
        print(f"  lanes / bare, {label}: {ratio:.2f}")
    print(f"  statuses beside them: {run.statuses / run.seconds:.0f} a second")
    print(f"  the event loop's lateness: {quantiles(run.late)}")


def quantiles(seconds: list[float]) -> str:
    """The quantiles of a list, in milliseconds."""
    named = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max"))
    return ", ".join(f"{name} {_quantile(seconds, q) * 1000:.1f} ms" for q, name in named)


def _quantile(seconds: list[float], q: float) -> float:
    return figures.quantile(sorted(round(value * 1e9) for value in seconds), q) / 1e9


async def measured() -> WriteRun:
    """Measure all rounds."""
    run = WriteRun()

    def urgent() -> None:
        run.urgent_at = time.perf_counter()

    def status() -> None:
        run.statuses += 1

    with served() as port:
        async with lanes.lanes(port, urgent, status) as rig, background(rig, run):
            began = time.perf_counter()
            for round_ in range(1, ROUNDS + 1):
                run.lanes.append(await one_node_lost(rig, run, round_))
                await asyncio.sleep(PAUSE)
                run.bare.append(await bare(rig, round_))
                await asyncio.sleep(PAUSE)
            run.seconds = time.perf_counter() - began
    return run


async def one_node_lost(rig: lanes.WriteRig, run: WriteRun, round_: int) -> float:
    """Carry out what is planned for a lost node; seconds until the last urgent write was taken."""
    plan = rig.lost(round_)
    began = time.perf_counter()
    await rig.act.carry_out(plan)
    return run.urgent_at - began


async def bare(rig: lanes.WriteRig, round_: int) -> float:
    """As many writes with nothing around them; seconds until the last was taken."""
    slots = asyncio.Semaphore(apply.URGENT_PACE.concurrency)

    async def write(number: int) -> None:
        authority = lanes.grant(f"held-{number}", round_).authority.document()
        metadata = {"namespace": "hq", "name": f"held-{number}"}
        async with slots:
            await rig.kube.apply(
                kinds.of(v1alpha1.Device),
                {"metadata": metadata, "status": {"authority": authority}},
                manager="bench",
                subresource="status",
            )

    began = time.perf_counter()
    await asyncio.gather(*map(write, range(lanes.GRANTS + 3 * lanes.REPLICAS)))
    return time.perf_counter() - began


@contextlib.asynccontextmanager
async def background(rig: lanes.WriteRig, run: WriteRun) -> AsyncIterator[None]:
    """The flood, its lane, and the watchdog of the loop."""

    async def flood() -> None:
        generation = 0
        while True:
            generation += 1
            for part in (
                lanes.flood(PART, generation, begin) for begin in range(0, STATUSES, PART)
            ):
                rig.queue.offer(part)
                await asyncio.sleep(0)
            await asyncio.sleep(20.0)

    tasks = [
        asyncio.create_task(work)
        for work in (flood(), rig.queue.run(), watchdog.Watchdog(run.late.append).run())
    ]
    await asyncio.sleep(1.0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@contextlib.contextmanager
def served() -> Iterator[int]:
    """The fake API server, in a process of its own."""
    port = process.free_port()
    server = subprocess.Popen([sys.executable, str(PROGRAM), str(port)])
    try:
        process.eventually(
            lambda: process.listens("127.0.0.1", port), what="the API server listens", timeout=30
        )
        yield port
    finally:
        process.end(server)
