"""Shelly: Gen1 `shellies/<id>/relay/0` with bare values, Gen2+ `<id>/status/switch:0` with JSON.

Source: shelly-api-docs.shelly.cloud, "Gen1 MQTT" and "Gen2+ MQTT".
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, properties_of, state
from foreshore_api.v1alpha1 import DataType

_GEN1: Final = re.compile(r"shellies/([^/]+)/(.+)")
_GEN2: Final = re.compile(
    r"(.+)/status/((?:switch|cover|light|input|temperature|humidity|illuminance|em|em1|pm1"
    r"|voltmeter|flood|smoke):[0-9]+)"
)
_OWN: Final = frozenset({"announce", "info", "online", "command"})
_UNITS: Final = {
    "power": "W",
    "apower": "W",
    "voltage": "V",
    "current": "A",
    "freq": "Hz",
    "tC": "Cel",
    "tF": "[degF]",
    "total": "W.h",
    "rh": "%",
    "lux": "lx",
}
"""Units of members and topics, as the documentation says."""
_ONLINE: Final = {"online": "true", "offline": "false"}


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every device of either generation."""
    first: dict[str, list[str]] = defaultdict(list)
    second: dict[str, list[str]] = defaultdict(list)
    for heard in scene:
        gen1, gen2 = _GEN1.fullmatch(heard.topic), _GEN2.fullmatch(heard.topic)
        if gen1 is not None:
            first[gen1[1]].append(gen1[2])
        elif gen2 is not None:
            second[gen2[1]].append(gen2[2])
    devices = [
        *(_gen1(scene, name, ends) for name, ends in first.items()),
        *(_gen2(scene, name, parts) for name, parts in second.items()),
    ]
    usable = [
        device
        for device in devices
        if device.properties and len(device.label) <= drafts.MAXIMUM_VALUE
    ]
    own = frozenset(t.topic for t in scene if t.topic in ("shellies/announce", "shellies/command"))
    return Recognised(tuple(usable), own)


def _gen1(scene: Scene, name: str, ends: list[str]) -> drafts.DraftDevice:
    properties = [prop for end in ends for prop in _bare(scene, name, end)]
    return drafts.DraftDevice(
        layout="Shelly Gen1",
        label=name,
        model=name.rpartition("-")[0] or name,
        parameters={"id": name},
        properties=tuple(properties),
        mqtt=_availability(scene, f"shellies/{name}/online", "shellies/{parameters.id}/online"),
        topics=frozenset(f"shellies/{name}/{end}" for end in ends),
    )


def _bare(scene: Scene, name: str, end: str) -> Iterator[drafts.DraftProperty]:
    heard = scene.find(f"shellies/{name}/{end}")
    text = heard.text if heard is not None else None
    if heard is None or text is None or not words.is_literal(end) or end in _OWN:
        return
    if isinstance(heard.document, dict | list):
        return
    kind, fields, notes = words.bare(text)
    last = end.rpartition("/")[2]
    unit = {"unit": "W.min"} if last == "energy" else _unit(last)
    if kind is not DataType.NUMBER:
        unit = {}
    kept = state(kind, is_retained=heard.was_retained)
    yield drafts.DraftProperty(
        end, kind, f"shellies/{{parameters.id}}/{end}", {**unit, **fields, **kept}, notes
    )


def _gen2(scene: Scene, name: str, parts: list[str]) -> drafts.DraftDevice:
    properties: list[drafts.DraftProperty] = []
    for part in parts:
        heard = scene.find(f"{name}/status/{part}")
        document = heard.document if heard is not None else None
        if heard is None or not isinstance(document, dict):
            continue
        topic = f"{{parameters.id}}/status/{part}"
        without = ("id", "source", "errors", "minute_ts", "by_minute", "ret_aenergy")
        for prop in properties_of(
            document, topic=topic, prefix=part, without=without, is_retained=heard.was_retained
        ):
            unit = _unit(prop.fields["path"].rpartition("/")[2])
            if prop.type is not DataType.NUMBER or not unit:
                properties.append(prop)
            else:
                fields = {**prop.fields, **unit}
                properties.append(drafts.DraftProperty(prop.name, prop.type, topic, fields))
    prefixes = (f"{name}/status/", f"{name}/events/", f"{name}/online")
    return drafts.DraftDevice(
        layout="Shelly Gen2+",
        label=name,
        model=name.rpartition("/")[2].partition("-")[0] or name,
        parameters={"id": name},
        properties=tuple(properties),
        mqtt=_availability(scene, f"{name}/online", "{parameters.id}/online"),
        topics=scene.open_below(*prefixes),
    )


def _unit(key: str) -> dict[str, Any]:
    return {"unit": _UNITS[key]} if key in _UNITS else {}


def _availability(scene: Scene, topic: str, written: str) -> dict[str, Any]:
    if scene.find(topic) is None:
        return {}
    return {"availability": {"topic": written, **_ONLINE}}
