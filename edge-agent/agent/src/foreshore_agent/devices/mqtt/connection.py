"""One session with a broker, over paho-mqtt without its threads: the event loop watches the socket.

    open ──► CONNACK ──► open: subscribe, publish, messages to `received` ──► closed (with a reason)
      └─ refused or timed out: ConnectionFailedError                              never open again

There is no way back: whoever wants another session opens another connection, with an empty outbox.
A client that reconnects by itself delivers its stale queue after a successor's command. Nothing is
ever retained.

Messages are handed over outside paho's callbacks, because paho holds a lock there that its own
error handling takes again.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from foreshore_agent.devices.mqtt import client as clients
from foreshore_agent.devices.mqtt import (
    credentials,
    denials,
    inbox,
    outstanding,
    session,
    socket_watch,
    subscriptions,
)
from foreshore_agent.devices.mqtt.channel import MqttMessage, NotSentError, Refused
from foreshore_agent.devices.mqtt.session import Address, ConnectionFailedError, Will
from foreshore_api.reasons import command as reasons
from foreshore_decision.instant import Instant

_READS: Final = 64
_LOG: Final = logging.getLogger(__name__)


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
        client: clients.Client,
        waiting: inbox.Inbox,
        now: Callable[[], Instant] | None,
    ) -> None:
        self._client: Final = client
        self._now: Final = now
        self._waiting: Final = waiting
        self._loop: Final = asyncio.get_running_loop()
        self._socket: socket_watch.WatchedSocket | None = None
        self._is_paused = False
        self._is_closing = False
        self._is_dispatching = False
        self._misc: asyncio.TimerHandle | None = None
        self._packets = 0
        self._is_v5 = client.protocol == paho.MQTTv5
        self._drained: asyncio.Future[None] | None = None
        self.denials: Final = denials.Denials()
        """What the broker does not let us publish and listen on."""
        self._outstanding: Final = outstanding.Outstanding(self.denials, self._reset)
        self._subscriptions: Final = subscriptions.Subscriptions(client, self.denials)
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self.closed: Final[asyncio.Future[str]] = self._loop.create_future()
        """Ends, with a reason for people, when the session has ended."""

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        name: str,
        received: Received,
        will: Will | None = None,
        overflowed: Callable[[MqttMessage], None] | None = None,
        backlog: int | None = None,
        now: Callable[[], Instant] | None = None,
        carries_commands: bool = False,
    ) -> Self:
        """Open a session and wait until the broker has accepted it.

        `name` is the beginning of the client identifier; its end is new each time, so that no
        session throws another out. `backlog` bounds the messages that wait to be handed over, as
        their bytes are bounded: the oldest goes to `overflowed` instead; without it, reading stops
        for a while. `now` dates
        messages as they arrive. What `carries_commands` takes what the kernel still holds with it
        when it ends: a command that arrives late is worse than one that does not arrive.

        Raises:
            ConnectionFailedError: the broker did not answer, or refused.
        """
        try:
            client = session.client(address, name, will)
        except credentials.CredentialError as error:
            raise ConnectionFailedError(str(error)) from error
        connection = cls(client, inbox.Inbox(received, overflowed, backlog), now)
        try:
            async with asyncio.timeout(session.CONNECT_SECONDS * 2):
                await asyncio.to_thread(session.connect, client, address)
                connection._attach()
                if carries_commands:
                    connection._linger(is_reset=True)
                await connection._accepted
        except ConnectionFailedError as error:
            raise ConnectionFailedError(session.unaccepted(error, address)) from error
        except (OSError, ValueError) as error:
            raise ConnectionFailedError(session.describe(error, address)) from error
        finally:
            if not connection.is_open:
                connection._end("it was never open")
        return connection

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return not self.closed.done() and self._client.is_connected()

    @property
    def has_room(self) -> bool:
        """Whether a message with QoS 1 would be taken now."""
        is_free = not self._outstanding.is_full and not self._client.want_write()
        return self.is_open and is_free

    @property
    def oversized(self) -> int | None:
        """Bytes of the packet that ended the session because it was too large; None if none did."""
        return self._client.oversized

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> tuple[str, ...]:
        """Subscribe, wait for the broker's word on each filter, and return those it refuses.

        Raises:
            ConnectionFailedError: the session ended.
        """
        refused: list[str] = []
        for start in range(0, len(filters), subscriptions.AT_ONCE):
            batch = filters[start : start + subscriptions.AT_ONCE]
            answer = self._subscriptions.ask(batch, qos)
            self._flush()
            codes = await self._within_session(answer)
            if len(codes) != len(batch):
                reason = f"the broker answers {len(batch)} subscriptions with {len(codes)} codes"
                self._reset(reason)
                raise ConnectionFailedError(reason)
            refused += self._subscriptions.refused(batch, codes)
        return tuple(refused)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Stop hearing; messages under way may still come."""
        if filters and self.is_open:
            self._client.unsubscribe(list(filters))
            self._flush()

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
        publication = outstanding.Publication(topic, None, refused)
        number = self._send(publication, payload, qos, expiry)
        if within is None:
            return
        if self._client.want_write():
            self._reset("the network takes no more")
            raise NotSentError(reasons.CONGESTED)
        self._outstanding.expect(number, within)

    async def deliver(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the broker's PUBACK, whatever it says.

        For senders that have time; `denials` knows what is refused.

        Raises:
            NotSentError: it did not leave, or the session ended first.
        """
        answer: asyncio.Future[None] = self._loop.create_future()
        try:
            while self._client.want_write() and self.is_open:
                self._drained = self._drained or self._loop.create_future()
                await self._within_session(self._drained)
            self._send(outstanding.Publication(topic, answer, None), payload, 1, None)
            await self._within_session(answer)
        except ConnectionFailedError as error:
            raise NotSentError(reasons.NOT_CONNECTED) from error

    async def close(self) -> None:
        """Say good-bye and end the session."""
        self._is_closing = True
        self._waiting.clear()
        if self.is_open:
            if self._outstanding.is_empty:
                self._linger(is_reset=False)
            self._client.disconnect()
            self._flush()
        self._end("closed")

    def _send(
        self, publication: outstanding.Publication, payload: bytes, qos: int, expiry: int | None
    ) -> int:
        if not self.is_open:
            raise NotSentError(reasons.NOT_CONNECTED)
        if self._client.want_write():
            raise NotSentError(reasons.CONGESTED)
        if qos and self._outstanding.is_full:
            raise NotSentError(reasons.BUSY)
        properties = session.expiring(expiry) if self._is_v5 and expiry is not None else None
        try:
            info = self._client.publish(
                publication.topic, payload, qos=qos, retain=False, properties=properties
            )
        except ValueError as error:  # a topic with a wildcard, or one that is no UTF-8
            raise NotSentError(reasons.INVALID_TOPIC) from error
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotSentError(reasons.NOT_CONNECTED)
        if qos:
            self._outstanding.add(info.mid, publication)
        self._flush()
        return info.mid

    async def _within_session(self, answer: asyncio.Future[_Answer]) -> _Answer:
        await asyncio.wait((answer, self.closed), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionFailedError(self.closed.result())
        return answer.result()

    # The socket, watched by the event loop.

    def _attach(self) -> None:
        raw = self._client.socket()
        if not isinstance(raw, socket.socket):
            raise ConnectionFailedError("the broker closed the connection at once")
        self._socket = socket_watch.WatchedSocket(raw, self._read, self._flush)
        client = self._client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        self._tend()

    def _read(self) -> None:
        if self.closed.done() or self._is_paused:
            return
        for _ in range(_READS):
            before = self._packets
            self._take_packet()
            if self.closed.done() or self._is_paused:
                break
            has_more = self._socket is not None and self._socket.has_decrypted
            if self._packets == before and not has_more:
                break
        self._flush()
        self._hand_over()

    def _take_packet(self) -> None:
        """Let the client read; what it cannot read ends the session, not the loop."""
        try:
            self._client.loop_read()
        except Exception as error:  # noqa: BLE001 - logged with the session's end
            _LOG.debug("where it came from", exc_info=error)
            self._reset(f"the broker sent what cannot be read ({type(error).__name__})")

    def _flush(self) -> None:
        if not self.closed.done() and self._client.want_write():
            self._client.loop_write()
        if self.closed.done():
            return
        wants = self._client.want_write()
        if self._socket is not None:
            self._socket.want_write(wants=wants)
        if not wants and self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def _tend(self) -> None:
        """Let the client see to its keep-alive."""
        if not self.closed.done():
            self._client.loop_misc()
            self._flush()
            self._misc = self._loop.call_later(1.0, self._tend)

    def _hand_over(self) -> None:
        self._is_dispatching = False
        self._waiting.hand_over()
        if not self._waiting.is_empty:
            self._is_dispatching = True
            self._loop.call_soon(self._hand_over)
        if self._is_paused and self._waiting.is_drained and not self.closed.done():
            self._is_paused = False
            if self._socket is not None:
                self._socket.resume()

    def _end(self, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        self._outstanding.close()
        if self._misc is not None:
            self._misc.cancel()
        if self._socket is not None:
            self._socket.close()
        if not self._accepted.done():
            self._accepted.set_exception(ConnectionFailedError(reason))
            self._accepted.exception()  # it may be that nobody waits any more

    def _reset(self, reason: str) -> None:
        """End the session, and throw away what the kernel still holds."""
        self._linger(is_reset=True)
        self._end(reason)

    def _linger(self, *, is_reset: bool) -> None:
        """Set whether closing the socket throws away what the other side has not taken yet."""
        if self._socket is not None:
            self._socket.linger(is_reset=is_reset)

    # The client's callbacks: they hold its lock, so they only take notes.

    def _on_connect(
        self,
        _client: object,
        _data: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._packets += 1
        if self._accepted.done():
            return
        if code.is_failure:
            self._accepted.set_exception(ConnectionFailedError(f"the broker refuses us: {code}"))
            return
        most = outstanding.MAXIMUM_OUTSTANDING
        self._outstanding.limit = min(most, getattr(properties, "ReceiveMaximum", most))
        self._accepted.set_result(None)

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if self.oversized is not None:
            self._end(
                f"a message of {self.oversized} bytes was sent to us, and {clients.MAXIMUM_PACKET}"
                " is what is read: see the broker's max_packet_size, and who publishes it"
            )
        self._end("closed" if self._is_closing else f"the broker is gone: {code}")

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self._packets += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours
        at = None if self._now is None else self._now()
        body = bytes(message.payload)
        self._waiting.put(MqttMessage(topic, body, message.retain, message.dup, at))
        if self._waiting.is_full and not self._is_paused and self._socket is not None:
            self._is_paused = True
            self._socket.pause()

    def _on_publish(
        self, _client: object, _data: object, number: int, code: ReasonCode, _properties: object
    ) -> None:
        self._packets += 1
        self._outstanding.settle(number, code)

    def _on_subscribe(
        self,
        _client: object,
        _data: object,
        number: int,
        codes: list[ReasonCode],
        _properties: object,
    ) -> None:
        self._packets += 1
        self._subscriptions.settle(number, codes)

    def _on_socket_close(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.unwatch()
