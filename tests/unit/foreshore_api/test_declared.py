"""What a server is told of a Model's tensors: the shapes that it is really asked with."""

from typing import Any

import pytest

from foreshore_api import declared
from foreshore_api.v1alpha1 import model as kind


def model(shape: list[int], **fields: Any) -> kind.ModelSpec:
    spec = {
        "inputs": [
            {"name": "x", "dataType": "FP32", "shape": shape, "features": ["light", "state"]}
            | fields.pop("input", {})
        ],
        "outputs": [{"name": "y", "dataType": "BYTES"}],
        **fields,
    }
    return kind.ModelSpec.model_validate(spec)


STATE = {"name": "state", "categories": {"values": ["idle", "running", "stopped"]}}
INDEX = {"name": "state", "categories": {"values": ["idle", "running"], "encoding": "Index"}}
WINDOW = {"window": {"steps": 30, "every": "1s"}}


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        pytest.param(model([-1, 2]), (-1, 2), id="the batch stays free"),
        pytest.param(model([-1, -1]), (-1, 2), id="features fill the last dimension"),
        pytest.param(model([1, 2]), (1, 2), id="what is declared stays"),
        pytest.param(
            model([-1, -1, -1], input=WINDOW), (-1, 30, 2), id="a window fills the middle"
        ),
        pytest.param(model([-1, 30, 2], input=WINDOW), (-1, 30, 2), id="a window that is declared"),
        pytest.param(
            model([-1, -1, 2]), (-1, -1, 2), id="without a window nobody knows how many samples"
        ),
        pytest.param(
            model([-1, -1], preprocessing=[STATE]), (-1, 4), id="a column for each category"
        ),
        pytest.param(model([-1, -1], preprocessing=[INDEX]), (-1, 2), id="one for an index"),
        pytest.param(model([-1]), (-1,), id="a vector"),
        pytest.param(model([]), (), id="a scalar"),
    ],
)
def test_lengths_that_are_known_are_told(spec: kind.ModelSpec, shape: tuple[int, ...]) -> None:
    (tensor,) = declared.inputs(spec)
    assert (tensor.name, tensor.data_type, tensor.shape) == ("x", "FP32", shape)


def test_an_output_is_told_as_it_is_declared() -> None:
    (tensor,) = declared.outputs(model([-1, 2]))
    assert (tensor.name, tensor.data_type, tensor.shape) == ("y", "BYTES", ())
