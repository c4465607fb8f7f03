"""The agent's side of a broker: two connections, kept up through faults, as engine events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from paho.mqtt import publish

from builders import patience, site_side
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import beat, command
from harness import mosquitto

pytestmark = pytest.mark.component


def plain(broker: mosquitto.Broker) -> site.Broker:
    return site.Broker(host=broker.host, port=broker.port, transport=site.Transport.PLAIN)


@contextlib.asynccontextmanager
async def running(
    broker: mosquitto.Broker, node: str = "edge-1", *devices: str
) -> AsyncIterator[site_side.SiteSide]:
    side = site_side.SiteSide(node)
    side.assign(plain(broker), devices)
    async with side.running():
        yield side


def nothing(_: connection.MqttMessage) -> None:
    return None


async def outside(
    broker: mosquitto.Broker, received: connection.Received | None = None
) -> connection.BrokerConnection:
    return await connection.BrokerConnection.open(
        connection.Address(broker.host, broker.port), name="outside", received=received or nothing
    )


async def test_samples_and_answers_arrive_as_events_of_their_device(
    broker: mosquitto.Broker,
) -> None:
    async with running(broker, "edge-1", "room-301", "room-302") as side:
        await side.up()
        device = await outside(broker)
        await device.deliver("hq/room-302/telemetry", b'{"co2": 700}')
        sample = await side.next()
        assert isinstance(sample, events.Sample)
        assert (sample.device, sample.values) == (events.Key("hq", "room-302"), {"co2": 700.0})
        said = command.Acknowledgement(command_id="x/1", result=command.Result.DONE)
        await device.deliver("hq/room-301/ack", said.encode())
        answer = await side.next()
        assert isinstance(answer, events.Acknowledged)
        assert (answer.device.name, answer.acknowledgement) == ("room-301", said)
        await device.deliver("hq/room-301/telemetry", b"{}")
        await device.deliver("hq/room-301/telemetry", b'{"co2": 1}')
        await side.next()
        assert side.counts == {"Accepted": 1, "NoProperty": 1}, "the engine counts samples"
        await device.close()


async def test_a_retained_sample_is_counted_and_decides_nothing(broker: mosquitto.Broker) -> None:
    device = await outside(broker)
    await asyncio.to_thread(
        publish.single,
        "hq/room-301/telemetry",
        b'{"co2": 5000}',
        qos=1,
        retain=True,
        hostname=broker.host,
        port=broker.port,
    )
    async with running(broker, "edge-1", "room-301") as side:
        await side.up()
        await device.deliver("hq/room-301/telemetry", b'{"co2": 400}')
        sample = await side.next()
        assert isinstance(sample, events.Sample)
        assert sample.values == {"co2": 400.0}
        assert side.counts["Retained"] == 1
        await device.close()


async def test_a_command_leaves_once_and_fails_at_once_when_the_broker_is_gone(
    broker: mosquitto.Broker,
) -> None:
    effect = site_side.command()
    async with running(broker, "edge-1", "room-301") as side:
        assert side.devices.send(effect) == "NotConnected"
        await side.up()
        assert side.devices.send(effect) is None
        broker.kill()
        down = await side.next()
        assert isinstance(down, events.BrokerChanged)
        assert not down.connected
        assert side.devices.send(effect) == "NotConnected"
        assert side.telemetry == [True, False], "what was not heard is a gap of windows"
        broker.start()
        heard: list[connection.MqttMessage] = []
        device = await outside(broker, heard.append)
        await device.subscribe(["hq/#"])
        await side.up()
        assert side.devices.send(effect) is None
        await asyncio.sleep(0.2)
        sent = [command.Command.decode(each.payload).command_id for each in heard]
        assert sent == ["d/1"], "what failed must not follow later"
        await device.close()


async def test_topics_and_brokers_change_without_a_restart(broker: mosquitto.Broker) -> None:
    async with running(broker, "edge-1", "room-301") as side:
        await side.up()
        side.assign(plain(broker), ["room-302"])
        await asyncio.sleep(0.3)
        device = await outside(broker)
        await device.deliver("hq/room-301/telemetry", b'{"co2": 1}')
        await device.deliver("hq/room-302/telemetry", b'{"co2": 2}')
        sample = await side.next()
        assert isinstance(sample, events.Sample)
        assert sample.device.name == "room-302"
        assert side.broker.is_connected
        side.assign(None)
        down = await side.next()
        assert isinstance(down, events.BrokerChanged)
        assert not down.connected
        await device.close()


async def test_agents_hear_each_other_and_relay_renewals(broker: mosquitto.Broker) -> None:
    async with running(broker, "edge-1") as holder, running(broker, "edge-2") as peer:
        await holder.up()
        await peer.up()
        own = beat.Beat(node="edge-1", boot_id="b", sequence=1, has_hub=False)
        assert holder.exchange.announce(own)
        heard = await peer.next()
        assert isinstance(heard, events.PeerBeat)
        assert heard.beat == own
        held = (beat.Held(namespace="hq", device="room-301", epoch=2),)
        request = beat.RenewalRequest(node="edge-1", boot_id="b", number=4, held=held)
        assert holder.exchange.ask(request)
        assert await asyncio.wait_for(peer.requests.get(), patience.SECONDS) == request
        renewal = beat.Renewal(node="edge-1", boot_id="b", number=4, devices=())
        assert peer.exchange.answer(renewal)
        renewed = await holder.next()
        assert isinstance(renewed, events.Renewed)
        assert renewed.renewal == renewal


async def test_why_there_is_no_session_is_known_until_there_is_one(
    broker: mosquitto.Broker,
) -> None:
    broker.stop()
    async with running(broker) as side:
        async with asyncio.timeout(patience.SECONDS):
            while side.broker.problem is None:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.05)
        assert f"{broker.host}:{broker.port}" in side.broker.problem
        broker.restart()
        await side.up()
        assert side.broker.problem is None
        broker.stop()
        async with asyncio.timeout(patience.SECONDS):
            while side.broker.problem is None:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.05)
        assert not side.broker.is_connected


async def test_a_credential_that_the_broker_does_not_take_is_said_in_words(
    tls_broker: mosquitto.Broker, tmp_path: Path
) -> None:
    place = tls_broker.credential(tmp_path, "hq-broker")
    (place / "tls.crt").unlink()
    side = site_side.SiteSide(credentials=tmp_path)
    where = site.Broker(host=tls_broker.host, port=tls_broker.port, credential="hq-broker")
    side.assign(where)
    async with side.running(), asyncio.timeout(patience.SECONDS):
        while side.broker.problem is None:  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.05)
    assert not side.broker.is_connected
    assert f"{tls_broker.host}:{tls_broker.port}" in side.broker.problem
    assert "it was shown the credential hq-broker" in side.broker.problem
