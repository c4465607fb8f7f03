"""A room that is ventilated only while its window is shut: its policy reads another device.

rig = engine_rig.Rig(neighbours.documents())
rig.sample()                                             # the room
rig.feed(events.Sample, device=neighbours.WINDOW, values={"open": False, "tilt": 0.0})
"""

from typing import Any

from builders import room
from foreshore_agent.engine import events

WINDOW = events.Key("hq", "window-301")
SHUT = {"open": False, "tilt": 0.0}


def profile(**changes: Any) -> room.Json:
    """A window that only speaks."""
    document = room.resource(
        "DeviceProfile",
        "hq",
        "window",
        {
            "mqtt": {"telemetryTopic": "{site}/{device}/telemetry"},
            "properties": [
                {"name": "open", "type": "Boolean"},
                {"name": "tilt", "unit": "deg", "minimum": 0, "maximum": 90},
                {"name": "note", "type": "String"},
                {"name": "sealed", "type": "Boolean", "access": "Write"},
            ],
        },
    )
    return room.changed(document, **changes)


def window(name: str = "window-301", **changes: Any) -> room.Json:
    """A window that no policy selects."""
    spec = {"profileRef": {"name": "window"}, "site": "hq"}
    document = room.resource("Device", "hq", name, spec, uid=f"{name}-uid")
    return room.changed(document, **changes)


def source(name: str = "windowOpen", property_: str = "open", **fields: Any) -> room.Json:
    """An input of the window."""
    kind = {"open": "Boolean", "note": "String"}.get(property_, "Number")
    return {
        "name": name,
        "property": property_,
        "type": kind,
        "maximumAge": "90s",
        "deviceRef": {"name": "window-301"},
        **fields,
    }


def policy(*sources: room.Json, **changes: Any) -> room.Json:
    """Rules alone: the room is full and its window is shut."""
    document = room.policy()
    spec = document["spec"]
    del spec["modelRef"], spec["trigger"]
    spec |= {
        "inputs": [
            {"name": "co2", "property": "co2", "maximumAge": "90s"},
            *(sources or (source(),)),
        ],
        "inference": {},
        "rules": [
            {"name": "stuffy", "expression": "co2 > 800.0 && !windowOpen", "reason": "Stuffy"}
        ],
    }
    return room.changed(document, **changes)


def documents(*replaced: room.Json) -> tuple[room.Json, ...]:
    """Everything beside the room; `replaced` stand in for those of the same kind and name."""
    return (profile(), window(), policy(), *replaced)
