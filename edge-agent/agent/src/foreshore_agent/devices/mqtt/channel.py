"""The site's broker as its users know it: topics and bytes, nothing of sessions and sockets.

A channel is one user's share of a connection: what it listens on, what it sends. `broker` opens
them: for the devices of the site (`devices`), and for what its agents say to each other
(`foreshore_agent.site`), which imports this module and no other of the package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from foreshore_decision.instant import Instant

Refused = Callable[[str], None]
"""Told, in the event loop, why the broker refused a message that had left (MQTT 5, QoS 1): its own
reason as a code, such as `NotAuthorized` or `QuotaExceeded`."""


class NotSentError(Exception):
    """The message surely did not leave; `reason` is one of five.

    `NotConnected`, `Busy`, `Congested`, `InvalidTopic`, `CommandTooLarge`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MqttMessage(NamedTuple):
    """One message as it came."""

    topic: str
    payload: bytes
    retained: bool
    redelivered: bool
    at: Instant | None = None
    """When it was read from the socket, if anybody asked: it may wait for its turn afterwards."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who uses a channel; both are called in the event loop and must not block."""

    take: Callable[[MqttMessage], bool]
    """Takes a message; False if its topic is none of this subscriber's."""
    changed: Callable[[bool], None] = lambda _: None
    """Told when the connection is up, with every filter confirmed, and when it is down."""


class Channel(Protocol):
    """One user's share of a connection to the site's broker."""

    @property
    def is_up(self) -> bool:
        """Whether it is connected and hears everything it should."""
        ...

    def is_refused(self, topic_filter: str) -> bool:
        """Whether the broker refused to let us listen on a filter."""
        ...

    def listen(self, filters: tuple[str, ...], renewed: frozenset[str] = frozenset()) -> None:
        """Set what this user listens on, in place of what it listened on before.

        Of those that are `renewed` the broker is asked again for what it has kept.
        """
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        expiry: int | None = None,
        within: float | None = None,
        refused: Refused | None = None,
    ) -> None:
        """Send now, or raise NotSentError (see `connection.BrokerConnection.publish`)."""
        ...


Open = Callable[[Subscriber], Channel]
"""Opens a channel of one connection for one more user."""
