"""Filters that a session asks for, and the broker's word on each: SUBSCRIBE and SUBACK.

One of a `connection`, as `outstanding` is for what it publishes.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from foreshore_agent.devices.mqtt import denials
from foreshore_agent.devices.mqtt.codec import codes

AT_ONCE: Final = 100
"""Filters of one packet."""

Answers = tuple[int, ...]
"""A reason code for every filter that was asked for."""


class Subscriptions:
    """What one session asked to hear, by packet number, until the broker has answered."""

    def __init__(self, denied: denials.Denials) -> None:
        self._denied: Final = denied
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: Final[dict[int, asyncio.Future[Answers]]] = {}

    def __contains__(self, number: int) -> bool:
        """Whether a packet number waits for its answer."""
        return number in self._waiting

    def expect(self, number: int) -> asyncio.Future[Answers]:
        """Wait for the broker's code for each filter of one packet."""
        answer = self._waiting[number] = self._loop.create_future()
        return answer

    def settle(self, number: int, answers: Answers) -> None:
        """Take the broker's answer."""
        answer = self._waiting.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(answers)

    def refused(self, filters: Sequence[str], answers: Answers) -> tuple[str, ...]:
        """Return the filters that the broker refuses, and note its word on each."""
        refused: list[str] = []
        for topic, code in zip(filters, answers, strict=True):
            if codes.is_failure(code):
                refused.append(topic)
                self._denied.note(denials.TopicUse.LISTEN, topic, codes.name(code))
            else:
                self._denied.allow(denials.TopicUse.LISTEN, topic)
        return tuple(refused)
