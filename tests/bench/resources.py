"""The resources of the benches: devices alike, one tiny model, one rule, no rate limit."""

from pathlib import Path
from typing import Any

NAMESPACE = "bench"
SITE = "bench"
DEVICE = "rig"
CHILD, AGENT = "Child", "Agent"
"""In whose process the model runs."""


def documents(
    port: int, digest: str, model: Path, *, isolation: str = CHILD, devices: int = 0
) -> list[dict[str, Any]]:
    """The folder's documents for a plain broker on loopback and one model file.

    One device, or with `devices` so many, as the calibrator numbers them.
    """
    names = [f"{DEVICE}-{number:04d}" for number in range(devices)] or [DEVICE]
    return [
        document("Site", SITE, {"broker": broker(port), **allowed(isolation)}),
        document("DeviceProfile", "rig", profile()),
        *(
            document("Device", name, {"profileRef": {"name": "rig"}, "site": SITE}, zone="bench")
            for name in names
        ),
        document("Model", "tiny", tiny()),
        document("ModelVersion", "tiny-v1", version(digest, model, isolation)),
        document("DecisionPolicy", "always", policy()),
    ]


def allowed(isolation: str) -> dict[str, Any]:
    """What a Site says of models in agents; nothing where it is as by default."""
    return {} if isolation == CHILD else {"isolation": isolation}


def version(digest: str, model: Path, isolation: str) -> dict[str, Any]:
    """A version of the tiny model, and who runs it."""
    runtime = {} if isolation == CHILD else {"runtime": {"isolation": isolation}}
    return {
        "modelRef": {"name": "tiny"},
        "source": {"file": {"path": model.name}},
        "digest": digest,
        **runtime,
    }


def never() -> dict[str, Any]:
    """A policy whose decisions are routine: its rule never permits anything."""
    rules = [{**policy()["rules"][0], "expression": "score >= 2.0"}]
    return {**policy(), "rules": rules, "record": {"routineSampleRate": "0.01"}}


def shadow() -> dict[str, Any]:
    """A policy that would command every sample, another value each time: each is recorded."""
    return {**policy(), "mode": "Shadow"}


def seldom() -> dict[str, Any]:
    """The same with an interval so long that no sample of a bench is decided but the first."""
    return {**shadow(), "trigger": {**policy()["trigger"], "minimumInterval": "1h"}}


def broker(port: int) -> dict[str, Any]:
    """MQTT 3.1.1 without TLS, as the calibrator speaks it."""
    return {"host": "127.0.0.1", "port": port, "protocol": "V311", "transport": "Plain"}


def document(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    """One document of the group."""
    metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": "foreshore.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def profile() -> dict[str, Any]:
    """A device that checks everything and answers at once."""
    number = {"type": "Number", "minimum": 0, "maximum": 1000000}
    return {
        "mqtt": {
            "telemetryTopic": "{site}/{device}/telemetry",
            "commandTopic": "{site}/{device}/command",
            "acknowledgementTopic": "{site}/{device}/ack",
        },
        "properties": [{"name": name, **number} for name in ("co2", "light", "temperature")],
        "actions": [
            {"name": "set", "idempotency": "Idempotent", "input": [{"name": "value", **number}]}
        ],
        "guards": {"epoch": "Checked", "duplicates": "Checked"},
    }


def tiny() -> dict[str, Any]:
    """Three numbers in, two probabilities out."""
    features = ["light", "co2", "temperature"]
    return {
        "format": "ONNX",
        "inputs": [
            {"name": "features", "dataType": "FP32", "shape": [-1, 3], "features": features}
        ],
        "outputs": [{"name": "probabilities", "dataType": "FP32", "shape": [-1, 2]}],
    }


def policy() -> dict[str, Any]:
    """Every sample is decided, permitted and commanded; the command carries the sample's number."""
    return {
        "mode": "Autonomous",
        "hazard": "Low",
        "latencyBudget": "50ms",
        "deviceSelector": {"matchLabels": {"zone": "bench"}},
        "modelRef": {"version": "tiny-v1"},
        "trigger": {"properties": ["co2"]},
        "inputs": [
            {"name": name, "property": name, "maximumAge": "10s"}
            for name in ("light", "co2", "temperature")
        ],
        "inference": {"outputs": [{"name": "score", "output": "probabilities", "index": 1}]},
        "rules": [
            {
                "name": "finite",
                "effect": "Permit",
                "expression": "score >= 0.0",
                "reason": "ScoreIsFinite",
            }
        ],
        "action": {
            "name": "set",
            "input": [{"name": "value", "expression": "co2"}],
            "timeToLive": "1s",
        },
    }
