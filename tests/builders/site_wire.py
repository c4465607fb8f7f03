"""The devices of a site without a broker: messages in by hand, what is published kept."""

from datetime import UTC, datetime
from typing import Any, cast

from foreshore_agent import refusals
from foreshore_agent.devices import port
from foreshore_agent.devices.mqtt import channel, devices
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment

AT = events.Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 1.0)
SITE = assignment.AssignedSite(
    namespace="hq",
    name="hq",
    spec=site.SiteSpec(
        broker=site.Broker(host="broker", port=1883, transport=site.Transport.PLAIN)
    ),
)


class Wire:
    """A broker of one channel that keeps what it is given, and the devices behind it."""

    is_up = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.arrived: list[port.Arrival] = []
        self.counts: list[str] = []
        self.users: list[channel.Subscriber] = []
        self.now = AT
        self.why: str | None = None
        self.devices: port.DevicesPort = devices.MqttDevices(
            cast("Any", self),
            None,
            events.EventStamp(lambda: self.now, lambda: "f"),
            self.arrived.append,
            refusals.Refusals(self.counts.append),
            lambda: None,
        )

    def telemetry(self, subscriber: channel.Subscriber) -> Any:
        self.users.append(subscriber)
        return self

    control = telemetry

    def assign(self, *_: object) -> None:
        pass

    def listen(self, filters: tuple[str, ...], renewed: frozenset[str] = frozenset()) -> None:
        pass

    def publish(self, topic: str, payload: bytes, **_: object) -> None:
        if self.why is not None:
            raise channel.NotSentError(self.why)
        self.sent.append((topic, payload))

    def put(
        self, topic: str, body: bytes, *, retained: bool = False, redelivered: bool = False
    ) -> None:
        """Let a message wait for the engine's host."""
        message = channel.MqttMessage(topic, body, retained, redelivered, at=self.now)
        assert self.users[0].take(message)

    def measure(self, topic: str, body: bytes, **flags: bool) -> None:
        """Let a message come while the engine's host has time for it."""
        self.put(topic, body, **flags)
        self.arrived += self.devices.measured(16)

    def answer(self, topic: str, body: bytes) -> bool:
        return self.users[1].take(
            channel.MqttMessage(topic, body, retained=False, redelivered=False)
        )
