"""One session with a real Mosquitto: both protocols, TLS, faults."""

import asyncio
import socket
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builders import patience
from builders.arrivals import Arrivals, nothing
from foreshore_agent.devices.mqtt import connection
from foreshore_api.v1alpha1 import site
from foreshore_decision.instant import Instant
from harness import mosquitto, process

pytestmark = pytest.mark.component

BOTH = pytest.mark.parametrize("protocol", list(site.Protocol))


def address(
    broker: mosquitto.Broker, protocol: site.Protocol = site.Protocol.V5
) -> connection.Address:
    return connection.Address(broker.host, broker.port, protocol)


@BOTH
async def test_messages_go_round(broker: mosquitto.Broker, protocol: site.Protocol) -> None:
    inbox = Arrivals()
    hears = await connection.BrokerConnection.open(
        address(broker, protocol), name="hears", received=inbox
    )
    assert await hears.subscribe([f"room/{i}" for i in range(250)]) == ()
    says = await connection.BrokerConnection.open(
        address(broker, protocol), name="says", received=nothing
    )
    says.publish("room/7", b"zero", qos=0)
    await says.deliver("room/8", b"one")
    says.publish("room/9", b"expiring", qos=1, expiry=5, within=5.0)
    got = await inbox.until(3)
    assert [(each.topic, each.payload, each.retained) for each in got] == [
        ("room/7", b"zero", False),
        ("room/8", b"one", False),
        ("room/9", b"expiring", False),
    ]
    hears.unsubscribe(["room/7"])
    says.publish("room/7", b"gone")
    await says.deliver("room/8", b"still")
    await inbox.until(4)
    assert inbox.messages[-1].payload == b"still"
    await says.close()
    await hears.close()
    assert says.closed.result() == "closed"


async def test_nagle_is_switched_off(broker: mosquitto.Broker) -> None:
    opened = await connection.BrokerConnection.open(address(broker), name="a", received=nothing)
    assert opened._stream._socket._raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    await opened.close()


@BOTH
async def test_tls_with_a_client_certificate(
    tls_broker: mosquitto.Broker, protocol: site.Protocol, tmp_path: Path
) -> None:
    tls_broker.credential(tmp_path / "credentials", "hq-broker")
    inbox = Arrivals()
    opened = await connection.BrokerConnection.open(
        connection.Address(
            tls_broker.host, tls_broker.port, protocol, "hq-broker", tmp_path / "credentials"
        ),
        name="a",
        received=inbox,
    )
    await opened.subscribe(["t"])
    for number in range(300):
        opened.publish("t", b"%d" % number + b"." * 500)
    got = await inbox.until(300)
    assert [int(each.payload.rstrip(b".")) for each in got] == list(range(300)), (
        "bytes that TLS had decrypted already were left lying"
    )
    await opened.close()


async def test_a_server_name_other_than_the_address_is_checked(
    tls_broker: mosquitto.Broker, tmp_path: Path
) -> None:
    tls_broker.credential(tmp_path, "c")
    right = connection.Address(
        tls_broker.host, tls_broker.port, site.Protocol.V5, "c", tmp_path, "localhost"
    )
    opened = await connection.BrokerConnection.open(right, name="a", received=nothing)
    await opened.close()
    wrong = connection.Address(
        tls_broker.host, tls_broker.port, site.Protocol.V5, "c", tmp_path, "elsewhere.example"
    )
    with pytest.raises(connection.ConnectionFailedError, match=r"elsewhere\.example"):
        await connection.BrokerConnection.open(wrong, name="a", received=nothing)


async def test_a_stranger_without_a_certificate_is_refused(
    tls_broker: mosquitto.Broker, tmp_path: Path
) -> None:
    place = tls_broker.credential(tmp_path, "c")
    (place / "tls.crt").unlink()
    where = connection.Address(tls_broker.host, tls_broker.port, site.Protocol.V5, "c", tmp_path)
    with pytest.raises(connection.ConnectionFailedError):
        await connection.BrokerConnection.open(where, name="a", received=nothing)


async def test_a_missing_credential_is_named_and_no_plain_connection_is_made(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    where = connection.Address(broker.host, broker.port, site.Protocol.V5, "absent", tmp_path)
    with pytest.raises(connection.ConnectionFailedError, match="'absent'"):
        await connection.BrokerConnection.open(where, name="a", received=nothing)


async def test_nobody_at_home_is_said_with_the_address() -> None:
    port = process.free_port()
    with pytest.raises(connection.ConnectionFailedError, match=f"127.0.0.1:{port}"):
        await connection.BrokerConnection.open(
            connection.Address("127.0.0.1", port), name="a", received=nothing
        )


async def test_a_broken_session_is_over_and_sends_nothing_ever_again(
    broker: mosquitto.Broker,
) -> None:
    opened = await connection.BrokerConnection.open(address(broker), name="a", received=nothing)
    broker.kill()
    async with asyncio.timeout(patience.SECONDS):
        await asyncio.shield(opened.closed)
    with pytest.raises(connection.NotSentError, match="NotConnected"):
        opened.publish("t", b"late", qos=1, within=5.0)
    broker.start()
    await asyncio.sleep(0.3)
    assert not opened.is_open
    inbox = Arrivals()
    hears = await connection.BrokerConnection.open(address(broker), name="b", received=inbox)
    await hears.subscribe(["t"])
    await hears.deliver("t", b"only this")
    assert [each.payload for each in await inbox.until(1)] == [b"only this"]
    await hears.close()


async def test_a_broker_that_hangs_is_noticed_by_keep_alive(broker: mosquitto.Broker) -> None:
    opened = await connection.BrokerConnection.open(address(broker), name="a", received=nothing)
    broker.pause()
    async with asyncio.timeout(15):
        await asyncio.shield(opened.closed)
    broker.resume()


def flood(opened: connection.BrokerConnection) -> None:
    for _ in range(1000):
        opened.publish("t", b"x" * 60000, within=5.0)


async def test_a_command_that_the_network_does_not_take_ends_the_session(
    broker: mosquitto.Broker,
) -> None:
    opened = await connection.BrokerConnection.open(address(broker), name="a", received=nothing)
    broker.pause()
    with pytest.raises(connection.NotSentError, match="Congested"):
        flood(opened)
    assert not opened.is_open
    broker.resume()


async def test_a_message_that_its_taker_chokes_on_does_not_end_the_session(
    broker: mosquitto.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Arrivals()

    def choke(message: connection.MqttMessage) -> None:
        if message.payload == b"bad":
            raise ValueError("choked")
        inbox(message)

    opened = await connection.BrokerConnection.open(address(broker), name="a", received=choke)
    await opened.subscribe(["t"])
    await opened.deliver("t", b"bad")
    await opened.deliver("t", b"good")
    await inbox.until(1)
    assert "could not be taken" in caplog.text
    await opened.close()


async def test_a_command_that_nobody_acknowledged_in_time_is_not_sent_again_later(
    broker: mosquitto.Broker,
) -> None:
    opened = await connection.BrokerConnection.open(
        address(broker), name="a", received=nothing, carries_commands=True
    )
    broker.pause()
    opened.publish("t", b"late", qos=1, within=0.2)
    async with asyncio.timeout(patience.SECONDS):
        assert await opened.closed == "a command was not acknowledged in time"
    assert not opened.is_open
    broker.resume()


async def test_a_command_that_was_acknowledged_in_time_ends_no_session(
    broker: mosquitto.Broker,
) -> None:
    opened = await connection.BrokerConnection.open(
        address(broker), name="a", received=nothing, carries_commands=True
    )
    opened.publish("t", b"in time", qos=1, within=0.3)
    await opened.deliver("t", b"next")
    await asyncio.sleep(0.5)
    assert opened.is_open
    await opened.close()


async def test_a_cut_throws_away_the_commands_that_the_kernel_still_holds(
    broker: mosquitto.Broker,
) -> None:
    opened = await connection.BrokerConnection.open(
        address(broker), name="a", received=nothing, carries_commands=True
    )
    other = await connection.BrokerConnection.open(address(broker), name="b", received=nothing)
    for each, is_reset in ((opened, 1), (other, 0)):
        linger = each._stream._socket._raw.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (is_reset, 0)
        await each.close()


async def test_a_message_is_dated_when_it_arrives_not_when_its_turn_comes(
    broker: mosquitto.Broker,
) -> None:
    inbox = Arrivals()
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    def slow(message: connection.MqttMessage) -> None:
        assert message.at is not None
        delays.append(loop.time() - message.at.monotonic)
        time.sleep(0.005)
        inbox(message)

    hears = await connection.BrokerConnection.open(
        address(broker),
        name="h",
        received=slow,
        now=lambda: Instant(datetime.now(UTC), loop.time(), loop.time()),
    )
    await hears.subscribe(["t"], qos=0)
    says = await connection.BrokerConnection.open(address(broker), name="s", received=nothing)
    for _ in range(100):
        says.publish("t", b"x")
    await inbox.until(100)
    assert max(delays) > 0.02, "those that waited are as old as they are"
    await says.close()
    await hears.close()
