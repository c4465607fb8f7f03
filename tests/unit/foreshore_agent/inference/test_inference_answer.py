import json
from typing import Any

import pytest

from foreshore_agent.inference.oip import answer
from foreshore_api.wire import serving
from foreshore_decision import served

ASKED = served.Served("occupancy", "occupancy-v1", "sha256:" + "ab" * 32)
DECLARED = (serving.DeclaredTensor(name="probabilities", data_type="FP32", shape=(-1, 2)),)

TENSOR: dict[str, Any] = {
    "name": "probabilities",
    "datatype": "FP32",
    "shape": [1, 2],
    "data": [0.2, 0.8],
}


def body(**changed: Any) -> bytes:
    return said_by(ASKED, TENSOR | changed)


def said_by(model: served.Served, tensor: dict[str, Any]) -> bytes:
    """What a server answers that says of itself what is not empty."""
    head: dict[str, Any] = {"model_name": model.name}
    head |= {"model_version": model.version} if model.version else {}
    head |= {"parameters": {"digest": model.digest}} if model.digest else {}
    return json.dumps({**head, "outputs": [tensor]}).encode()


def read(said: bytes, *, is_silence_refused: bool = True) -> answer.OipAnswer:
    expected = answer.Expected(ASKED, DECLARED)
    return answer.read(said, expected, is_silence_refused=is_silence_refused)


def test_text_is_returned_where_text_is_declared() -> None:
    declared = (DECLARED[0].model_copy(update={"data_type": "BYTES"}),)
    expected = answer.Expected(ASKED, declared)
    said = body(datatype="BYTES", data=["idle", "1"])
    assert answer.read(said, expected, is_silence_refused=True).outputs == {
        "probabilities": ("idle", "1")
    }
    with pytest.raises(answer.FailedError):
        answer.read(body(), expected, is_silence_refused=True)


def test_the_declared_outputs_are_returned_flat_with_what_answered() -> None:
    assert read(body()) == answer.OipAnswer(ASKED, {"probabilities": (0.2, 0.8)})


OTHERS = [
    pytest.param(ASKED._replace(version="occupancy-v2"), id="another version"),
    pytest.param(ASKED._replace(digest="sha256:" + "cd" * 32), id="other bytes of that version"),
    pytest.param(ASKED._replace(name="vacancy"), id="another model"),
]
SILENT = [
    pytest.param(ASKED._replace(version=""), id="no version"),
    pytest.param(ASKED._replace(digest=""), id="no digest"),
]


@pytest.mark.parametrize("model", [*OTHERS, *SILENT])
def test_what_answers_as_something_else_or_does_not_say_is_no_answer(model: served.Served) -> None:
    with pytest.raises(answer.OtherVersionError) as error:
        read(said_by(model, {"name": "label", "datatype": "FP32", "shape": [1], "data": [1]}))
    assert error.value.answered == model
    assert error.value.reason == "OtherVersion"


@pytest.mark.parametrize("model", OTHERS)
def test_something_else_is_no_answer_either_where_silence_is_let_pass(model: served.Served) -> None:
    with pytest.raises(answer.OtherVersionError):
        read(said_by(model, TENSOR), is_silence_refused=False)


@pytest.mark.parametrize("model", SILENT)
def test_silence_is_let_pass_where_nobody_named_the_version(model: served.Served) -> None:
    assert read(said_by(model, TENSOR), is_silence_refused=False).model == model


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(b"no json", "MalformedAnswer", id="no JSON"),
        pytest.param(
            said_by(ASKED._replace(name="x" * 300), TENSOR), "MalformedAnswer", id="an endless name"
        ),
        pytest.param(body(name="other"), "OutputMissing", id="another output"),
        pytest.param(body(data=["0.2", "0.8"]), "MalformedAnswer", id="text for numbers"),
        pytest.param(body(data=[0.2, "0.8"]), "MalformedAnswer", id="text among numbers"),
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
    with pytest.raises(answer.FailedError) as error:
        read(said)
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
    timing = answer.server_timing(header)
    assert (timing.seconds if timing else None) == seconds


@pytest.mark.parametrize(
    ("header", "queued"),
    [
        ("queue;dur=0.250, infer;dur=1.750", 0.00025),
        ("infer;dur=2", None),
        ("queue;dur=-1, infer;dur=3", None),
    ],
)
def test_a_server_says_what_was_queue(header: str, queued: float | None) -> None:
    timing = answer.server_timing(header)
    assert timing is not None
    assert timing.queued == queued


def test_the_provider_that_computed_is_read_with_the_answer() -> None:
    said = json.loads(body())
    said["parameters"]["provider"] = "CUDA"
    assert read(json.dumps(said).encode()).provider == "CUDA"
    assert read(body()).provider is None


@pytest.mark.parametrize("said", [b"", b"ok", b"[]", b'{"ready": true}', b"\xff"])
def test_a_server_of_others_is_ready_without_a_word_of_its_provider(said: bytes) -> None:
    assert answer.provider(said) is None


def test_a_server_that_is_ready_says_what_computes() -> None:
    said = {"name": "occupancy", "ready": True, "parameters": {"provider": "OpenVINO"}}
    assert answer.provider(json.dumps(said).encode()) == "OpenVINO"
