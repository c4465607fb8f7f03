"""Gateways: one document with an array of tags, each with name, value and often a quality.

    {"timestamp": 1719, "values": [{"id": "Line1.PLC.MotorTemp", "v": 61.5, "q": true, "t": 1719}]}

A tag is picked by its name, never by its place: such documents hold what changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene
from foreshore_api.v1alpha1 import DataType

_NAMES: Final = ("id", "name", "n", "tag", "key")
_VALUES: Final = ("v", "value", "val")
_QUALITIES: Final = ("q", "quality")
_GOOD: Final = ("good", "ok", "valid")
"""Texts for a good value, in lower case."""
_TIMES: Final = ("t", "ts", "timestamp", "time")
_MILLISECONDS: Final = 100_000_000_000
"""Times above are milliseconds: seconds would be far in the future."""


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every topic with an array of tags."""
    devices = [device for heard in scene for device in _device(heard.topic, heard.document)]
    return Recognised(tuple(devices))


def _arrays(document: object) -> Iterator[tuple[str | None, Sequence[Any]]]:
    if isinstance(document, list):
        yield None, document
    elif isinstance(document, dict):
        for key, value in list(document.items())[:50]:
            if isinstance(value, list):
                yield words.pointer(str(key)), value


def _device(topic: str, document: object) -> Iterator[drafts.DraftDevice]:
    for array, entries in _arrays(document):
        tags = [entry for entry in entries if isinstance(entry, dict)]
        key = next((name for name in _NAMES if tags and isinstance(tags[0].get(name), str)), None)
        value = next((name for name in _VALUES if tags and name in tags[0]), None)
        if key is None or value is None:
            continue
        good = _good_word(tags)
        properties = tuple(_properties(tags, (array, key, value), good))
        if not properties:
            continue
        where = _topic(topic)
        yield drafts.DraftDevice(
            layout="Gateway",
            label=topic,
            model=f"gateway {topic.rpartition('/')[2]}",
            parameters=where[1],
            properties=properties,
            mqtt={"telemetryTopic": where[0], **_time_of_all(document)},
            notes=(
                "every tag of the topic is a property of one device; split it where they are"
                " several machines",
                "a message may lack tags that did not change, so that more may come",
            ),
            topics=frozenset({topic}),
        )
        return


def _topic(topic: str) -> tuple[str, dict[str, str]]:
    if len(topic) <= drafts.MAXIMUM_VALUE:
        return "{parameters.topic}", {"topic": topic}
    return topic, {}


def _properties(
    tags: Sequence[Mapping[str, Any]], places: tuple[str | None, str, str], good: str
) -> Iterator[drafts.DraftProperty]:
    array, key, value = places
    seen: set[str] = set()
    for tag in tags[:1000]:
        name, made = tag.get(key), words.typed(tag.get(value))
        if not isinstance(name, str) or not 0 < len(name) <= 64 or made is None or name in seen:
            continue
        seen.add(name)
        kind, fields, notes = made
        if kind is DataType.NUMBER:
            unit, guesses = words.guessed_unit(name)
            fields, notes = {**unit, **fields}, (*notes, *guesses)
        pick = {"array": array} if array else {}
        pick |= {"key": key, "equals": name, "value": value}
        further = {**_quality(tag, good), **_time(tag)}
        title = name.rpartition(".")[2] or name
        yield drafts.DraftProperty(title, kind, None, {**fields, "pick": pick, **further}, notes)


def _good_word(tags: Sequence[Mapping[str, Any]]) -> str:
    """Return the text by which the gateway says that a value is good, as it writes it."""
    qualities = (tag.get(key) for tag in tags for key in _QUALITIES)
    good = (word for word in qualities if isinstance(word, str) and word.lower() in _GOOD)
    return next(good, "Good")


def _quality(tag: Mapping[str, Any], good: str) -> dict[str, Any]:
    for key in _QUALITIES:
        if tag.get(key) is True or tag.get(key) is False:
            return {"quality": {"path": key, "good": ["true"]}}
        if isinstance(tag.get(key), str):
            return {"quality": {"path": key, "good": [good]}}
        if type(tag.get(key)) is int:
            return {"quality": {"path": key, "good": [192]}}
    return {}


def _time_of_all(document: object) -> dict[str, Any]:
    """Return where a document says the time of all its tags; a tag's own comes first."""
    return _time(document) if isinstance(document, dict) else {}


def _time(tag: Mapping[str, Any]) -> dict[str, Any]:
    for key in _TIMES:
        time = tag.get(key)
        if isinstance(time, int | float) and not isinstance(time, bool):
            written = "UnixMilliseconds" if time > _MILLISECONDS else "Unix"
            return {"time": {"path": key, "format": written}}
        if isinstance(time, str):
            return {"time": {"path": key}}
    return {}
