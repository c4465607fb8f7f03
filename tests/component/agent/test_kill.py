"""An agent that is killed again and again loses no record, repeats no command, leaves nothing."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders import fake_hub, onnx_models, room, room_device
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import record
from foreshore_decision import assignment as compiling
from foreshore_serving import models
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
        given = compiling.LocalStatuses(grants={("hq", "room-301"): (NODE, 1000)})
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


KILLED_AFTER = (0.0, 0.1, 0.3, 0.6, 1.2)
"""Seconds after the model's server was started: while it imports, loads and serves."""


def of_session(session: int) -> dict[int, str]:
    """Command lines of the processes that one process has started, also of its orphans."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, of = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(place.name)] = line
    return found


def serves(session: int) -> bool:
    return any("foreshore_serving" in line for line in of_session(session).values())


def a_folder_with_a_model(place: Path) -> Path:
    place.mkdir()
    body = onnx_models.model()
    (place / "occupancy-v1.onnx").write_bytes(body)
    for document in room.all_of():
        if document["kind"] == "ModelVersion":
            document = room.changed(document, spec__digest=models.digest_of(body))
        (place / f"{document['kind']}.json").write_text(json.dumps(document))
    return place


@pytest.mark.parametrize("seconds", KILLED_AFTER)
async def test_an_agent_that_is_killed_leaves_no_model_server_however_early_it_was(
    seconds: float, tmp_path: Path
) -> None:
    resources = a_folder_with_a_model(tmp_path / "resources")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "foreshore_agent.main", "run", "--node", NODE, "--port", "0"),
        *("--resources", str(resources), "--state", str(tmp_path / "state")),
        start_new_session=True,
    )
    async with asyncio.timeout(60):
        while not serves(process.pid):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.002)
    await asyncio.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    try:
        async with asyncio.timeout(15):
            while of_session(process.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        for orphan in of_session(process.pid):
            os.kill(orphan, signal.SIGKILL)
