"""The longest tick of a real agent's loop while the disk of its journal stands still.

The agent's own port answers `/echo` in the loop that decides, at once: what an answer takes is what
the loop was held for, and a round trip on loopback. The device measures a hundred times a second;
commands stop with the disk, because no intent is durable, and come again when it goes on.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import yaml

from builders import room, room_device, stalled
from harness import mosquitto, process

STALLS = 3
STALL_SECONDS = 2.0
PAUSE_SECONDS = 3.0
"""Before, between and after: the agent works off what waited."""
MEASURE_SECONDS = 0.01
POLL_SECONDS = 0.002
START_SECONDS = 60
LIMIT = 50.0
"""Milliseconds."""


def report(folder: Path) -> None:
    """Stop the disk several times and print the longest ticks."""
    with mosquitto.Broker(folder / "broker") as broker:
        asyncio.run(_measure(folder, broker.port))


async def _measure(folder: Path, broker: int) -> None:
    disk, port = stalled.StalledDisk(folder), process.free_port()
    async with (
        room_device.RoomDevice().connected(broker) as device,
        _agent(folder, disk, broker, port),
    ):
        measuring = asyncio.create_task(_measured(device))
        await _obeyed(device, 1)
        usual, held, decided = list[float](), list[float](), list[int]()
        usual += await _ticks(port, PAUSE_SECONDS)
        for _ in range(STALLS):
            before = len(device.commands)
            with disk.stopped():
                held += await _ticks(port, STALL_SECONDS)
                stood, during = disk.is_held, len(device.commands) - before
            if not stood:
                raise RuntimeError("the agent wrote nothing while its disk stood still")
            decided.append(during)
            await _obeyed(device, len(device.commands) + 1)
            usual += await _ticks(port, PAUSE_SECONDS)
        measuring.cancel()
    print(f"disk of the journal stopped {STALLS} times for {STALL_SECONDS:g} s, writes and syncs:")
    print(f"  longest tick of the loop, disk stopped   {max(held):6.1f} ms   ", end="")
    print(f"(limit {LIMIT:g})   {'holds' if max(held) <= LIMIT else 'MISSED'}   n {len(held)}")
    print(f"  longest tick of the loop, disk working   {max(usual):6.1f} ms   n {len(usual)}")
    print(f"  commands while it was stopped (in flight)  {', '.join(map(str, decided))}")


@contextlib.asynccontextmanager
async def _agent(
    folder: Path, disk: stalled.StalledDisk, broker: int, port: int
) -> AsyncIterator[None]:
    """An agent in folder mode whose policy asks no model and always commands."""
    home = folder / "resources"
    home.mkdir()
    (home / "all.yaml").write_text(yaml.safe_dump_all(_documents(broker)))
    flags = ("--resources", str(home), "--state", str(folder / "state"), "--port", str(port))
    with (folder / "agent.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "foreshore_agent.main", "run", *flags),
            env=disk.environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            child.terminate()
            await asyncio.wait_for(child.wait(), START_SECONDS)


def _documents(broker: int) -> tuple[room.Json, ...]:
    address = {"host": mosquitto.ADDRESS, "port": broker, "transport": "Plain"}
    rule = {"name": "stale", "effect": "Permit", "expression": "co2 > 0.0", "reason": "Stale"}
    policy = room.changed(
        room.policy(), spec__modelRef=None, spec__inference=None, spec__rules=[rule]
    )
    site = room.changed(room.site(), spec__broker=address)
    return site, room.profile(), room.device(), policy


async def _measured(device: room_device.RoomDevice) -> None:
    while True:
        device.measure()
        await asyncio.sleep(MEASURE_SECONDS)


async def _obeyed(device: room_device.RoomDevice, count: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while len(device.commands) < count:  # noqa: ASYNC110 - a device has no event
            await asyncio.sleep(0.01)


async def _ticks(port: int, seconds: float) -> list[float]:
    """Ask again and again; milliseconds that each answer took."""
    reader, writer = await asyncio.open_connection(mosquitto.ADDRESS, port)
    took: list[float] = []
    end = time.perf_counter() + seconds
    try:
        while (begun := time.perf_counter()) < end:
            writer.write(b"GET /echo HTTP/1.1\r\nHost: agent\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            took.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(POLL_SECONDS)
    finally:
        writer.close()
        await writer.wait_closed()
    return took
