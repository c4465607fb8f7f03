import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import onnx_models
from foreshore_serving import vet
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
