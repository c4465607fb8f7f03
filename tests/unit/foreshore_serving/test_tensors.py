import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.wire import oip
from foreshore_serving import tensors
from foreshore_serving.contract import Contract, TensorSpec
from foreshore_serving.refusal import Fault, Rejected


def contract(data_type: str = "FP32", shape: tuple[int, ...] = (-1, 3)) -> Contract:
    return Contract(
        name="occupancy",
        version="occupancy-v1",
        digest="sha256:" + "0" * 64,
        inputs=(TensorSpec("features", data_type, shape),),
        outputs=(TensorSpec("probabilities", "FP32", (-1, 2)), TensorSpec("label", "INT64", (-1,))),
        model_bytes=0,
        memory_bytes=0,
        load_seconds=1,
        stall_seconds=1,
        maximum_body_bytes=1,
    )


def body(change: Callable[[dict[str, Any]], object] = lambda _: None, **tensor: Any) -> bytes:
    entry = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2.5, 3], **tensor}
    document: dict[str, Any] = {"id": "7", "inputs": [entry]}
    change(document)
    return json.dumps(document).encode()


def fault(request: bytes, of: Contract | None = None) -> Fault:
    with pytest.raises(Rejected) as caught:
        tensors.decode(request, of or contract())
    return caught.value.fault


@pytest.mark.parametrize(
    "data",
    [pytest.param([1, 2.5, 3], id="flat"), pytest.param([[1, 2.5, 3]], id="nested")],
)
def test_elements_may_be_flat_or_nested(data: list[Any]) -> None:
    request = tensors.decode(body(data=data), contract())

    assert request.id == "7"
    assert request.feeds["features"].dtype == np.float32
    assert request.feeds["features"].tolist() == [[1, 2.5, 3]]


@pytest.mark.parametrize(
    ("request_body", "expected"),
    [
        pytest.param(b"", Fault.MALFORMED, id="empty"),
        pytest.param(b"[" * 5000, Fault.MALFORMED, id="nested without end"),
        pytest.param(b"[]", Fault.MALFORMED, id="no object"),
        pytest.param(b'{"inputs": 3}', Fault.MALFORMED, id="inputs are no list"),
        pytest.param(b'{"inputs": [3]}', Fault.MALFORMED, id="an input is no object"),
        pytest.param(b'{"inputs": [{}]}', Fault.MALFORMED, id="an input without a name"),
        pytest.param(b'{"inputs": []}', Fault.MISSING_INPUT, id="no input"),
        pytest.param(body(lambda d: d.update(id=7)), Fault.MALFORMED, id="id is a number"),
        pytest.param(body(lambda d: d.update(id="x" * 65)), Fault.MALFORMED, id="id too long"),
        pytest.param(
            body(lambda d: d["inputs"].append(d["inputs"][0])), Fault.MALFORMED, id="given twice"
        ),
        pytest.param(body(name="other"), Fault.UNKNOWN_INPUT, id="unknown input"),
        pytest.param(
            body(lambda d: d.update(outputs=[{"name": "x"}])),
            Fault.UNKNOWN_OUTPUT,
            id="unknown output",
        ),
        pytest.param(body(datatype="FP64"), Fault.WRONG_TYPE, id="another datatype"),
        pytest.param(body(datatype=None), Fault.WRONG_TYPE, id="no datatype"),
        pytest.param(body(data=["1", 2, 3]), Fault.WRONG_TYPE, id="a string among numbers"),
        pytest.param(body(data=[True, 2, 3]), Fault.WRONG_TYPE, id="true is not 1"),
        pytest.param(body(data=[None, 2, 3]), Fault.WRONG_TYPE, id="null is not NaN"),
        pytest.param(body(data=[{}, 2, 3]), Fault.WRONG_TYPE, id="an object among numbers"),
        pytest.param(body(shape=None), Fault.WRONG_SHAPE, id="no shape"),
        pytest.param(body(shape=[3]), Fault.WRONG_SHAPE, id="another rank"),
        pytest.param(body(shape=[1, 4], data=[1, 2, 3, 4]), Fault.WRONG_SHAPE, id="another width"),
        pytest.param(body(shape=[0, 3], data=[]), Fault.WRONG_SHAPE, id="no rows"),
        pytest.param(body(shape=[-1, 3]), Fault.WRONG_SHAPE, id="an open length in a request"),
        pytest.param(body(shape=[True, 3]), Fault.WRONG_SHAPE, id="true is no length"),
        pytest.param(body(shape=[1.0, 3]), Fault.WRONG_SHAPE, id="a length that is no integer"),
        pytest.param(body(shape=[2**62, 3]), Fault.WRONG_SHAPE, id="a length past all memory"),
        pytest.param(body(data=[1, 2]), Fault.WRONG_SHAPE, id="too few elements"),
        pytest.param(body(data=[[1, 2], [3]]), Fault.WRONG_SHAPE, id="ragged"),
        pytest.param(
            body(data=[[1], [2], [3]]), Fault.WRONG_SHAPE, id="nested the other way round"
        ),
        pytest.param(body(data=[[1, 2, 3], 4]), Fault.WRONG_SHAPE, id="half nested"),
        pytest.param(body(data="123"), Fault.MALFORMED, id="data are no list"),
        pytest.param(body(data=[1e39, 2, 3]), Fault.OUT_OF_RANGE, id="infinite as FP32"),
        pytest.param(
            body().replace(b"2.5", b"1e999"), Fault.MALFORMED, id="a literal past all floats"
        ),
        pytest.param(body().replace(b"2.5", b"NaN"), Fault.MALFORMED, id="NaN"),
        pytest.param(body().replace(b"2.5", b"-Infinity"), Fault.MALFORMED, id="infinity"),
        pytest.param(body() + b"x", Fault.MALFORMED, id="something after the end"),
        pytest.param(body().replace(b"features", b"\xff"), Fault.MALFORMED, id="no UTF-8"),
    ],
)
def test_a_request_that_is_not_as_declared_is_rejected(
    request_body: bytes, expected: Fault
) -> None:
    assert fault(request_body) is expected


@pytest.mark.parametrize(
    ("data_type", "data", "expected"),
    [
        pytest.param("INT8", [1, 2, 128], Fault.OUT_OF_RANGE, id="too large for INT8"),
        pytest.param("UINT8", [1, 2, -1], Fault.OUT_OF_RANGE, id="negative for UINT8"),
        pytest.param("INT64", [1, 2, 2**64], Fault.WRONG_TYPE, id="too large for any integer"),
        pytest.param("INT32", [1, 2, 3.0], Fault.WRONG_TYPE, id="a float for an integer"),
        pytest.param("BYTES", ["a", "b", 3], Fault.WRONG_TYPE, id="a number for text"),
        pytest.param("BYTES", ["a", "b", None], Fault.WRONG_TYPE, id="null for text"),
        pytest.param("BOOL", [1, 0, 1], Fault.WRONG_TYPE, id="1 is not true"),
        pytest.param("FP16", [70000, 0, 0], Fault.OUT_OF_RANGE, id="infinite as FP16"),
    ],
)
def test_elements_must_fit_their_datatype(data_type: str, data: list[Any], expected: Fault) -> None:
    assert fault(body(datatype=data_type, data=data), contract(data_type)) is expected


@pytest.mark.parametrize("data_type", oip.DATA_TYPES)
def test_every_datatype_that_a_model_may_declare_is_served(data_type: str) -> None:
    element: Any = {"BOOL": True, "BYTES": "1"}.get(data_type, 1)
    request = tensors.decode(body(datatype=data_type, data=[element] * 3), contract(data_type))
    assert request.feeds["features"].tolist() == [[element] * 3]


def test_a_text_is_as_long_as_the_protocols_models_let_it_be() -> None:
    assert tensors.TEXT == oip.TEXT


def scalar(data_type: str = "FP32") -> Contract:
    return contract(data_type, ())


def test_a_scalar_has_no_dimension_and_one_element() -> None:
    request = tensors.decode(body(shape=[], data=[2.5]), scalar_answer())
    assert request.feeds["features"].shape == ()
    assert request.feeds["features"] == 2.5
    for data in ([], [1, 2], [[1]]):
        assert fault(body(shape=[], data=data), scalar()) is Fault.WRONG_SHAPE
    answer = tensors.encode(scalar_answer(), request, [np.array(0.25, np.float32)])
    assert json.loads(answer)["outputs"][0] == {
        "name": "score",
        "datatype": "FP32",
        "shape": [],
        "data": [0.25],
    }


def scalar_answer() -> Contract:
    return dataclasses.replace(scalar(), outputs=(TensorSpec("score", "FP32", ()),))


@given(st.lists(st.text(max_size=40), min_size=3, max_size=3))
def test_text_comes_and_goes_as_it_is(texts: list[str]) -> None:
    declared = contract("BYTES")
    label = TensorSpec("label", "BYTES", (-1, 3))
    declared = dataclasses.replace(declared, outputs=(label,))
    request = tensors.decode(body(datatype="BYTES", data=texts), declared)
    answer = tensors.encode(declared, request, [request.feeds["features"]])
    message = oip.InferResponse.model_validate_json(answer)
    assert list(message.outputs[0].data) == texts


def test_a_text_is_bounded_on_both_ways() -> None:
    assert fault(body(datatype="BYTES", data=["x" * 1025, "", ""]), contract("BYTES")) is (
        Fault.OUT_OF_RANGE
    )
    label = TensorSpec("label", "BYTES", (-1,))
    with pytest.raises(Rejected) as caught:
        tensors.given(label, np.array(["x" * 1025], np.object_))
    assert caught.value.fault is Fault.OUTPUT_MISMATCH


@pytest.mark.parametrize(
    ("value", "is_in"), [(65504, True), (-65504, True), (65520, False), (-65520, False)]
)
def test_what_is_infinite_as_fp16_is_out_of_range(value: float, *, is_in: bool) -> None:
    request = body(datatype="FP16", data=[value, 0, 0])
    if is_in:
        assert tensors.decode(request, contract("FP16")).feeds["features"].max() >= 0
    else:
        assert fault(request, contract("FP16")) is Fault.OUT_OF_RANGE


def test_only_the_outputs_asked_for_are_wanted_in_declared_order() -> None:
    everything = tensors.decode(body(), contract())
    one = tensors.decode(body(lambda d: d.update(outputs=[{"name": "label"}])), contract())

    assert [spec.name for spec in everything.wanted] == ["probabilities", "label"]
    assert [spec.name for spec in one.wanted] == ["label"]


def test_an_answer_is_the_protocols() -> None:
    request = tensors.decode(body(), contract())

    answer = tensors.encode(
        contract(), request, [np.array([[0.25, 0.75]], np.float32), np.array([1])]
    )

    message = oip.InferResponse.model_validate_json(answer)
    assert message.id == "7"
    assert (message.model_name, message.model_version) == ("occupancy", "occupancy-v1")
    assert message.parameters == oip.ResponseParameters(digest="sha256:" + "0" * 64)
    assert message.outputs[0].data == (0.25, 0.75)
    assert message.outputs[0].shape == (1, 2)
    assert message.outputs[1].datatype == "INT64"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param([[math.nan, 1]], Fault.NON_FINITE_OUTPUT, id="NaN"),
        pytest.param([[math.inf, 1]], Fault.NON_FINITE_OUTPUT, id="infinity"),
        pytest.param([[1, 2, 3]], Fault.OUTPUT_MISMATCH, id="another width"),
        pytest.param([1, 2], Fault.OUTPUT_MISMATCH, id="another rank"),
    ],
)
def test_an_answer_that_is_not_as_declared_leaves_as_a_fault(
    array: list[Any], expected: Fault
) -> None:
    request = tensors.decode(
        body(lambda d: d.update(outputs=[{"name": "probabilities"}])), contract()
    )
    with pytest.raises(Rejected) as caught:
        tensors.encode(contract(), request, [np.array(array, np.float32)])
    assert caught.value.fault is expected
    assert caught.value.status == 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(json_values, json_values, json_values)
def test_no_json_makes_decoding_fail_in_another_way(data: Any, shape: Any, name: Any) -> None:
    for entry in (
        {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": data},
        {"name": "features", "datatype": "FP32", "shape": shape, "data": [1, 2, 3]},
        {"name": name, "datatype": data, "shape": shape, "data": data},
    ):
        try:
            request = tensors.decode(json.dumps({"inputs": [entry]}).encode(), contract())
        except Rejected:
            continue
        assert request.feeds["features"].shape[1:] == (3,)
        assert np.isfinite(request.feeds["features"]).all()


@given(
    st.lists(
        st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3),
        min_size=1,
        max_size=20,
    )
)
def test_what_the_protocols_models_write_is_read_unchanged(rows: list[tuple[float, ...]]) -> None:
    flat = tuple(number for row in rows for number in row)
    message = oip.InferRequest(
        inputs=(oip.TensorData(name="features", datatype="FP32", shape=(len(rows), 3), data=flat),)
    )

    request = tensors.decode(message.model_dump_json(exclude_none=True).encode(), contract())

    assert request.feeds["features"].reshape(-1).tolist() == list(flat)


def test_a_name_that_is_not_known_brings_few_of_those_that_are() -> None:
    inputs = tuple(TensorSpec(f"{number:02}" + "x" * 254, "FP32", (-1, 1)) for number in range(64))
    with pytest.raises(Rejected) as caught:
        tensors.decode(body(name="other"), dataclasses.replace(contract(), inputs=inputs))
    assert "and 52 more" in caught.value.message
    assert len(caught.value.message) < 4096


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T, np.arange(12.0)[::2]])
def test_outputs_that_do_not_lie_in_a_row_are_flat_all_the_same(array: tensors.Array) -> None:
    flat = tensors.given(TensorSpec("scores", "FP64", (-1,) * array.ndim), array)
    assert flat.flags.c_contiguous
    assert flat.tolist() == list(array.flat)
