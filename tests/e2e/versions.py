"""Versions of the example's model that tell by their answers which of them was asked.

A record names a version; whether that version answered is reckoned here, from the record's inputs
and the bytes that were served.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from e2e import world as worlds

FIRST = "occupancy-v1"
SECOND = "occupancy-v2"
FEATURES = ("light", "co2", "temperature")
"""In the order in which the example's Model takes them."""
TOLERANCE = 1e-4
"""Of a score; the two versions differ by a hundred times as much in an occupied room."""


@functools.cache
def body(version: str) -> bytes:
    """The bytes of a version: the example's own, or the same with another bias."""
    first = (worlds.EXAMPLE / f"{FIRST}.onnx").read_bytes()
    if version == FIRST:
        return first
    model = onnx.load_from_string(first)
    for constant in model.graph.initializer:
        if constant.name == "bias":
            moved = numpy_helper.to_array(constant) + np.float32(0.25)
            constant.CopyFrom(numpy_helper.from_array(moved, "bias"))
    return bytes(model.SerializeToString(deterministic=True))


def digest(version: str) -> str:
    """The digest of a version's bytes."""
    return f"sha256:{hashlib.sha256(body(version)).hexdigest()}"


def declare(world: worlds.World, version: str, *, said: str | None = None) -> None:
    """Serve a version's bytes and apply its ModelVersion; `said` is a digest that is not theirs."""
    (world.installed.models.files / f"{version}.onnx").write_bytes(body(SECOND))
    first = world.find("modelversions", FIRST)
    source = first["spec"]["source"]["https"]
    url = source["url"].replace(FIRST, version)
    world.cluster.apply(
        {
            "apiVersion": first["apiVersion"],
            "kind": first["kind"],
            "metadata": {"name": version, "namespace": worlds.NAMESPACE},
            "spec": {
                **first["spec"],
                "digest": said or digest(SECOND),
                "source": {"https": {**source, "url": url}},
            },
        }
    )


@functools.cache
def session(version: str) -> onnxruntime.InferenceSession:
    """The version, loaded here."""
    return onnxruntime.InferenceSession(body(version), providers=["CPUExecutionProvider"])


def names_what_answered(record: Mapping[str, Any]) -> bool:
    """Whether the score of a record is that of the version and digest that it names."""
    decision = record["decision"]
    named = decision["model"]
    inputs = {one["name"]: one["value"] for one in decision["inputs"]}
    features = np.array([[inputs[name] for name in FEATURES]], dtype=np.float32)
    (probabilities,) = session(named["version"]).run(None, {"features": features})
    score = float(probabilities[0][1])
    is_score = abs(score - decision["inference"]["outputs"]["score"]) < TOLERANCE
    return bool(is_score and named["digest"] == digest(named["version"]))


def answered(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those in which a model answered."""
    return [
        one for one in records if "score" in one["decision"].get("inference", {}).get("outputs", {})
    ]


def served(world: worlds.World) -> set[str]:
    """The versions that the placement's replicas serve."""
    return {one.get("version", "") for one in world.placement()["replicas"]}
