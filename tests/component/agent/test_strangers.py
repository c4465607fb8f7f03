"""Devices that no shipped profile is for, on a real broker, from their words to a command's end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from builders import strangers
from builders.living import living
from builders.strangers import Stranger
from foreshore_agent import settings
from foreshore_agent.journal import reader
from foreshore_api.wire import record
from harness import mosquitto

pytestmark = pytest.mark.component

SECONDS = 90.0


class Household:
    """All strangers behind one connection of an implementation of others."""

    def __init__(self, port: int) -> None:
        self.told: dict[str, Any] = {}
        """The first message on each topic where one of them is told something."""
        self._answers = {
            told[0]: stranger.then
            for stranger in strangers.STRANGERS
            if (told := stranger.told) is not None
        }
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        for topic in self._answers:
            self._client.subscribe(topic, 1)
        self._client.loop_start()

    def _hear(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.told.setdefault(message.topic, message.payload)
        self._say(self._answers[message.topic])

    def _say(self, messages: tuple[strangers.Message, ...]) -> None:
        for topic, said in messages:
            self._client.publish(topic, strangers.written(said), 1)

    def speak(self) -> None:
        """Let each say what it says again and again."""
        for stranger in strangers.STRANGERS:
            self._say(stranger.says)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.asynccontextmanager
async def household(port: int) -> AsyncIterator[Household]:
    """Strangers who speak twice a second for as long as the block lasts."""
    home = Household(port)

    async def talk() -> None:
        while True:
            home.speak()
            await asyncio.sleep(0.5)

    talking = asyncio.create_task(talk())
    try:
        yield home
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        home.leave()


def ends(state: Path, stranger: Stranger) -> set[tuple[str, str]]:
    """How decisions about a stranger ended: advice by what caps the mode, commands by outcome."""
    with reader.open_reader(state) as opened:
        events = [
            event for _, event in opened.events(reader.Filters(device=f"lab/{stranger.name}"))
        ]
    advised = {
        ("Advised", cap)
        for event in events
        if event["type"] == record.DECISION and event["data"]["verdict"]["result"] == "Advised"
        for cap in event["data"]["policy"]["cappedBy"]
    }
    return advised | {
        (event["data"]["outcome"], event["data"]["reason"])
        for event in events
        if event["type"] == record.OUTCOME
    }


async def test_what_a_person_writes_from_the_documentation_gets_from_telemetry_to_a_command(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    folder = strangers.write(tmp_path / "resources", broker.port, *strangers.STRANGERS)
    state = tmp_path / "state"
    configured = settings.AgentSettings(
        "edge-1", state, settings.FolderSettings(folder, None, None), port=None
    )
    async with living(configured) as host, household(broker.port) as home:
        assert host.missing() == ()
        waiting = list(strangers.STRANGERS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while waiting:
                    await asyncio.sleep(0.5)
                    waiting = [each for each in waiting if each.outcome not in ends(state, each)]
    assert {each.name: ends(state, each) for each in waiting} == {}
    for stranger in strangers.STRANGERS:
        if stranger.told is None:
            continue
        topic, wanted = stranger.told
        payload = home.told[topic]
        assert (payload.decode() if isinstance(wanted, str) else json.loads(payload)) == wanted
