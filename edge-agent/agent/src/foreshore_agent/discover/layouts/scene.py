"""What a layout is asked about, what it answers, and what most of them do alike."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.observations import Heard, Observations
from foreshore_api.v1alpha1 import DataType

MAXIMUM_DEPTH: Final = 4
"""Objects within objects that are looked into."""
MAXIMUM_LEAVES: Final = 200
"""Values of one document that are looked at."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was heard, and which topics somebody has accounted for already."""

    observations: Observations
    taken: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Heard]:
        """Give the messages that nobody has accounted for, by topic."""
        return (heard for heard in self.observations if heard.topic not in self.taken)

    def find(self, topic: str) -> Heard | None:
        """Return the last message of a topic, whoever accounts for it."""
        return self.observations.find(topic)

    def open(self, topics: Iterable[str]) -> frozenset[str]:
        """Return those of the topics that were heard and nobody has accounted for."""
        heard = (topic for topic in topics if self.find(topic) is not None)
        return frozenset(topic for topic in heard if topic not in self.taken)

    def open_below(self, *prefixes: str) -> frozenset[str]:
        """Return the topics that begin so and that nobody has accounted for."""
        return frozenset(
            heard.topic
            for prefix in prefixes
            for heard in self.observations.below(prefix)
            if heard.topic not in self.taken
        )


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a layout makes of a scene."""

    devices: tuple[drafts.DraftDevice, ...] = ()
    topics: frozenset[str] = frozenset()
    """Topics that say nothing of a device: announcements, the gateway's own."""
    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Topics that it knows and could not draft, by the reason."""


def template(*parts: str, **parameters: str) -> str:
    """Return a topic's template: literal parts, with a parameter where a part is its value."""
    names = {value: name for name, value in parameters.items()}
    return "/".join(f"{{parameters.{names[part]}}}" if part in names else part for part in parts)


def leaves(
    document: object, *, without: Iterable[str] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value of a document of objects with its keys; arrays and nulls are no values."""
    ignored = frozenset(without)
    count = 0
    open_: list[tuple[tuple[str, ...], object]] = [((), document)]
    while open_ and count < MAXIMUM_LEAVES:
        keys, value = open_.pop(0)
        if not isinstance(value, dict):
            if keys and value is not None and not isinstance(value, list):
                count += 1
                yield keys, value
            continue
        if len(keys) < MAXIMUM_DEPTH:
            inner = ((str(key), member) for key, member in list(value.items())[:MAXIMUM_LEAVES])
            open_ += [((*keys, key), member) for key, member in inner if key not in ignored]


def properties_of(
    document: object,
    *,
    topic: str | None = None,
    below: tuple[str, ...] = (),
    prefix: str = "",
    without: Iterable[str] = (),
    is_retained: bool = False,
) -> Iterator[drafts.DraftProperty]:
    """Yield a property for every value of a document.

    Args:
        document: the part that is looked at.
        topic: template of the topic, if not the profile's.
        below: keys that lead to the part.
        prefix: what names begin with.
        without: keys that are left out.
        is_retained: whether the broker had kept the message.
    """
    for keys, value in leaves(document, without=without):
        made = words.typed(value)
        path = words.pointer(*below, *keys)
        if made is None or len(path) > 256:
            continue
        kind, fields, notes = made
        name = " ".join(filter(None, (prefix, *keys)))
        unit: dict[str, Any] = {}
        if kind is DataType.NUMBER:
            unit, guesses = words.guessed_unit(name)
            notes = (*notes, *guesses)
        kept = state(kind, is_retained=is_retained)
        yield drafts.DraftProperty(
            name=name,
            type=kind,
            topic=topic,
            fields={**unit, **fields, "path": path, **kept},
            notes=notes,
        )


def state(kind: DataType, *, is_retained: bool) -> dict[str, Any]:
    """Return what makes a kept message count: for a Boolean that the broker had kept."""
    return {"retained": "State"} if is_retained and kind is DataType.BOOLEAN else {}
