"""The broker of one site: two connections, kept up, whose channels others use.

    telemetry   what devices measure, in bulk: put aside by its user, who bounds what waits;
                advice goes out here
    control     commands out, answers in, what agents say to each other: never dropped, never queued

Each connection is opened anew, with full jitter, when it breaks. A message is offered to the
connection's subscribers in the order in which they came, until one takes it.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foreshore_agent import refusals
from foreshore_agent.devices.mqtt import channel, connection, lane
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import site as sites
from foreshore_decision.instant import Instant

_LOG: Final = logging.getLogger(__name__)


class SiteBroker:
    """One agent's side of its site's broker; `run` keeps it connected until cancelled."""

    def __init__(
        self,
        node: str,
        refused: refusals.Refusals,
        now: Callable[[], Instant],
        *,
        has_control: bool = True,
    ) -> None:
        """Speak to a broker as a node; without control it listens only, and nothing can be sent."""
        self._node: Final = node
        self._refused: Final = refused
        self._address: connection.Address | None = None
        self._telemetry: Final = SharedLane("telemetry", refused, is_aside=True, now=now)
        self._control: Final = SharedLane("control", refused, carries_commands=True)
        self._kept: Final[tuple[SharedLane, ...]] = (
            (self._telemetry, self._control) if has_control else (self._telemetry,)
        )
        """What is connected; the last is what the broker is asked about."""

    @property
    def is_connected(self) -> bool:
        """Whether a command could be sent now; of what listens only, whether it hears."""
        return self._kept[-1].lane.is_up

    @property
    def problem(self) -> str | None:
        """Why it is not connected, for people; None while it is."""
        return self._kept[-1].lane.problem

    @property
    def reason(self) -> str | None:
        """The broker's own reason for that, as a code; None where it gives none."""
        return self._kept[-1].lane.reason

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let this agent do, as sentences whose subject is the broker."""
        return (*self._control.lane.denied, *self._telemetry.lane.denied)

    def telemetry(self, subscriber: channel.Subscriber) -> channel.Channel:
        """Open a channel of the telemetry connection."""
        return self._telemetry.open(subscriber)

    def control(self, subscriber: channel.Subscriber) -> channel.Channel:
        """Open a channel of the control connection."""
        return self._control.open(subscriber)

    def assign(self, broker: sites.Broker | None, credentials: Path | None) -> None:
        """Connect to another broker, or to none."""
        address = None if broker is None else connection.Address.of(broker, credentials)
        if address is not None and address.is_revealing and address != self._address:
            _LOG.warning(
                "user name and password of the credential %s travel in clear text to %s:%d:"
                " use transport TLS where others can listen",
                address.credential,
                address.host,
                address.port,
            )
        self._address = address
        for shared in self._kept:
            shared.move(address)

    async def run(self) -> None:
        """Keep the connections up."""
        async with asyncio.TaskGroup() as group:
            for shared in self._kept:
                keeping = shared.lane.keep(self._node)
                group.create_task(keeping, name=f"mqtt-{shared.lane.name}")


class SharedLane:
    """One connection and the channels that share it."""

    def __init__(
        self,
        name: str,
        refused: refusals.Refusals,
        *,
        is_aside: bool = False,
        now: Callable[[], Instant] | None = None,
        carries_commands: bool = False,
    ) -> None:
        self._refused: Final = refused
        self._address: connection.Address | None = None
        self._users: Final[list[_LaneChannel]] = []
        traffic = lane.Traffic(
            self._receive,
            is_aside=is_aside,
            now=now,
            carries_commands=carries_commands,
            oversized=self._oversized,
        )
        self.lane: Final = lane.Lane(name, traffic, self._changed)

    def open(self, subscriber: channel.Subscriber) -> channel.Channel:
        """Add a user."""
        user = _LaneChannel(self, subscriber)
        self._users.append(user)
        return user

    def move(self, address: connection.Address | None) -> None:
        """Use another broker."""
        self._address = address
        self.settle()

    def settle(self) -> None:
        """Want what the users want together."""
        filters = tuple(topic for user in self._users for topic in user.filters)
        self.lane.want(self._address, filters if self._address is not None else ())

    def _receive(self, message: channel.MqttMessage) -> None:
        """Offer a message; a taker's defect costs this message, counted and logged."""
        try:
            is_taken = any(user.subscriber.take(message) for user in self._users)
        except Exception as error:  # noqa: BLE001 - counted and logged
            self._refused.note(f"a message on {message.topic}", reasons.DEFECT, error)
            return
        if not is_taken:
            self._refused.note(f"a message on {message.topic}", reasons.UNKNOWN_TOPIC)

    def _oversized(self, size: int) -> None:
        self._refused.note(f"a message of {size} bytes", reasons.PACKET_TOO_LARGE)

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        for user in self._users:
            user.subscriber.changed(is_up)


class _LaneChannel:
    """One user's share of a lane."""

    def __init__(self, shared: SharedLane, subscriber: channel.Subscriber) -> None:
        self._shared: Final = shared
        self.subscriber: Final = subscriber
        self.filters: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        return self._shared.lane.is_up

    def is_refused(self, topic_filter: str) -> bool:
        return self._shared.lane.is_refused(topic_filter)

    def listen(self, filters: tuple[str, ...], renewed: frozenset[str] = frozenset()) -> None:
        self.filters = filters
        self._shared.lane.renew(renewed)
        self._shared.settle()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        expiry: int | None = None,
        within: float | None = None,
        refused: channel.Refused | None = None,
    ) -> None:
        self._shared.lane.publish(
            topic, payload, qos=qos, expiry=expiry, within=within, refused=refused
        )
