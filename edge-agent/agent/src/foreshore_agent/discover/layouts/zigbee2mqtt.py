"""Zigbee2MQTT: `<base>/bridge/devices` lists every device with what it exposes.

    <base>/bridge/devices            friendly names, models, exposes
    <base>/<friendly name>           the device's state as one document
    <base>/<friendly name>/set       where it is told
    <base>/<friendly name>/availability

Source: zigbee2mqtt.io, "MQTT Topics and Messages" and "Exposes": `access` is a sum of 1
(published), 2 (can be set) and 4 (can be asked for).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, state
from foreshore_agent.discover.observations import Heard
from foreshore_api.v1alpha1 import DataType

_LIST: Final = "/bridge/devices"
_PUBLISHED, _SETTABLE = 1, 2
_TYPES: Final = {
    "numeric": DataType.NUMBER,
    "binary": DataType.BOOLEAN,
    "enum": DataType.STRING,
    "text": DataType.STRING,
}
_IGNORED: Final = frozenset({"linkquality", "last_seen", "update", "update_available"})
"""What says something of the network and not of the device."""
_PARAMETER: Final = "friendlyName"
_NOTHING: Final = "a device of Zigbee2MQTT that exposes nothing"
_UNLISTED: Final = (
    "a bridge whose list of devices did not come: it is not allowed, or larger than 160 KiB"
)


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every device of every bridge that lists its devices."""
    devices: list[drafts.DraftDevice] = []
    own: set[str] = set()
    left: list[str] = []
    for heard in scene:
        listed = heard.document if heard.topic.endswith(_LIST) else None
        if not isinstance(listed, list):
            continue
        base = heard.topic.removesuffix(_LIST)
        own |= {other.topic for other in scene if other.topic.startswith(f"{base}/bridge/")}
        for entry in listed[:1000]:
            name = _friendly_name(entry)
            if name is None or not words.is_literal(base):
                continue
            topics = frozenset(
                topic
                for topic in (f"{base}/{name}", f"{base}/{name}/availability", f"{base}/{name}/set")
                if scene.find(topic) is not None
            )
            draft = _device(scene, base, name, entry["definition"], topics)
            if draft is None:
                left += sorted(topics)
            else:
                devices.append(draft)
    reasons = {_NOTHING: tuple(left), _UNLISTED: tuple(_unlisted(scene))}
    return Recognised(
        tuple(devices),
        frozenset(own),
        {reason: topics for reason, topics in reasons.items() if topics},
    )


def _unlisted(scene: Scene) -> Iterator[str]:
    """Yield what bridges say of themselves whose list did not come."""
    for heard in scene:
        base, state_of, _ = heard.topic.rpartition("/bridge/state")
        if state_of and scene.find(f"{base}{_LIST}") is None:
            yield heard.topic


def _friendly_name(entry: object) -> str | None:
    """Return the name of a listed device whose definition is known."""
    if not isinstance(entry, dict) or not isinstance(entry.get("definition"), dict):
        return None
    name = entry.get("friendly_name")
    return name if isinstance(name, str) and 0 < len(name) <= drafts.MAXIMUM_VALUE else None


def _device(
    scene: Scene, base: str, name: str, definition: Mapping[str, Any], topics: frozenset[str]
) -> drafts.DraftDevice | None:
    topic = f"{base}/{{parameters.{_PARAMETER}}}"
    heard = scene.find(f"{base}/{name}")
    is_retained = heard is not None and heard.was_retained
    properties: list[drafts.DraftProperty] = []
    actions: list[drafts.DraftAction] = []
    for keys, feature in _features(definition.get("exposes")):
        made = _property(keys, feature, is_retained=is_retained)
        access = feature.get("access")
        if made is None or not isinstance(access, int) or not access & _PUBLISHED:
            continue
        is_settable = bool(access & _SETTABLE) and len(keys) == 1
        if is_settable:
            actions.append(_action(made, keys[0], feature, f"{topic}/set"))
        properties.append(made)
    if not properties:
        return None
    return drafts.DraftDevice(
        layout="Zigbee2MQTT",
        label=name,
        model=str(definition.get("model") or "zigbee"),
        parameters={_PARAMETER: name},
        properties=tuple(properties),
        mqtt={
            "telemetryTopic": topic,
            **_time(heard),
            **_availability(scene, f"{base}/{name}", topic),
        },
        actions=tuple(actions),
        notes=tuple(_notes(definition, heard)),
        topics=topics,
    )


def _notes(definition: Mapping[str, Any], heard: Heard | None) -> Iterator[str]:
    vendor, described = definition.get("vendor"), definition.get("description")
    yield f"announced by bridge/devices as {vendor} {definition.get('model')}: {described}"
    if heard is None:
        yield "it said nothing while we listened; everything here is as announced"


def _features(exposes: object, depth: int = 0) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every single feature with the keys of its place in the device's document."""
    if not isinstance(exposes, list) or depth > 2:
        return
    for exposed in exposes[: drafts.MAXIMUM_PROPERTIES]:
        if not isinstance(exposed, dict):
            continue
        name, kind = exposed.get("property"), exposed.get("type")
        if "features" in exposed:
            inner = (str(name),) if kind == "composite" and name else ()
            for keys, feature in _features(exposed["features"], depth + 1):
                yield (*inner, *keys), feature
        elif isinstance(name, str) and name and name not in _IGNORED and kind in _TYPES:
            yield (name,), exposed


def _property(
    keys: tuple[str, ...], feature: Mapping[str, Any], *, is_retained: bool
) -> drafts.DraftProperty | None:
    kind = _TYPES[feature["type"]]
    path = words.pointer(*keys)
    if len(path) > 256:
        return None
    fields: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    if kind is DataType.NUMBER:
        fields, notes = words.unit_fields(feature.get("unit"))
    if kind is DataType.BOOLEAN:
        fields = words.truth_fields(feature.get("value_on", True), feature.get("value_off", False))
    fields |= {"path": path, **state(kind, is_retained=is_retained)}
    return drafts.DraftProperty(" ".join(keys), kind, None, fields, notes)


def _action(
    made: drafts.DraftProperty, key: str, feature: Mapping[str, Any], topic: str
) -> drafts.DraftAction:
    value = "value"
    if made.type is DataType.BOOLEAN:
        on, off = feature.get("value_on", True), feature.get("value_off", False)
        value = f"value ? {json.dumps(on)} : {json.dumps(off)}"
    bounds = {
        name: bound
        for name, bound in (
            ("minimum", feature.get("value_min")),
            ("maximum", feature.get("value_max")),
        )
        if made.type is DataType.NUMBER and type(bound) is int
    }
    choices = feature.get("values")
    notes = (f"takes {', '.join(map(str, choices[:16]))}",) if isinstance(choices, list) else ()
    return drafts.DraftAction(made, topic, "JSON", f"{{{json.dumps(key)}: {value}}}", bounds, notes)


def _time(heard: Heard | None) -> dict[str, Any]:
    """Return where the device says when it was last seen, if its bridge is told to say so."""
    document = heard.document if heard is not None else None
    seen = document.get("last_seen") if isinstance(document, dict) else None
    if isinstance(seen, bool) or not isinstance(seen, int | str):
        return {}
    written = "RFC3339" if isinstance(seen, str) else "UnixMilliseconds"
    return {"time": {"path": "/last_seen", "format": written}}


def _availability(scene: Scene, name: str, topic: str) -> dict[str, Any]:
    heard = scene.find(f"{name}/availability")
    if heard is None:
        return {}
    path = {"path": "state"} if isinstance(heard.document, dict) else {}
    return {
        "availability": {
            "topic": f"{topic}/availability",
            **path,
            "online": "online",
            "offline": "offline",
        }
    }
