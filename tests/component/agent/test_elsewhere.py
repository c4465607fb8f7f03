"""A whole agent on a real broker that decides about a room on what its window says."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from builders import neighbours, patience, room, room_device
from builders.living import living, until
from foreshore_agent import journal, settings
from foreshore_agent.runtime import agent
from foreshore_api.wire import record
from foreshore_decision import explain
from harness import mosquitto

NODE = "edge-1"


@pytest.fixture
async def device(broker: mosquitto.Broker) -> AsyncIterator[room_device.RoomDevice]:
    async with room_device.RoomDevice().connected(broker.port) as connected:
        yield connected


@pytest.fixture
async def window(broker: mosquitto.Broker) -> AsyncIterator[room_device.RoomDevice]:
    """A window: what it says of a room is nothing that its profile has."""
    async with room_device.RoomDevice("window-301").connected(broker.port) as connected:
        yield connected


@pytest.fixture
def resources(tmp_path: Path, broker: mosquitto.Broker) -> Path:
    home = tmp_path / "resources"
    home.mkdir()
    local = {"host": "127.0.0.1", "port": broker.port, "transport": "Plain"}
    parts = (
        room.changed(room.site(), spec__broker=local),
        *(room.profile(), room.device()),
        *neighbours.documents(),
    )
    for part in parts:
        write(home, part)
    return home


def write(home: Path, document: dict[str, Any]) -> None:
    path = home / f"{document['kind']}-{document['metadata']['name']}.json"
    path.write_text(json.dumps(document))


def configured(resources: Path, state: Path) -> settings.AgentSettings:
    return settings.AgentSettings(
        NODE, state, settings.FolderSettings(resources, None, None), port=None
    )


def decided(host: agent.Agent, verdict: str) -> int:
    return host.meters.decisions.get(verdict, 0)


async def speak_until(speaker: room_device.RoomDevice, host: agent.Agent, verdict: str) -> None:
    """Let a device speak ten times a second until there is such a verdict."""
    async with asyncio.timeout(patience.SECONDS):
        while not decided(host, verdict):
            speaker.measure(open=False)
            await asyncio.sleep(0.1)


async def test_the_room_is_commanded_when_its_window_shuts(
    resources: Path,
    device: room_device.RoomDevice,
    window: room_device.RoomDevice,
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    async with living(configured(resources, state)) as host:
        await speak_until(device, host, "NotApplicable")
        window.measure(open=True)
        await until(lambda: decided(host, "NotTriggered") > 0)
        assert device.commands == []
        window.measure(open=False)
        await until(lambda: len(device.commands) > 0)
        assert window.commands == []
    book = await journal.Journal.open(state)
    bodies = [shipped.body for shipped in await book.newest(1000)]
    await book.close()
    [commanded] = [
        event.data
        for event in map(record.Event.decode, bodies)
        if isinstance(event.data, record.Decision) and event.data.command is not None
    ]
    assert commanded.trigger.name == "window-301.open"
    explained = explain.of_events(bodies, commanded.decision_id)
    assert any("windowOpen (window-301.open) = false" in line for line in explained.inputs)


async def test_a_window_that_is_taken_from_the_folder_is_missed_and_one_that_returns_is_read(
    resources: Path,
    device: room_device.RoomDevice,
    window: room_device.RoomDevice,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (resources / "Device-window-301.json").unlink()
    async with living(configured(resources, tmp_path / "state")) as host:
        assert "deviceRef.name: there is no Device window-301 in namespace hq" in caplog.text
        assert "CompileFailed" not in caplog.text
        write(resources, neighbours.window())
        await speak_until(device, host, "NotApplicable")
        window.measure(open=False)
        await until(lambda: len(device.commands) > 0)
