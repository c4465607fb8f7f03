"""What keeps a file that nobody declared from being run is said once, with what helps."""

from typing import Any

import pytest

from foreshore_serving import tentative
from foreshore_serving.refusal import Reason, Refused

X = {"name": "x", "type": "tensor(float)", "dataType": "FP32", "shape": ["batch", 3]}


def refused(**fields: Any) -> Refused:
    tensor = {key: value for key, value in {**X, **fields}.items() if value is not None}
    with pytest.raises(Refused) as caught:
        tentative.contract({"inputs": [tensor], "inputCount": 1}, "sha256:0", (1, 1, 1.0), None)
    return caught.value


def test_a_shape_that_the_file_does_not_say_is_no_matter_of_types() -> None:
    error = refused(shape=None)
    assert error.reason is Reason.UNSUPPORTED_SHAPE
    assert error.cause == "the file does not say the shape of input x"
    assert error.remedy == tentative.NO_SHAPE, "whole: it fits its bound"


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("tensor(bfloat16)", "cast it in the model"),
        ("sequence(tensor(float))", "export it as a tensor"),
    ],
)
def test_a_type_that_cannot_be_declared_says_what_takes_its_place(kind: str, remedy: str) -> None:
    error = refused(type=kind, dataType=None)
    assert error.reason is Reason.UNSUPPORTED_TYPE
    assert error.cause == f"input x is {kind}"
    assert error.remedy.startswith(remedy)
