"""Resources with valid defaults: the smallest useful set of the contract; say only what matters.

site(), profile(), device(), model(), version(), policy(), placement(...), everything(...)
"""

from typing import Any, TypeVar

from foreshore_api import meta, v1alpha1

API = {"apiVersion": meta.API_VERSION}


T = TypeVar("T", bound=meta.Resource)


def resource(kind: type[T], name: str, spec: dict[str, Any], **more: Any) -> T:
    metadata = {
        "name": name,
        "namespace": more.pop("namespace", "hq"),
        "uid": f"uid-{name}",
        "generation": 1,
        **more.pop("metadata", {}),
    }
    return kind.read({"kind": kind.kind, **API, "metadata": metadata, "spec": spec, **more})


def site(name: str = "hq", **more: Any) -> v1alpha1.Site:
    broker = {"host": "10.0.0.9", "port": 1883, "transport": "Plain"}
    spec = {"broker": broker, **more.pop("spec", {})}
    return resource(v1alpha1.Site, name, spec, **more)


def profile(**fields: Any) -> v1alpha1.DeviceProfile:
    spec = {
        "mqtt": {
            "telemetryTopic": "{site}/{device}/telemetry",
            "commandTopic": "{site}/{device}/command",
            "acknowledgementTopic": "{site}/{device}/ack",
        },
        "properties": [
            {"name": "co2", "unit": "[ppm]"},
            {"name": "airflow", "unit": "m3/h", "access": "ReadWrite"},
        ],
        "actions": [
            {
                "name": "setAirflow",
                "idempotency": "Idempotent",
                "input": [{"name": "value", "property": "airflow", "unit": "m3/h"}],
            }
        ],
        "guards": {"epoch": "Checked", "duplicates": "Checked"},
        **fields,
    }
    return resource(v1alpha1.DeviceProfile, "room-climate", spec)


def device(name: str = "room-301", site: str = "hq", **more: Any) -> v1alpha1.Device:
    spec = {"profileRef": {"name": "room-climate"}, "site": site, **more.pop("spec", {})}
    metadata = {"labels": {"zone": "west"}, **more.pop("metadata", {})}
    return resource(v1alpha1.Device, name, spec, metadata=metadata, **more)


def policy(name: str = "ventilate", **fields: Any) -> v1alpha1.DecisionPolicy:
    spec = {
        "mode": "Autonomous",
        "hazard": "Low",
        "latencyBudget": "200ms",
        "deviceSelector": {"matchLabels": {"zone": "west"}},
        "modelRef": {"version": "occupancy-v1"},
        "inputs": [{"name": "co2", "property": "co2", "maximumAge": "90s"}],
        "rules": [{"name": "always", "effect": "Permit", "expression": "true", "reason": "Always"}],
        "action": {
            "name": "setAirflow",
            "input": [{"name": "value", "expression": "300.0"}],
            "timeToLive": "5s",
        },
        **fields,
    }
    return resource(v1alpha1.DecisionPolicy, name, spec)


def model() -> v1alpha1.Model:
    spec = {
        "inputs": [{"name": "x", "dataType": "FP32", "shape": [-1, 1], "features": ["co2"]}],
        "outputs": [{"name": "y", "dataType": "FP32", "shape": [-1, 2]}],
    }
    return resource(v1alpha1.Model, "occupancy", spec)


def version(**fields: Any) -> v1alpha1.ModelVersion:
    spec = {
        "modelRef": {"name": "occupancy"},
        "source": {"https": {"url": "https://10.0.0.1/m.onnx"}},
        "digest": "sha256:" + "0" * 64,
        **fields,
    }
    return resource(v1alpha1.ModelVersion, "occupancy-v1", spec)


def placement(*replicas: tuple[str, str, str, str | None]) -> v1alpha1.InferencePlacement:
    """Replicas as (slot, role, phase, endpoint)."""
    status = {
        "replicas": [
            {
                "slot": slot,
                "role": role,
                "cluster": "local",
                "node": f"n-{slot}",
                "phase": phase,
                **({"endpoint": endpoint} if endpoint else {}),
            }
            for slot, role, phase, endpoint in replicas
        ]
    }
    spec = {"policyRef": {"name": "ventilate"}, "site": "hq"}
    return resource(v1alpha1.InferencePlacement, "ventilate.hq", spec, status=status)


def everything(*more: meta.Resource) -> list[meta.Resource]:
    return [site(), profile(), device(), model(), version(), policy(), *more]
