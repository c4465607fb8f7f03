"""Two agents of one site on one broker: beats, and renewals passed on for a lonely holder."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from builders import fake_hub, patience, room, room_device
from foreshore_agent import clocks, settings
from foreshore_agent.runtime import agent
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import assignment as compiling
from harness import mosquitto

pytestmark = pytest.mark.usefixtures("short_waits")

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
HOLDER, PEER = "edge-1", "edge-2"


def assigned(
    node: str, port: int, holder: str = HOLDER, epoch: int = 1000
) -> assignment.Assignment:
    address = {"host": "127.0.0.1", "port": port, "transport": "Plain"}
    rule = {"name": "stale", "effect": "Permit", "expression": "co2 > 0.0", "reason": "StaleAir"}
    documents = [
        room.changed(room.site(), spec__broker=address),
        room.changed(room.profile(), spec__authority={"leaseDuration": "5s"}),
        room.device(),
        room.changed(room.policy(), spec__modelRef=None, spec__inference=None, spec__rules=[rule]),
    ]
    every: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
    given = compiling.LocalStatuses(grants={("hq", "room-301"): (holder, epoch)})
    made = compiling.compile(compiling.Resources.of(every), node, site="hq", given=given)
    return made.assignment.model_copy(update={"lineage": "store", "generation": epoch})


@contextlib.asynccontextmanager
async def living(
    node: str, broker: mosquitto.Broker, home: Path
) -> AsyncIterator[fake_hub.FakeHub]:
    """An agent with a hub of its own."""
    hub = fake_hub.FakeHub(node)
    hub.assignment = assigned(node, broker.port)
    await hub.start()
    token = home / "token"
    token.write_text("token")
    source = settings.HubSettings(f"http://127.0.0.1:{hub.port}", token, None)
    told = settings.AgentSettings(node, home / node, source, port=None)
    stop = asyncio.Event()
    life = asyncio.create_task(agent.Agent(told, clocks.SystemClock()).run(stop))
    try:
        yield hub
    finally:
        stop.set()
        async with asyncio.timeout(patience.SECONDS):
            await life
        await hub.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.05)


async def test_a_peer_that_has_the_hub_keeps_the_holder_renewed(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    async with (
        room_device.RoomDevice().connected(broker.port) as device,
        living(HOLDER, broker, tmp_path) as lost,
        living(PEER, broker, tmp_path) as reached,
    ):
        await device.measure_until(commands=1)
        await lost.stop()
        await until(lambda: any(one.node == HOLDER for one in reached.renewals))
        await asyncio.sleep(6)
        await device.measure_until(commands=len(device.commands) + 1)
        await until(lambda: any(said.node == HOLDER for said in reached.reports[-1].peers))
        (heard,) = reached.reports[-1].peers
    assert (heard.node, heard.has_hub) == (HOLDER, False)
    last = reached.reports[-1]
    assert 0 < (last.listening_seconds or 0) <= last.uptime_seconds
    assert heard.held[0].device == "room-301"
    relayed = [one for one in reached.renewals if one.node == HOLDER]
    numbers = [one.number for one in relayed]
    assert numbers == sorted(set(numbers)), "numbers rise and are passed on unchanged"


async def test_the_peer_commands_nothing(broker: mosquitto.Broker, tmp_path: Path) -> None:
    async with (
        room_device.RoomDevice().connected(broker.port) as device,
        living(PEER, broker, tmp_path) as hub,
    ):
        await until(lambda: bool(hub.reports) and hub.reports[-1].broker_connected)
        for _ in range(20):
            device.measure()
            await asyncio.sleep(0.05)
        assert device.commands == []
        assert "Commanded" not in hub.reports[-1].decisions


async def test_a_holder_stands_down_while_a_peer_claims_the_hub_and_nobody_renews(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    async with (
        room_device.RoomDevice().connected(broker.port) as device,
        living(HOLDER, broker, tmp_path) as lost,
        living(PEER, broker, tmp_path) as reached,
    ):
        await device.measure_until(commands=1)
        await lost.stop()
        reached.standing = reached.standing.UNKNOWN
        await asyncio.sleep(7)
        before = len(device.commands)
        for _ in range(20):
            device.measure()
            await asyncio.sleep(0.05)
        assert len(device.commands) == before


async def grant_to_peer(hubs: dict[str, fake_hub.FakeHub], port: int) -> float:
    """Do as the operator: grant what was given back to the peer; return when."""
    holder = hubs[HOLDER]
    await until(lambda: any(one.gave_back for one in holder.reports[-1].devices))
    assert holder.reports[-1].stopping
    for node, hub in hubs.items():
        hub.assignment = assigned(node, port, PEER, 1001)
    return asyncio.get_running_loop().time()


async def test_an_agent_told_to_stop_hands_over_before_it_does(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        room_device.RoomDevice().connected(broker.port) as device,
        living(PEER, broker, tmp_path) as reached,
    ):
        async with living(HOLDER, broker, tmp_path) as leaving:
            await device.measure_until(commands=1)
            await until(lambda: any(said.has_hub for said in leaving.reports[-1].peers))
            hubs = {HOLDER: leaving, PEER: reached}
            granting = asyncio.create_task(grant_to_peer(hubs, broker.port))
        gone = loop.time()
        assert gone >= await granting, "it stayed until a peer was granted its device"
        taken = len(device.commands)
        await device.measure_until(commands=taken + 1)
        assert device.commands[-1].holder == PEER


async def test_an_agent_without_a_peer_stops_at_once_and_keeps_its_right(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    async with room_device.RoomDevice().connected(broker.port) as device:
        async with living(HOLDER, broker, tmp_path) as leaving:
            await device.measure_until(commands=1)
        assert not any(one.gave_back for one in leaving.reports[-1].devices)
        async with living(HOLDER, broker, tmp_path):
            await device.measure_until(commands=len(device.commands) + 1)
