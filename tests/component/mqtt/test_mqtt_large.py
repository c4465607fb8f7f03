"""Messages that are too large, too many or malformed cost an agent neither memory nor its work."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from builders import fake_hub, patience, room, room_device
from foreshore_agent.devices.mqtt import connection, inbox, lane
from foreshore_agent.devices.mqtt.codec import decode
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import site
from foreshore_decision import assignment as compiling
from harness import mosquitto

pytestmark = pytest.mark.component

BOTH = pytest.mark.parametrize("protocol", list(site.Protocol))
MEBIBYTE = 1 << 20
LARGE = 200 * MEBIBYTE
BOUND = 32 * MEBIBYTE
"""By which an agent may grow while somebody publishes a message of any size."""
KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"


@asynccontextmanager
async def rogue(after: bytes) -> AsyncIterator[int]:
    """A broker that accepts everybody and then sends these bytes; yields its port."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(4096)
        is_v5 = first[first.index(b"MQTT") + 4] == 5
        writer.write(b"\x20\x03\x00\x00\x00" if is_v5 else b"\x20\x02\x00\x00")
        writer.write(after)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(patience.SECONDS):
            await over.wait()


def length(size: int) -> bytes:
    """MQTT's remaining length."""
    encoded = bytearray()
    while True:
        size, byte = divmod(size, 128)
        encoded.append(byte | (128 if size else 0))
        if not size:
            return bytes(encoded)


def nothing(message: connection.MqttMessage) -> None:
    raise AssertionError(f"nothing should come: {message.topic}")


@BOTH
async def test_a_packet_that_is_too_large_ends_the_connection_before_its_body_is_read(
    protocol: site.Protocol,
) -> None:
    began = b"\x30" + length(LARGE) + b"\x00\x01t" + b"." * 1000
    async with rogue(began) as port:
        opened = await connection.BrokerConnection.open(
            connection.Address("127.0.0.1", port, protocol), name="a", received=nothing
        )
        async with asyncio.timeout(patience.SECONDS):
            reason = await opened.closed
    assert opened.oversized == LARGE
    assert f"a message of {LARGE} bytes" in reason
    assert "max_packet_size" in reason


@BOTH
@pytest.mark.parametrize(
    "body",
    [b"\x00", b"\xff\xff", b"\x00\x02\xff\xfe", b"\x00\x01t\xff\xff\xff\xff\x7f"],
    ids=["cut", "topic longer than the packet", "topic no UTF-8", "properties too long"],
)
async def test_a_malformed_packet_ends_no_more_than_the_connection(
    protocol: site.Protocol, body: bytes
) -> None:
    # MQTT 3.1.1: a topic that is no UTF-8 is passed over, and properties are a message's body
    is_readable = protocol is site.Protocol.V311 and len(body) > 3
    good = b"\x30" + length(3) + b"\x00\x01t"
    come: list[connection.MqttMessage] = []
    three = asyncio.Event()

    def keep(message: connection.MqttMessage) -> None:
        come.append(message)
        if len(come) == 3:
            three.set()

    async with rogue(b"\x30" + length(len(body)) + body + good * 3) as port:
        opened = await connection.BrokerConnection.open(
            connection.Address("127.0.0.1", port, protocol), name="a", received=keep
        )
        async with asyncio.timeout(patience.SECONDS):
            if is_readable:
                await three.wait()
            else:
                assert await opened.closed != "closed"
        await opened.close()
    assert bool(come) is is_readable


def suback(codes: int) -> bytes:
    """What answers the first subscription of a session under MQTT 3.1.1, with so many codes."""
    return b"\x90" + length(2 + codes) + b"\x00\x01" + b"\x00" * codes


@pytest.mark.parametrize("after", [suback(0), suback(3), b"\x30\x01\x00"])
async def test_a_lane_opens_the_next_session_after_a_broker_that_talks_nonsense(
    after: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sessions: list[int] = []
    again = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\x20\x02\x00\x00")
        await reader.read(4096)
        writer.write(after)
        sessions.append(len(sessions))
        if len(sessions) > 1:
            again.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        kept = lane.Lane("telemetry", lane.Traffic(received=nothing), lambda _: None)
        kept.want(connection.Address("127.0.0.1", port, site.Protocol.V311), ("a",))
        task = asyncio.create_task(kept.keep("edge-1"))
        async with asyncio.timeout(patience.SECONDS):
            await asyncio.wait(
                (task, waiting := asyncio.ensure_future(again.wait())),
                return_when=asyncio.FIRST_COMPLETED,
            )
        assert not task.done(), "the lane ended"
        assert waiting.done()
        task.cancel()
        await asyncio.wait((task,))
    assert "telemetry has no broker" in caplog.text


async def test_a_lane_goes_on_after_what_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = asyncio.Event()

    async def breaks(*_: object, **__: object) -> None:
        if caplog.text:
            tried.set()
        raise KeyError("a trap nobody knew")

    monkeypatch.setattr(connection.BrokerConnection, "open", breaks)
    kept = lane.Lane("telemetry", lane.Traffic(received=nothing), lambda _: None)
    kept.want(connection.Address("127.0.0.1", 1, site.Protocol.V311), ("a",))
    task = asyncio.create_task(kept.keep("edge-1"))
    async with asyncio.timeout(patience.SECONDS):
        await tried.wait()
    task.cancel()
    assert "Traceback" in caplog.text
    assert "a trap nobody knew" in (kept.problem or "")


@BOTH
async def test_the_largest_packet_that_is_read_is_read_whole(
    broker: mosquitto.Broker, protocol: site.Protocol
) -> None:
    got: list[int] = []
    come = asyncio.Event()

    def keep(message: connection.MqttMessage) -> None:
        got.append(len(message.payload))
        come.set()

    where = connection.Address(broker.host, broker.port, protocol)
    hears = await connection.BrokerConnection.open(where, name="hears", received=keep)
    await hears.subscribe(["t"])
    room_ = decode.MAXIMUM_PACKET - 16
    await hears.deliver("t", b"." * room_)
    async with asyncio.timeout(patience.SECONDS):
        await come.wait()
    assert got == [room_]
    await hears.close()


def test_reading_stops_by_the_bytes_that_wait_too() -> None:
    waiting = inbox.Inbox(lambda _: None)
    while not waiting.is_full:
        waiting.put(connection.MqttMessage("t", b"." * (128 << 10), False, False))
    for _ in range(20):
        waiting.hand_over()
    assert waiting.is_drained


def resident(process: int) -> int:
    """Bytes of memory that a process holds now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak(process: int) -> int:
    """Most bytes of memory that a process ever held since `forget_peak`."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say")


def publish_large(port: int, topic: str) -> None:
    """Publish 200 MiB, as anybody may who is let in."""
    stranger = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    stranger.connect("127.0.0.1", port)
    stranger.loop_start()
    stranger.publish(topic, bytearray(LARGE), qos=1).wait_for_publish(60)
    stranger.disconnect()
    stranger.loop_stop()


@asynccontextmanager
async def agent(
    state: Path, port: int, protocol: site.Protocol
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real agent process under a hub of its own."""
    address = {
        "host": "127.0.0.1",
        "port": port,
        "transport": "Plain",
        "protocol": protocol.value,
    }
    rule = {"name": "stale", "effect": "Permit", "expression": "co2 > 0.0", "reason": "Stale"}
    policy = room.changed(
        room.policy(), spec__modelRef=None, spec__inference=None, spec__rules=[rule]
    )
    documents = (
        room.changed(room.site(), spec__broker=address),
        room.profile(),
        room.device(),
        policy,
    )
    every: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
    given = compiling.LocalStatuses(grants={("hq", "room-301"): (NODE, 1000)})
    made = compiling.compile(compiling.Resources.of(every), NODE, site="hq", given=given)
    hub = fake_hub.FakeHub(NODE)
    hub.assignment = made.assignment.model_copy(update={"lineage": "store", "generation": 1})
    await hub.start()
    token = state.parent / "token"
    token.write_text("token")
    flags = {
        "--state": str(state),
        "--node": NODE,
        "--hub": f"http://127.0.0.1:{hub.port}",
        "--token-file": str(token),
        "--port": "0",
    }
    with (state.parent / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "foreshore_agent.main", "run"),
            *(word for pair in flags.items() for word in pair),
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()
            await hub.stop()


async def obeyed(device: room_device.RoomDevice) -> None:
    """Measure until the agent commands once more."""
    before = len(device.commands)
    async with asyncio.timeout(60):
        while len(device.commands) == before:
            device.measure()
            await asyncio.sleep(0.05)


@BOTH
@pytest.mark.timeout(240)
async def test_a_message_of_200_mebibytes_costs_an_agent_no_memory_and_it_goes_on(
    broker: mosquitto.Broker, protocol: site.Protocol, tmp_path: Path
) -> None:
    async with (
        room_device.RoomDevice().connected(broker.port) as device,
        agent(tmp_path / "state", broker.port, protocol) as process,
    ):
        await obeyed(device)
        before = peak(process.pid)
        for topic in ("hq/room-301/telemetry", "foreshore/v1/hq/beat/edge-9"):
            await asyncio.to_thread(publish_large, broker.port, topic)
            await obeyed(device)
        assert process.returncode is None
        assert peak(process.pid) - before < BOUND
        assert resident(process.pid) - before < BOUND
    log = (tmp_path / "log").read_text()
    is_said = "PacketTooLarge" in log and "max_packet_size" in log
    assert is_said is (protocol is site.Protocol.V311), "MQTT 5's broker keeps it to itself"
