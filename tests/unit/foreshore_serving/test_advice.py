"""What the runtime's errors say, and what helps: the texts are those of ONNX Runtime."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_serving import advice

PREFIX = (
    "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/graph/model.cc:256"
    " onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const"
    " onnxruntime::ModelOptions&) "
)
RUN = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running"
    " Expand node. Name:'' Status Message:"
    " /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void*"
    " onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) "
)
OPSET = (
    "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset"
    " versions. Opset 99 is under development and support for this is limited. The operator"
    " schemas and or other functionality may change before next ONNX release and in this case ONNX"
    " Runtime will not guarantee backward compatibility. Current official support for domain"
    " ai.onnx is till opset 26."
)
ERRORS = {
    "an IR version": (
        f"{PREFIX}Unsupported model IR version: 99, max supported IR version: 13\n",
        "IR version 99 is newer than the runtime's 13",
        "ir_version=13",
    ),
    "an opset": (
        PREFIX + OPSET,
        "opset 99 of ai.onnx is newer than the runtime's 26",
        "export with opset 26 of ai.onnx or older",
    ),
    "an operator": (
        '[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. In Node, ("", Nope,'
        ' "", -1) : ("logits": tensor(float),) -> ("z",) , Error No Op registered for Nope with'
        " domain_version of 17",
        "the runtime knows no operator Nope in opset 17",
        "export with another opset",
    ),
    "a type that an operator has not": (
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for"
        " LinearClassifier(1) node with name 'x'",
        "the runtime cannot compute operator LinearClassifier(1)",
        "single precision",
    ),
    "memory": (
        f"{RUN}Failed to allocate memory for requested buffer of size 4398046511104",
        "out of memory: running Expand node. Failed to allocate memory for requested buffer of"
        " size 4398046511104",
        "a model that takes less",
    ),
    "anything else": (f"{PREFIX}It is raining.", "It is raining.", ""),
    "nothing": ("", "ValueError", ""),
}


@pytest.mark.parametrize(("text", "cause", "remedy"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_said_without_its_noise(text: str, cause: str, remedy: str) -> None:
    said = advice.of_error(ValueError(text))
    assert said.cause.startswith(cause)
    assert remedy in said.remedy
    assert bool(said.remedy) == bool(remedy)


@given(
    st.sampled_from(["a/", "(", "x.cc:1 a", "[with ", "Opset 1 is under development", "{}", "é"])
)
def test_no_text_takes_long(part: str) -> None:
    began = time.process_time()
    said = advice.of_error(ValueError(part * 100_000))
    assert said.cause
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    ("domain", "remedy"),
    [
        ("com.microsoft", "not quantised"),
        ("com.microsoft.nchwc", "not quantised"),
        ("ai.onnx.preview.training", "for inference"),
        ("org.pytorch.aten", "ATen"),
        ("acme", ""),
    ],
)
def test_a_domain_says_how_to_export_without_it(domain: str, remedy: str) -> None:
    assert remedy in advice.of_domain(domain)
    assert bool(advice.of_domain(domain)) == bool(remedy)
