"""The devices of a site that speak MQTT: samples and answers in, commands and advice out.

What devices measure comes over the telemetry connection, their answers over control, where commands
go. `life` makes one; `topics` knows whose a topic is, `translate` reads a message.
"""

import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Final

from foreshore_agent import refusals
from foreshore_agent.devices.codecs import envelope
from foreshore_agent.devices.mqtt import broker, channel, topics, translate
from foreshore_agent.engine import effects, events
from foreshore_api.wire import assignment

NO_TOPIC: Final = "NoCommandTopic"
"""Why a command did not leave: the device's profile names no topic for commands."""


class MqttDevices:
    """All devices of this agent's site."""

    def __init__(
        self,
        site: broker.Broker,
        stamp: events.Stamp,
        deliver: Callable[[events.Event], None],
        refused: refusals.Refusals,
    ) -> None:
        self._stamp: Final = stamp
        self._deliver: Final = deliver
        self._refused: Final = refused
        self._routes = topics.Routes()
        self._telemetry: Final = site.telemetry(channel.Subscriber(self._measured))
        self._control: Final = site.control(channel.Subscriber(self._answered))

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
    ) -> None:
        """Take a new desired state: listen on other topics."""
        self._routes = topics.Routes() if site is None else topics.routes(site.name, devices)
        self._telemetry.listen(self._routes.telemetry_filters)
        self._control.listen(self._routes.control_filters)

    def command(self, effect: effects.Command) -> str | None:
        """Send one command, now or never; return why it surely did not leave, or None."""
        topic = self._routes.commands.get(effect.device)
        if topic is None:
            return NO_TOPIC
        within = max(0.0, effect.deadline - self._stamp()[0].monotonic)
        try:
            self._control.publish(
                topic, envelope.encode(effect), qos=1, expiry=_expiry(effect), within=within
            )
        except channel.NotSentError as error:
            return error.reason
        return None

    def advise(self, effect: effects.Advise) -> None:
        """Publish advice where the device has a topic for it; if it does not leave, never mind."""
        topic = self._routes.advice.get(effect.device)
        if topic is None:
            return
        with contextlib.suppress(channel.NotSentError):
            self._telemetry.publish(topic, envelope.advice(effect))

    def _measured(self, message: channel.Message) -> bool:
        """Take a message of the telemetry connection; one of a device that left is nobody's."""
        for route in self._routes.telemetry.get(message.topic, ()):
            at, fresh = self._stamp()
            self._tell(translate.telemetry(message, route, message.at or at, fresh), message.topic)
        return True

    def _answered(self, message: channel.Message) -> bool:
        routes = self._routes.acknowledgements.get(message.topic)
        if routes is None:
            return False
        for route in routes:
            self._tell(translate.answer(message, route, *self._stamp()), message.topic)
        return True

    def _tell(self, event: events.Event | str, topic: str) -> None:
        if isinstance(event, str):
            self._refused.note(f"a message on {topic}", event)
            return
        self._refused.count(refusals.ACCEPTED)
        self._deliver(event)


def _expiry(effect: effects.Command) -> int:
    """Return the MQTT 5 message expiry in whole seconds: a help, `notAfter` decides."""
    return max(1, math.ceil(effect.time_to_live))
