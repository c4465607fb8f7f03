"""Model and ModelVersion for a file: valid whatever the file calls its tensors."""

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from builders import inspected
from foreshore_agent import inspection
from foreshore_agent.model import draft
from foreshore_api import resources
from foreshore_api.v1alpha1 import Model, ModelVersion, evaluation
from foreshore_api.wire import inspection as wire
from foreshore_decision import lint, manifests

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=200
)
TENSORS = st.lists(
    st.builds(
        inspected.tensor,
        NAMES,
        st.sampled_from(["FP32", "INT64", "BYTES", "BOOL", "FP16"]),
        shape=st.sampled_from([(), (-1,), (3,), (-1, 1), ("batch", 4), (1, 1, 2), ("b", 1, 1, 5)]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda tensor: tensor.name,
)


def request(**fields: Any) -> draft.DraftRequest:
    return draft.DraftRequest(**{"file": "occupancy.onnx", "source": "occupancy.onnx", **fields})


def parsed(text: str) -> tuple[Model, ModelVersion]:
    """The two resources of a text, in which `lint` finds nothing at all."""
    report = lint.check(manifests.documents("m.yaml", text.encode()), inspection.SURROUNDINGS)
    assert report.text(lambda _: text.encode()).endswith("0 errors, 0 warnings, 0 notes\n")
    model, version = (
        resources.parse(document, strict=True) for document in yaml.safe_load_all(text)
    )
    assert isinstance(model, Model)
    assert isinstance(version, ModelVersion)
    return model, version


@given(TENSORS, TENSORS)
def test_a_draft_is_read_back_with_every_name_as_the_file_has_it(
    inputs: list[wire.InspectedTensor], outputs: list[wire.InspectedTensor]
) -> None:
    model, version = parsed(
        draft.render(inspected.model(inputs=tuple(inputs), outputs=tuple(outputs)), request())
    )
    assert [tensor.name for tensor in model.spec.inputs] == [tensor.name for tensor in inputs]
    assert [tensor.name for tensor in model.spec.outputs] == [tensor.name for tensor in outputs]
    features = [name for tensor in model.spec.inputs for name in tensor.features]
    assert len(features) == len(set(features))
    assert version.spec.model_ref.name == model.name
    assert version.spec.digest == inspected.DIGEST


@pytest.mark.parametrize(
    ("tensors", "features"),
    [
        pytest.param(["Light (lx)", "CO2"], ["lightLx", "co2"], id="columns of a DataFrame"),
        pytest.param(["a b", "a_b", "aB"], ["aB", "aB2", "aB3"], id="names that collide"),
        pytest.param(["if", "true"], ["ifValue", "trueValue"], id="words of expressions"),
        pytest.param(["8", "°"], ["value8", "value"], id="no letters"),
        pytest.param(["no", "yes", "null"], ["no", "yes", "nullValue"], id="words of YAML"),
        pytest.param(["onnx::Gemm_0"], ["onnxGemm0"], id="as torch.onnx names tensors"),
    ],
)
def test_a_column_of_its_own_names_its_feature(tensors: list[str], features: list[str]) -> None:
    inputs = tuple(inspected.tensor(name, shape=(-1, 1)) for name in tensors)
    model, _ = parsed(draft.render(inspected.model(inputs=inputs), request()))
    assert [tensor.features for tensor in model.spec.inputs] == [(name,) for name in features]


def test_columns_of_a_matrix_are_numbered_and_the_guess_is_said() -> None:
    text = draft.render(inspected.model(), request())
    assert "features: [feature1, feature2, feature3]" in text
    assert "# Features are numbered: name them, in the order of training." in text


def test_given_features_are_dealt_out_in_order_and_nothing_is_called_a_guess() -> None:
    inputs = (inspected.tensor("a", shape=(-1, 2)), inspected.tensor("b", shape=(-1, -1)))
    text = draft.render(inspected.model(inputs=inputs), request(features=("w", "x", "y", "z")))
    model, _ = parsed(text)
    assert [tensor.features for tensor in model.spec.inputs] == [("w", "x"), ("y", "z")]
    assert "numbered" not in text


@pytest.mark.parametrize(
    ("features", "word"),
    [
        pytest.param(("a", "b"), "gives 2 names; X takes 3", id="too few"),
        pytest.param(("a", "b", "c", "d"), "gives 4 names", id="too many"),
        pytest.param(("a", "b", "a"), "a is given twice", id="one twice"),
        pytest.param(("a", "b", "Light (lx)"), "lightLx would be", id="no name"),
    ],
)
def test_features_that_do_not_fill_the_inputs_are_refused(
    features: tuple[str, ...], word: str
) -> None:
    with pytest.raises(draft.DraftError, match="--features") as error:
        draft.render(inspected.model(), request(features=features))
    assert word in str(error.value)


def test_features_that_the_file_leaves_open_are_asked_for() -> None:
    inputs = (inspected.tensor(shape=(-1, -1)),)
    with pytest.raises(draft.DraftError, match="--features a,b,c"):
        draft.render(inspected.model(inputs=inputs), request())


@pytest.mark.parametrize("shape", [(-1, 30, 3), (-1, "steps", 3)])
def test_a_window_is_written_as_the_person_says(shape: tuple[int | str, ...]) -> None:
    inputs = (inspected.tensor(shape=shape),)
    option = draft.window("30/500ms")
    model, _ = parsed(draft.render(inspected.model(inputs=inputs), request(window=option)))
    window = model.spec.inputs[0].window
    assert window is not None
    assert (window.steps, window.every) == (30, "500ms")


@pytest.mark.parametrize(
    ("shape", "option", "word"),
    [
        pytest.param((-1, 30, 3), None, "--window 30/EVERY", id="no distance"),
        pytest.param((-1, -1, 3), None, "--window STEPS/EVERY", id="no steps"),
        pytest.param((-1, 30, 3), "20/1s", "takes 30", id="other steps than the file's"),
        pytest.param((-1, -1, 100), "100/1s", "8192", id="more values than a window holds"),
    ],
)
def test_a_window_that_nobody_stated_is_refused_with_the_option(
    shape: tuple[int, ...], option: str | None, word: str
) -> None:
    inputs = (inspected.tensor(shape=shape),)
    with pytest.raises(draft.DraftError) as error:
        draft.render(inspected.model(inputs=inputs), request(window=draft.window(option)))
    assert word in str(error.value)


@pytest.mark.parametrize("text", ["30", "30/", "/1s", "x/1s", "1/1s", "30/0s", "99999/1s"])
def test_a_window_option_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(draft.DraftError, match="STEPS/EVERY"):
        draft.window(text)


def test_class_labels_stand_above_their_output_in_order() -> None:
    outputs = (inspected.tensor("p", shape=(-1, 2), labels=("empty", "busy")),)
    text = draft.render(inspected.model(outputs=outputs), request())
    entry = "A policy reads it by {name: busy, output: p, index: 1}."
    assert f"  # index 0: empty, index 1: busy\n  # {entry}\n  - name: p\n" in text


@given(
    st.text("ab0_:/ é'{},#", min_size=1, max_size=30),
    st.sampled_from([(), (-1,), (-1, 1), ("batch", 4), (-1, -1), (1, 2, 3)]),
    st.sampled_from([(), (0, 1), ("empty", "no one")]),
)
def test_what_a_policy_reads_is_shown_as_it_can_be_written(
    name: str, shape: tuple[int | str, ...], labels: tuple[int | str, ...]
) -> None:
    if len(shape) < 2 or shape[-1] == 1:
        labels = ()
    output = inspected.tensor(name, shape=shape, labels=labels)
    text = draft.render(inspected.model(outputs=(output,)), request())
    (shown,) = re.findall(r"# A policy reads it by (.*)\.\n", text)
    entry = evaluation.OutputSpec.model_validate(yaml.safe_load(shown))
    assert entry.output.split() == name.split(), "a comment keeps no runs of spaces"
    size = math.prod([length for length in shape if isinstance(length, int) and length > 0])
    assert entry.index < max(size, len(labels))
    assert "modelRef: {version: occupancy-01234567}" in text


def test_a_comment_stays_one_even_if_the_file_says_otherwise() -> None:
    outputs = (inspected.tensor("p", shape=(-1, 2), labels=("a\nspec: {}", "\x1b[2J")),)
    text = draft.render(inspected.model(producer="x\n---\n", outputs=outputs), request())
    parsed(text)
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Occupancy v1.ONNX", "occupancy-v1"),
        ("1e5.onnx", "model-1e5"),
        ("模型.onnx", "model"),
        ("x" * 300 + ".onnx", "x" * draft.LONGEST_NAME),
    ],
)
def test_a_name_comes_from_the_file(file: str, name: str) -> None:
    model, version = parsed(draft.render(inspected.model(), request(file=file)))
    assert model.name == name
    assert version.name == f"{name}-01234567"


@pytest.mark.parametrize("name", ["Room", "x" * 44, "a b", ""])
def test_a_given_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(draft.DraftError, match="no name of a Model"):
        draft.render(inspected.model(), request(name=name))


@pytest.mark.parametrize("source", ["my model.onnx", "-x.onnx", "https://a b"])
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(draft.DraftError, match="no source"):
        draft.render(inspected.model(), request(source=source))


def test_a_large_model_asks_for_the_memory_that_it_took() -> None:
    measured = wire.MeasuredModel(
        usual_seconds=0.2, session_bytes=300 << 20, runtime_bytes=40 << 20, is_bounded=True
    )
    _, version = parsed(draft.render(inspected.model(measured=measured), request()))
    assert version.spec.resources.memory == "448Mi"
