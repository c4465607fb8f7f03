import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from builders import hostile_models, onnx_models
from foreshore_serving import foreign, vet
from foreshore_serving.refusal import Reason, Refused


def test_a_model_of_standard_operators_passes() -> None:
    vet.check(onnx_models.model())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", Reason.NOT_ONNX, id="nothing at all"),
        pytest.param(b"PK\x03\x04" * 100, Reason.NOT_ONNX, id="a zip archive"),
        pytest.param(b"\x08\x01", Reason.NOT_ONNX, id="parses, but has no graph"),
        pytest.param(onnx_models.custom_operator(), Reason.UNKNOWN_DOMAIN, id="vendor operator"),
        pytest.param(
            onnx_models.custom_operator_in_a_branch(),
            Reason.UNKNOWN_DOMAIN,
            id="vendor operator hidden in a subgraph",
        ),
        pytest.param(
            onnx_models.runtime_operator(),
            Reason.UNKNOWN_DOMAIN,
            id="the runtime's own operator, which it would load",
        ),
        pytest.param(
            onnx_models.local_function(), Reason.LOCAL_FUNCTIONS, id="operator it defines itself"
        ),
        pytest.param(
            onnx_models.external_weights(), Reason.EXTERNAL_DATA, id="weights in another file"
        ),
        pytest.param(
            onnx_models.external_constant(),
            Reason.EXTERNAL_DATA,
            id="weights in another file, as an attribute",
        ),
    ],
)
def test_what_the_runtime_might_load_is_refused(body: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        vet.check(body)
    assert caught.value.reason is reason


def test_nodes_are_counted_in_subgraphs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vet, "MAXIMUM_NODES", 4)
    body = onnx_models.endless()  # three nodes, one of them a loop over two
    assert len(onnx.load_from_string(body).graph.node) == 3

    with pytest.raises(Refused) as caught:
        vet.check(body)

    assert caught.value.reason is Reason.TOO_MANY_NODES


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_in_another_way(body: bytes) -> None:
    with pytest.raises(Refused):
        vet.check(body)


@given(st.integers(0, len(onnx_models.model()) - 1), st.integers(0, 255))
def test_a_changed_byte_passes_or_is_refused(position: int, value: int) -> None:
    body = bytearray(onnx_models.model())
    body[position] = value
    try:
        vet.check(bytes(body))
    except Refused as refused:
        assert refused.reason in Reason  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("body", "has_loops"),
    [
        pytest.param(onnx_models.model(), False, id="no loop"),
        pytest.param(onnx_models.endless_on_request(), True, id="a loop"),
    ],
)
def test_a_model_that_runs_as_often_as_its_inputs_say_is_seen(body: bytes, has_loops: bool) -> None:
    assert vet.check(body).has_loops is has_loops


def test_a_model_that_draws_numbers_says_so() -> None:
    drawn = helper.make_node("RandomNormalLike", ["scores"], ["noise"])
    note = vet.check(onnx_models.model([*onnx_models.CLASSIFY, drawn])).note
    assert "drawn by chance (RandomNormalLike)" in note
    assert vet.check(onnx_models.model()).note == ""


@pytest.mark.parametrize("row", foreign.FORMATS, ids=lambda row: row.name)
def test_a_file_of_another_format_is_named_with_how_to_convert_it(
    row: foreign.FileFormat,
) -> None:
    with pytest.raises(Refused) as caught:
        vet.check(b"\0" * row.offset + row.first + onnx_models.model())
    assert caught.value.reason is Reason.NOT_ONNX
    assert row.name in caught.value.cause
    assert caught.value.remedy == row.remedy, "none is cut"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        pytest.param(b"", "the file is empty", id="nothing"),
        pytest.param(b"\n\n<!DOCTYPE html>\n<html>", "a web page", id="a page after lines"),
        pytest.param(b"\xef\xbb\xbf<!doctype html>", "a web page", id="a page with a mark"),
        pytest.param(b'{\n  "learner": {}}', "JSON, as XGBoost", id="JSON with spaces"),
        pytest.param(b"tree\r\nversion=v4\r\n", "a LightGBM model", id="LightGBM on Windows"),
    ],
)
def test_texts_are_recognised_however_they_are_laid_out(body: bytes, cause: str) -> None:
    with pytest.raises(Refused) as caught:
        vet.check(body)
    assert caught.value.reason is Reason.NOT_ONNX
    assert cause in caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (hostile_models.training_information(), "graph of its training"),
        (hostile_models.training_normalisation(), "BatchNormalization trains"),
        (hostile_models.training_dropout(), "Dropout trains"),
    ],
)
def test_a_model_that_trains_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Refused) as caught:
        vet.check(body)
    assert caught.value.reason is Reason.TRAINING_GRAPH
    assert says in caught.value.cause


def test_a_dropout_that_only_hands_on_passes() -> None:
    node = helper.make_node("Dropout", ["logits", "", "trains"], ["probabilities"])
    off = helper.make_tensor("trains", onnx.TensorProto.BOOL, [], [False])
    vet.check(onnx_models.model([onnx_models.CLASSIFY[0], node], [onnx_models.WEIGHTS, off]))


def test_a_dropout_that_a_constant_turns_on_is_refused() -> None:
    on = helper.make_tensor("t", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["trains"], value=on),
        onnx_models.CLASSIFY[0],
        helper.make_node("Dropout", ["logits", "", "trains"], ["probabilities"]),
    ]
    with pytest.raises(Refused) as caught:
        vet.check(onnx_models.model(nodes))
    assert caught.value.reason is Reason.TRAINING_GRAPH
