"""Z-Wave JS UI: `<prefix>/<node>/<command class>/endpoint_<n>/<property>`, bare or with its time.

Source: zwave-js.github.io/zwave-js-ui, "MQTT": payload type "JSON Time-Value" is
`{"time": <milliseconds>, "value": …}`, "Just value" the bare value.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, state
from foreshore_api.v1alpha1 import DataType

_VALUE: Final = re.compile(r"(.+)/([a-z0-9_]+/endpoint_[0-9]+/.+)")


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every node."""
    nodes: dict[str, list[str]] = defaultdict(list)
    for heard in scene:
        match = _VALUE.fullmatch(heard.topic)
        if match is not None and not heard.topic.endswith("/set"):
            nodes[match[1]].append(match[2])
    own = frozenset(heard.topic for heard in scene if "/_CLIENTS/" in heard.topic)
    devices = [_node(scene, name, ends) for name, ends in nodes.items()]
    return Recognised(
        tuple(d for d in devices if d.properties and len(d.label) <= drafts.MAXIMUM_VALUE), own
    )


def _node(scene: Scene, name: str, ends: list[str]) -> drafts.DraftDevice:
    properties = tuple(prop for end in ends for prop in _property(scene, name, end))
    return drafts.DraftDevice(
        layout="Z-Wave JS UI",
        label=name,
        model=f"zwave {name.rpartition('/')[2]}",
        parameters={"node": name},
        properties=properties,
        topics=scene.open(f"{name}/{end}" for end in (*ends, "status", "nodeinfo")),
    )


def _property(scene: Scene, name: str, end: str) -> Iterator[drafts.DraftProperty]:
    heard = scene.find(f"{name}/{end}")
    if heard is None or not words.is_literal(end):
        return
    document = heard.document
    fields: dict[str, Any] = {}
    if isinstance(document, dict) and "value" in document:
        made = words.typed(document["value"])
        fields = {"path": "/value", **_time(document)}
    elif heard.text is not None and not isinstance(document, dict | list):
        made = words.bare(heard.text)
    else:
        made = None
    if made is None:
        return
    kind, own, notes = made
    command_class, endpoint, *title = end.split("/")
    label = " ".join((*title, *([] if endpoint.endswith("_0") else [endpoint])))
    unit: dict[str, Any] = {}
    if kind is DataType.NUMBER:
        unit, guesses = words.guessed_unit(label)
        notes = (*notes, *guesses)
    kept = state(kind, is_retained=heard.was_retained)
    yield drafts.DraftProperty(
        f"{command_class} {label}" if label == "currentValue" else label,
        kind,
        f"{{parameters.node}}/{end}",
        {**unit, **own, **fields, **kept},
        notes,
    )


def _time(document: dict[str, Any]) -> dict[str, Any]:
    is_time = type(document.get("time")) is int
    return {"time": {"path": "/time", "format": "UnixMilliseconds"}} if is_time else {}
