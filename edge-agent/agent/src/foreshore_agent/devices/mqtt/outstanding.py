"""What was published with QoS 1 and waits for the broker's PUBACK.

    add ──► waiting ──PUBACK──────────► settled: what was denied is forgotten
                    ├──PUBACK ≥ 0x80──► settled: `refused` is called, and `denials` knows (MQTT 5)
                    └──too late───────► `overdue`: the session ends with all that waits

One of a `connection`. A broker that speaks MQTT 3.1.1 has no word for a refusal.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

from foreshore_agent.devices.mqtt import denials
from foreshore_agent.devices.mqtt.channel import Refused
from foreshore_api.reasons import command as reasons

MAXIMUM_OUTSTANDING: Final = 1000
"""Publications that wait; a broker may ask for fewer."""


@dataclass(slots=True)
class Publication:
    """One message that was handed to the socket."""

    topic: str
    answer: "asyncio.Future[None] | None"
    """Done when the broker has answered, whatever it says."""
    refused: Refused | None
    due: asyncio.TimerHandle | None = None


class Outstanding:
    """The publications of one session, by packet number."""

    def __init__(self, denied: denials.Denials, overdue: Callable[[str], None]) -> None:
        self._denied: Final = denied
        self._overdue: Final = overdue
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: Final[dict[int, Publication]] = {}
        self.limit = MAXIMUM_OUTSTANDING

    @property
    def is_empty(self) -> bool:
        """Whether the broker has answered everything."""
        return not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether the broker wants no more for now."""
        return len(self._waiting) >= self.limit

    def add(self, number: int, publication: Publication) -> None:
        """Wait for the answer to one."""
        self._waiting[number] = publication

    def expect(self, number: int, within: float) -> None:
        """End the session unless the broker answers one within so many seconds."""
        publication = self._waiting.get(number)
        if publication is not None:  # it may have been answered at once
            publication.due = self._loop.call_later(
                within, self._overdue, "a command was not acknowledged in time"
            )

    def settle(self, number: int, code: ReasonCode) -> None:
        """Take the broker's answer; called while the client holds its lock, so nobody else is."""
        publication = self._waiting.pop(number, None)
        if publication is None:
            return
        if publication.due is not None:
            publication.due.cancel()
        if not code.is_failure:
            self._denied.allow(denials.TopicUse.PUBLISH, publication.topic)
        else:
            self._denied.note(denials.TopicUse.PUBLISH, publication.topic, code)
            if publication.refused is not None:
                self._loop.call_soon(publication.refused, reason(code))
        if publication.answer is not None and not publication.answer.done():
            publication.answer.set_result(None)

    def close(self) -> None:
        """Wait for nothing any more."""
        for publication in self._waiting.values():
            if publication.due is not None:
                publication.due.cancel()


def reason(code: ReasonCode) -> str:
    """Return a broker's reason as a code: `Not authorized` is `NotAuthorized`."""
    words = str(code).split()
    return "".join(word[:1].upper() + word[1:] for word in words) or reasons.BROKER_REFUSED
