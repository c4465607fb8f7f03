"""Whether devices are there, as their brokers' last wills and their bridges say: topics and words.

    message ──read──► online, offline ──put──► Announcements ──take──► events.Availability
                └── another word: refused, counted

`devices` calls it for each message of the telemetry connection, whose topics these are too. What is
announced waits for the engine's turn as telemetry does, but never much of it: of a device that
comes and goes a thousand times between two turns, that it went and what it is now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from foreshore_agent.devices.codecs import document, leaf, places
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import assignment
from foreshore_decision import topics

MAXIMUM_BYTES: Final = 4096
"""Of a message: it holds one word, and little beside it."""


@dataclass(frozen=True, slots=True)
class AvailabilityRoute:
    """Whose availability a message on a topic is, and how it is read."""

    device: Key
    path: places.Path
    """Steps to the word in a document; none: the message is the word."""
    online: str
    offline: str

    def read(self, body: bytes) -> bool | str:
        """Return whether the device is there, or why the message does not say."""
        word = _word(body, self.path) if len(body) <= MAXIMUM_BYTES else None
        if word == self.online:
            return True
        return False if word == self.offline else reasons.UNKNOWN_WORD


@dataclass(frozen=True, slots=True)
class AvailabilityTopics:
    """Where it is said whether one site's devices are there."""

    routes: Mapping[str, tuple[AvailabilityRoute, ...]] = field(default_factory=dict)
    """By topic; a bridge's own availability is that of all its devices."""
    problems: tuple[str, ...] = ()
    """Which devices have topics that cannot be filled in, and why."""


def lay_out(devices: Iterable[assignment.AssignedDevice]) -> AvailabilityTopics:
    """Lay out where it is said whether devices are there."""
    placed: dict[str, tuple[AvailabilityRoute, ...]] = {}
    problems: list[str] = []
    for device in devices:
        declared = device.profile.mqtt.availability
        if declared is None:
            continue
        key = Key(device.namespace, device.name)
        try:
            topic = topics.of_device(declared.topic, device)
        except topics.TopicError as error:  # what is the other devices' goes on
            problems.append(f"no availability of {device.name}: {error}")
            continue
        path = () if declared.path is None else places.member(declared.path)
        route = AvailabilityRoute(key, path, declared.online, declared.offline)
        placed[topic] = (*placed.get(topic, ()), route)
    return AvailabilityTopics(placed, tuple(problems))


class Announcements:
    """What was said of devices and the engine has not taken yet, two at most of each."""

    def __init__(self) -> None:
        self._waiting: Final[dict[Key, tuple[events.Availability, ...]]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def put(self, event: events.Availability) -> None:
        """Keep what was said; that a device went is kept until it went again."""
        waiting = self._waiting.get(event.device, ())
        gone = [earlier for earlier in waiting if not earlier.is_online]
        if not event.is_online:
            # a copy that the broker had kept must not hide that the device went just now
            event = event._replace(retained=event.retained and all(old.retained for old in gone))
            gone = []
        self._waiting[event.device] = (*gone, event)

    def take(self) -> tuple[events.Availability, ...]:
        """Take everything."""
        taken = tuple(event for waiting in self._waiting.values() for event in waiting)
        self._waiting.clear()
        return taken


def _word(body: bytes, path: places.Path) -> str | None:
    """Return the word of a message; one that is no document is the word itself."""
    try:
        message = document.read(body) if path else None
    except PayloadError:
        message = None
    if not isinstance(message, dict):
        return body.decode("utf-8", "replace").strip()
    return leaf.spelled(places.find(message, path))
