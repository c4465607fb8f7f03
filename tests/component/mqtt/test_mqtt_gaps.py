"""A door that speaks only when it moves, on a real broker: gaps, new readers, last wills."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from builders import cold_store, patience
from builders.cold_store import ColdStore
from builders.engine_rig import DEVICE, assign
from foreshore_agent import clocks, refusals
from foreshore_agent.devices.mqtt import broker as brokers
from foreshore_agent.devices.mqtt import connection, devices
from foreshore_agent.engine import events, step
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment
from harness import mosquitto

pytestmark = pytest.mark.component

TELEMETRY = "hq/room-301/telemetry"
AVAILABILITY = "hq/room-301/availability"
CLOSED, OPEN = b'{"contact": true}', b'{"contact": false}'
BOTH = pytest.mark.parametrize("protocol", list(site.Protocol))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    """One that keeps retained messages over a restart."""
    with mosquitto.Broker(tmp_path / "broker", persistence=True) as started:
        yield started


class Agent:
    """An engine on a bench that hears what a real broker delivers, as it comes."""

    def __init__(self, broker: mosquitto.Broker, protocol: site.Protocol) -> None:
        self.store = ColdStore()
        self.spec = site.Broker(
            host=broker.host,
            port=broker.port,
            protocol=protocol,
            transport=site.Transport.PLAIN,
        )
        self.is_up = False
        self.voided: list[float | None] = []
        """When the contact was void since, at each end of a session: looks may miss a short one."""
        self._clock = clocks.SystemClock()
        self._stamp = events.EventStamp(self._now, self._clock.identity)
        refused = refusals.Refusals(lambda _: None)
        self.broker = brokers.SiteBroker("edge-1", refused, self._clock.instant)
        self.devices = devices.MqttDevices(
            self.broker, None, self._stamp, self._take, refused, self._measured
        )
        self.assign(assign(cold_store.profile(), cold_store.policy()))

    def assign(self, wanted: assignment.Assignment) -> None:
        """Give engine and devices a new assignment, as the runtime does."""
        self._take(events.Assigned(*self._stamp(), wanted))
        assert wanted.site is not None
        where = wanted.site.spec.model_copy(update={"broker": self.spec})
        self.devices.assign(wanted.site.model_copy(update={"spec": where}), wanted.devices)

    def _now(self) -> events.Instant:
        instant = self._clock.instant()
        self.store.rig.seconds = instant.boot
        return instant

    def _measured(self) -> None:
        for sample in self.devices.measured(64):
            self._take(sample)

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.TelemetryChanged):
            self.is_up = event.connected
        self.store.rig.state, _ = step.step(self.store.rig.state, event)
        if isinstance(event, events.TelemetryChanged) and not event.connected:
            self.voided.append(self.store.rig.state.devices[DEVICE].voids.get("contact"))

    @property
    def believed(self) -> object:
        self._stamp()
        return self.store.believed("contact")

    @property
    def problem(self) -> str | None:
        self._stamp()
        return self.store.problem("contact")

    @property
    def is_online(self) -> bool | None:
        presence = self.store.rig.state.devices[DEVICE].presence
        return None if presence is None else presence.is_online

    async def until(self, happens: Callable[["Agent"], bool]) -> None:
        async with asyncio.timeout(patience.SECONDS):
            while not happens(self):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def listening(
    broker: mosquitto.Broker, protocol: site.Protocol = site.Protocol.V5
) -> AsyncIterator[Agent]:
    agent = Agent(broker, protocol)
    task = asyncio.create_task(agent.broker.run())
    try:
        await agent.until(lambda agent: agent.is_up)
        yield agent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _publish(broker: mosquitto.Broker, topic: str, body: bytes, *, retain: bool) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        client.publish(topic, body, qos=1, retain=retain).wait_for_publish(10)
    finally:
        client.disconnect()
        client.loop_stop()


async def says(
    broker: mosquitto.Broker, body: bytes, topic: str = TELEMETRY, *, retain: bool = True
) -> None:
    """Let the device publish, and the broker keep it."""
    await asyncio.to_thread(_publish, broker, topic, body, retain=retain)


@BOTH
async def test_a_door_that_was_opened_while_nobody_listened_is_not_believed_closed(
    broker: mosquitto.Broker, protocol: site.Protocol
) -> None:
    """Regression: the newer word was thrown away because the broker had kept it."""
    async with listening(broker, protocol) as agent:
        await says(broker, b"online", AVAILABILITY)
        await says(broker, CLOSED)
        await agent.until(lambda agent: agent.believed is True)
        broker.stop()
        await agent.until(lambda agent: not agent.is_up)
        assert agent.believed is None
        # the door opens while the agent is away: on another port, where it does not look
        with mosquitto.Broker(broker.folder / "away", persistence=True) as away:
            (away.folder / "mosquitto.conf").write_text(
                (away.folder / "mosquitto.conf")
                .read_text()
                .replace(str(away.folder / "store"), str(broker.folder / "store"))
            )
            away.restart()
            await says(away, OPEN)
        broker.start()
        await agent.until(lambda agent: agent.is_up)
        await agent.until(lambda agent: agent.believed is False)
        assert not agent.store.rig.state.devices[DEVICE].readings["contact"].is_live


async def test_after_a_broker_that_hung_the_last_word_counts_again(
    broker: mosquitto.Broker,
) -> None:
    async with listening(broker) as agent:
        await says(broker, b"online", AVAILABILITY)
        await says(broker, CLOSED)
        await agent.until(lambda agent: agent.believed is True)
        broker.pause()
        await agent.until(lambda agent: not agent.is_up)
        assert agent.problem == "ConnectionGap"
        assert agent.is_online is None
        broker.resume()
        await agent.until(lambda agent: agent.is_up)
        await agent.until(lambda agent: agent.believed is True)


async def test_an_agent_that_starts_hears_the_last_word_with_its_first_subscription(
    broker: mosquitto.Broker,
) -> None:
    await says(broker, OPEN)
    async with listening(broker) as agent:
        assert agent.problem == "InputAgeUnknown"
        await says(broker, b"online", AVAILABILITY)
        await agent.until(lambda agent: agent.believed is False)
        await says(broker, CLOSED)
        await agent.until(lambda agent: agent.believed is True)


async def test_a_profile_that_is_edited_hears_the_last_word_again(
    broker: mosquitto.Broker,
) -> None:
    async with listening(broker) as agent:
        await says(broker, b"online", AVAILABILITY)
        ignored = {**cold_store.CONTACT, "retained": "Ignore"}
        agent.assign(assign(cold_store.profile(contact=ignored), cold_store.policy()))
        await says(broker, OPEN)
        await agent.until(lambda agent: agent.believed is False)
        agent.assign(assign(cold_store.profile(), cold_store.policy()))
        assert agent.problem == "ConnectionGap"
        await agent.until(lambda agent: agent.believed is False)
        assert not agent.store.rig.state.devices[DEVICE].readings["contact"].is_live
        assert agent.is_up


async def test_a_second_device_on_a_topic_hears_the_last_word_and_the_first_keeps_its_own(
    broker: mosquitto.Broker,
) -> None:
    async with listening(broker) as agent:
        await says(broker, b"online", AVAILABILITY)
        shared = cold_store.profile(contact={**cold_store.CONTACT, "topic": "{site}/all"})
        wanted = assign(shared, cold_store.policy())
        agent.assign(wanted)
        await says(broker, CLOSED, "hq/all")
        await agent.until(lambda agent: agent.believed is True)  # so that it hears what is not kept
        await says(broker, OPEN, "hq/all", retain=False)
        await agent.until(lambda agent: agent.believed is False)
        [first] = wanted.devices
        second = first.model_copy(update={"name": "room-302"})
        agent.assign(wanted.model_copy(update={"devices": (first, second)}))
        other = events.Key("hq", "room-302")
        await agent.until(lambda agent: "contact" in agent.store.rig.state.devices[other].readings)
        assert agent.store.rig.state.devices[other].readings["contact"].value is True
        assert agent.believed is False, "what was kept is older than the live word"


async def test_a_last_will_is_heard_at_once(broker: mosquitto.Broker) -> None:
    async with listening(broker) as agent:
        device = paho.Client(CallbackAPIVersion.VERSION2)
        device.will_set(AVAILABILITY, b"offline", qos=1, retain=True)
        await asyncio.to_thread(device.connect, broker.host, broker.port)
        device.loop_start()
        device.publish(AVAILABILITY, b"online", qos=1, retain=True).wait_for_publish(10)
        device.publish(TELEMETRY, CLOSED, qos=1).wait_for_publish(10)
        await agent.until(lambda agent: agent.believed is True and agent.is_online is True)
        device._sock_close()  # it dies without a word
        device.loop_stop()
        await agent.until(lambda agent: agent.is_online is False)
        assert agent.problem == "DeviceOffline"


async def test_a_subscription_that_is_withdrawn_ends_the_session(
    broker: mosquitto.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is delivered after that, no broker says: readings are void until it is subscribed."""
    async with listening(broker) as agent:
        await says(broker, CLOSED)
        await agent.until(lambda agent: agent.store.input("contact").value is True)
        subscribe = connection.BrokerConnection.subscribe

        async def refuses(
            self: connection.BrokerConnection, filters: list[str], qos: int = 1
        ) -> tuple[str, ...]:
            monkeypatch.setattr(connection.BrokerConnection, "subscribe", subscribe)
            return tuple(filters)

        monkeypatch.setattr(connection.BrokerConnection, "subscribe", refuses)
        moved = {**cold_store.CONTACT, "path": "/door"}
        before = len(agent.voided)
        agent.assign(assign(cold_store.profile(contact=moved), cold_store.policy()))
        await agent.until(lambda agent: len(agent.voided) > before)
        await agent.until(lambda agent: agent.is_up)


async def test_a_session_that_ends_before_it_is_up_is_a_gap(
    broker: mosquitto.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has delivered of last words says nothing of what came after it."""
    subscribe = connection.BrokerConnection.subscribe

    async def ends(
        self: connection.BrokerConnection, filters: list[str], qos: int = 1
    ) -> tuple[str, ...]:
        if TELEMETRY not in filters:  # of control
            return await subscribe(self, filters, qos)
        monkeypatch.setattr(connection.BrokerConnection, "subscribe", subscribe)
        raise connection.ConnectionFailedError("it ends here")

    async with listening(broker) as agent:
        await says(broker, CLOSED)
        await agent.until(lambda agent: agent.store.input("contact").value is True)
        monkeypatch.setattr(connection.BrokerConnection, "subscribe", ends)
        broker.restart()
        before = len(agent.voided)
        await agent.until(lambda agent: len(agent.voided) >= before + 2)
        await agent.until(lambda agent: agent.is_up)
    lost, *_, ended = agent.voided[before:]  # a broker that starts may end some more
    assert lost is not None
    assert ended is not None
    assert lost < ended
