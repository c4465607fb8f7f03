"""Which topics to ask the broker for again, although they are subscribed: for what it has kept.

A broker delivers what it has kept when a filter is subscribed, and not again. Whoever reads a last
word on a topic that is listened on already (another device, a property that is declared anew) would
wait for it until the device speaks.
"""

import contextlib
from collections.abc import Iterable, Mapping

from foreshore_agent.engine import presence
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment
from foreshore_decision import topics

Reader = tuple[Key, str]
"""A device and its property; without a name its availability."""
Words = Mapping[str, Mapping[Reader, object]]
"""By topic, who reads a last word there, and how."""


def by_topic(devices: Iterable[assignment.AssignedDevice]) -> Words:
    """Return who reads last words, and where."""
    words: dict[str, dict[Reader, object]] = {}
    for device in devices:
        key = Key(device.namespace, device.name)
        readers: dict[str, object] = dict(presence.last_words(device))
        mqtt = device.profile.mqtt
        places = {declared.name: declared.topic for declared in device.profile.properties}
        if mqtt.availability is not None:
            places[""], readers[""] = mqtt.availability.topic, presence.availability(device)
        for name, word in readers.items():
            template = places[name] or mqtt.telemetry_topic
            if template is None:
                continue
            with contextlib.suppress(topics.TopicError):  # said where it is listened on
                topic = topics.of_device(template, device)
                words.setdefault(topic, {})[key, name] = word
    return words


def renewed(before: Words, after: Words) -> frozenset[str]:
    """Return the topics on which somebody reads a last word that has not been read there so."""
    return frozenset(
        topic
        for topic, readers in after.items()
        if any(before.get(topic, {}).get(reader) != word for reader, word in readers.items())
    )
