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

from foreshore_agent.devices.mqtt import denials
from foreshore_agent.devices.mqtt.channel import Refused
from foreshore_agent.devices.mqtt.codec import codes
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
    due: float | None = None
    """Until when, on the loop's clock, the broker must have answered."""


class Outstanding:
    """The publications of one session, by packet number."""

    def __init__(self, denied: denials.Denials, overdue: Callable[[str], None]) -> None:
        self._denied: Final = denied
        self._overdue: Final = overdue
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: Final[dict[int, Publication]] = {}
        self._watch: asyncio.TimerHandle | None = None
        self.limit = MAXIMUM_OUTSTANDING

    def __contains__(self, number: int) -> bool:
        """Whether a packet number waits for its answer."""
        return number in self._waiting

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
            publication.due = self._loop.time() + within
            self._look_at(publication.due)

    def settle(self, number: int, code: int) -> None:
        """Take the broker's answer; whoever is refused is called in a later turn of the loop."""
        publication = self._waiting.pop(number, None)
        if publication is None:
            return
        if not codes.is_failure(code):
            self._denied.allow(denials.TopicUse.PUBLISH, publication.topic)
        else:
            self._denied.note(denials.TopicUse.PUBLISH, publication.topic, codes.name(code))
            if publication.refused is not None:
                self._loop.call_soon(publication.refused, reason(code))
        if publication.answer is not None and not publication.answer.done():
            publication.answer.set_result(None)

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look_at(self, due: float) -> None:
        """Have the earliest moment looked at; a timer for each command would cost more than it."""
        if self._watch is not None:
            if self._watch.when() <= due:
                return
            self._watch.cancel()
        self._watch = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._watch = None
        waiting = [sent.due for sent in self._waiting.values() if sent.due is not None]
        if not waiting:
            return
        earliest = min(waiting)
        if earliest <= self._loop.time():
            self._overdue("a command was not acknowledged in time")
        else:
            self._look_at(earliest)


def reason(code: int) -> str:
    """Return a broker's reason as a code: `Not authorized` is `NotAuthorized`."""
    if not codes.is_named(code):
        return reasons.BROKER_REFUSED
    return "".join(word[:1].upper() + word[1:] for word in codes.name(code).split())
