"""Models as exporters write them, over the protocol, asked as any of its clients would."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import skl2onnx
from skl2onnx.common import data_types
from sklearn import linear_model

from builders import hostile_models, local_models, onnx_models, serving_process
from foreshore_api.wire import oip, serving

pytestmark = pytest.mark.component


def request(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> bytes:
    tensor = {"name": name, "datatype": datatype, "shape": shape, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def test_text_is_asked_and_answered_as_strings() -> None:
    body = local_models.identity(onnx.TensorProto.STRING)
    config = local_models.config(body, "BYTES")
    with serving_process.serving_process(body, config=config) as running:
        running.await_ready()
        texts = ["idle", "running", "é\0°", ""]
        path = "/v2/models/identity/infer"
        status, answer = running.request("POST", path, request("x", "BYTES", [4], texts))
        assert status == 200
        assert answer["outputs"] == [
            {"name": "y", "datatype": "BYTES", "shape": [4], "data": texts}
        ]
        oip.InferResponse.model_validate(answer)
        status, described = running.request("GET", "/v2/models/identity")
        assert described["inputs"] == [{"name": "x", "datatype": "BYTES", "shape": [-1]}]
        status, fault = running.request("POST", path, request("x", "BYTES", [1], [3]))
        assert (status, fault["error"]) == (400, "WrongType")
        status, fault = running.request("POST", path, request("x", "BYTES", [1], ["x" * 1025]))
        assert (status, fault["error"]) == (400, "OutOfRange")


def test_a_classifier_of_a_default_export_answers_probabilities_and_labels() -> None:
    rows = np.random.default_rng(1).normal(0.0, 1.0, (40, 3)).astype(np.float32)
    states = np.array(["quiet", "absent", "busy"])[np.digitize(rows[:, 1], [-0.4, 0.4])]
    fitted = linear_model.LogisticRegression().fit(rows, states)
    types = [("features", data_types.FloatTensorType([None, 3]))]
    body = skl2onnx.convert_sklearn(
        fitted, initial_types=types, target_opset=17
    ).SerializeToString()
    config = onnx_models.config(body).model_copy(
        update={
            "outputs": (
                serving.DeclaredTensor(name="output_label", data_type="BYTES", shape=(-1,)),
                serving.DeclaredTensor(name="output_probability", data_type="FP32", shape=(-1, 3)),
            )
        }
    )
    with serving_process.serving_process(body, config=config) as running:
        running.await_ready()
        asked = request("features", "FP32", rows.shape, rows.reshape(-1).tolist())
        status, answer = running.request("POST", serving_process.INFER, asked)
    assert status == 200
    label, probability = answer["outputs"]
    assert label["data"] == fitted.predict(rows).tolist()
    assert probability["shape"] == [40, 3]
    expected = fitted.predict_proba(rows).reshape(-1)
    np.testing.assert_allclose(probability["data"], expected, atol=1e-5)
    assert answer["parameters"]["digest"] == config.digest, "of the file, not of what is run"


def test_a_category_that_training_had_not_is_the_callers_mistake() -> None:
    body, path = local_models.one_hot(), "/v2/models/identity/infer"
    with serving_process.serving_process(body, config=local_models.one_hot_config()) as running:
        running.await_ready()
        status, _ = running.request("POST", path, request("x", "BYTES", [1], ["running"]))
        assert status == 200
        status, fault = running.request("POST", path, request("x", "BYTES", [1], ["boost"]))
    assert (status, fault["error"]) == (400, "UnknownCategory")


def test_text_that_is_none_is_refused_at_warm_up() -> None:
    body = hostile_models.not_text()
    text = serving.DeclaredTensor(name="probabilities", data_type="BYTES", shape=(1, 2))
    config = onnx_models.config(body).model_copy(update={"outputs": (text,)})
    with serving_process.serving_process(body, config=config) as running:
        ending = running.await_end()
    assert ending.reason == "WarmUpFailed"
    assert "utf-8" in ending.message
