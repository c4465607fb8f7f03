"""Messages between the socket and whoever takes them: bounded in number and in bytes.

    put ──► waiting ──hand_over──► received
              └─ too many, too much: the oldest goes to `overflowed` (with a backlog),
                                     or `is_full`, and the socket has to wait (without one)

One of a `connection`. What is dropped goes through `overflowed`, which counts it.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from foreshore_agent.devices.mqtt.channel import MqttMessage

MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of payloads that may wait."""
MAXIMUM_MESSAGES: Final = 1024
"""Messages that may wait where none is dropped."""
HANDED_OVER: Final = 16
"""Messages handed over before the event loop sees to others, where they are worked on at once; with
a backlog they are only put aside."""
_LOG: Final = logging.getLogger(__name__)

Received = Callable[[MqttMessage], None]


class Inbox:
    """What arrived and was not taken yet, oldest first."""

    def __init__(
        self,
        received: Received,
        overflowed: Callable[[MqttMessage], None] | None,
        backlog: int | None,
    ) -> None:
        self._received: Final = received
        self._overflowed: Final = overflowed
        self._backlog: Final = backlog
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
        return self._backlog is None and self._is_over(MAXIMUM_MESSAGES, MAXIMUM_BYTES)

    @property
    def is_drained(self) -> bool:
        """Whether reading may go on after it was full."""
        return not self._is_over(MAXIMUM_MESSAGES // 2, MAXIMUM_BYTES // 2)

    def put(self, message: MqttMessage) -> None:
        """Keep a message; with a backlog, the oldest give way."""
        self._waiting.append(message)
        self._bytes += len(message.payload)
        while self._backlog is not None and self._is_over(self._backlog, MAXIMUM_BYTES):
            oldest = self._pop()
            if self._overflowed is not None:
                self._overflowed(oldest)

    def hand_over(self) -> None:
        """Give the oldest to whoever takes them; a taker's defect costs one message."""
        most = HANDED_OVER if self._backlog is None else self._backlog
        for _ in range(min(most, len(self._waiting))):
            message = self._pop()
            try:
                self._received(message)
            except Exception:  # noqa: BLE001 - logged; one bad message must not end the session
                self._complain(message.topic)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0

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
