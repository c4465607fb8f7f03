"""The smallest useful set of resources, a room that is ventilated when occupied, as documents.

Each function returns a fresh document with valid values; `changed` replaces parts by dotted path,
so that a test shows only the fields that matter to it.
"""

import copy
from typing import Any

Json = dict[str, Any]

API_VERSION = "foreshore.dev/v1alpha1"
DIGEST = "sha256:" + "ab" * 32


def changed(document: Json, **paths: Any) -> Json:
    """A copy with some fields replaced: `changed(policy(), spec__mode="Shadow")`."""
    result = copy.deepcopy(document)
    for path, value in paths.items():
        *parents, last = path.split("__")
        place = result
        for part in parents:
            place = place.setdefault(part, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def resource(kind: str, namespace: str, name: str, spec: Json, **metadata: Any) -> Json:
    """One resource of the group."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name, **metadata},
        "spec": spec,
    }


def site(namespace: str = "hq", name: str = "hq") -> Json:
    """The site with its broker."""
    broker = {"host": "172.18.0.9", "port": 8883, "credential": "hq-broker"}
    return resource("Site", namespace, name, {"broker": broker, "timeZone": "Europe/Brussels"})


def profile(namespace: str = "hq", name: str = "room-climate") -> Json:
    """A device class that checks epochs and duplicates."""
    return resource(
        "DeviceProfile",
        namespace,
        name,
        {
            "mqtt": {
                "telemetryTopic": "{site}/{device}/telemetry",
                "commandTopic": "{site}/{device}/command",
                "acknowledgementTopic": "{site}/{device}/ack",
            },
            "properties": [
                {"name": "co2", "unit": "[ppm]", "minimum": 0, "maximum": 10000},
                {"name": "light", "unit": "lx", "minimum": 0, "maximum": 20000},
                {"name": "temperature", "unit": "Cel", "minimum": -20, "maximum": 60},
                {
                    "name": "airflow",
                    "unit": "m3/h",
                    "minimum": 0,
                    "maximum": 800,
                    "access": "ReadWrite",
                    "settlingTime": "2s",
                },
            ],
            "actions": [
                {
                    "name": "setAirflow",
                    "idempotency": "Idempotent",
                    "input": [
                        {
                            "name": "value",
                            "property": "airflow",
                            "unit": "m3/h",
                            "minimum": 0,
                            "maximum": 800,
                            "maximumStep": 500,
                        }
                    ],
                }
            ],
            "safeState": {"action": "setAirflow", "input": [{"name": "value", "value": 120}]},
            "guards": {"epoch": "Checked", "duplicates": "Checked"},
        },
    )


def device(namespace: str = "hq", name: str = "room-301") -> Json:
    """A device of the west zone."""
    spec = {"profileRef": {"name": "room-climate"}, "site": "hq"}
    return resource("Device", namespace, name, spec, labels={"zone": "west"})


def model(namespace: str = "hq", name: str = "occupancy") -> Json:
    """A classifier of three features."""
    return resource(
        "Model",
        namespace,
        name,
        {
            "format": "ONNX",
            "inputs": [
                {
                    "name": "features",
                    "dataType": "FP32",
                    "shape": [-1, 3],
                    "features": ["light", "co2", "temperature"],
                }
            ],
            "outputs": [{"name": "probabilities", "dataType": "FP32", "shape": [-1, 2]}],
        },
    )


def version(namespace: str = "hq", name: str = "occupancy-v1") -> Json:
    """Its first version, behind a server with an authority of its own."""
    return resource(
        "ModelVersion",
        namespace,
        name,
        {
            "modelRef": {"name": "occupancy"},
            "source": {
                "https": {
                    "url": "https://172.18.0.1:8443/occupancy-v1.onnx",
                    "caSecretRef": {"name": "models-ca"},
                }
            },
            "digest": DIGEST,
            "resources": {"cpu": "100m", "memory": "128Mi"},
            "expectedInference": {"p99": "10ms"},
        },
    )


def policy(namespace: str = "hq", name: str = "ventilate-when-occupied") -> Json:
    """More air while somebody is in the room."""
    return resource(
        "DecisionPolicy",
        namespace,
        name,
        {
            "mode": "Autonomous",
            "hazard": "Low",
            "latencyBudget": "200ms",
            "deviceSelector": {"matchLabels": {"zone": "west"}},
            "modelRef": {"version": "occupancy-v1"},
            "trigger": {"properties": ["co2"]},
            "inputs": [
                {"name": name_, "property": name_, "maximumAge": "90s"}
                for name_ in ("light", "co2", "temperature")
            ],
            "inference": {"outputs": [{"name": "score", "output": "probabilities", "index": 1}]},
            "rules": [
                {
                    "name": "occupied",
                    "effect": "Permit",
                    "expression": "score >= 0.8",
                    "reason": "RoomOccupied",
                }
            ],
            "action": {
                "name": "setAirflow",
                "input": [{"name": "value", "expression": "co2 > 1000.0 ? 600.0 : 300.0"}],
                "timeToLive": "5s",
            },
        },
    )


def all_of(namespace: str = "hq") -> list[Json]:
    """The whole set, in the order in which a person would apply it."""
    make = (site, profile, device, model, version, policy)
    return [one(namespace) for one in make]
