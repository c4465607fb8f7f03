"""Inputs as exporters write them: a column of a table each, text, windows of samples, scalars."""

from typing import Any

import numpy as np
import onnx
import pytest
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common import data_types
from sklearn import compose, linear_model, pipeline, preprocessing

from builders import local_models
from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port
from foreshore_api import declared
from foreshore_api.v1alpha1 import model as kind
from foreshore_api.wire import serving
from foreshore_serving.refusal import Reason, Refused

LIGHT, STATE = "Light", "machine_state"


def config(
    body: bytes,
    inputs: list[tuple[str, str, tuple[int, ...]]],
    outputs: list[tuple[str, str, tuple[int, ...]]],
) -> serving.ModelConfig:
    """Declare tensors by name, type and shape."""
    inward, outward = (
        tuple(
            serving.DeclaredTensor(name=name, data_type=data_type, shape=shape)
            for name, data_type, shape in tensors
        )
        for tensors in (inputs, outputs)
    )
    return local_models.config(body).model_copy(update={"inputs": inward, "outputs": outward})


def outputs(model: Any, *asked: effects.Tensor) -> Any:
    result = model.run(asked)
    assert isinstance(result, port.RunOutputs), result
    return result.outputs


def test_a_table_whose_columns_are_inputs_is_asked_by_their_names() -> None:
    """As a pipeline over a DataFrame is exported: one column is text, encoded in the model."""
    rows = [(10.0, "idle"), (500.0, "running"), (20.0, "idle"), (700.0, "running"), (90.0, "off")]
    table = np.array(rows, dtype=object)
    busy = [0, 1, 0, 1, 0]
    columns = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), [0]),
            ("states", preprocessing.OneHotEncoder(handle_unknown="ignore"), [1]),
        ]
    )
    fitted = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(table, busy)
    types = [
        (LIGHT, data_types.FloatTensorType([None, 1])),
        (STATE, data_types.StringTensorType([None, 1])),
    ]
    body = skl2onnx.convert_sklearn(
        fitted, initial_types=types, target_opset=17
    ).SerializeToString()
    model = local_models.loaded(
        body,
        config(
            body,
            [(LIGHT, "FP32", (-1, 1)), (STATE, "BYTES", (-1, 1))],
            [("output_probability", "FP32", (-1, 2))],
        ),
    )
    for row, expected in zip(rows, fitted.predict_proba(table), strict=True):
        asked = (
            effects.Tensor(LIGHT, "FP32", (1, 1), (row[0],)),
            effects.Tensor(STATE, "BYTES", (1, 1), (row[1],)),
        )
        answered = outputs(model, *asked)["output_probability"]
        assert answered == pytest.approx(expected, abs=1e-5)


def test_a_model_has_as_many_inputs_and_outputs_as_can_be_declared() -> None:
    names = [f"onnx::Column {number} (°C)" for number in range(64)]
    results = [f"{number}" for number in range(64)]
    graph = helper.make_graph(
        [
            helper.make_node("Neg", [name], [result])
            for name, result in zip(names, results, strict=True)
        ],
        "wide",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in results],
    )
    body = serialised(graph)
    model = local_models.loaded(
        body,
        config(
            body,
            [(name, "FP32", (-1, 1)) for name in names],
            [(name, "FP32", (-1, 1)) for name in results],
        ),
    )
    asked = [
        effects.Tensor(name, "FP32", (1, 1), (float(place),)) for place, name in enumerate(names)
    ]
    assert outputs(model, *asked) == {name: (-float(name),) for name in results}


def serialised(graph: onnx.GraphProto) -> bytes:
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def recurrent(steps: int | str) -> bytes:
    """Return a recurrent score of windows [batch, steps, 3], as PyTorch lays out an LSTM."""
    chance = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(chance.normal(0.0, 0.4, shape).astype(np.float32), name)

    constants = [
        weights("weights", 1, 16, 3),
        weights("recurrence", 1, 16, 4),
        weights("bias", 1, 32),
        weights("dense", 4, 1),
        numpy_helper.from_array(np.array([0], np.int64), "first"),
    ]
    nodes = [
        helper.make_node("Transpose", ["window"], ["in_time"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM", ["in_time", "weights", "recurrence", "bias"], ["", "last"], hidden_size=4
        ),
        helper.make_node("Squeeze", ["last", "first"], ["state"]),
        helper.make_node("MatMul", ["state", "dense"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", steps, 3])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])
    return serialised(helper.make_graph(nodes, "recurrent", [window], [score], constants))


def windowed(shape: list[int], *, has_window: bool = True) -> kind.ModelSpec:
    window = {"window": {"steps": 30, "every": "1s"}} if has_window else {}
    features = {"features": ["light", "co2", "temperature"]}
    tensor = {"name": "window", "dataType": "FP32", "shape": shape, **features, **window}
    output = {"name": "score", "dataType": "FP32", "shape": [-1, 1]}
    return kind.ModelSpec.model_validate({"inputs": [tensor], "outputs": [output]})


def loaded(body: bytes, spec: kind.ModelSpec) -> Any:
    tensors = {"inputs": declared.inputs(spec), "outputs": declared.outputs(spec)}
    return local_models.loaded(body, local_models.config(body).model_copy(update=tensors))


@pytest.mark.parametrize("steps", [30, "steps"], ids=["fixed", "free"])
@pytest.mark.parametrize("shape", [[-1, 30, 3], [-1, -1, 3], [-1, -1, -1]], ids=str)
def test_a_window_is_asked_with_the_steps_that_are_declared(
    shape: list[int], steps: int | str
) -> None:
    model = loaded(recurrent(steps), windowed(shape))
    numbers = tuple(np.linspace(-1.0, 1.0, 90).tolist())
    (score,) = outputs(model, effects.Tensor("window", "FP32", (1, 30, 3), numbers))["score"]
    assert 0.0 < score < 1.0
    short = model.run((effects.Tensor("window", "FP32", (1, 1, 3), numbers[:3]),))
    assert isinstance(short, port.RunFailure), "one sample is no window"
    assert short.reason == "WrongShape"


@pytest.mark.parametrize("steps", [30, "steps"], ids=["fixed", "free"])
def test_samples_of_which_nobody_said_how_many_are_refused(steps: int | str) -> None:
    with pytest.raises(Refused) as caught:
        loaded(recurrent(steps), windowed([-1, -1, 3], has_window=False))
    assert caught.value.reason is Reason.SCHEMA_MISMATCH
    assert "declare window {steps, every}" in caught.value.remedy


@pytest.mark.parametrize("data_type", ["FP16", "FP32", "INT64", "BOOL", "BYTES"])
def test_a_scalar_comes_and_goes(data_type: str) -> None:
    element: dict[str, tuple[int, float | bool | str]] = {
        "FP16": (TensorProto.FLOAT16, 0.5),
        "FP32": (TensorProto.FLOAT, 0.25),
        "INT64": (TensorProto.INT64, 7),
        "BOOL": (TensorProto.BOOL, True),
        "BYTES": (TensorProto.STRING, "idle"),
    }
    number, value = element[data_type]
    tensors = [helper.make_tensor_value_info(name, number, []) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "scalar", tensors[:1], tensors[1:]
    )
    body = serialised(graph)
    model = local_models.loaded(body, config(body, [("x", data_type, ())], [("y", data_type, ())]))
    assert outputs(model, effects.Tensor("x", data_type, (), (value,))) == {"y": (value,)}
