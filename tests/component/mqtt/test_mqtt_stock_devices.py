"""Stock devices behind a real broker: several topics each, last words, a stranger's nonsense."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from paho.mqtt import publish

from builders import site_side
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment
from harness import mosquitto

pytestmark = pytest.mark.component

NODE = site_side.speaking(
    "attic",
    {"name": "temperature", "topic": "attic/sensor/temperature/state", "payload": "Text"},
    {"name": "pressure", "topic": "attic/sensor/pressure/state", "payload": "Text"},
    {"name": "window", "type": "Boolean", "topic": "attic/binary_sensor/window/state",
     "payload": "Text"},
    {"name": "battery", "topic": "vrm/N/0/system/0/Dc/Battery/Voltage", "path": "/value"},
    {"name": "kitchen", "topic": "zwave/kitchen/49/0/Air_temperature", "path": "/value",
     "time": {"path": "time"}},
)  # fmt: skip
GATEWAY = site_side.speaking(
    "line-1",
    {"name": "motor", "quality": {"path": "q", "good": ["true"]},
     "pick": {"array": "/values", "key": "id", "equals": "Line1.MotorTemp", "value": "v"}},
    telemetryTopic="iotgateway",
)  # fmt: skip
DOOR = site_side.speaking(
    "door",
    {"name": "contact", "type": "Boolean", "retained": "State"},
    {"name": "battery"},
    telemetryTopic="zigbee2mqtt/{parameters.friendlyName}",
    parameters={"friendlyName": "Cold Store Door"},
)


class Site:
    """An agent's side that listens to these devices, and a device's side that speaks."""

    def __init__(self, broker: mosquitto.Broker) -> None:
        self._broker = broker
        self.agent = site_side.SiteSide("edge-1")

    def assign(self, *devices: assignment.AssignedDevice) -> None:
        where = site.Broker(
            host=self._broker.host, port=self._broker.port, transport=site.Transport.PLAIN
        )
        spec = site.SiteSpec(broker=where)
        assigned = assignment.AssignedSite(namespace="hq", name="hq", spec=spec)
        self.agent.devices.assign(assigned, devices)

    async def say(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        host, port = self._broker.host, self._broker.port
        await asyncio.to_thread(
            publish.single, topic, body, qos=1, retain=retain, hostname=host, port=port
        )

    async def sample(self) -> events.Sample:
        return await self.agent.next_of(events.Sample)


@pytest.fixture
async def listening(broker: mosquitto.Broker) -> AsyncIterator[Site]:
    made = Site(broker)
    made.assign(NODE, GATEWAY, DOOR)
    async with made.agent.running():
        for _ in range(500):
            if made.agent.telemetry:
                break
            await asyncio.sleep(0.02)
        yield made


async def test_each_value_of_a_device_comes_on_its_topic(listening: Site) -> None:
    lines = [
        ("attic/sensor/temperature/state", b"21.5", {"temperature": 21.5}),
        ("attic/binary_sensor/window/state", b"ON", {"window": True}),
        ("vrm/N/0/system/0/Dc/Battery/Voltage", b'{"value": 52.4}', {"battery": 52.4}),
        (
            "zwave/kitchen/49/0/Air_temperature",
            b'{"time":1767225600123,"value":21.5}',
            {"kitchen": 21.5},
        ),
    ]
    for topic, body, values in lines:
        await listening.say(topic, body)
        assert (await listening.sample()).values == values
    await listening.say("attic/sensor/pressure/state", b"nan")
    assert (await listening.sample()).refused == {"pressure": "NonFinite"}
    assert listening.agent.counts == {"NonFinite": 1}


async def test_a_motor_is_read_from_its_tag_alone(listening: Site) -> None:
    def tags(identity: str, value: float, *, good: bool = True) -> bytes:
        return json.dumps({"values": [{"id": identity, "v": value, "q": good}]}).encode()

    await listening.say("iotgateway", tags("Line1.MotorTemp", 61.5))
    assert (await listening.sample()).values == {"motor": 61.5}
    await listening.say("iotgateway", tags("Line1.Speed", 1479))
    await listening.say("iotgateway", tags("Line1.MotorTemp", 0, good=False))
    bad = await listening.sample()
    assert (bad.values, bad.refused) == ({}, {"motor": "InvalidQuality"})
    assert listening.agent.counts == {"NoProperty": 1, "InvalidQuality": 1}


async def test_the_last_word_of_a_door_is_heard_by_who_comes_later(
    broker: mosquitto.Broker,
) -> None:
    made = Site(broker)
    body = json.dumps({"contact": False, "battery": 100}).encode()
    await made.say("zigbee2mqtt/Cold Store Door", body, retain=True)
    made.assign(DOOR)
    async with made.agent.running():
        kept = await made.sample()
        assert (kept.values, kept.retained) == ({"contact": False}, True)
        await made.say("zigbee2mqtt/Cold Store Door", body.replace(b"false", b"true"), retain=True)
        live = await made.sample()
        assert (live.values, live.retained) == ({"contact": True, "battery": 100.0}, False)


async def test_a_device_that_talks_nonsense_costs_no_other_a_sample(
    listening: Site, broker: mosquitto.Broker
) -> None:
    def nothing(_: connection.MqttMessage) -> None:
        return None

    hostile = await connection.BrokerConnection.open(
        connection.Address(broker.host, broker.port), name="hostile", received=nothing
    )
    nonsense = [b"", b"{", b"\xff" * 100, b"[" * 30_000, b'{"values": 7}', b'{"values": [[1]]}']
    for number in range(60):
        await hostile.deliver("iotgateway", nonsense[number % len(nonsense)])
        if number % 20 == 0:
            await listening.say("attic/sensor/temperature/state", str(number).encode())
    heard: list[float | int | bool | str] = []
    while len(heard) < 3:
        sample = await listening.sample()
        heard += [sample.values["temperature"]] if "temperature" in sample.values else []
    assert heard == [0.0, 20.0, 40.0]
    await hostile.close()
