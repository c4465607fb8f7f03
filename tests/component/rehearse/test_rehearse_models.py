"""Models as exporters write them, rehearsed through the real server: windows, texts and labels."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from builders import room
from foreshore_serving import models

STEPS = 5
FEATURES = ["light", "co2", "temperature"]
ROWS = [(100.0 + 7 * index, 500.0 + 31 * index, 20.0 + index / 4) for index in range(12)]
Json = dict[str, Any]


def lstm(steps: int | str) -> bytes:
    """A recurrent score over [batch, steps, 3], as an exporter of PyTorch builds it."""
    drawn = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(drawn.normal(0, 0.4, shape).astype(np.float32), name)

    constants = [
        weights("W", 1, 16, 3),
        weights("R", 1, 16, 4),
        weights("B", 1, 32),
        weights("dense", 4, 1),
        numpy_helper.from_array(np.array([0]), "zero"),
    ]
    nodes = [
        helper.make_node("Transpose", ["window"], ["time_first"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["time_first", "W", "R", "B"], ["", "last"], hidden_size=4),
        helper.make_node("Squeeze", ["last", "zero"], ["state"]),
        helper.make_node("MatMul", ["state", "dense"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", steps, 3])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])]
    return saved(helper.make_graph(nodes, "lstm", inputs, outputs, constants))


def classifier() -> bytes:
    """A classifier of a text by a text: what a pipeline over one column of words comes to."""
    encode = helper.make_node(
        "LabelEncoder",
        ["state"],
        ["label"],
        domain="ai.onnx.ml",
        keys_strings=["idle", "running"],
        values_strings=["rest", "work"],
        default_string="unknown",
    )
    inputs = [helper.make_tensor_value_info("state", TensorProto.STRING, ["batch", 1])]
    outputs = [helper.make_tensor_value_info("label", TensorProto.STRING, ["batch", 1])]
    return saved(helper.make_graph([encode], "states", inputs, outputs))


def saved(graph: onnx.GraphProto) -> bytes:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def resources(folder: Path, body: bytes, model: Json, policy: Json, *more: Json) -> Path:
    """A folder with the room, and a model of these bytes."""
    folder.mkdir()
    (folder / "occupancy-v1.onnx").write_bytes(body)
    source = {"file": {"path": "occupancy-v1.onnx"}}
    version = room.changed(room.version(), spec__digest=models.digest_of(body), spec__source=source)
    profile = more[0] if more else room.profile()
    documents = (room.site(), profile, room.device(), model, version, policy)
    (folder / "room.yaml").write_text(yaml.safe_dump_all(documents))
    return folder


def rehearse(folder: Path, state: Path, rows: list[str]) -> list[Json]:
    """Play these rows; return the decisions that were recorded."""
    csv = folder / "recording.csv"
    csv.write_text("\n".join(rows) + "\n")
    agent = (sys.executable, "-m", "foreshore_agent.main")
    what = ("--resources", folder, "--device", "room-301", "--state", state, "--csv", csv)
    run = subprocess.run(
        [*agent, "rehearse", *map(str, what)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    read = subprocess.run(
        [*agent, "records", "--state", str(state)],
        capture_output=True,
        text=True,
        check=True,
    )
    events = [json.loads(line) for line in read.stdout.splitlines()]
    return [event["data"] for event in events if event["type"].endswith("decision.v1")]


def reading(output: str, expression: str) -> Json:
    return room.changed(
        room.policy(),
        spec__record={"routineSampleRate": "1"},
        spec__inference={"timeout": "1s", "outputs": [{"name": "answer", "output": output}]},
        spec__rules=[
            {"name": "high", "effect": "Permit", "expression": expression, "reason": "High"}
        ],
        spec__action={
            "name": "setAirflow",
            "input": [{"name": "value", "expression": "300.0"}],
            "timeToLive": "5s",
        },
    )


@pytest.mark.parametrize("steps", [STEPS, "steps"], ids=["fixed", "free"])
def test_a_recurrent_model_answers_of_the_last_samples_what_it_answers_anywhere(
    tmp_path: Path, steps: int | str
) -> None:
    body = lstm(steps)
    middle = steps if isinstance(steps, int) else -1
    window = {
        "name": "window",
        "dataType": "FP32",
        "shape": [-1, middle, 3],
        "features": FEATURES,
        "window": {"steps": STEPS, "every": "1m"},
    }
    model = room.changed(
        room.model(),
        spec__inputs=[window],
        spec__outputs=[{"name": "score", "dataType": "FP32", "shape": [-1, 1]}],
        spec__preprocessing=[{"name": "co2", "scale": {"mean": "600", "deviation": "100"}}],
    )
    folder = resources(tmp_path / "room", body, model, reading("score", "answer > 0.0"))
    written = [
        f"2026-03-01 10:{index:02}:00,{light},{co2},{temperature},300"
        for index, (light, co2, temperature) in enumerate(ROWS)
    ]
    header = "date,light,co2,temperature,airflow"
    decisions = rehearse(folder, tmp_path / "state", [header, *written])
    assert len(decisions) == len(ROWS)
    session = onnxruntime.InferenceSession(body)
    for index, decision in enumerate(decisions):
        if index < STEPS - 1:
            assert decision["verdict"]["reason"] == "FeatureNotReady"
            continue
        rows = np.array(ROWS[index - STEPS + 1 : index + 1], dtype=np.float64)
        rows[:, 1] = (rows[:, 1] - 600) / 100
        [expected] = session.run(["score"], {"window": rows[None].astype(np.float32)})
        assert decision["inference"]["outputs"]["answer"] == pytest.approx(float(expected[0, 0]))
        assert decision["features"]["co2"] == ROWS[index][1]


def test_a_text_is_asked_and_a_label_is_decided_on(tmp_path: Path) -> None:
    profile = room.profile()
    profile["spec"]["properties"].append({"name": "state", "type": "String"})
    tensor = {"name": "state", "dataType": "BYTES", "shape": [-1, 1], "features": ["state"]}
    model = room.changed(
        room.model(),
        spec__inputs=[tensor],
        spec__outputs=[{"name": "label", "dataType": "BYTES", "shape": [-1, 1]}],
    )
    policy = room.changed(
        reading("label", "answer == 'work'"),
        spec__inputs=[
            {"name": "state", "property": "state", "type": "String", "maximumAge": "90s"}
        ],
        spec__trigger={"properties": ["state"]},
    )
    folder = resources(tmp_path / "room", classifier(), model, policy, profile)
    rows = ["date,state,airflow"]
    rows += [
        f"2026-03-01 10:{index:02}:00,{state},0"
        for index, state in enumerate(["idle", "running", "burning"])
    ]
    decisions = rehearse(folder, tmp_path / "state", rows)
    said = [
        (decision["features"]["state"], decision["inference"]["outputs"]["answer"])
        for decision in decisions
    ]
    assert said == [("idle", "rest"), ("running", "work"), ("burning", "unknown")]
    assert [decision["verdict"]["result"] for decision in decisions] == [
        "NotTriggered",
        "Commanded",
        "NotTriggered",
    ]
