"""A plug as people own it: told by a message of its own, known by what it reports, fenced by none.

The documents replace those of `room` by kind and name, so that `engine_rig.Rig` runs them.
"""

from typing import Any

from builders import room

ECHO: room.Json = {"type": "Echo", "echo": {"property": "on", "within": "3s"}}
NONE: room.Json = {"type": "None"}
REPLY: room.Json = {
    "type": "Reply",
    "reply": {
        "topic": "stat/{parameters.topic}/RESULT",
        "path": "POWER",
        "match": 'reply == (value ? "ON" : "OFF")',
        "within": "3s",
    },
}
TOLD: room.Json = {
    "topic": "zigbee2mqtt/{parameters.topic}/set",
    "expression": '{"state": value ? "ON" : "OFF"}',
}


def profile(acknowledgement: room.Json | None = None, **paths: Any) -> room.Json:
    """A plug that says whether it is on, and how much goes through it."""
    action = {
        "name": "switch",
        "idempotency": "Idempotent",
        "input": [{"name": "value", "property": "on", "type": "Boolean"}],
        "mqtt": TOLD,
        "acknowledgement": ECHO if acknowledgement is None else acknowledgement,
    }
    spec = {
        "mqtt": {"telemetryTopic": "zigbee2mqtt/{parameters.topic}"},
        "properties": [
            {"name": "on", "type": "Boolean", "access": "ReadWrite"},
            {"name": "power", "unit": "W", "minimum": 0, "maximum": 4000},
        ],
        "actions": [action],
        "guards": {"fence": "None"},
    }
    return room.changed(room.resource("DeviceProfile", "hq", "room-climate", spec), **paths)


def device(topic: str = "Fan Plug", **paths: Any) -> room.Json:
    """The plug, under the name that its bridge gave it."""
    parameters = [{"name": "topic", "value": topic}]
    return room.changed(room.device(), spec__parameters=parameters, **paths)


def policy(expression: str = "power > 100.0", value: str = "true", **paths: Any) -> room.Json:
    """Switches the plug while there is a load."""
    given = {"name": "switch", "input": [{"name": "value", "expression": value}]}
    changes: dict[str, Any] = {
        "spec__modelRef": None,
        "spec__inference": None,
        "spec__trigger": {"properties": ["power"]},
        "spec__inputs": [{"name": "power", "property": "power", "maximumAge": "90s"}],
        "spec__rules": [
            {"name": "load", "effect": "Permit", "expression": expression, "reason": "Load"}
        ],
        "spec__action": {**given, "timeToLive": "5s"},
    }
    return room.changed(room.policy(), **{**changes, **paths})


def documents(acknowledgement: room.Json | None = None, **paths: Any) -> tuple[room.Json, ...]:
    """Profile, device and a policy that commands once and is then silent for an hour."""
    quiet = {"spec__rateLimit": {"minimumInterval": "1h"}, **paths}
    return profile(acknowledgement), device(), policy(**quiet)
