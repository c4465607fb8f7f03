"""What was heard on a broker: the last message of every topic, within bounds.

Filled by `listen`, read by `layouts`; pure. Strangers publish there, so that number and size are
bounded, and nothing that a message holds is believed before it is looked at.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

MAXIMUM_TOPICS: Final = 10_000
"""Topics that are kept; of further ones only the number is."""
MAXIMUM_BYTES: Final = 32 << 20
"""Bytes of topics and payloads that are kept together."""
MAXIMUM_TEXT: Final = 256
"""Characters of a bare value that is looked at."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The last message of a topic."""

    topic: str
    payload: bytes
    was_retained: bool
    """Whether the broker had kept one of its messages."""
    count: int = 1

    @property
    def text(self) -> str | None:
        """The payload as a short text; None if it is none."""
        if len(self.payload) > 4 * MAXIMUM_TEXT:
            return None
        try:
            text = self.payload.decode().strip()
        except UnicodeDecodeError:
            return None
        return text if len(text) <= MAXIMUM_TEXT and text.isprintable() else None

    @property
    def document(self) -> Any:
        """The payload as JSON; None if it is none, or null."""
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            return None


class Observations:
    """Everything that was heard so far."""

    def __init__(self) -> None:
        self._heard: Final[dict[str, Heard]] = {}
        self._order: list[str] = []
        self._bytes = 0
        self.messages = 0
        """Messages that came."""
        self.left = 0
        """Messages of topics that there was no room for."""

    def __len__(self) -> int:
        """Topics that are kept."""
        return len(self._heard)

    def __iter__(self) -> Iterator[Heard]:
        """Give every topic's last message, by topic."""
        return (self._heard[topic] for topic in self._sorted())

    def below(self, prefix: str) -> Iterator[Heard]:
        """Give the last messages of the topics that begin so, by topic."""
        order = self._sorted()
        for at in range(bisect_left(order, prefix), len(order)):
            if not order[at].startswith(prefix):
                return
            yield self._heard[order[at]]

    def find(self, topic: str) -> Heard | None:
        """Return the last message of a topic."""
        return self._heard.get(topic)

    def take(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        """Keep a message in place of the last one of its topic; an empty one is none."""
        self.messages += 1
        last = self._heard.get(topic)
        size = self._bytes + len(payload) - (len(last.payload) if last is not None else 0)
        if last is None:
            size += len(topic)
        is_over = last is None and len(self._heard) >= MAXIMUM_TOPICS
        if not payload or is_over or size > MAXIMUM_BYTES:
            self.left += bool(payload)
            return
        self._bytes = size
        self._heard[topic] = Heard(
            topic,
            payload,
            was_retained=is_retained or (last is not None and last.was_retained),
            count=1 if last is None else last.count + 1,
        )

    def _sorted(self) -> list[str]:
        """Return all topics in order; sorted again when there are more."""
        if len(self._order) != len(self._heard):
            self._order = sorted(self._heard)
        return self._order
