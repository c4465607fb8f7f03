"""ESPHome: `<node>/<component>/<id>/state` with bare values, `<node>/status` for its last will.

Source: esphome.io, "MQTT Client Component".
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, state
from foreshore_api.v1alpha1 import DataType

_STATE: Final = re.compile(
    r"(.+)/((?:sensor|binary_sensor|text_sensor|switch|number|select)/[^/]+/state)"
)


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every node."""
    nodes: dict[str, list[str]] = defaultdict(list)
    for heard in scene:
        match = _STATE.fullmatch(heard.topic)
        if match is not None:
            nodes[match[1]].append(match[2])
    devices = [_node(scene, name, ends) for name, ends in nodes.items()]
    return Recognised(
        tuple(d for d in devices if d.properties and len(d.label) <= drafts.MAXIMUM_VALUE)
    )


def _node(scene: Scene, name: str, ends: list[str]) -> drafts.DraftDevice:
    properties = tuple(prop for end in ends for prop in _property(scene, name, end))
    status = scene.find(f"{name}/status")
    availability = {"topic": "{parameters.node}/status", "online": "online", "offline": "offline"}
    return drafts.DraftDevice(
        layout="ESPHome",
        label=name,
        model=f"esphome {name}",
        parameters={"node": name},
        properties=properties,
        mqtt={} if status is None else {"availability": availability},
        notes=("a switch is told on <node>/switch/<id>/command; nothing announced it here",)
        if any(end.startswith("switch/") for end in ends)
        else (),
        topics=scene.open(f"{name}/{end}" for end in (*ends, "status", "debug")),
    )


def _property(scene: Scene, name: str, end: str) -> Iterator[drafts.DraftProperty]:
    heard = scene.find(f"{name}/{end}")
    text = heard.text if heard is not None else None
    if heard is None or text is None or not words.is_literal(end):
        return
    component, title, _ = end.split("/")
    kind, fields, notes = words.bare(text)
    if component in ("sensor", "number"):  # it may say `nan` just now
        kind, fields = DataType.NUMBER, {"payload": "Text"}
        guess, guesses = words.guessed_unit(title)
        fields, notes = {**guess, **fields}, guesses
    kept = state(kind, is_retained=heard.was_retained)
    yield drafts.DraftProperty(title, kind, f"{{parameters.node}}/{end}", {**fields, **kept}, notes)
