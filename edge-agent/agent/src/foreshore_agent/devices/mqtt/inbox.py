"""Messages between the socket and whoever takes them: bounded in number and in bytes.

    put ──► waiting ──hand_over──► received
              └─ too many, too much: `is_full`, and the socket has to wait: nothing is dropped
    put ──► received                          where the taker only puts messages aside (`is_aside`)

One of a `connection`.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from foreshore_agent.devices.mqtt.channel import MqttMessage

MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of payloads that may wait."""
MAXIMUM_MESSAGES: Final = 1024
"""Messages that may wait."""
HANDED_OVER: Final = 16
"""Messages handed over before the event loop sees to others: they are worked on at once."""
HANDED_OVER_BYTES: Final = 64 << 10
"""Bytes of payloads likewise: JSON of this size that is made to be slow takes 10 ms."""
_LOG: Final = logging.getLogger(__name__)

Received = Callable[[MqttMessage], None]


class Inbox:
    """What arrived and was not taken yet, oldest first."""

    def __init__(self, received: Received, *, is_aside: bool = False) -> None:
        """Keep messages for a taker; what is put aside there waits here for nothing.

        A second queue before one that is bounded would drop what that one knows how to count, of
        devices that it would spare.
        """
        self._received: Final = received
        self._is_aside: Final = is_aside
        self._waiting: Final = deque[MqttMessage]()
        self._bytes = 0
        self._defects = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read for now: none of what waits may be dropped."""
        return self._is_over(MAXIMUM_MESSAGES, MAXIMUM_BYTES)

    @property
    def is_drained(self) -> bool:
        """Whether reading may go on after it was full."""
        return not self._is_over(MAXIMUM_MESSAGES // 2, MAXIMUM_BYTES // 2)

    def put(self, message: MqttMessage) -> None:
        """Keep a message, or have it put aside."""
        if self._is_aside:
            self._give(message)
            return
        self._waiting.append(message)
        self._bytes += len(message.payload)

    def hand_over(self) -> None:
        """Give the oldest to whoever takes them."""
        until = self._bytes - HANDED_OVER_BYTES
        for _ in range(min(HANDED_OVER, len(self._waiting))):
            self._give(self._pop())
            if self._bytes <= until:
                break

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0

    def _give(self, message: MqttMessage) -> None:
        """Hand a message over; a taker's defect costs this one."""
        try:
            self._received(message)
        except Exception:  # noqa: BLE001 - logged; one bad message must not end the session
            self._complain(message.topic)

    def _pop(self) -> MqttMessage:
        message = self._waiting.popleft()
        self._bytes -= len(message.payload)
        return message

    def _is_over(self, messages: int, size: int) -> bool:
        return len(self._waiting) > messages or self._bytes > size

    def _complain(self, topic: str) -> None:
        """Log a taker's defect, the first of a session only: there may be thousands a second."""
        self._defects += 1
        if self._defects == 1:
            _LOG.exception("a message on %r could not be taken; more are not logged", topic)
