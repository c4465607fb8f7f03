"""An agent that is killed again and again loses no record and repeats no command."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders import fake_hub, room, room_device
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import record
from foreshore_decision import assignment as compiling
from harness import mosquitto

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"
KILLS = 20
STARTING = 2.5
"""Seconds in which an agent starts and has recovered, on a slow machine too."""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[tuple[fake_hub.FakeHub, int]]:
    with mosquitto.Broker(tmp_path / "broker") as broker:
        address = {"host": "127.0.0.1", "port": broker.port, "transport": "Plain"}
        rule = {"name": "stale", "effect": "Permit", "expression": "co2 > 0.0", "reason": "Stale"}
        policy = room.changed(
            room.policy(),
            spec__modelRef=None,
            spec__inference=None,
            spec__rules=[rule],
            spec__action__timeToLive="500ms",  # an unknown command is waited for so long
        )
        site = room.changed(room.site(), spec__broker=address)
        documents = (site, room.profile(), room.device(), policy)
        every: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
        given = compiling.Given(grants={("hq", "room-301"): (NODE, 1000)})
        made = compiling.compile(compiling.Resources.of(every), NODE, site="hq", given=given)
        found = fake_hub.FakeHub(NODE)
        found.assignment = made.assignment.model_copy(update={"lineage": "store", "generation": 1})
        await found.start()
        yield found, broker.port
        await found.stop()


async def start(state: Path, hub: fake_hub.FakeHub) -> asyncio.subprocess.Process:
    token = state.parent / "token"
    token.write_text("token")
    flags = {
        "--state": str(state),
        "--node": NODE,
        "--hub": f"http://127.0.0.1:{hub.port}",
        "--token-file": str(token),
        "--port": "0",
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "foreshore_agent.main", "run"),
        *(word for pair in flags.items() for word in pair),
        env={**os.environ, "FORESHORE_LOG_LEVEL": "warning"},
    )


async def measure(device: room_device.RoomDevice) -> None:
    while True:
        device.measure()
        await asyncio.sleep(0.005)


async def obeyed_once_more(device: room_device.RoomDevice) -> None:
    before = len(device.commands)
    async with asyncio.timeout(60):
        while len(device.commands) == before:  # noqa: ASYNC110 - a device has no event
            await asyncio.sleep(0.01)


@pytest.mark.timeout(300)
async def test_twenty_kills_lose_no_record_and_repeat_no_command(
    hub: tuple[fake_hub.FakeHub, int], tmp_path: Path
) -> None:
    there, port = hub
    chance = random.Random(20260301)
    async with room_device.RoomDevice().connected(port) as device:
        measuring = asyncio.create_task(measure(device))
        for number in range(KILLS):
            process = await start(tmp_path / "state", there)
            if number % 3 == 2:  # while it starts, opens its journal or recovers
                await asyncio.sleep(chance.uniform(0.0, STARTING))
            else:
                await obeyed_once_more(device)
                await asyncio.sleep(chance.uniform(0.0, 0.4))
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        process = await start(tmp_path / "state", there)
        before = len(device.commands)
        async with asyncio.timeout(60):
            while len(device.commands) < before + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        measuring.cancel()
        await asyncio.sleep(3)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    (stored,) = there.stored.values()
    assert sorted(stored) == list(range(1, len(stored) + 1)), "no number is missing"
    found = [record.Event.decode(stored[number].body) for number in sorted(stored)]
    intents = [
        one.data.command.command_id
        for one in found
        if isinstance(one.data, record.Decision) and one.data.command is not None
    ]
    obeyed = [one.command_id for one in device.commands]
    assert set(obeyed) <= set(intents), "a command left before its intent was durable"
    assert len(intents) == len(set(intents))
    assert device.refused == [], "no command was repeated, none had an old epoch"
