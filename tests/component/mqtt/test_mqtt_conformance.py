"""Our client and a real Mosquitto understand each other: both protocols, plain and over TLS.

What Mosquitto never does is sent by a scripted broker.
"""

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from builders import broker_packets, patience
from builders.arrivals import Arrivals, nothing
from foreshore_agent.devices.mqtt import connection, denials, session, socket_watch
from foreshore_agent.devices.mqtt.codec import decode, fields
from foreshore_api.v1alpha1 import site
from harness import mosquitto

pytestmark = pytest.mark.component

Protocol = site.Protocol
PROTOCOLS = pytest.mark.parametrize("protocol", list(Protocol))
Place = Callable[[Protocol], connection.Address]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(params=["plain", "TLS"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A broker's address, by protocol."""
    is_tls = request.param == "TLS"
    with mosquitto.Broker(tmp_path / "broker", tls=is_tls) as broker:
        if is_tls:
            broker.credential(tmp_path / "credentials", "hq-broker")
        yield lambda protocol: connection.Address(
            broker.host,
            broker.port,
            protocol,
            "hq-broker" if is_tls else None,
            tmp_path / "credentials",
        )


@asynccontextmanager
async def opened(
    where: connection.Address, received: connection.Received = nothing, **options: object
) -> AsyncIterator[connection.BrokerConnection]:
    """A session."""
    made = await connection.BrokerConnection.open(
        where,
        name="under-test",
        received=received,
        **options,  # type: ignore[arg-type]
    )
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def served(handle: Handler) -> AsyncIterator[int]:
    """A broker that a test scripts; gives its port, and ends when all its sessions have."""
    sessions: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await handle(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(patience.SECONDS):
            await asyncio.gather(*sessions)


@asynccontextmanager
async def scripted(
    answer: bytes, protocol: Protocol
) -> AsyncIterator[tuple[connection.Address, list[bytes]]]:
    """A broker that answers CONNECT with these bytes; gives its address and all it was sent."""
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        while data := await reader.read(65536):
            heard.append(data)

    async with served(handle) as port:
        yield connection.Address("127.0.0.1", port, protocol), heard


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not condition():  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.02)


def accepted(protocol: Protocol) -> bytes:
    return b"\x20\x03\x00\x00\x00" if protocol is Protocol.V5 else b"\x20\x02\x00\x00"


@PROTOCOLS
async def test_every_quality_of_service_and_size_goes_round(
    place: Place, protocol: Protocol
) -> None:
    """Sizes around the edges of a length's bytes, of a TLS record and of a read."""
    arrivals = Arrivals()
    sizes = [0, 1, 100, 127, 128, 16_000, 16_384, 20_000, 65_535, 65_536]
    async with opened(place(protocol), arrivals) as link:
        assert await link.subscribe(["size/+"]) == ()
        for size in sizes:
            await link.deliver("size/one", bytes([size % 251]) * size)
            while not link.has_room:  # noqa: ASYNC110 - room comes without an event
                await asyncio.sleep(0.01)
            link.publish("size/zero", bytes([size % 251]) * size, qos=0)
        messages = await arrivals.until(2 * len(sizes))
    for topic in ("size/one", "size/zero"):
        payloads = [each.payload for each in messages if each.topic == topic]
        assert payloads == [bytes([size % 251]) * size for size in sizes]


@PROTOCOLS
async def test_topics_of_all_scripts_and_what_was_retained_come_as_they_are(
    place: Place, protocol: Protocol
) -> None:
    topic = "zürich/室温/🌡/a b"
    arrivals = Arrivals()
    async with opened(place(protocol), arrivals) as link:
        await link.subscribe([topic])
        await link.deliver(topic, "20 °C".encode())
        (message,) = await arrivals.until(1)
    assert (message.topic, message.payload.decode(), message.retained) == (topic, "20 °C", False)


@PROTOCOLS
async def test_a_retained_message_is_marked(broker: mosquitto.Broker, protocol: Protocol) -> None:
    await asyncio.to_thread(
        publish.single, "kept", b"old", 1, True, hostname=broker.host, port=broker.port
    )
    arrivals = Arrivals()
    async with opened(connection.Address(broker.host, broker.port, protocol), arrivals) as link:
        await link.subscribe(["kept"])
        await link.deliver("kept", b"new")
        messages = await arrivals.until(2)
    assert [(each.payload, each.retained) for each in messages] == [(b"old", True), (b"new", False)]


@PROTOCOLS
async def test_what_is_unsubscribed_is_not_heard_any_more(place: Place, protocol: Protocol) -> None:
    arrivals = Arrivals()
    async with opened(place(protocol), arrivals) as link:
        await link.subscribe(["a", "b"])
        link.unsubscribe(["a"])
        await link.deliver("a", b"unheard")
        await link.deliver("b", b"heard")
        assert [each.topic for each in await arrivals.until(1)] == ["b"]


async def test_a_message_whose_sender_uses_an_alias_has_its_topic(
    broker: mosquitto.Broker,
) -> None:
    arrivals = Arrivals()

    def send() -> None:
        sender = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        sender.connect(broker.host, broker.port)
        sender.loop_start()
        for topic in ("aliased", ""):
            alias = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            alias.TopicAlias = 1
            sender.publish(topic, b"x", 1, properties=alias).wait_for_publish(5)
        sender.disconnect()
        sender.loop_stop()

    async with opened(connection.Address(broker.host, broker.port), arrivals) as link:
        await link.subscribe(["aliased"])
        await asyncio.to_thread(send)
        assert [each.topic for each in await arrivals.until(2)] == ["aliased"] * 2


async def test_an_alias_that_was_not_agreed_on_ends_the_session() -> None:
    aliased = broker_packets.packet(0x30, b"\x00\x00\x03\x23\x00\x01x")
    async with (
        scripted(accepted(Protocol.V5) + aliased, Protocol.V5) as (where, _),
        opened(where) as link,
    ):
        async with asyncio.timeout(patience.SECONDS):
            assert "alias" in await asyncio.shield(link.closed)


@PROTOCOLS
async def test_a_session_that_another_takes_over_is_over(
    broker: mosquitto.Broker, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "same")
    where = connection.Address(broker.host, broker.port, protocol)
    async with opened(where) as first, opened(where) as second:
        async with asyncio.timeout(patience.SECONDS):
            assert await asyncio.shield(first.closed) != "closed"
        assert second.is_open
        await second.deliver("t", b"")


async def test_a_broker_that_says_why_it_goes_is_quoted() -> None:
    worded = broker_packets.block(PacketTypes.DISCONNECT, {"ReasonString": "back at\nnoon"})
    farewell = broker_packets.packet(0xE0, b"\x8b" + worded)
    async with (
        scripted(accepted(Protocol.V5) + farewell, Protocol.V5) as (where, _),
        opened(where) as link,
    ):
        async with asyncio.timeout(patience.SECONDS):
            reason = await asyncio.shield(link.closed)
    assert reason.startswith("the broker is gone: Server shutting down (back at")
    assert "\n" not in reason, "a broker's words forge no line of the log"


@pytest.mark.parametrize(
    ("protocol", "code", "reason"),
    [
        (Protocol.V5, 0x84, "UnsupportedProtocolVersion"),
        (Protocol.V5, 0x85, "ClientIdentifierNotValid"),
        (Protocol.V5, 0x86, "BadUserNameOrPassword"),
        (Protocol.V5, 0x87, "NotAuthorized"),
        (Protocol.V5, 0x88, "ServerUnavailable"),
        (Protocol.V5, 0x8A, "Banned"),
        (Protocol.V5, 0xF0, "BrokerRefused"),
        (Protocol.V311, 1, "UnsupportedProtocolVersion"),
        (Protocol.V311, 2, "ClientIdentifierNotValid"),
        (Protocol.V311, 3, "ServerUnavailable"),
        (Protocol.V311, 4, "BadUserNameOrPassword"),
        (Protocol.V311, 5, "NotAuthorized"),
        (Protocol.V311, 77, "UnspecifiedError"),
    ],
)
async def test_a_broker_that_refuses_us_is_quoted(
    protocol: Protocol, code: int, reason: str
) -> None:
    is_v5 = protocol is Protocol.V5
    refusal = bytes((0x20, 0x03, 0, code, 0)) if is_v5 else bytes((0x20, 0x02, 0, code))
    async with scripted(refusal, protocol) as (where, _):
        with pytest.raises(connection.ConnectionFailedError, match="refuses us: ") as refused:
            await connection.BrokerConnection.open(where, name="a", received=nothing)
    assert refused.value.reason == reason


async def test_a_broker_without_qos_1_is_of_no_use_and_it_is_said() -> None:
    limits = broker_packets.block(PacketTypes.CONNACK, {"MaximumQoS": 0})
    answer = broker_packets.packet(0x20, b"\x00\x00" + limits)
    async with scripted(answer, Protocol.V5) as (where, _):
        with pytest.raises(connection.ConnectionFailedError, match="no QoS 1"):
            await connection.BrokerConnection.open(where, name="a", received=nothing)


async def test_no_more_wait_for_their_answer_than_the_broker_allows(tmp_path: Path) -> None:
    with mosquitto.Broker(tmp_path / "broker", extra="max_inflight_messages 5") as broker:
        async with opened(connection.Address(broker.host, broker.port)) as link:
            broker.pause()
            for _ in range(5):
                link.publish("t", b"x", qos=1)
            assert not link.has_room
            with pytest.raises(connection.NotSentError, match="Busy"):
                link.publish("t", b"x", qos=1)
            broker.resume()
            await eventually(lambda: link.has_room)
            await link.deliver("t", b"again")


async def test_what_is_longer_than_the_broker_reads_is_not_sent_and_ends_nothing(
    tmp_path: Path,
) -> None:
    with mosquitto.Broker(tmp_path / "broker", extra="max_packet_size 1000") as broker:
        async with opened(connection.Address(broker.host, broker.port)) as link:
            with pytest.raises(connection.NotSentError, match="CommandTooLarge"):
                link.publish("t", b"x" * 1000, qos=1, within=5.0)
            await link.deliver("t", b"x" * 900)
            assert link.is_open


@PROTOCOLS
async def test_a_quiet_session_is_kept_alive(
    broker: mosquitto.Broker, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosquitto ends a session that is silent for one and a half times the interval."""
    monkeypatch.setattr(session, "KEEPALIVE_SECONDS", 1)
    async with opened(connection.Address(broker.host, broker.port, protocol)) as link:
        await asyncio.sleep(4)
        assert link.is_open


async def test_the_brokers_own_interval_takes_the_place_of_ours() -> None:
    limits = broker_packets.block(PacketTypes.CONNACK, {"ServerKeepAlive": 1})
    answer = broker_packets.packet(0x20, b"\x00\x00" + limits)
    async with (
        scripted(answer, Protocol.V5) as (where, heard),
        opened(where),
    ):
        await asyncio.sleep(1.5)
        assert b"\xc0\x00" in heard


async def test_silence_of_a_broker_that_is_not_read_from_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "KEEPALIVE_SECONDS", 1)
    async with (
        scripted(accepted(Protocol.V5), Protocol.V5) as (where, heard),
        opened(where) as link,
    ):
        link._stream.pause()
        await eventually(lambda: b"\xc0\x00" in heard)
        await asyncio.sleep(2.5)
        assert link.is_open


async def test_a_number_that_waits_for_its_answer_is_not_given_again() -> None:
    async with scripted(accepted(Protocol.V5), Protocol.V5) as (where, heard):
        async with opened(where) as link:
            for last in (0, 65535):  # the numbers have gone round
                link._number = last
                link.publish("t", b"", qos=1)
            await eventually(lambda: len(b"".join(heard)) == 16)
        sent = b"".join(heard)
    assert [sent[at + 5 : at + 7] for at in (0, 8)] == [b"\x00\x01", b"\x00\x02"]


async def test_a_broker_that_wants_to_hear_little_is_asked_as_often_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that broke without a word would be noticed after its interval only."""
    monkeypatch.setattr(session, "KEEPALIVE_SECONDS", 1)
    limits = broker_packets.block(PacketTypes.CONNACK, {"ServerKeepAlive": 3600})
    answer = broker_packets.packet(0x20, b"\x00\x00" + limits)
    async with scripted(answer, Protocol.V5) as (where, heard), opened(where):
        await eventually(lambda: b"\xc0\x00" in heard)


@PROTOCOLS
async def test_nothing_is_taken_from_who_has_not_accepted_the_session(protocol: Protocol) -> None:
    message = broker_packets.packet(0x30, b"\x00\x01t" + b"\x00" * (protocol is Protocol.V5))
    async with scripted(message + accepted(protocol), protocol) as (where, _):
        with pytest.raises(connection.ConnectionFailedError, match="before it accepted"):
            async with opened(where):
                pass


async def test_a_broker_that_never_answers_a_subscription_is_left_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing would be heard, and the session would look as if all were well."""
    monkeypatch.setattr(connection, "SUBSCRIBE_SECONDS", 0.1)
    async with (
        scripted(accepted(Protocol.V5), Protocol.V5) as (where, _),
        opened(where) as link,
    ):
        with pytest.raises(connection.ConnectionFailedError, match="does not answer"):
            await link.subscribe(["t"])
        assert link.closed.done()


async def test_many_subscriptions_end_in_packets_of_the_size_in_which_they_began() -> None:
    async with scripted(accepted(Protocol.V311), Protocol.V311) as (where, heard):
        async with opened(where) as link:
            link.unsubscribe([f"rooms/{number}" for number in range(250)])
        await eventually(lambda: b"".join(heard).endswith(b"\xe0\x00"))
    stream, at, sizes = b"".join(heard), 0, list[int]()
    while stream[at] == 0xA2:
        size, begin = fields.read_variable(stream, at + 1, len(stream))
        sizes.append(stream[begin : begin + size].count(b"rooms/"))
        at = begin + size
    assert sizes == [100, 100, 50]


@PROTOCOLS
@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "closed"])
async def test_the_will_is_published_when_a_session_breaks_and_only_then(
    place: Place, protocol: Protocol, is_reset: bool
) -> None:
    arrivals = Arrivals()
    will = session.Will("wills/a", b"broken")
    async with opened(place(protocol), arrivals) as ear:
        await ear.subscribe(["wills/+"])
        async with opened(place(protocol), will=will, carries_commands=True) as link:
            if is_reset:
                link._reset("the test says so")
        await ear.deliver("wills/end", b"")
        if is_reset:
            await arrivals.until(2)
        else:
            await asyncio.sleep(0.2)
    assert ("broken" in [each.payload.decode() for each in arrivals.messages]) is is_reset


@PROTOCOLS
async def test_what_one_read_brought_is_acknowledged_in_one_write_in_order(
    protocol: Protocol,
) -> None:
    middle = b"\x00" if protocol is Protocol.V5 else b""
    numbers = range(1, 31)
    burst = b"".join(
        broker_packets.packet(0x32, b"\x00\x01t" + number.to_bytes(2, "big") + middle)
        for number in numbers
    )
    arrivals = Arrivals()
    async with (
        scripted(accepted(protocol) + burst, protocol) as (where, heard),
        opened(where, arrivals),
    ):
        await arrivals.until(30)
        await eventually(lambda: bool(heard))
        assert heard == [b"".join(b"\x40\x02" + each.to_bytes(2, "big") for each in numbers)]


@PROTOCOLS
@pytest.mark.parametrize("count", [1, 20])
async def test_a_burst_is_acknowledged_before_it_is_worked_off_so_that_the_newest_can_come(
    protocol: Protocol, count: int
) -> None:
    """A lone message is not: its command goes first."""
    middle = b"\x00" if protocol is Protocol.V5 else b""
    message = broker_packets.packet(0x32, b"\x00\x01t\x00\x07" + middle)
    waiting: list[int] = []
    links: list[connection.BrokerConnection] = []
    async with (
        scripted(accepted(protocol), protocol) as (where, _),
        opened(where, lambda _: waiting.append(len(links[0]._stream._pubacks))) as link,
    ):
        links.append(link)
        link._stream._read(message * count)
        await eventually(lambda: len(waiting) == count)
    assert waiting == ([4] if count == 1 else [0] * count)


@PROTOCOLS
async def test_what_a_message_leads_to_leaves_before_or_with_its_acknowledgement(
    protocol: Protocol,
) -> None:
    """A command must not wait for a write that nobody waits for; on its own session it joins it."""
    middle = b"\x00" if protocol is Protocol.V5 else b""
    message = broker_packets.packet(0x32, b"\x00\x01t\x00\x07" + middle)
    links: list[connection.BrokerConnection] = []
    async with scripted(accepted(protocol), protocol) as (where, heard):
        async with opened(where, lambda _: links[0].publish("c", b"", qos=1)) as link:
            links.append(link)
            link._stream._read(message)
            await eventually(lambda: bool(heard))
        assert heard[0].startswith(b"\x40\x02\x00\x07\x32")


@pytest.mark.parametrize(("qos", "quick"), [(0, True), (1, False)])
async def test_what_nothing_goes_back_for_is_acknowledged_by_the_kernel_at_once(
    qos: int, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker with Nagle's algorithm on holds the next message back until then: for 40 ms."""
    options: list[int] = []
    really = socket.socket.setsockopt

    def note(self: socket.socket, level: int, option: int, value: int) -> None:
        options.append(option)
        really(self, level, option, value)

    message = broker_packets.packet(0x30 | qos << 1, b"\x00\x01t" + b"\x00\x07" * qos)
    async with (
        scripted(accepted(Protocol.V311), Protocol.V311) as (where, _),
        opened(where, lambda _: None) as link,
    ):
        monkeypatch.setattr(socket.socket, "setsockopt", note)
        link._stream._read(message)
        assert (socket.TCP_QUICKACK in options) is quick


async def test_a_reset_reaches_the_broker_as_one() -> None:
    """What the kernel still holds is thrown away: the other side reads no command after it."""
    broken: list[BaseException] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(accepted(Protocol.V5))
        try:
            while await reader.read(65536):
                pass
        except ConnectionError as error:
            broken.append(error)

    async with served(handle) as port:
        async with opened(connection.Address("127.0.0.1", port), carries_commands=True) as link:
            link.publish("t", b"late", qos=1, within=0.1)
            async with asyncio.timeout(patience.SECONDS):
                await asyncio.shield(link.closed)
        await eventually(lambda: bool(broken))
    assert isinstance(broken[0], ConnectionResetError)


async def test_a_broker_that_sends_and_does_not_read_ends_the_session_before_memory_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its messages are to be acknowledged, and it takes no acknowledgement.

    The kernel's buffers hold megabytes of these: on a busy machine the time limit of bytes that the
    network does not take would be over first.
    """
    monkeypatch.setattr(socket_watch, "MAXIMUM_UNSENT", 10_000)
    monkeypatch.setattr(socket_watch, "UNSENT_MILLISECONDS", 60_000)
    message = broker_packets.packet(0x32, b"\x00\x01t\x00\x07")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        reader._limit = 1  # type: ignore[attr-defined]  # nothing more is read, but the end
        writer.write(accepted(Protocol.V311))
        while True:
            writer.write(message * 10_000)
            await writer.drain()

    async with served(handle) as port:
        where = connection.Address("127.0.0.1", port, Protocol.V311)
        async with opened(where, lambda _: None, is_aside=True) as link, asyncio.timeout(60):
            assert "takes no more" in await asyncio.shield(link.closed)


def test_a_connection_that_nobody_waits_for_any_more_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that opens it cannot be stopped, and may be slower than the loop's end."""
    ours, theirs = socket.socketpair()
    may_open = threading.Event()

    def slow(_: connection.Address) -> session.OpenedSocket:
        may_open.wait(patience.SECONDS)
        return session.OpenedSocket(ours, None)

    async def give_up() -> None:
        opening = asyncio.ensure_future(session.connected(connection.Address("127.0.0.1", 1)))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()

    monkeypatch.setattr(session, "_connected", slow)
    asyncio.run(give_up())
    may_open.set()
    with theirs:
        theirs.settimeout(patience.SECONDS)
        assert theirs.recv(1) == b"", "the other side hears that it was closed"


async def test_a_session_whose_opener_is_cancelled_as_it_is_accepted_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would stay open for as long as the process lives, and nobody would know of it."""
    openings: list[asyncio.Task[connection.BrokerConnection]] = []
    really = connection.BrokerConnection._on_connect_answer

    def accept(self: connection.BrokerConnection, answer: decode.ConnectAnswer) -> None:
        really(self, answer)
        openings[0].cancel()

    monkeypatch.setattr(connection.BrokerConnection, "_on_connect_answer", accept)
    async with scripted(accepted(Protocol.V5), Protocol.V5) as (where, _):
        opening = connection.BrokerConnection.open(where, name="a", received=nothing)
        openings.append(asyncio.ensure_future(opening))
        await asyncio.wait(openings)
        assert openings[0].cancelled()


async def test_a_subscription_that_mqtt_3_1_1_refuses_is_denied_too() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(accepted(Protocol.V311))
        asked = await reader.read(4096)
        writer.write(b"\x90\x04" + asked[2:4] + b"\x01\x80")
        await reader.read()

    async with (
        served(handle) as port,
        opened(connection.Address("127.0.0.1", port, Protocol.V311)) as link,
    ):
        assert await link.subscribe(["granted", "denied"]) == ("denied",)
        assert link.denials.denied(denials.TopicUse.LISTEN) == ("denied",)
