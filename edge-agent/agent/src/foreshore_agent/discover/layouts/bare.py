"""Topics with bare values: those below one topic are one device, a property each."""

from collections import defaultdict
from typing import Any

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, state
from foreshore_agent.discover.observations import Heard
from foreshore_api.v1alpha1 import DataType


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every group of topics whose messages are short texts."""
    groups: dict[str, list[Heard]] = defaultdict(list)
    for heard in scene:
        parent, _, last = heard.topic.rpartition("/")
        if heard.text and words.is_literal(last) and not isinstance(heard.document, dict | list):
            groups[parent].append(heard)
    devices = [_device(parent, members) for parent, members in groups.items()]
    return Recognised(tuple(devices))


def _device(parent: str, members: list[Heard]) -> drafts.DraftDevice:
    is_short = 0 < len(parent) <= drafts.MAXIMUM_VALUE
    before = "{parameters.base}" if is_short else parent
    properties = tuple(_property(heard, before) for heard in members)
    names = "-".join(sorted(prop.name for prop in properties)[:3])
    return drafts.DraftDevice(
        layout="Bare value",
        label=parent or members[0].topic,
        model=f"values {names}",
        parameters={"base": parent} if is_short else {},
        properties=properties,
        notes=("nothing announced it: names, types and units are guessed from a message",),
        topics=frozenset(heard.topic for heard in members),
    )


def _property(heard: Heard, before: str) -> drafts.DraftProperty:
    last = heard.topic.rpartition("/")[2]
    kind, fields, notes = words.bare(heard.text or "")
    unit: dict[str, Any] = {}
    if kind is DataType.NUMBER and "unit" not in fields:
        unit, guesses = words.guessed_unit(last)
        notes = (*notes, *guesses)
    topic = f"{before}/{last}" if before else last
    kept = state(kind, is_retained=heard.was_retained)
    return drafts.DraftProperty(last, kind, topic, {**unit, **fields, **kept}, notes)
