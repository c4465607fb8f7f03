"""What a model has against what is declared: each refusal says what to declare, or to export."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import local_models
from foreshore_api import printable
from foreshore_serving import schema, tensors
from foreshore_serving.contract import Contract, TensorSpec
from foreshore_serving.refusal import CAUSE, REMEDY, Reason, Refused


def node(
    name: str, kind: str = "tensor(float)", shape: Sequence[int | str | None] = ("batch", 3)
) -> schema.TensorNode:
    return schema.TensorNode(name, kind, shape)


X, Y = node("x"), node("y")


def contract(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec] = ()) -> Contract:
    made = local_models.contract(b"", local_models.config(b""))
    outputs = outputs or (TensorSpec("y", "FP32", (-1, 3)),)
    return Contract(
        **{
            **{field: getattr(made, field) for field in Contract.__slots__},
            "inputs": tuple(inputs),
            "outputs": tuple(outputs),
        }
    )


def refused(declared: TensorSpec, actual: schema.TensorNode, *others: schema.TensorNode) -> Refused:
    with pytest.raises(Refused) as caught:
        schema.check(contract([declared]), [actual, *others], [Y])
    return caught.value


def of_output(declared: TensorSpec, actual: schema.TensorNode) -> Refused:
    with pytest.raises(Refused) as caught:
        schema.check(contract([TensorSpec("x", "FP32", (-1, 3))], [declared]), [X], [actual])
    return caught.value


CASES = {
    "a batch that the model fixes": (
        refused(TensorSpec("x", "FP32", (-1, 3)), node("x", shape=(1, 3))),
        "is of shape [1, 3], declared [-1, 3]",
        "declare shape [1, 3], or export with a free batch (dynamic_axes or dynamic_shapes",
    ),
    "another width": (
        refused(TensorSpec("x", "FP32", (-1, 4)), X),
        "is of shape [batch, 3], declared [-1, 4]",
        "declare shape [-1, 3]",
    ),
    "another rank": (
        refused(TensorSpec("x", "FP32", (3,)), X),
        "is of shape [batch, 3], declared [3]",
        "declare shape [-1, 3]",
    ),
    "a window that nobody declared": (
        refused(TensorSpec("x", "FP32", (-1, -1, 3)), node("x", shape=("batch", "steps", 3))),
        "takes samples in its middle dimension",
        "declare window {steps, every} of the input",
    ),
    "a window that the model fixes": (
        refused(TensorSpec("x", "FP32", (-1, -1, 3)), node("x", shape=("batch", 30, 3))),
        "[-1, -1, 3] does not say how many",
        "steps 30",
    ),
    "other steps than the model's": (
        refused(TensorSpec("x", "FP32", (-1, 20, 3)), node("x", shape=("batch", 30, 3))),
        "is of shape [batch, 30, 3], declared [-1, 20, 3]",
        "declare shape [-1, 30, 3] and window steps: 30, as in training",
    ),
    "other steps and a batch that the model fixes": (
        refused(TensorSpec("x", "FP32", (-1, 20, 3)), node("x", shape=(1, 30, 3))),
        "is of shape [1, 30, 3], declared [-1, 20, 3]",
        "declare shape [1, 30, 3] and window steps: 30, as in training, or export with a free",
    ),
    "another type": (
        refused(TensorSpec("x", "FP32", (-1, 3)), node("x", "tensor(double)")),
        "is FP64, declared FP32",
        "declare dataType FP64",
    ),
    "a near name": (
        refused(TensorSpec("onnx::Gemm_1", "FP32", (-1, 3)), node("onnx::Gemm_0")),
        "did you mean onnx::Gemm_0?",
        "declare each input by the name that it has in the model, whatever it is",
    ),
    "an input too few": (
        refused(TensorSpec("x", "FP32", (-1, 3)), X, node("z")),
        "also needs undeclared z",
        "declare every input",
    ),
    "a sequence of maps": (
        of_output(TensorSpec("p", "FP32", (-1, 2)), node("p", "seq(map(int64,tensor(float)))")),
        "is a seq(map(int64,tensor(float)))",
        'convert with options={"zipmap": False}',
    ),
    "a brain float": (
        of_output(TensorSpec("p", "FP32", (-1, 2)), node("p", "tensor(bfloat16)")),
        "is a tensor(bfloat16)",
        "cast it in the model: FP32",
    ),
    "an output of another width": (
        of_output(TensorSpec("p", "FP32", (-1, 2)), node("p", shape=(1, 3))),
        "is of shape [1, 3], declared [-1, 2]",
        "declare shape [1, 3]",
    ),
}


@pytest.mark.parametrize(("error", "cause", "remedy"), CASES.values(), ids=CASES)
def test_a_refusal_says_what_is_so_and_what_helps(error: Refused, cause: str, remedy: str) -> None:
    assert cause in error.cause
    assert remedy in error.remedy
    assert error.message == f"{error.cause}; {error.remedy}"


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        pytest.param((-1, 3), ("batch", 3), id="as it is"),
        pytest.param((1, 3), (1, 3), id="a fixed batch that is declared"),
        pytest.param((-1, 30, 3), ("batch", "steps", 3), id="a window of a free dimension"),
        pytest.param((-1, 3), (), id="of any rank: the first run shows it"),
        pytest.param((), (), id="a scalar"),
        pytest.param((-1,), (None,), id="a vector"),
    ],
)
def test_what_fits_is_accepted(
    declared: tuple[int, ...], actual: tuple[int | str | None, ...]
) -> None:
    spec = TensorSpec("x", "FP32", declared)
    schema.check(contract([spec]), [node("x", shape=actual)], [Y])


def test_an_output_that_is_always_one_row_may_be_declared_as_of_any() -> None:
    label = TensorSpec("label", "INT64", (-1,))
    made = node("label", "tensor(int64)", (1,))
    schema.check(contract([TensorSpec("x", "FP32", (-1, 3))], [label]), [X], [made])


@given(
    st.text(max_size=2000),
    st.text(max_size=2000),
    st.lists(st.none() | st.integers() | st.text(max_size=2000), max_size=2000),
)
def test_whatever_a_model_names_its_tensors_a_message_is_bounded(
    name: str, kind: str, shape: list[int | str | None]
) -> None:
    nodes = [node(f"{name}{number}" * 30, kind, shape) for number in range(3)]
    for declared in ("x", nodes[0].name):
        error = refused(TensorSpec(declared, "FP32", (-1, 3)), *nodes)
        assert all(map(printable.is_fit, error.message))
        assert len(error.message) <= CAUSE + REMEDY + 2


def test_every_type_that_a_tensor_may_be_declared_as_is_one_of_the_runtimes() -> None:
    assert set(schema.ELEMENT_TYPES.values()) == set(tensors.TYPES)


def test_the_warm_up_says_what_came() -> None:
    assert schema.came((-1, 2), (1, 3)) == "[-1, 3]"
    assert schema.came((-1, 2), np.zeros(3).shape) == "[3]"
    assert schema.came((-1, 2), (1, 3), ["rows", "classes"]) == "[-1, 3]"


def test_a_length_that_the_file_states_and_does_not_keep_is_declared_as_any() -> None:
    # Declared as it came it was refused again, by the length that the file states.
    assert schema.came((-1, 1), (1, 2), [None, 1]) == "[-1, -1]"


class Unreadable:
    """What the runtime describes where a file names a tensor by bytes that are no text."""

    type = "tensor(float)"
    shape = ()

    @property
    def name(self) -> str:
        return b"\xff".decode()


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        schema.nodes([Unreadable()])
    assert caught.value.reason is Reason.NOT_ONNX
