"""The played device on real MQTT: its telemetry, its commands, its answers.

`device` says what they are; here they are published and received, and settling times are waited
for. `play` runs one, and `rehearse --live`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from foreshore_agent import clocks
from foreshore_agent.devices.codecs import leaf
from foreshore_agent.devices.mqtt import connection, lane
from foreshore_agent.play import device, stage

_BUSY_SECONDS: Final = 0.001


class Player:
    """One device; `run` keeps it connected until cancelled, `say` publishes a row."""

    def __init__(
        self,
        staged: stage.PlayedStage,
        clock: clocks.RunningClock,
        address: connection.Address,
        log: device.DeviceLog,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.played: Final = device.PlayedDevice(staged, log, clock.speed)
        self._stage: Final = staged
        self._clock: Final = clock
        self._settling: set[asyncio.Task[None]] = set()
        self._lane: Final = lane.Lane("device", lane.Traffic(self._take), changed)
        template = staged.profile.mqtt.command_topic
        self._lane.want(address, () if template is None else (staged.topic(template),))

    @property
    def is_connected(self) -> bool:
        """Whether the broker hears the device, and it hears commands."""
        return self._lane.is_up

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let the device say or hear."""
        return self._lane.denied

    @property
    def problem(self) -> str | None:
        """Why there is no session with the broker, if there is none."""
        return self._lane.problem

    @property
    def is_settling(self) -> bool:
        """Whether a command was accepted and is not done."""
        return bool(self._settling)

    async def run(self) -> None:
        """Keep the device connected."""
        try:
            await self._lane.keep(self._stage.device.name)
        finally:
            for task in self._settling:
                task.cancel()

    async def room(self) -> None:
        """Wait until a message would be taken, or nobody hears."""
        while self._lane.is_up and not self._lane.has_room:  # noqa: ASYNC110 - room comes without an event
            await asyncio.sleep(_BUSY_SECONDS)

    def say(self, measured: Mapping[str, leaf.Value | None]) -> bool:
        """Publish what the device measures now, and what it is set to; False when nobody heard."""
        return self._publish(self.played.measure(measured, self._clock.now()))

    def _publish(self, body: bytes) -> bool:
        topic = self._stage.topic(self._stage.profile.mqtt.telemetry_topic or "")
        try:
            self._lane.publish(topic, body, qos=1)
        except connection.NotSentError:
            self.played.tally.unsent += 1
            return False
        self.played.tally.published += 1
        return True

    def _take(self, message: connection.MqttMessage) -> None:
        now = self._clock.now()
        if message.retained:
            self.played.ignore_retained(message.topic, now)
            return
        reaction = self.played.take(message.payload, now)
        self._answer(reaction.answer)
        if reaction.settling is not None:
            task = asyncio.ensure_future(self._settle(reaction.settling))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, settling: device.Settling) -> None:
        """Let the values follow the command, then say so."""
        await self._clock.sleep(settling.seconds)
        settled = self.played.settle(settling, self._clock.now())
        self._answer(settled.answer)
        if settled.telemetry is not None:
            self._publish(settled.telemetry)

    def _answer(self, body: bytes | None) -> None:
        template = self._stage.profile.mqtt.acknowledgement_topic
        if body is None or template is None:
            return
        with contextlib.suppress(connection.NotSentError):
            self._lane.publish(self._stage.topic(template), body, qos=1)
