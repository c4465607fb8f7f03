import json
from typing import Any

import pytest

from foreshore_agent.inference import answer
from foreshore_api.wire import serving

DECLARED = (serving.DeclaredTensor(name="probabilities", data_type="FP32", shape=(-1, 2)),)


def body(**changed: Any) -> bytes:
    tensor = {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.2, 0.8]}
    return json.dumps({"model_name": "occupancy", "outputs": [tensor | changed]}).encode()


def test_the_declared_outputs_are_returned_flat() -> None:
    assert answer.read(body(), DECLARED) == {"probabilities": (0.2, 0.8)}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(b"no json", "MalformedAnswer", id="no JSON"),
        pytest.param(body(name="other"), "OutputMissing", id="another output"),
        pytest.param(body(shape=[1, 3]), "WrongShape", id="another shape"),
        pytest.param(body(shape=[2]), "WrongShape", id="another rank"),
        pytest.param(body(data=[0.2]), "WrongShape", id="too few elements"),
        pytest.param(
            body(data=[0.2, float("nan")]), "NotFinite", id="NaN, as some servers write it"
        ),
        pytest.param(body(data=[0.2, float("inf")]), "NotFinite", id="infinity"),
        pytest.param(body(data=[0.2, 10**400]), "NotFinite", id="an integer without end"),
    ],
)
def test_what_is_no_answer_has_a_reason(said: bytes, reason: str) -> None:
    with pytest.raises(answer.BadAnswerError) as error:
        answer.read(said, DECLARED)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("queue;dur=0.250, infer;dur=1.750", 0.002),
        ('infer;dur="2"', 0.002),
        ("cache;desc=hit", None),
        ("infer;dur=soon", None),
        ("infer;dur=nan", None),
        ("infer;dur=-1", None),
        ("", None),
        ("infer;dur=1" * 100, None),
    ],
)
def test_server_timing_is_read_or_left(header: str, seconds: float | None) -> None:
    assert answer.server_seconds(header) == seconds
