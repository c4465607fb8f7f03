"""The broker of one site, as an agent uses it: two connections, kept up, turned into engine events.

    telemetry   what devices measure, in bulk: the oldest gives way under load, counted; advice
                goes out here
    control     commands out, answers in, what agents say to each other: never dropped, never queued

Each connection is opened anew, with full jitter, when it breaks. `BrokerChanged` is about control:
it is up once its subscriptions are confirmed, so that no answer to a command is missed. It says too
when beats are known not to arrive: their filter is refused, or our own do not come back.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from foreshore_agent import refusals
from foreshore_agent.devices.codecs import envelope
from foreshore_agent.devices.mqtt import connection, denials, lane, topics, translate
from foreshore_agent.engine import effects, events
from foreshore_api.wire import assignment, beat

TELEMETRY_BACKLOG: Final = 1024
"""Telemetry messages that may wait for the engine; beyond, the oldest is dropped."""
DROPPED: Final = "Dropped"
"""What became of telemetry that came faster than it could be taken."""
OVERSIZED: Final = "PacketTooLarge"
"""What became of a message for which the connection was closed (MQTT 3.1.1)."""
DEFECT: Final = "Defect"
"""What became of a message on which this agent itself failed."""
NO_TOPIC: Final = "NoCommandTopic"
"""Why a command did not leave: the device's profile names no topic for commands."""
Stamp = Callable[[], tuple[events.Instant, str]]
"""What every event begins with: now, and a fresh UUIDv7."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Whom the broker tells; every call is made in the event loop and must not block."""

    deliver: Callable[[events.Event], None]
    relay: Callable[[beat.RenewalRequest], None]
    """A holder of this site asks for renewal over the broker."""
    count: Callable[[str], None]
    """What became of one message of a device: `translate.Heard.result`, `DROPPED` or `OVERSIZED`;
    of a peer's only what was refused."""


class Broker:
    """One agent's side of its site's broker; `run` keeps it connected until cancelled."""

    def __init__(self, node: str, stamp: Stamp, calls: Calls) -> None:
        self._node: Final = node
        self._stamp: Final = stamp
        self._calls: Final = calls
        self._address: connection.Address | None = None
        self._routes = topics.Routes()
        self._refusals: Final = refusals.Refusals()
        bulk = lane.Traffic(
            self._guarded(self._on_telemetry),
            self._on_overflow,
            TELEMETRY_BACKLOG,
            now=lambda: stamp()[0],
            oversized=self._on_oversized,
        )
        self._telemetry: Final = lane.Lane("telemetry", bulk, lambda _: None)
        self._echo: Final = denials.Echo()
        self._was_deaf = False
        orders = lane.Traffic(
            self._guarded(self._on_control), carries_commands=True, oversized=self._on_oversized
        )
        self._control: Final = lane.Lane("control", orders, self._changed)

    @property
    def is_connected(self) -> bool:
        """Whether a command could be sent now."""
        return self._control.is_up

    @property
    def problem(self) -> str | None:
        """Why no command could be sent now, for people; None while one could."""
        return self._control.problem

    @property
    def is_stranger(self) -> bool:
        """Whether the broker has a session with us and does not take us for an agent."""
        return self._control.is_up and self._echo.is_lost

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let this agent do, as sentences whose subject is the broker."""
        lost = (denials.lost(self._own_beats),) if self.is_stranger else ()
        return (*lost, *self._control.denied, *self._telemetry.denied)

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
        credentials: Path | None,
    ) -> None:
        """Take a new desired state: connect to another broker, listen on other topics."""
        if site is None:
            self._routes, self._address = topics.Routes(), None
        else:
            self._routes = topics.routes(self._node, site.name, devices)
            self._address = connection.Address.of(site.spec.broker, credentials)
        filters = (self._routes.telemetry_filters, self._routes.control_filters)
        for each, wanted in zip((self._telemetry, self._control), filters, strict=True):
            each.want(self._address, wanted if site is not None else ())

    async def run(self) -> None:
        """Keep both connections up."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._telemetry.keep(self._node), name="mqtt-telemetry")
            group.create_task(self._control.keep(self._node), name="mqtt-control")

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
        except connection.NotSentError as error:
            return error.reason
        return None

    def advise(self, effect: effects.Advise) -> None:
        """Publish advice where the device has a topic for it; if it does not leave, never mind."""
        topic = self._routes.advice.get(effect.device)
        if topic is not None:
            _say(self._telemetry, topic, envelope.advice(effect))

    def live(self, said: beat.Beat) -> bool:
        """Tell the other agents of the site that this one lives; False when it did not leave."""
        has_left = _say(self._control, self._own_beats, said.encode())
        if has_left:
            self._echo.left(self._own_beats, asyncio.get_running_loop().time())
        self._listen()
        return has_left

    def ask(self, request: beat.RenewalRequest) -> bool:
        """Ask the site's agents for renewal; False when it did not leave."""
        return _say(
            self._control, beat.renew_topic(self._routes.site, self._node), request.encode()
        )

    def answer(self, renewal: beat.Renewal) -> bool:
        """Pass the hub's answer on to the holder who asked; False when it did not leave."""
        return _say(
            self._control, beat.renewed_topic(self._routes.site, renewal.node), renewal.encode()
        )

    @property
    def _is_deaf(self) -> bool:
        return self._echo.is_lost or self._control.is_deaf_to(beat.beat_topic(self._routes.site))

    @property
    def _own_beats(self) -> str:
        return beat.beat_topic(self._routes.site, self._node)

    def _guarded(self, take: connection.Received) -> connection.Received:
        """Return a taker of messages whose defects cost one message each, counted and logged."""

        def guarded(message: connection.Message) -> None:
            try:
                take(message)
            except Exception as error:  # noqa: BLE001 - counted and logged
                self._calls.count(DEFECT)
                self._refusals.note(f"a message on {message.topic}", DEFECT, error)

        return guarded

    def _on_telemetry(self, message: connection.Message) -> None:
        for route in (self._routes.telemetry or {}).get(message.topic, ()):
            at, fresh = self._stamp()
            self._tell(translate.telemetry(message, route, message.at or at, fresh), message.topic)

    def _on_control(self, message: connection.Message) -> None:
        routes = (self._routes.acknowledgements or {}).get(message.topic)
        if routes is None:
            if message.topic == self._own_beats:
                self._echo.heard()
                self._listen()
            heard = translate.peer(message, self._routes, *self._stamp())
            if heard.result not in (translate.ACCEPTED, translate.ECHO):
                self._calls.count(heard.result)
            self._pass_on(heard, message.topic)
            return
        for route in routes:
            self._tell(translate.answer(message, route, *self._stamp()), message.topic)

    def _tell(self, heard: translate.Heard, topic: str) -> None:
        self._calls.count(heard.result)
        self._pass_on(heard, topic)

    def _pass_on(self, heard: translate.Heard, topic: str) -> None:
        if heard.result not in translate.ROUTINE:
            self._refusals.note(f"a message on {topic}", heard.result)
        if heard.event is not None:
            self._calls.deliver(heard.event)
        elif heard.request is not None:
            self._calls.relay(heard.request)

    def _on_overflow(self, message: connection.Message) -> None:
        self._calls.count(DROPPED)
        self._refusals.note(f"a message on {message.topic} that had to wait", DROPPED)

    def _on_oversized(self, size: int) -> None:
        self._calls.count(OVERSIZED)
        self._refusals.note(f"a message of {size} bytes", OVERSIZED)

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        self._echo.heard()
        self._was_deaf = is_up and self._is_deaf
        self._calls.deliver(events.BrokerChanged(*self._stamp(), is_up, self._was_deaf))

    def _listen(self) -> None:
        """Say when beats are known not to arrive, and when they do again."""
        if self._control.is_up and self._is_deaf is not self._was_deaf:
            self._was_deaf = self._is_deaf
            self._calls.deliver(events.BrokerChanged(*self._stamp(), True, self._was_deaf))  # noqa: FBT003 - as `_changed` says


def _expiry(effect: effects.Command) -> int:
    """Return the MQTT 5 message expiry in whole seconds: a help, `notAfter` decides."""
    return max(1, ceil(effect.time_to_live))


def _say(way: lane.Lane, topic: str, body: bytes) -> bool:
    try:
        way.publish(topic, body)
    except connection.NotSentError:
        return False
    return True
