"""What converters of classifiers end with, by default, is answered as the tensor behind it."""

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import pytest
import skl2onnx
from onnx import TensorProto, helper
from onnxmltools.convert.common import data_types as lightgbm_types
from skl2onnx.common import data_types
from sklearn import linear_model

from builders import local_models
from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port
from foreshore_api.wire import serving
from foreshore_serving import models, zipmap
from foreshore_serving import session as sessions
from foreshore_serving.refusal import Reason, Refused

ROWS = np.random.default_rng(0).normal(0.0, 1.0, (60, 3)).astype(np.float32)
CLASSES = np.digitize(ROWS[:, 0], [-0.5, 0.5])
LABELS: dict[str, Any] = {
    "numbers": CLASSES,
    "numbers that are no index": CLASSES * 10 - 10,
    "text": np.array(["idle", "busy", "absent"])[CLASSES],
}


def logistic(labels: Any, options: dict[str, Any] | None = None) -> tuple[bytes, Any]:
    """Return scikit-learn's classifier, converted, and itself."""
    fitted = linear_model.LogisticRegression().fit(ROWS, labels)
    types = [("x", data_types.FloatTensorType([None, 3]))]
    converted = skl2onnx.convert_sklearn(
        fitted, initial_types=types, target_opset=17, options=options
    )
    return converted.SerializeToString(), fitted


def boosted(labels: Any) -> tuple[bytes, Any]:
    """Return LightGBM's classifier, converted, and itself."""
    model = lightgbm.LGBMClassifier(n_estimators=3, min_child_samples=2, verbose=-1, n_jobs=1)
    fitted = model.fit(ROWS, labels)
    types = [("x", lightgbm_types.FloatTensorType([None, 3]))]
    converted = onnxmltools.convert_lightgbm(fitted, initial_types=types, target_opset=15)
    return converted.SerializeToString(), fitted


EXPORTS: dict[str, tuple[Callable[[Any], tuple[bytes, Any]], str]] = {
    "scikit-learn": (logistic, "output_probability"),
    "LightGBM": (boosted, "probabilities"),
}


def declared(body: bytes, output: str, shape: tuple[int, ...] = (-1, 3)) -> serving.ModelConfig:
    """Declare a model of three features and one output."""
    tensors = [
        serving.DeclaredTensor(name="x", data_type="FP32", shape=(-1, 3)),
        serving.DeclaredTensor(name=output, data_type="FP32", shape=shape),
    ]
    return local_models.config(body).model_copy(
        update={"inputs": (tensors[0],), "outputs": (tensors[1],)}
    )


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("export", EXPORTS)
def test_probabilities_are_those_of_the_library_in_the_order_of_the_labels(
    export: str, kind: str
) -> None:
    converted, output = EXPORTS[export]
    body, fitted = converted(LABELS[kind])
    model = local_models.loaded(body, declared(body, output))

    answers = [
        model.run((effects.Tensor("x", "FP32", (1, 3), tuple(map(float, row))),)) for row in ROWS
    ]

    assert all(isinstance(answer, port.RunOutputs) for answer in answers)
    probabilities = [answer.outputs[output] for answer in answers]  # type: ignore[union-attr]
    np.testing.assert_allclose(
        np.array(probabilities, float), fitted.predict_proba(ROWS), atol=1e-5
    )
    (zipped,) = zipmap.find(onnx.load_from_string(body))
    assert list(zipped.labels) == fitted.classes_.tolist()


LABEL_TYPES = {"numbers": "INT64", "numbers that are no index": "INT64", "text": "BYTES"}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize(
    ("export", "output"), [("scikit-learn", "output_label"), ("LightGBM", "label")]
)
def test_labels_are_those_of_the_library(export: str, output: str, kind: str) -> None:
    body, fitted = EXPORTS[export][0](LABELS[kind])
    label = serving.DeclaredTensor(name=output, data_type=LABEL_TYPES[kind], shape=(-1,))
    both = declared(body, EXPORTS[export][1])
    both = both.model_copy(update={"outputs": (label, *both.outputs)})
    model = local_models.loaded(body, both)

    answers = [
        model.run((effects.Tensor("x", "FP32", (1, 3), tuple(map(float, row))),)) for row in ROWS
    ]

    labels = [answer.outputs[output] for answer in answers]  # type: ignore[union-attr]
    assert labels == [(label,) for label in fitted.predict(ROWS).tolist()]


def test_what_has_no_zipmap_stays_as_it_is() -> None:
    without = logistic(CLASSES, {"zipmap": False})[0]
    assert zipmap.unwrapped(without) == (without, ())
    named = without.replace(b"probabilities", b"ZipMap_result")  # the same length
    assert zipmap.unwrapped(named) == (named, ())


def test_the_bytes_that_are_checked_are_those_of_the_file() -> None:
    body, _ = logistic(CLASSES)
    digest = models.digest_of(body)
    sessions.load(body, local_models.contract(body, declared(body, "output_probability")))
    assert models.digest_of(body) == digest
    assert zipmap.unwrapped(body).body != body


def model(nodes: list[onnx.NodeProto], output: onnx.ValueInfoProto | None = None) -> bytes:
    """Return a model from `x` [n, 3] to the sequence of maps `y`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "test", [x], [output or maps("y")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def maps(name: str) -> onnx.ValueInfoProto:
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, value))
    return helper.make_value_info(name, kind)


def zipped(source: str = "x", output: str = "y", **labels: Any) -> onnx.NodeProto:
    labels = labels or {"classlabels_int64s": [7, 8, 9]}
    return helper.make_node("ZipMap", [source], [output], domain="ai.onnx.ml", **labels)


UNWRAPPED = {
    "alone": [zipped()],
    "of a tensor that an operator makes": [helper.make_node("Identity", ["x"], ["p"]), zipped("p")],
    "of a tensor that two read": [zipped(output="other"), zipped()],
}


@pytest.mark.parametrize("nodes", UNWRAPPED.values(), ids=UNWRAPPED)
def test_a_zipmap_is_unwrapped(nodes: list[onnx.NodeProto]) -> None:
    body = model(nodes)
    loaded = local_models.loaded(body, declared(body, "y"))
    result = loaded.run((effects.Tensor("x", "FP32", (1, 3), (0.5, 0.25, 0.125)),))
    assert isinstance(result, port.RunOutputs)
    assert result.outputs["y"] == (0.5, 0.25, 0.125)


def branch(name: str) -> onnx.GraphProto:
    return helper.make_graph([zipped(output=name)], "branch", [], [maps(name)])


def if_node() -> list[onnx.NodeProto]:
    is_true = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    return [
        helper.make_node("Constant", [], ["flag"], value=is_true),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch("a"), else_branch=branch("b")),
    ]


def sequence() -> tuple[list[onnx.NodeProto], onnx.ValueInfoProto]:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    return [helper.make_node("SequenceConstruct", ["x"], ["y"])], helper.make_value_info("y", kind)


def optional() -> tuple[list[onnx.NodeProto], onnx.ValueInfoProto]:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    return [helper.make_node("Optional", ["x"], ["y"])], helper.make_value_info("y", kind)


LEFT = {
    "in a branch": (model(if_node()), 'options={"zipmap": False}'),
    "a sequence of tensors": (model(*sequence()), "export it as a tensor"),
    "an optional": (model(*optional()), "export it as a tensor"),
}


@pytest.mark.parametrize(("body", "remedy"), LEFT.values(), ids=LEFT)
def test_what_is_no_zipmaps_is_refused_with_a_remedy(body: bytes, remedy: str) -> None:
    assert zipmap.unwrapped(body) == (body, ())
    with pytest.raises(Refused) as caught:
        sessions.load(body, local_models.contract(body, declared(body, "y")))
    assert caught.value.reason is Reason.UNSUPPORTED_TYPE
    assert remedy in caught.value.message


BAD = {
    "no labels": [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml")],
    "labels of both kinds": [zipped(classlabels_int64s=[1, 2, 3], classlabels_strings=["a"])],
}


@pytest.mark.parametrize("nodes", BAD.values(), ids=BAD)
def test_a_zipmap_that_fits_nothing_is_refused(nodes: list[onnx.NodeProto]) -> None:
    body = model(nodes)
    with pytest.raises(Refused) as caught:
        sessions.load(body, local_models.contract(body, declared(body, "y")))
    assert caught.value.reason is Reason.LOAD_FAILED


@pytest.mark.parametrize("labels", [[7, 8], [7, 8, 9, 10]])
def test_labels_that_are_not_as_many_as_the_columns_are_refused(labels: list[int]) -> None:
    body = model([zipped(classlabels_int64s=labels)])
    for columns in (-1, len(labels)):
        contract = local_models.contract(body, declared(body, "y", (-1, columns)))
        with pytest.raises(Refused) as caught:
            sessions.load(body, contract)
        assert caught.value.reason is Reason.LOAD_FAILED
        assert f"has {len(labels)} class labels" in caught.value.cause
