"""What one agent sends to the others of its site and hears of them, over the control connection.

Three kinds of messages (`messages`), and one question that only they can answer: whether this agent
is heard at all. `BrokerChanged` is made here, because it is about what agents may conclude from
silence: it is up once the subscriptions of the control connection are confirmed, so that no answer
to a command is missed, and deaf when beats are known not to arrive: their filter is refused, or our
own do not come back.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from foreshore_agent import refusals
from foreshore_agent.devices.mqtt import channel
from foreshore_agent.engine import events
from foreshore_agent.site import echo, messages
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import beat


@dataclass(frozen=True, slots=True)
class ExchangeCalls:
    """Whom the exchange tells; every call is made in the event loop and must not block."""

    deliver: Callable[[events.Event], None]
    relay: Callable[[beat.RenewalRequest], None]
    """A holder of this site asks for renewal over the broker."""


class Exchange:
    """One agent's voice and ear among those of its site."""

    def __init__(
        self,
        node: str,
        stamp: events.EventStamp,
        calls: ExchangeCalls,
        refused: refusals.Refusals,
        open_channel: channel.Open,
    ) -> None:
        self._topics = messages.SiteTopics("", node)
        self._stamp: Final = stamp
        self._calls: Final = calls
        self._refused: Final = refused
        self._echo: Final = echo.Echo()
        self._was_deaf = False
        subscriber = channel.Subscriber(self._take, self._changed)
        self._channel: Final = open_channel(subscriber)

    def assign(self, site: str | None) -> None:
        """Speak and listen on the topics of a site, by name; on none without one."""
        self._topics = messages.SiteTopics(site or "", self._topics.node)
        self._channel.listen(() if site is None else self._topics.filters)

    @property
    def is_stranger(self) -> bool:
        """Whether the broker has a session with us and does not take us for an agent."""
        return self._channel.is_up and self._echo.is_lost

    @property
    def denied(self) -> tuple[str, ...]:
        """That the broker does not give our beats back, as a sentence whose subject it is."""
        return (echo.lost(self._topics.own_beats),) if self.is_stranger else ()

    @property
    def listening_seconds(self) -> float:
        """For how long beats of the site have reached this agent without a break."""
        if not self._channel.is_up or self._is_deaf:
            return 0.0
        return self._echo.heard_for(asyncio.get_running_loop().time())

    def announce(self, own: beat.Beat) -> bool:
        """Let the others know that this agent lives; False when it did not leave."""
        has_left = self._publish(self._topics.own_beats, own)
        if has_left:
            self._echo.left(self._topics.own_beats, asyncio.get_running_loop().time())
        self._notice_deafness()
        return has_left

    def ask(self, request: beat.RenewalRequest) -> bool:
        """Ask the site's agents for renewal; False when it did not leave."""
        return self._publish(self._topics.own_requests, request)

    def answer(self, renewal: beat.Renewal) -> bool:
        """Pass the hub's answer on to the holder who asked; False when it did not leave."""
        return self._publish(self._topics.renewals(renewal.node), renewal)

    def _publish(self, topic: str, document: messages.Document) -> bool:
        try:
            self._channel.publish(topic, document.encode())
        except channel.NotSentError:
            return False
        return True

    @property
    def _is_deaf(self) -> bool:
        return self._echo.is_lost or self._channel.is_refused(self._topics.beats)

    def _take(self, message: channel.MqttMessage) -> bool:
        if message.topic == self._topics.own_beats:
            self._echo.returned(asyncio.get_running_loop().time())
            self._notice_deafness()
        document = messages.read(
            self._topics, message.topic, message.payload, retained=message.retained
        )
        if not isinstance(document, str):
            self._hear(document)
        elif document == reasons.UNKNOWN_TOPIC:
            return False
        elif document != reasons.ECHO:
            self._refused.note(f"a message on {message.topic}", document)
        return True

    def _hear(self, document: messages.Document) -> None:
        match document:
            case beat.Beat():
                self._calls.deliver(events.PeerBeat(*self._stamp(), document))
            case beat.Renewal():
                self._calls.deliver(events.Renewed(*self._stamp(), document, relayed=True))
            case beat.RenewalRequest():
                self._calls.relay(document)
            case _:
                assert_never(document)

    def _changed(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        self._echo.restart()
        self._was_deaf = is_up and self._is_deaf
        self._calls.deliver(events.BrokerChanged(*self._stamp(), is_up, self._was_deaf))

    def _notice_deafness(self) -> None:
        """Tell the engine when beats are known not to arrive, and when they do again."""
        if self._channel.is_up and self._is_deaf is not self._was_deaf:
            self._was_deaf = self._is_deaf
            changed = events.BrokerChanged(*self._stamp(), connected=True, is_deaf=self._was_deaf)
            self._calls.deliver(changed)
