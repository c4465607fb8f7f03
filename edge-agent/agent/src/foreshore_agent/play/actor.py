"""A played dialect on real MQTT: what it says is published, what it hears reaches it in time.

    connected ──► rise      every so often ──► tick      message ──► take ──(settling)──► settle

It listens and retains as a device does, with its last will: also what the broker kept for it counts
as a command, as it does for most devices. `dialogue` runs one for a person.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from foreshore_agent import clocks
from foreshore_agent.devices.mqtt import connection, lane
from foreshore_agent.play.dialects.speech import PlayedDialect, SpokenMessage

Overheard = Callable[[bool, str, bytes], None]
"""Told every message: whether the device says it, its topic, its body."""


class DialectActor:
    """One device; `run` keeps it connected and lets it speak until cancelled."""

    def __init__(
        self,
        dialect: PlayedDialect,
        address: connection.Address,
        clock: clocks.Clock,
        overheard: Overheard = lambda *_: None,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.published = 0
        """Messages that a broker took."""
        self._dialect: Final = dialect
        self._clock: Final = clock
        self._overheard: Final = overheard
        self._changed: Final = changed
        self._settling: asyncio.TimerHandle | None = None
        will = dialect.will
        traffic = lane.Traffic(
            self._take,
            will=will and connection.Will(will.topic, will.body, is_retained=will.is_retained),
        )
        self._lane: Final = lane.Lane("played", traffic, self._on_change)
        self._lane.want(address, dialect.heard)

    @property
    def is_connected(self) -> bool:
        """Whether the broker hears it, and it hears the broker."""
        return self._lane.is_up

    @property
    def problem(self) -> str | None:
        """Why there is no session with the broker, if there is none."""
        return self._lane.problem

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let it say or hear."""
        return self._lane.denied

    async def run(self, name: str, every: float) -> None:
        """Keep it connected, and let it measure every so many seconds."""
        keeping = asyncio.create_task(self._lane.keep(name), name="played")
        try:
            while True:
                await asyncio.sleep(every)
                if self._lane.is_up:
                    self.say(self._dialect.tick(self._clock.now()))
        finally:
            if self._settling is not None:
                self._settling.cancel()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def say(self, messages: Iterable[SpokenMessage]) -> None:
        """Publish messages; what nobody hears is lost, as a device loses it."""
        for message in messages:
            with contextlib.suppress(connection.NotSentError):
                self._lane.publish(
                    message.topic, message.body, qos=1, is_retained=message.is_retained
                )
                self.published += 1
                self._overheard(True, message.topic, message.body)  # noqa: FBT003 - a callback

    def _on_change(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        self._changed(is_up)
        if is_up:
            self.say(self._dialect.rise(self._clock.now()))

    def _take(self, message: connection.MqttMessage) -> None:
        self._overheard(False, message.topic, message.payload)  # noqa: FBT003 - a callback
        reaction = self._dialect.take(message.topic, message.payload, self._clock.now())
        self.say(reaction.messages)
        if reaction.settles_in is not None:
            if self._settling is not None:
                self._settling.cancel()  # it follows the last word
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(reaction.settles_in, self._settle)

    def _settle(self) -> None:
        self._settling = None
        self.say(self._dialect.settle(self._clock.now()))
