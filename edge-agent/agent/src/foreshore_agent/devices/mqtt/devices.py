"""The devices of a site that speak MQTT: samples and answers in, commands and advice out.

What devices measure comes over the telemetry connection, their answers over control, where commands
go. `life` makes one, the `DevicesPort` of the runtime; `topics` knows whose a topic is, `translate`
reads a message.
"""

import contextlib
import functools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from foreshore_agent import refusals
from foreshore_agent.devices import port
from foreshore_agent.devices.mqtt import broker, channel, topics, translate
from foreshore_agent.engine import effects, events
from foreshore_api.reasons import command as reasons
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment


class MqttDevices:
    """All devices of this agent's site; a `DevicesPort`."""

    def __init__(
        self,
        site: broker.SiteBroker,
        credentials: Path | None,
        stamp: events.Stamp,
        deliver: port.Deliver,
        refused: refusals.Refusals,
    ) -> None:
        self._broker: Final = site
        self._credentials: Final = credentials
        self._stamp: Final = stamp
        self._deliver: Final = deliver
        self._refused: Final = refused
        self._routes = topics.Routes()
        self._telemetry: Final = site.telemetry(
            channel.Subscriber(self._measured, self._telemetry_changed)
        )
        self._control: Final = site.control(channel.Subscriber(self._answered))

    @property
    def is_connected(self) -> bool:
        """Whether a command could be sent now."""
        return self._broker.is_connected

    @property
    def problem(self) -> str | None:
        """Why the broker has no session with us, for people."""
        return self._broker.problem

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let us publish or listen on."""
        return self._broker.denied

    async def run(self) -> None:
        """Keep the broker's connections up until cancelled."""
        await self._broker.run()

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
    ) -> None:
        """Take a new desired state: another broker, other topics."""
        self._routes = topics.Routes() if site is None else topics.routes(site.name, devices)
        self._telemetry.listen(self._routes.telemetry_filters)
        self._control.listen(self._routes.control_filters)
        self._broker.assign(None if site is None else site.spec.broker, self._credentials)

    def send(self, command: effects.SendCommand) -> str | None:
        """Publish one command, now or never; return why it surely did not leave, or None."""
        to = self._routes.commands.get(command.device)
        if to is None:
            return reasons.NO_COMMAND_TOPIC
        within = max(0.0, command.deadline - self._stamp()[0].monotonic)
        body = to.codec.encode(command)
        try:
            self._control.publish(
                to.topic,
                body,
                qos=1,
                expiry=_expiry(command),
                within=within,
                refused=functools.partial(self._refuse, command),
            )
        except channel.NotSentError as error:
            return error.reason
        return None

    def advise(self, advice: effects.Advise) -> None:
        """Publish advice where the device has a topic for it; if it does not leave, never mind."""
        to = self._routes.advice.get(advice.device)
        if to is not None:
            with contextlib.suppress(channel.NotSentError):
                self._telemetry.publish(to.topic, to.codec.advice(advice))

    def _refuse(self, command: effects.SendCommand, why: str) -> None:
        """Pass on that the broker took a command from us and gives it to nobody."""
        refused = events.CommandNotSent(
            *self._stamp(), command.command_id, command.policy, command.device, why
        )
        self._deliver(refused)

    def _measured(self, message: channel.MqttMessage) -> bool:
        """Take a message of the telemetry connection; one of a device that left is nobody's.

        On a topic that devices share, most messages are without a property of most of them.
        """
        arrivals = [
            self._measurement(message, route)
            for route in self._routes.telemetry.get(message.topic, ())
        ]
        is_of_any = any(arrival != telemetry.NO_PROPERTY for arrival in arrivals)
        for arrival in arrivals:
            if not (is_of_any and arrival == telemetry.NO_PROPERTY):
                self._pass_on(arrival, message.topic)
        return True

    def _measurement(
        self, message: channel.MqttMessage, route: topics.DeviceRoute
    ) -> events.Sample | str:
        at, fresh = self._stamp()
        return translate.telemetry(message, route, message.at or at, fresh)

    def _telemetry_changed(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        self._deliver(events.TelemetryChanged(*self._stamp(), is_up))

    def _answered(self, message: channel.MqttMessage) -> bool:
        routes = self._routes.acknowledgements.get(message.topic)
        if routes is None:
            return False
        for route in routes:
            self._pass_on(translate.answer(message, route, *self._stamp()), message.topic)
        return True

    def _pass_on(self, arrival: port.Arrival | str, topic: str) -> None:
        if isinstance(arrival, str):
            self._refused.note(f"a message on {topic}", arrival)
            return
        if isinstance(arrival, events.Acknowledged):  # samples are the engine's to count
            self._refused.count(telemetry.ACCEPTED)
        self._deliver(arrival)


def _expiry(command: effects.SendCommand) -> int:
    """Return the MQTT 5 message expiry in whole seconds: a help, `notAfter` decides."""
    return max(1, math.ceil(command.time_to_live))
