"""Tasmota: `tele/<topic>/SENSOR`, `STATE` and `LWT`, `stat/<topic>/…`, `cmnd/<topic>/…`.

Times are local and name no zone. Commands are drafted only where Home Assistant discovery announces
them. Source: tasmota.github.io, "MQTT".
"""

from collections.abc import Iterator
from typing import Any, Final

from foreshore_agent.discover import drafts
from foreshore_agent.discover.layouts.scene import Recognised, Scene, properties_of
from foreshore_api.v1alpha1 import DataType

_ENDS: Final = ("SENSOR", "STATE", "LWT")
_IGNORED: Final = ("Time", "TempUnit", "PressureUnit", "TotalStartTime", "StartTime")
_UNITS: Final = {
    "Power": "W",
    "ApparentPower": "V.A",
    "Voltage": "V",
    "Current": "A",
    "Total": "kW.h",
    "Today": "kW.h",
    "Yesterday": "kW.h",
}
"""Units of the energy monitor, as its documentation says."""


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every device that says STATE, SENSOR or LWT under `tele`."""
    names = {
        heard.topic.removeprefix("tele/").rpartition("/")[0]
        for heard in scene
        if heard.topic.startswith("tele/") and heard.topic.rpartition("/")[2] in _ENDS
    }
    announced = {heard.topic for heard in scene if heard.topic.startswith("tasmota/discovery/")}
    devices = [device for name in sorted(names) if name for device in _device(scene, name)]
    return Recognised(tuple(devices), frozenset(announced))


def _device(scene: Scene, name: str) -> Iterator[drafts.DraftDevice]:
    properties = (*_sensors(scene, name), *_switches(scene, name))
    if not properties or len(name) > drafts.MAXIMUM_VALUE:
        return
    mqtt: dict[str, Any] = {"time": {"path": "/Time", "format": "Local"}}
    if scene.find(f"tele/{name}/LWT") is not None:
        mqtt["availability"] = {
            "topic": "tele/{parameters.topic}/LWT",
            "online": "Online",
            "offline": "Offline",
        }
    prefixes = tuple(f"{kind}/{name}/" for kind in ("tele", "stat", "cmnd"))
    yield drafts.DraftDevice(
        layout="Tasmota",
        label=name,
        model="tasmota " + "-".join(sorted({prop.name for prop in properties})[:3]),
        parameters={"topic": name},
        properties=properties,
        mqtt=mqtt,
        notes=(
            "its times name no zone: they are read in the Site's timeZone, and without one only"
            " counted",
        ),
        topics=scene.open_below(*prefixes),
    )


def _sensors(scene: Scene, name: str) -> Iterator[drafts.DraftProperty]:
    heard = scene.find(f"tele/{name}/SENSOR")
    if heard is None:
        return
    topic = "tele/{parameters.topic}/SENSOR"
    for prop in properties_of(heard.document, topic=topic, without=_IGNORED):
        key = prop.fields["path"].rpartition("/")[2]
        if prop.fields["path"].startswith("/ENERGY/") and key in _UNITS:
            fields = {**prop.fields, "unit": _UNITS[key]}
            yield drafts.DraftProperty(prop.name, prop.type, topic, fields)
        else:
            yield prop


def _switches(scene: Scene, name: str) -> Iterator[drafts.DraftProperty]:
    heard = scene.find(f"tele/{name}/STATE")
    document = heard.document if heard is not None else None
    if heard is None or not isinstance(document, dict):
        return
    powers = {key: value for key, value in document.items() if key.startswith("POWER")}
    topic = "tele/{parameters.topic}/STATE"
    for prop in properties_of(powers, topic=topic, is_retained=heard.was_retained):
        if prop.type is DataType.BOOLEAN:
            yield prop
