"""Devices as their makers built them, as documents: a plug behind a bridge, tags of a gateway."""

from typing import Any

from builders import room
from builders.room import Json, changed

SET = "zigbee2mqtt/{parameters.friendlyName}/set"
STATE = "zigbee2mqtt/{parameters.friendlyName}"


def plug(name: str = "plug", **paths: Any) -> Json:
    """A plug that is told in its own dialect, answers by its state and checks nothing."""
    spec: Json = {
        "mqtt": {
            "telemetryTopic": STATE,
            "availability": {"topic": f"{STATE}/availability", "path": "state"},
        },
        "properties": [
            {"name": "power", "unit": "W", "minimum": 0, "maximum": 4000},
            {
                "name": "state",
                "type": "Boolean",
                "access": "ReadWrite",
                "retained": "State",
                "values": [{"from": "ON", "to": "true"}, {"from": "OFF", "to": "false"}],
            },
        ],
        "actions": [
            {
                "name": "switch",
                "idempotency": "Idempotent",
                "input": [{"name": "value", "property": "state", "type": "Boolean"}],
                "mqtt": {"topic": SET, "expression": '{"state": value ? "ON" : "OFF"}'},
                "acknowledgement": {"type": "Echo", "echo": {"property": "state", "within": "3s"}},
            }
        ],
        "guards": {"fence": "None"},
    }
    return changed(room.resource("DeviceProfile", "hq", name, spec), **paths)


def friendly(name: str = "plug-1", called: str = "Hall Plug 1", profile: str = "plug") -> Json:
    """A device that its bridge calls by a name that Kubernetes does not allow."""
    spec: Json = {
        "profileRef": {"name": profile},
        "site": "hq",
        "parameters": [{"name": "friendlyName", "value": called}],
    }
    return room.resource("Device", "hq", name, spec)


def gateway(name: str = "gateway", **paths: Any) -> Json:
    """Two tags of an array, each with its time and its quality."""

    def tag(name: str, equals: str, **fields: Any) -> Json:
        pick = {"array": "/values", "key": "id", "equals": equals, "value": "v"}
        quality = {"path": "q", "good": ["true", "Good", 192]}
        return {"name": name, "pick": pick, "quality": quality, **fields}

    spec: Json = {
        "mqtt": {
            "telemetryTopic": "plc/line1",
            "time": {"path": "t", "format": "UnixMilliseconds"},
        },
        "properties": [
            tag("temperature", "Line1.PLC.MotorTemp", unit="Cel", scale="0.1", offset="-273.15"),
            tag("speed", "Line1.PLC.MotorSpeed", unit="/min"),
        ],
    }
    return changed(room.resource("DeviceProfile", "hq", name, spec), **paths)
