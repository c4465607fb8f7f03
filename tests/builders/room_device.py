"""The room of `builders.room` as a device on a real broker, in the test's own event loop."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from foreshore_agent.devices.mqtt import connection
from foreshore_api.wire import command


class RoomDevice:
    """It obeys commands of the highest epoch once each, answers Done, and says its airflow."""

    def __init__(self, name: str = "room-301", site: str = "hq") -> None:
        self.topics = {one: f"{site}/{name}/{one}" for one in ("telemetry", "command", "ack")}
        self.commands: list[command.Command] = []
        self.refused: list[command.Command] = []
        self.airflow = 120.0
        self.epoch = 0
        self.is_deaf = False
        self._link: connection.BrokerConnection | None = None

    @contextlib.asynccontextmanager
    async def connected(
        self, port: int, host: str = "127.0.0.1", **shown: Any
    ) -> "AsyncIterator[RoomDevice]":
        """Be connected for as long as the block lasts."""
        address = connection.Address(host, port, **shown)
        self._link = await connection.BrokerConnection.open(
            address, name="room", received=self._received
        )
        await self._link.subscribe([self.topics["command"]])
        try:
            yield self
        finally:
            await self._link.close()

    def measure(self, **changed: Any) -> None:
        """Say what is measured now."""
        values = {"co2": 1200, "light": 400, "temperature": 21.5, "airflow": self.airflow}
        self._send("telemetry", values | changed)

    async def measure_until(self, commands: int, *, seconds: float = 30, **changed: Any) -> None:
        """Measure ten times a second until so many commands have been obeyed."""
        async with asyncio.timeout(seconds):
            while len(self.commands) < commands:
                self.measure(**changed)
                await asyncio.sleep(0.1)

    def _received(self, message: connection.MqttMessage) -> None:
        said = command.Command.decode(message.payload)
        if self.is_deaf:
            return
        known = {one.command_id for one in self.commands}
        if said.epoch < self.epoch or said.command_id in known:
            self.refused.append(said)
            self._answer(said, command.Result.REJECTED)
            return
        self.epoch = said.epoch
        self.commands.append(said)
        self.airflow = float(said.input["value"])
        self._answer(said, command.Result.DONE)

    def _answer(self, said: command.Command, result: command.Result) -> None:
        answer = command.Acknowledgement(command_id=said.command_id, result=result)
        self._send("ack", json.loads(answer.encode()))

    def _send(self, topic: str, document: dict[str, Any]) -> None:
        if self._link is not None and self._link.is_open:
            with contextlib.suppress(connection.NotSentError):
                self._link.publish(self.topics[topic], json.dumps(document).encode(), qos=1)
