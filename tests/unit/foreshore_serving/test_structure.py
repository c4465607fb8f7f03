"""What a parsed model says of itself, in the form and the bounds of the wire."""

import contextlib
import json
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from builders import onnx_models
from foreshore_api.wire import inspection
from foreshore_serving import answers, schema, structure, vet
from foreshore_serving import inspection as looking
from foreshore_serving.refusal import Refused


def described(body: bytes) -> inspection.ModelInspection:
    """What is described, as whoever is told reads it."""
    fields = {"size": 1, "digest": "", **structure.describe(vet.parse(body))}
    return inspection.ModelInspection.decode(json.dumps(fields))


def body(
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    nodes: list[onnx.NodeProto] | None = None,
) -> bytes:
    graph = helper.make_graph(nodes or [], "test", inputs, outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


def test_a_classifier_is_described() -> None:
    model = described(onnx_models.model())
    assert [(row.name, row.data_type, row.shape) for row in model.inputs] == [
        ("features", "FP32", ("rows", 3))
    ]
    assert (model.nodes, model.parameters, model.ir_version) == (2, 6, 9)
    assert model.opsets == (inspection.OperatorSet(domain="", version=17),)


def convolution(shape: list[int | str], *, is_turned: bool = False) -> bytes:
    """A convolution of three channels, with or without a transposition before it."""
    name = "turned" if is_turned else "signal"
    turning = [helper.make_node("Transpose", ["signal"], ["turned"], perm=[0, 2, 1])]
    return body(
        [helper.make_tensor_value_info("signal", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("mapped", TensorProto.FLOAT, ["batch", 4, "steps"])],
        [*(turning if is_turned else []), helper.make_node("Conv", [name, "w"], ["mapped"])],
    )


@pytest.mark.parametrize("shape", [["batch", 3, 30], ["batch", 3, "steps"]], ids=["fixed", "free"])
def test_a_window_that_has_its_features_first_is_refused_with_its_remedy(
    shape: list[int | str],
) -> None:
    """Its three channels look like three samples, and it would answer to those."""
    [finding] = described(convolution(shape)).findings
    assert finding.reason == "UnsupportedShape"
    assert "takes [batch, features, steps]" in finding.message
    assert "x.transpose(1, 2)" in (finding.remedy or "")


def test_a_convolution_over_samples_or_over_one_sample_is_none_of_these() -> None:
    assert described(convolution(["batch", 30, 3], is_turned=True)).findings == ()
    assert described(convolution(["batch", 1, 30])).findings == ()


def test_more_convolved_inputs_than_findings_are_read_all_the_same() -> None:
    """The document has room for 32 findings: with one for each input it could not be read."""
    names = [f"signal{number}" for number in range(40)]
    shape: list[int | str | None] = ["batch", 3, 30]
    model = body(
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("mapped", TensorProto.FLOAT, ["batch", 4, "steps"])],
        [helper.make_node("Conv", [name, "w"], [f"{name}-mapped"]) for name in names],
    )
    assert 0 < len(described(model).findings) < inspection.FINDINGS


def test_a_finding_stays_beside_what_refuses_the_model_later() -> None:
    lines = [{"findings": [{"reason": name}]} for name in ("UnsupportedShape", "LoadFailed")]
    fields = looking.joined([json.dumps(line).encode() for line in ({"size": 3}, *lines)])
    assert [finding["reason"] for finding in fields["findings"]] == [
        "UnsupportedShape",
        "LoadFailed",
    ]
    assert fields["size"] == 3


@pytest.mark.parametrize("kind", sorted({*TensorProto.DataType.keys()} - {"UNDEFINED"}))
def test_every_element_type_has_onnx_own_name(kind: str) -> None:
    number = TensorProto.DataType.Value(kind)
    if number not in schema.ELEMENTS:
        return  # a type of a later ONNX: it is shown as unknown
    assert schema.ELEMENTS[number][0].replace("_", "") in (
        kind.lower().replace("_", ""),
        {"FLOAT": "float", "DOUBLE": "double"}.get(kind),
    )


def test_other_kinds_of_values_are_named_as_onnx_names_them() -> None:
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        )
    )
    value = helper.make_value_info("p", maps)
    assert described(body([], [value])).outputs[0].type == "sequence(map(int64, tensor(float)))"


def test_a_file_that_says_no_shape_is_not_taken_for_a_scalar() -> None:
    values = [
        helper.make_tensor_value_info("any", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("scalar", TensorProto.FLOAT, []),
    ]
    assert [row.shape for row in described(body(values, [])).inputs] == [None, ()]


def test_labels_of_a_classifier_stand_at_the_output_that_has_as_many_columns() -> None:
    node = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["label", "p"],
        domain="ai.onnx.ml",
        coefficients=[0.1] * 6,
        classlabels_strings=["empty", "busy"],
    )
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
        helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2]),
    ]
    model = described(
        body([helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])], outputs, [node])
    )
    assert [row.labels for row in model.outputs] == [(), ("empty", "busy")]
    assert model.parameters == 6


def test_what_lies_in_another_file_or_domain_is_listed() -> None:
    assert described(onnx_models.external_weights("w.bin")).external_files == ("w.bin",)
    assert described(onnx_models.external_constant("w.bin")).external_files == ("w.bin",)
    assert described(onnx_models.custom_operator_in_a_branch()).foreign[0].name == "Oracle"
    assert described(onnx_models.local_function()).functions == ("Twice",)
    assert described(onnx_models.endless()).loops == ("Loop",)


@given(st.text(min_size=1, max_size=400), st.integers(-(2**63), 2**63 - 1))
def test_whatever_the_file_says_stays_in_the_bounds_of_the_wire(name: str, length: int) -> None:
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [length, name])
    weights = TensorProto(name=name, data_type=1, dims=[length, length])
    graph = helper.make_graph([], name, [value] * 70, [value], [weights])
    proto = helper.make_model(graph, producer_name=name)
    proto.opset_import[0].version = length
    model = described(bytes(proto.SerializeToString()))
    assert model.output_count == 1


@given(st.binary(max_size=2000), st.integers(0, 600))
def test_bytes_that_are_damaged_are_described_or_refused(noise: bytes, place: int) -> None:
    whole = onnx_models.endless()
    damaged = whole[:place] + noise + whole[place + len(noise) :]
    with contextlib.suppress(Refused):
        described(damaged)


BOUNDS: dict[str, tuple[Any, Any]] = {
    "tensors": (structure.TENSORS, inspection.TENSORS),
    "labels": (structure.LABELS, inspection.LABELS),
    "entries": (structure.ENTRIES, inspection.ENTRIES),
    "elements": (answers.ELEMENTS, inspection.ELEMENTS),
    "values": (answers.VALUES, inspection.ENTRIES),
    "a sentence": (structure.SENTENCE, inspection.SENTENCE),
    "a sentence of answers": (answers.SENTENCE, inspection.SENTENCE),
}


@pytest.mark.parametrize("what", BOUNDS)
def test_the_child_cuts_where_the_wire_ends(what: str) -> None:
    ours, theirs = BOUNDS[what]
    assert ours == theirs
