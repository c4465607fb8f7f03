"""An agent and devices that people own, on a real broker: told in their words, known by theirs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from builders import plug, room
from builders.living import living, until
from foreshore_agent import journal, settings
from foreshore_agent.devices.mqtt import connection
from foreshore_api.wire import record
from harness import mosquitto

pytestmark = pytest.mark.usefixtures("short_waits")

BRIDGE = "zigbee2mqtt/Fan Plug"


class StockPlug:
    """A plug behind a bridge: it obeys what it reads on its topic, and says what it is."""

    def __init__(
        self, tells: str, told: str, read: Callable[[bytes], str], replies: str | None = None
    ) -> None:
        self.state = "OFF"
        self.heard: list[bytes] = []
        self.is_deaf = False
        self._tells, self._told, self._read, self._replies = tells, told, read, replies
        self._link: connection.BrokerConnection | None = None

    @contextlib.asynccontextmanager
    async def connected(self, port: int) -> "AsyncIterator[StockPlug]":
        address = connection.Address("127.0.0.1", port)
        self._link = await connection.BrokerConnection.open(
            address, name="plug", received=self._received
        )
        await self._link.subscribe([self._told])
        try:
            yield self
        finally:
            await self._link.close()

    def measure(self, power: float = 200.0) -> None:
        self._send(self._tells, {"state": self.state, "power": power, "linkquality": 102})

    async def measure_until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.measure()
                await asyncio.sleep(0.1)

    def _received(self, message: connection.MqttMessage) -> None:
        self.heard.append(message.payload)
        if self.is_deaf:
            return
        self.state = self._read(message.payload)
        if self._replies is not None:
            self._send(self._replies, {"POWER": self.state})

    def _send(self, topic: str, document: dict[str, Any]) -> None:
        assert self._link is not None
        with contextlib.suppress(connection.NotSentError):
            self._link.publish(topic, json.dumps(document).encode(), qos=1)


def folder(place: Path, port: int, mqtt: room.Json, how: room.Json) -> settings.AgentSettings:
    """The resources of a plug whose state is a text, and an agent on them."""
    profile = plug.profile(
        how,
        spec__properties=[
            {"name": "on", "type": "String", "access": "ReadWrite", "path": "/state"},
            {"name": "power", "unit": "W"},
        ],
    )
    [action] = profile["spec"]["actions"]
    action |= {"input": [{"name": "value", "property": "on", "type": "String"}], "mqtt": mqtt}
    where = {"host": "127.0.0.1", "port": port, "transport": "Plain"}
    quiet = room.changed(plug.policy(value='"ON"'), spec__rateLimit={"minimumInterval": "1h"})
    documents = (
        room.changed(room.site(), spec__broker=where),
        profile,
        plug.device(),
        quiet,
    )
    home = place / "resources"
    home.mkdir()
    for document in documents:
        (home / f"{document['kind']}.json").write_text(json.dumps(document))
    source = settings.FolderSettings(home, None, None)
    return settings.AgentSettings("edge-1", place / "state", source, port=None)


async def learnt(state: Path) -> list[record.DecisionOutcome]:
    book = await journal.Journal.open(state)
    shipped = await book.newest(100_000)
    await book.close()
    recorded = [record.Event.decode(line.body).data for line in shipped]
    return [data for data in recorded if isinstance(data, record.DecisionOutcome)]


def of_bridge(body: bytes) -> str:
    return str(json.loads(body)["state"])


ECHO = {"type": "Echo", "echo": {"property": "on", "within": "2s"}}
SET = {"topic": "zigbee2mqtt/{parameters.topic}/set", "expression": '{"state": value}'}


async def test_a_plug_behind_a_bridge_is_told_and_confirms_by_its_state(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    device = StockPlug(BRIDGE, f"{BRIDGE}/set", of_bridge)
    configured = folder(tmp_path, broker.port, SET, ECHO)
    async with device.connected(broker.port), living(configured) as host:
        await device.measure_until(lambda: bool(device.heard))
        await device.measure_until(lambda: host.meters.decisions.get("Suppressed", 0) > 3)
    assert device.heard == [b'{"state":"ON"}'], "at most once"
    [outcome] = await learnt(tmp_path / "state")
    assert (outcome.outcome, outcome.reason) == ("Confirmed", "EchoNear")
    assert outcome.read_back == {"on": "ON"}
    assert outcome.device.fence == "None"


async def test_a_plug_that_does_not_obey_is_unknown_and_held(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    device = StockPlug(BRIDGE, f"{BRIDGE}/set", of_bridge)
    device.is_deaf = True
    configured = folder(tmp_path, broker.port, SET, ECHO)
    async with device.connected(broker.port), living(configured) as host:
        await device.measure_until(lambda: bool(device.heard))
        begun = asyncio.get_running_loop().time()
        await device.measure_until(lambda: asyncio.get_running_loop().time() - begun > 3)
        assert host.meters.decisions["Commanded"] == 1
    assert len(device.heard) == 1
    [outcome, *_] = await learnt(tmp_path / "state")
    assert (outcome.outcome, outcome.reason) == ("Unknown", "NoEcho")


async def test_a_plug_that_takes_bare_words_answers_on_a_topic_of_its_own(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    """As Tasmota does: `cmnd/X/POWER` takes ON, `stat/X/RESULT` says what became of it."""
    answers = {
        "topic": "stat/{parameters.topic}/RESULT",
        "path": "POWER",
        "match": "reply == value",
        "within": "2s",
    }
    words = {"topic": "cmnd/{parameters.topic}/POWER", "payload": "Text", "expression": "value"}
    device = StockPlug(BRIDGE, "cmnd/Fan Plug/POWER", bytes.decode, "stat/Fan Plug/RESULT")
    configured = folder(tmp_path, broker.port, words, {"type": "Reply", "reply": answers})
    async with device.connected(broker.port), living(configured):
        await device.measure_until(lambda: bool(device.heard))
        await until(lambda: device.state == "ON")
        await asyncio.sleep(0.3)
    assert device.heard == [b"ON"]
    [outcome] = await learnt(tmp_path / "state")
    assert (outcome.outcome, outcome.reason) == ("Acknowledged", "ReplyMatched")
