"""A model in the agent's process answers what it would answer over the protocol."""

import dataclasses
import math
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from builders import local_models, onnx_models
from foreshore_agent.engine import effects, events
from foreshore_agent.inference.local import port, session
from foreshore_agent.inference.oip import answer, request
from foreshore_api.wire import oip, serving
from foreshore_decision import served
from foreshore_serving import session as sessions
from foreshore_serving import tensors, trial
from foreshore_serving.refusal import Rejected


def floats(width: Any) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False, allow_infinity=False)


def integers(bits: int, *, is_signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if is_signed else 0
    return st.integers(low, (1 << bits - is_signed) - 1)


ELEMENTS: dict[str, tuple[int, st.SearchStrategy[Any]]] = {
    "BOOL": (onnx.TensorProto.BOOL, st.booleans()),
    "BYTES": (onnx.TensorProto.STRING, st.text(max_size=20)),
    "FP16": (onnx.TensorProto.FLOAT16, floats(16)),
    "FP32": (onnx.TensorProto.FLOAT, floats(32)),
    "FP64": (onnx.TensorProto.DOUBLE, floats(64)),
    **{
        f"INT{bits}": (getattr(onnx.TensorProto, f"INT{bits}"), integers(bits, is_signed=True))
        for bits in (8, 16, 32, 64)
    },
    **{
        f"UINT{bits}": (getattr(onnx.TensorProto, f"UINT{bits}"), integers(bits, is_signed=False))
        for bits in (8, 16, 32, 64)
    },
}
MODELS = {name: local_models.identity(kind) for name, (kind, _) in ELEMENTS.items()}
SESSIONS = {
    name: local_models.loaded(body, local_models.config(body, name))
    for name, body in MODELS.items()
}


def test_every_element_type_of_the_protocol_is_tried() -> None:
    assert set(ELEMENTS) == set(oip.DATA_TYPES)


def over_the_protocol(
    name: str, asked: tuple[effects.Tensor, ...], body: bytes
) -> dict[str, tuple[float | int | bool | str, ...]]:
    """What the server answers and the agent reads: the same runtime, without the socket."""
    declared = local_models.config(body, name)
    contract = local_models.contract(body, declared)
    key = events.Key("hq", "policy")
    question = effects.Infer("id", key, key, declared.name, declared.digest, asked, 1.0)
    decoded = tensors.decode(request.encode(question), contract)
    arrays = SESSIONS[name]._session.run([spec.name for spec in decoded.wanted], decoded.feeds)
    said = tensors.encode(contract, decoded, arrays)
    model = served.Served(declared.name, declared.version, declared.digest)
    expected = answer.Expected(model, declared.outputs)
    return answer.read(said, expected, is_silence_refused=True).outputs


@pytest.mark.parametrize("name", sorted(ELEMENTS))
@given(data=st.data())
def test_the_numbers_are_those_of_the_protocol_to_the_bit_and_type(
    name: str, data: st.DataObject
) -> None:
    elements = tuple(data.draw(st.lists(ELEMENTS[name][1], min_size=1, max_size=4)))
    asked = (effects.Tensor("x", name, (len(elements),), elements),)
    result = SESSIONS[name].run(asked)
    assert isinstance(result, port.RunOutputs)
    expected = over_the_protocol(name, asked, MODELS[name])
    assert exact(result.outputs["y"]) == exact(expected["y"])


def exact(numbers: tuple[float | int | bool | str, ...]) -> list[tuple[str, str]]:
    """Types, and digits down to the sign of a zero."""
    return [(type(number).__name__, repr(number)) for number in numbers]


WRONG = {
    "another type": effects.Tensor("x", "FP64", (1,), (1.0,)),
    "an infinity": effects.Tensor("x", "FP32", (1,), (1e300,)),
    "too few elements": effects.Tensor("x", "FP32", (2,), (1.0,)),
    "another rank": effects.Tensor("x", "FP32", (1, 1), (1.0,)),
    "a text": effects.Tensor("x", "FP32", (1,), ("1",)),
    "another name": effects.Tensor("z", "FP32", (1,), (1.0,)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_question_fails_as_at_the_server_and_blames_nobody(wrong: effects.Tensor) -> None:
    result = SESSIONS["FP32"].run((wrong,))
    assert isinstance(result, port.RunFailure)
    assert result.is_request_wrong
    with pytest.raises(Rejected) as error:
        over_the_protocol("FP32", (wrong,), MODELS["FP32"])
    if wrong.name == "x":  # a name that is unknown there is one that is missing here
        assert result.reason == error.value.fault


def test_a_question_without_an_input_fails() -> None:
    result = SESSIONS["FP32"].run(())
    assert isinstance(result, port.RunFailure)
    assert result.reason == "MissingInput"


def test_a_category_that_training_had_not_blames_nobody_and_is_named() -> None:
    """Any replica fails on it: none rests for it, and the record says what was wrong."""
    model = local_models.loaded(local_models.one_hot(), local_models.one_hot_config())
    answered = model.run((effects.Tensor("x", "BYTES", (1,), ("idle",)),))
    assert isinstance(answered, port.RunOutputs)
    result = model.run((effects.Tensor("x", "BYTES", (1,), ("boost",)),))
    assert isinstance(result, port.RunFailure)
    assert (result.reason, result.is_request_wrong) == ("UnknownCategory", True)


def test_what_is_not_finite_is_no_answer() -> None:
    body = onnx_models.not_a_number()
    model = local_models.loaded(body, onnx_models.config(body))
    result = model.run((effects.Tensor("features", "FP32", (1, 3), (0.0, 0.0, 0.0)),))
    assert isinstance(result, port.RunFailure)
    assert (result.reason, result.is_request_wrong) == ("NonFiniteOutput", False)


def test_a_call_that_never_ends_ends_when_it_is_told_to() -> None:
    body = onnx_models.endless_on_request()
    contract = local_models.contract(body, onnx_models.config(body))
    model = session.AgentSession(sessions.load(body, contract), contract, "CPU")
    run = model.endable((effects.Tensor("features", "FP32", (1, 3), (1.0, 1.0, 1.0)),))
    run.end()
    result = run.run()
    assert isinstance(result, port.RunFailure)
    assert result.reason == "InferenceFailed"


def test_a_model_is_not_loaded_on_the_evidence_of_another() -> None:
    body = MODELS["FP32"]
    shown = local_models.tried(body, local_models.config(body))
    declared = local_models.config(body).model_copy(
        update={"outputs": local_models.config(body).outputs[:0]}
    )
    with pytest.raises(port.StaleEvidenceError):
        session.load(body, declared, shown)


def test_a_model_that_answers_otherwise_than_in_its_trial_is_not_loaded() -> None:
    body = MODELS["FP32"]
    declared = local_models.config(body)
    shown = dataclasses.replace(local_models.tried(body, declared), answers="of other hardware")
    with pytest.raises(port.OutputsDifferError):
        session.load(body, declared, shown)


def test_memory_that_is_short_for_the_seeded_inputs_loads_no_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = local_models.identity(onnx.TensorProto.FLOAT)
    declared = local_models.config(body)
    shown = local_models.tried(body, declared)

    def answers(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(trial, "answers", answers)
    with pytest.raises(port.NotLoadedError, match="MemoryError"):
        session.load(body, declared, shown)


def test_the_seeded_inputs_differ_from_run_to_run_and_fit_every_type() -> None:
    for name in ELEMENTS:
        body = MODELS[name]
        (spec,) = local_models.contract(body, local_models.config(body, name)).inputs
        arrays = [trial.seeded(spec, "sha256:ab", run) for run in range(8)]
        assert {array.dtype for array in arrays} == {tensors.zeros(spec).dtype}
        assert len({array.tobytes() for array in arrays}) > 1
        assert all(math.isfinite(float(array[0])) for array in arrays)


def test_an_answer_names_what_computed_it() -> None:
    result = SESSIONS["FP32"].run((effects.Tensor("x", "FP32", (1,), (1.0,)),))
    assert isinstance(result, port.RunOutputs)
    assert result.provider == "CPU"


def test_a_model_that_another_provider_computed_in_its_trial_is_tried_anew() -> None:
    body = MODELS["FP32"]
    shown = dataclasses.replace(
        local_models.tried(body, local_models.config(body)), provider="XNNPACK"
    )
    with pytest.raises(port.OutputsDifferError):
        session.load(body, local_models.config(body), shown)


def test_evidence_counts_only_for_the_providers_that_it_was_tried_for() -> None:
    body = MODELS["FP32"]
    shown = local_models.tried(body, local_models.config(body))
    other = local_models.config(body).model_copy(update={"providers": ("XNNPACK", "CPU")})
    with pytest.raises(port.StaleEvidenceError):
        session.load(body, other, shown)


def test_a_text_that_is_too_long_is_no_question_and_no_answer() -> None:
    result = SESSIONS["BYTES"].run((effects.Tensor("x", "BYTES", (1,), ("x" * 1025,)),))
    assert isinstance(result, port.RunFailure)
    assert (result.reason, result.is_request_wrong) == ("OutOfRange", True)


def test_text_that_differs_shows_in_a_trial() -> None:
    shown = {}
    for word in ("a", "b"):
        constant = numpy_helper.from_array(np.array([word], np.object_), "c")
        shown[word] = local_models.tried(*said(constant)).answers
    assert shown["a"] != shown["b"]
    assert local_models.tried(*said(constant)).answers == shown["b"]


def said(constant: onnx.TensorProto) -> tuple[bytes, serving.ModelConfig]:
    """Return a model that says one word whatever it is asked."""
    text = [helper.make_tensor_value_info(name, onnx.TensorProto.STRING, ["n"]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=constant)], "test", text[:1], text[1:]
    )
    opsets = [helper.make_opsetid("", 17)]
    body = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    declared = local_models.config(body, "BYTES")
    # of the same digest: what is asked is drawn from it
    return body, declared.model_copy(update={"digest": "sha256:" + "0" * 64})
