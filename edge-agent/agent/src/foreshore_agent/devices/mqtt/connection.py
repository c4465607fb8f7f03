"""One session with a broker, over the agent's own codec and a socket that the event loop watches.

    open ──► CONNACK ──► open: subscribe, publish, messages to `received` ──► closed (with a reason)
      └─ refused or timed out: ConnectionFailedError                              never open again

There is no way back: whoever wants another session opens another connection, with an empty outbox.
A client that reconnects by itself delivers its stale queue after a successor's command. Nothing is
ever retained, and nothing is sent twice.

`stream` carries the packets, `outstanding` and `subscriptions` wait for the broker's answers, and
`inbox` keeps messages until they are handed over.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from foreshore_agent.devices.mqtt import (
    credentials,
    denials,
    inbox,
    outstanding,
    session,
    stream,
    subscriptions,
)
from foreshore_agent.devices.mqtt.channel import MqttMessage, NotSentError, Refused
from foreshore_agent.devices.mqtt.codec import codes, decode, encode
from foreshore_agent.devices.mqtt.session import Address, ConnectionFailedError, Will
from foreshore_api import printable
from foreshore_api.reasons import command as reasons
from foreshore_decision.instant import Instant

SUBSCRIBE_SECONDS: Final = 10.0
"""A broker that has not answered a subscription after so long never will: without this word nobody
would know that nothing is heard."""
_LAST_NUMBER: Final = 65535
_BEFORE_ACCEPTED: Final = frozenset(
    {decode.ConnectAnswer, decode.BrokerFarewell, decode.UnreadablePacket}
)
"""What may come before CONNACK: else whoever listens on the port could feed us messages."""

__all__ = [
    "Address",
    "BrokerConnection",
    "ConnectionFailedError",
    "MqttMessage",
    "NotSentError",
    "Received",
    "Will",
]

Received = inbox.Received
_Answer = TypeVar("_Answer")


class BrokerConnection:
    """One session; made by `open`."""

    def __init__(
        self,
        raw: socket.socket,
        address: Address,
        waiting: inbox.Inbox,
        now: Callable[[], Instant] | None,
    ) -> None:
        self._now: Final = now
        self._waiting: Final = waiting
        self._loop: Final = asyncio.get_running_loop()
        self._is_v5: Final = address.is_v5
        self._takers: Final[Mapping[type, Callable[[Any], None]]] = {
            decode.InboundPublish: self._on_message,
            decode.PublishAnswer: self._on_publish_answer,
            decode.SubscribeAnswer: self._on_subscribe_answer,
            decode.ConnectAnswer: self._on_connect_answer,
            decode.UnsubscribeAnswer: _ignore,
            decode.PingAnswer: _ignore,
            decode.BrokerFarewell: self._on_farewell,
            decode.UnreadablePacket: self._on_unreadable,
        }
        self._is_accepted = False
        self._is_dispatching = False
        self._number = 0
        self._largest: int | None = None
        self._read_at: Instant | None = None
        self._drained: asyncio.Future[None] | None = None
        self.denials: Final = denials.Denials()
        """What the broker does not let us publish and listen on."""
        self.refusal: str | None = None
        """The broker's own reason for the end, as a code; None where it gave none."""
        self.oversized: int | None = None
        """Bytes of the packet that ended the session because it was too large; None if none did."""
        self._outstanding: Final = outstanding.Outstanding(self.denials, self._reset)
        self._subscriptions: Final = subscriptions.Subscriptions(self.denials)
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self.closed: Final[asyncio.Future[str]] = self._loop.create_future()
        """Ends, with a reason for people, when the session has ended."""
        self._stream: Final = stream.PacketStream(
            raw,
            is_v5=address.is_v5,
            keep_alive_seconds=session.KEEPALIVE_SECONDS,
            taken=self._take,
            drained=self._on_drained,
            ended=self._reset,
        )

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        name: str,
        received: Received,
        will: Will | None = None,
        is_aside: bool = False,
        now: Callable[[], Instant] | None = None,
        carries_commands: bool = False,
    ) -> Self:
        """Open a session and wait until the broker has accepted it.

        `name` is the beginning of the client identifier; its end is new each time, so that no
        session throws another out. Messages that wait to be handed over are bounded: reading stops
        for a while. With `is_aside` none waits: `received` only puts them aside, and bounds what
        it keeps. `now` dates messages as they arrive. What `carries_commands` takes what the kernel
        still holds with it when it ends: a command that arrives late is worse than one that does
        not arrive.

        Raises:
            ConnectionFailedError: the broker did not answer, or refused.
        """
        try:
            async with asyncio.timeout(session.CONNECT_SECONDS * 2):
                raw, login = await session.connected(address)
                connection = cls(raw, address, inbox.Inbox(received, is_aside=is_aside), now)
                connection._stream.linger(is_reset=carries_commands)
                await connection._greet(session.greeting(name, will, login))
        except ConnectionFailedError as error:
            why = session.unaccepted(error, address)
            raise ConnectionFailedError(why, error.reason) from error
        except credentials.CredentialError as error:
            raise ConnectionFailedError(str(error)) from error
        except (OSError, ValueError) as error:
            raise ConnectionFailedError(session.describe(error, address)) from error
        return connection

    async def _greet(self, greeting: encode.Greeting) -> None:
        """Send CONNECT and wait for its answer; whatever goes wrong closes the socket."""
        try:
            self._stream.write(encode.connect(greeting, is_v5=self._is_v5))
            await self._accepted
        except BaseException:  # even if it was accepted just then: nobody would close it
            self._end("it was never open")
            raise

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._is_accepted and not self.closed.done()

    @property
    def has_room(self) -> bool:
        """Whether a message with QoS 1 would be taken now."""
        return self.is_open and not self._outstanding.is_full and not self._stream.has_unsent

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> tuple[str, ...]:
        """Subscribe, wait for the broker's word on each filter, and return those it refuses.

        Raises:
            ConnectionFailedError: the session ended.
        """
        refused: list[str] = []
        for start in range(0, len(filters), subscriptions.AT_ONCE):
            batch = filters[start : start + subscriptions.AT_ONCE]
            answers = await self._within_session(self._ask(batch, qos), SUBSCRIBE_SECONDS)
            if len(answers) != len(batch):
                reason = f"the broker answers {len(batch)} subscriptions with {len(answers)} codes"
                self._reset(reason)
                raise ConnectionFailedError(reason)
            refused += self._subscriptions.refused(batch, answers)
        return tuple(refused)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Stop hearing; messages under way may still come."""
        for start in range(0, len(filters), subscriptions.AT_ONCE):
            batch = filters[start : start + subscriptions.AT_ONCE]
            if self.is_open:
                packet = encode.unsubscribe(self._next_number(), batch, is_v5=self._is_v5)
                self._stream.write(packet)

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
        """Hand a message to the socket now, or raise.

        `expiry` is in whole seconds; MQTT 3.1.1 knows none. A command must arrive `within` seconds:
        one that the network does not take at once, or the broker does not acknowledge in time, ends
        the session: completed later, it would arrive late. `refused` is told when a broker of
        MQTT 5 refuses what it was given with QoS 1.

        Raises:
            NotSentError: it did not leave and will not.
        """
        number = self._send(outstanding.Publication(topic, None, refused), payload, qos, expiry)
        if within is None:
            return
        if self._stream.has_unsent:
            self._reset("the network takes no more")
            raise NotSentError(reasons.CONGESTED)
        if number is not None:
            self._outstanding.expect(number, within)

    async def deliver(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the broker's PUBACK, whatever it says.

        For senders that have time; `denials` knows what is refused.

        Raises:
            NotSentError: it did not leave, or the session ended first.
        """
        answer: asyncio.Future[None] = self._loop.create_future()
        try:
            while self._stream.has_unsent and self.is_open:
                self._drained = self._drained or self._loop.create_future()
                await self._within_session(self._drained)
            self._send(outstanding.Publication(topic, answer, None), payload, 1, None)
            await self._within_session(answer)
        except ConnectionFailedError as error:
            raise NotSentError(reasons.NOT_CONNECTED) from error

    async def close(self) -> None:
        """Say good-bye and end the session."""
        self._waiting.clear()
        if self.is_open:
            if self._outstanding.is_empty:
                self._stream.linger(is_reset=False)
            self._stream.write(encode.DISCONNECT)
        self._end("closed")

    def _send(
        self, publication: outstanding.Publication, payload: bytes, qos: int, expiry: int | None
    ) -> int | None:
        """Write a message, and return its packet number if it has one."""
        if not self.is_open:
            raise NotSentError(reasons.NOT_CONNECTED)
        if self._stream.has_unsent:
            raise NotSentError(reasons.CONGESTED)
        if qos and self._outstanding.is_full:
            raise NotSentError(reasons.BUSY)
        number = self._next_number() if qos else None
        try:
            packet = encode.publish(
                publication.topic, payload, number=number, expiry=expiry, is_v5=self._is_v5
            )
        except ValueError as error:  # a topic with a wildcard, or one that is no UTF-8
            raise NotSentError(reasons.INVALID_TOPIC) from error
        if self._largest is not None and len(packet) > self._largest:
            raise NotSentError(reasons.COMMAND_TOO_LARGE)
        if not self._stream.write(packet):
            raise NotSentError(reasons.NOT_CONNECTED)
        if number is not None:
            self._outstanding.add(number, publication)
        return number

    def _ask(self, filters: Sequence[str], qos: int) -> "asyncio.Future[subscriptions.Answers]":
        if not self.is_open:
            raise ConnectionFailedError("the session has ended")
        number = self._next_number()
        packet = encode.subscribe(number, filters, qos, is_v5=self._is_v5)
        answer = self._subscriptions.expect(number)
        self._stream.write(packet)
        return answer

    def _next_number(self) -> int:
        """Return a packet number that nothing waits under; there are far more than may wait."""
        while True:
            self._number = self._number % _LAST_NUMBER + 1
            if self._number not in self._outstanding and self._number not in self._subscriptions:
                return self._number

    async def _within_session(
        self, answer: asyncio.Future[_Answer], within: float | None = None
    ) -> _Answer:
        """Wait for an answer; a session that gives none within so many seconds is ended."""
        either = (answer, self.closed)
        await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self._reset("the broker does not answer what it was asked")
            raise ConnectionFailedError(self.closed.result())
        return answer.result()

    # What comes from the stream.

    def _take(self, packets: list[decode.Packet]) -> None:
        self._read_at = None if self._now is None else self._now()
        for packet in packets:
            if self.closed.done():
                break
            if self._is_accepted or type(packet) in _BEFORE_ACCEPTED:
                self._takers[type(packet)](packet)
            else:
                self._reset("the broker sent something else before it accepted the session")
        if len(packets) > 1:
            # What they lead to takes its time, and a broker sends so many before it waits
            # (Mosquitto: 20): what is newest would queue up there, behind what is old.
            self._stream.flush()
        self._hand_over()

    def _on_drained(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def _hand_over(self) -> None:
        self._waiting.hand_over()
        if not self._waiting.is_empty and not self._is_dispatching:
            self._is_dispatching = True
            self._loop.call_soon(self._hand_over_more)
        if self._stream.is_paused and self._waiting.is_drained and not self.closed.done():
            self._stream.resume()

    def _hand_over_more(self) -> None:
        self._is_dispatching = False
        self._hand_over()

    def _end(self, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        self._outstanding.close()
        self._stream.close()
        if not self._accepted.done():
            self._accepted.set_exception(ConnectionFailedError(reason, self.refusal))
            self._accepted.exception()  # it may be that nobody waits any more

    def _reset(self, reason: str) -> None:
        """End the session, and throw away what the kernel still holds."""
        self._stream.linger(is_reset=True)
        self._end(reason)

    def _on_connect_answer(self, answer: decode.ConnectAnswer) -> None:
        if self._accepted.done():
            self._reset("the broker sent a second CONNACK")
        elif codes.is_failure(answer.code):
            self.refusal = outstanding.reason(answer.code)
            self._end(f"the broker refuses us: {_worded(answer.code, answer.reason)}")
        elif answer.maximum_qos < 1:
            self._end("the broker takes no QoS 1, without which no command is sent")
        else:
            self._outstanding.limit = min(outstanding.MAXIMUM_OUTSTANDING, answer.receive_maximum)
            if answer.keep_alive:
                # no less often than we would: a longer silence hides a connection that broke
                self._stream.keep_alive_every(min(answer.keep_alive, session.KEEPALIVE_SECONDS))
            self._largest = answer.maximum_packet
            self._is_accepted = True
            self._accepted.set_result(None)

    def _on_farewell(self, farewell: decode.BrokerFarewell) -> None:
        if codes.is_failure(farewell.code):
            self.refusal = outstanding.reason(farewell.code)
        self._end(f"the broker is gone: {_worded(farewell.code, farewell.reason)}")

    def _on_unreadable(self, packet: decode.UnreadablePacket) -> None:
        self.oversized = packet.oversized
        is_large = packet.oversized is not None
        self._reset(
            packet.why if is_large else f"the broker sent what cannot be read: {packet.why}"
        )

    def _on_message(self, message: decode.InboundPublish) -> None:
        if message.number:
            self._stream.acknowledge(message.number)
        self._waiting.put(
            MqttMessage(
                message.topic,
                message.payload,
                message.retained,
                message.redelivered,
                self._read_at,
            )
        )
        if self._waiting.is_full and not self._stream.is_paused:
            self._stream.pause()

    def _on_publish_answer(self, answer: decode.PublishAnswer) -> None:
        self._outstanding.settle(answer.number, answer.code)

    def _on_subscribe_answer(self, answer: decode.SubscribeAnswer) -> None:
        self._subscriptions.settle(answer.number, answer.answers)


def _ignore(_: object) -> None:
    """Take what nobody waits for; that it came is noted as a sign of life."""


def _worded(code: int, reason: str) -> str:
    """Return a reason code for people, with the broker's own words where it gives some."""
    return f"{codes.name(code)} ({printable.clean(reason)})" if reason else codes.name(code)
