"""The agent's side of a broker: two connections, kept up through faults, as engine events."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foreshore_agent.devices.mqtt import broker as brokers
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import effects, events
from foreshore_api.v1alpha1 import deviceprofile, site
from foreshore_api.v1alpha1.device import DeviceSpec
from foreshore_api.wire import assignment, beat, command
from harness import mosquitto

pytestmark = pytest.mark.component


class Engine:
    """What the runtime is to a broker."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[events.Event] = asyncio.Queue()
        self.requests: asyncio.Queue[beat.RenewalRequest] = asyncio.Queue()
        self.counts: dict[str, int] = {}
        self._numbers = itertools.count()

    def stamp(self) -> tuple[events.Instant, str]:
        return events.Instant(datetime.now(UTC), 0.0, 0.0), str(next(self._numbers))

    def calls(self) -> brokers.Calls:
        return brokers.Calls(self.events.put_nowait, self.requests.put_nowait, self.count)

    def count(self, result: str) -> None:
        self.counts[result] = self.counts.get(result, 0) + 1

    async def next(self) -> events.Event:
        async with asyncio.timeout(15):
            return await self.events.get()


def a_site(broker: mosquitto.Broker) -> assignment.AssignedSite:
    spec = site.SiteSpec(
        broker=site.Broker(host=broker.host, port=broker.port, transport=site.Transport.PLAIN)
    )
    return assignment.AssignedSite(namespace="hq", name="hq", spec=spec)


def a_command(device: str = "room-301") -> effects.Command:
    now = datetime.now(UTC)
    policy, key = events.Key("hq", "ventilate"), events.Key("hq", device)
    return effects.Command(
        "d/1", 1, policy, key, "air", {"value": 1.0}, "edge-1", 7, 8, now, now, 5.0, 9e9
    )


def a_device(name: str) -> assignment.AssignedDevice:
    profile = deviceprofile.DeviceProfileSpec(
        mqtt=deviceprofile.Mqtt(
            telemetry_topic="{site}/{device}/telemetry",
            command_topic="{site}/{device}/command",
            acknowledgement_topic="{site}/{device}/ack",
        ),
        properties=(deviceprofile.Property(name="co2"),),
    )
    spec = DeviceSpec(profile_ref={"name": "room"}, site="hq")
    return assignment.AssignedDevice(
        namespace="hq", name=name, uid="u", generation=1, digest="d", spec=spec, profile=profile
    )


@asynccontextmanager
async def running(
    broker: mosquitto.Broker, node: str = "edge-1", *devices: str
) -> AsyncIterator[tuple[brokers.Broker, Engine]]:
    engine = Engine()
    side = brokers.Broker(node, engine.stamp, engine.calls())
    side.assign(a_site(broker), [a_device(name) for name in devices], None)
    task = asyncio.create_task(side.run())
    try:
        yield side, engine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def nothing(_: connection.Message) -> None:
    return None


async def outside(
    broker: mosquitto.Broker, received: connection.Received | None = None
) -> connection.Connection:
    return await connection.Connection.open(
        connection.Address(broker.host, broker.port), name="outside", received=received or nothing
    )


async def up(engine: Engine) -> None:
    changed = await engine.next()
    assert isinstance(changed, events.BrokerChanged)
    assert changed.connected
    await asyncio.sleep(0.1)  # telemetry has a connection of its own


async def test_samples_and_answers_arrive_as_events_of_their_device(
    broker: mosquitto.Broker,
) -> None:
    async with running(broker, "edge-1", "room-301", "room-302") as (_, engine):
        await up(engine)
        device = await outside(broker)
        await device.deliver("hq/room-302/telemetry", b'{"co2": 700}')
        sample = await engine.next()
        assert isinstance(sample, events.Sample)
        assert (sample.device, sample.values) == (events.Key("hq", "room-302"), {"co2": 700.0})
        said = command.Acknowledgement(command_id="x/1", result=command.Result.DONE)
        await device.deliver("hq/room-301/ack", said.encode())
        answer = await engine.next()
        assert isinstance(answer, events.Acknowledged)
        assert (answer.device.name, answer.acknowledgement) == ("room-301", said)
        await device.deliver("hq/room-301/telemetry", b"{nonsense")
        await device.deliver("hq/room-301/telemetry", b'{"co2": 1}')
        await engine.next()
        assert engine.counts == {"Accepted": 3, "InvalidJSON": 1}
        await device.close()


async def test_a_retained_sample_is_counted_and_decides_nothing(broker: mosquitto.Broker) -> None:
    device = await outside(broker)
    device._client.publish("hq/room-301/telemetry", b'{"co2": 5000}', qos=1, retain=True)
    await device.deliver("elsewhere", b"")
    async with running(broker, "edge-1", "room-301") as (_, engine):
        await up(engine)
        await device.deliver("hq/room-301/telemetry", b'{"co2": 400}')
        sample = await engine.next()
        assert isinstance(sample, events.Sample)
        assert sample.values == {"co2": 400.0}
        assert engine.counts["Retained"] == 1
        await device.close()


async def test_a_command_leaves_once_and_fails_at_once_when_the_broker_is_gone(
    broker: mosquitto.Broker,
) -> None:
    effect = a_command()
    async with running(broker, "edge-1", "room-301") as (side, engine):
        assert side.command(effect) == "NotConnected"
        await up(engine)
        assert side.command(effect) is None
        broker.kill()
        down = await engine.next()
        assert isinstance(down, events.BrokerChanged)
        assert not down.connected
        assert side.command(effect) == "NotConnected"
        broker.start()
        heard: list[connection.Message] = []
        device = await outside(broker, heard.append)
        await device.subscribe(["hq/#"])
        await up(engine)
        assert side.command(effect) is None
        await asyncio.sleep(0.2)
        sent = [command.Command.decode(each.payload).command_id for each in heard]
        assert sent == ["d/1"], "what failed must not follow later"
        await device.close()


async def test_topics_and_brokers_change_without_a_restart(broker: mosquitto.Broker) -> None:
    async with running(broker, "edge-1", "room-301") as (side, engine):
        await up(engine)
        side.assign(a_site(broker), [a_device("room-302")], None)
        await asyncio.sleep(0.3)
        device = await outside(broker)
        await device.deliver("hq/room-301/telemetry", b'{"co2": 1}')
        await device.deliver("hq/room-302/telemetry", b'{"co2": 2}')
        sample = await engine.next()
        assert isinstance(sample, events.Sample)
        assert sample.device.name == "room-302"
        assert side.is_connected
        side.assign(None, [], None)
        down = await engine.next()
        assert isinstance(down, events.BrokerChanged)
        assert not down.connected
        await device.close()


async def test_agents_hear_each_other_and_relay_renewals(broker: mosquitto.Broker) -> None:
    async with running(broker, "edge-1") as (holder, one), running(broker, "edge-2") as (peer, two):
        await up(one)
        await up(two)
        said = beat.Beat(node="edge-1", boot_id="b", sequence=1, has_hub=False)
        assert holder.live(said)
        heard = await two.next()
        assert isinstance(heard, events.PeerBeat)
        assert heard.beat == said
        held = (beat.Held(namespace="hq", device="room-301", epoch=2),)
        request = beat.RenewalRequest(node="edge-1", boot_id="b", number=4, held=held)
        assert holder.ask(request)
        assert await asyncio.wait_for(two.requests.get(), 10) == request
        renewal = beat.Renewal(node="edge-1", boot_id="b", number=4, devices=())
        assert peer.answer(renewal)
        renewed = await one.next()
        assert isinstance(renewed, events.Renewed)
        assert renewed.renewal == renewal


async def test_why_there_is_no_session_is_known_until_there_is_one(
    broker: mosquitto.Broker,
) -> None:
    broker.stop()
    async with running(broker) as (side, engine):
        async with asyncio.timeout(15):
            while side.problem is None:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.05)
        assert f"{broker.host}:{broker.port}" in side.problem
        broker.restart()
        await up(engine)
        assert side.problem is None
        broker.stop()
        async with asyncio.timeout(15):
            while side.problem is None:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.05)
        assert not side.is_connected


async def test_a_credential_that_the_broker_does_not_take_is_said_in_words(
    tls_broker: mosquitto.Broker, tmp_path: Path
) -> None:
    place = tls_broker.credential(tmp_path, "hq-broker")
    (place / "tls.crt").unlink()
    engine = Engine()
    side = brokers.Broker("edge-1", engine.stamp, engine.calls())
    spec = site.SiteSpec(
        broker=site.Broker(host=tls_broker.host, port=tls_broker.port, credential="hq-broker")
    )
    side.assign(assignment.AssignedSite(namespace="hq", name="hq", spec=spec), [], tmp_path)
    task = asyncio.create_task(side.run())
    try:
        async with asyncio.timeout(15):
            while side.problem is None:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.05)
        assert not side.is_connected
        assert f"{tls_broker.host}:{tls_broker.port}" in side.problem
        assert "it was shown the credential hq-broker" in side.problem
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
