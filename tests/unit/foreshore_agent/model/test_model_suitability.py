"""What of a model file works, and what a person reads of what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import inspected
from foreshore_agent.model import advice, document, suitability, view
from foreshore_api import printable
from foreshore_api.reasons.serving import ServingReason
from foreshore_api.wire import inspection


def judged(file: str = "m.onnx", **fields: Any) -> suitability.Suitability:
    return suitability.judge(inspected.model(**fields), file)


def page(**fields: Any) -> str:
    model = inspected.model(**fields)
    file = document.InspectedFile("m.onnx", model, suitability.judge(model, "m.onnx"))
    return view.ModelView(is_terminal=False).page(file)


def test_a_model_that_works_is_supported_without_a_word_more() -> None:
    assert judged() == suitability.Suitability((), ())


def test_an_input_of_the_wrong_shape_is_not_said_how_to_declare() -> None:
    """Who declared what the note says would be answered wrongly."""
    finding = inspection.ModelFinding(reason=ServingReason.UNSUPPORTED_SHAPE, message="turned")
    window = (inspected.tensor(shape=("batch", 3, "steps")),)
    assert any("--window" in note for note in judged(inputs=window).notes)
    assert judged(inputs=window, findings=(finding,)).notes == ()


REFUSED: dict[str, tuple[dict[str, Any], ServingReason, str]] = {
    "values in another file": (
        {"external_files": ("m.onnx.data",)},
        ServingReason.EXTERNAL_DATA,
        "m.onnx.data",
    ),
    "operators of a runtime": (
        {"foreign": (inspection.OperatorUse(domain="com.microsoft", name="Gelu", count=2),)},
        ServingReason.UNKNOWN_DOMAIN,
        "com.microsoft.Gelu (2×)",
    ),
    "operators of its own": (
        {"functions": ("Twice",)},
        ServingReason.LOCAL_FUNCTIONS,
        "Twice",
    ),
    "too many inputs": ({"input_count": 65}, ServingReason.UNSUPPORTED_SHAPE, "65 inputs"),
    "no inputs": ({"inputs": ()}, ServingReason.UNSUPPORTED_SHAPE, "no inputs"),
    "an input of a type that cannot be declared": (
        {"inputs": (inspected.tensor("z", None, type="tensor(complex64)"),)},
        ServingReason.UNSUPPORTED_TYPE,
        "z is tensor(complex64)",
    ),
    "no output that can be declared": (
        {"outputs": (inspected.tensor("s", None, type="sequence(tensor(float))"),)},
        ServingReason.UNSUPPORTED_TYPE,
        "s is sequence(tensor(float))",
    ),
    "a batch of its own": (
        {"inputs": (inspected.tensor(shape=(32, 3)),)},
        ServingReason.UNSUPPORTED_SHAPE,
        "32 samples at once",
    ),
    "an input without a shape": (
        {"inputs": (inspected.tensor(shape=None),)},
        ServingReason.UNSUPPORTED_SHAPE,
        "does not say the shape",
    ),
    "a name with a control character": (
        {"inputs": (inspected.tensor("a\nb"),)},
        ServingReason.UNSUPPORTED_NAME,
        "a\\nb",
    ),
    "a name that was too long to be told": (
        {"outputs": (inspected.tensor("x" * 255 + "…", shape=(-1, 2)),)},
        ServingReason.UNSUPPORTED_NAME,
        "by its name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_says_why_and_what_to_change(case: str) -> None:
    fields, reason, word = REFUSED[case]
    verdict = judged(**fields)
    assert not verdict.is_supported
    messages = {hindrance.reason: hindrance for hindrance in verdict.hindrances}
    assert any(word in hindrance.message for hindrance in verdict.hindrances)
    assert messages[reason].remedy
    assert messages[reason].remedy[:40] in page(**fields)


def test_a_list_that_may_have_been_cut_says_so() -> None:
    names = tuple(f"F{number}" for number in range(inspection.ENTRIES))
    (cut,) = judged(functions=names).hindrances
    assert "F15 and perhaps others itself" in cut.message
    (whole,) = judged(functions=names[:-1]).hindrances
    assert "others" not in whole.message


def test_a_finding_of_the_child_is_not_said_twice() -> None:
    finding = inspection.ModelFinding(reason="ExternalData", message="weights lie elsewhere")
    verdict = judged(findings=(finding,), external_files=("m.onnx.data",))
    assert [row.message for row in verdict.hindrances] == ["weights lie elsewhere"]


def test_a_remedy_of_the_case_comes_before_that_of_its_reason() -> None:
    finding = inspection.ModelFinding(reason="LoadFailed", message="no", remedy="do this")
    assert judged(findings=(finding,)).hindrances[0].remedy == "do this"


@pytest.mark.parametrize(
    ("producer", "word"),
    [
        ("pytorch 2.9", 'torch.onnx.export(model, example, "m.onnx", external_data=False)'),
        ("", "onnx.save(onnx.load(sys.argv[1]), sys.argv[2])' 'my m.onnx' 'my m-mended.onnx'"),
    ],
)
def test_lines_to_copy_name_the_file_for_its_exporter(producer: str, word: str) -> None:
    name = "m.onnx" if producer else "my m.onnx"
    lines = advice.lines("ExternalData", "…", producer, name)
    assert any(word in line for line in lines)


def test_every_line_to_copy_is_for_a_reason_that_can_be_given() -> None:
    for row in advice.ADVICE:
        assert advice.lines(row.reason, row.word, row.producer, "m.onnx")[: len(row.lines)]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        pytest.param(
            {"inputs": (inspected.tensor(shape=(-1, -1, 3)),)}, "--window STEPS/EVERY", id="free"
        ),
        pytest.param(
            {"inputs": (inspected.tensor(shape=(-1, 30, 3)),)}, "--window 30/EVERY", id="fixed"
        ),
        pytest.param({"inputs": (inspected.tensor(shape=(-1, -1)),)}, "--features", id="features"),
        pytest.param({"loops": ("Loop",)}, "isolation: Agent", id="loops"),
        pytest.param(
            {"outputs": (inspected.tensor(shape=(-1, 2), is_unwrapped=True),)},
            'options={"zipmap": False}',
            id="ZipMap",
        ),
        pytest.param(
            {"outputs": (inspected.tensor(), inspected.tensor("s", None, type="sequence(…)"))},
            "left out",
            id="an output beside others",
        ),
        pytest.param({"output_count": 70}, "64 of 70 outputs", id="many outputs"),
    ],
)
def test_what_a_person_should_know_is_noted_and_no_refusal(
    fields: dict[str, Any], word: str
) -> None:
    verdict = judged(**fields)
    assert verdict.is_supported
    assert word in " ".join(verdict.notes)
    assert word in page(**fields).replace("\n", " ")


def test_classes_are_counted_by_the_shape_where_their_list_was_cut() -> None:
    labels = tuple(range(inspection.LABELS))
    output = inspected.tensor("p", shape=(-1, 300), labels=labels)
    assert "11: 11, and 288 more" in page(outputs=(output,))
    assert suitability.labels_text(output, 16, "index ").endswith("index 15: 15, and 284 more")
    free = inspected.tensor("p", shape=(-1, -1), labels=("empty", "busy"))
    assert suitability.labels_text(free, 12) == "0: empty, 1: busy"


@given(st.text(max_size=80), st.text(max_size=80), st.lists(st.text(max_size=40), max_size=20))
def test_a_page_is_fit_for_a_terminal_whatever_the_file_says(
    name: str, producer: str, labels: list[str]
) -> None:
    text = page(
        producer=producer,
        outputs=(inspected.tensor(name, shape=(-1, 2), labels=tuple(labels)),),
        findings=(inspection.ModelFinding(reason="LoadFailed", message=name),),
    )
    assert all(character == "\n" or printable.is_fit(character) for character in text)


def test_several_files_are_a_table_with_what_to_change_below() -> None:
    files = []
    for name, fields in (("a/x.onnx", {}), ("b/y.onnx", {"external_files": ("y.data",)})):
        model = inspected.model(**fields)
        files.append(document.InspectedFile(name, model, suitability.judge(model, name)))
    lines = view.ModelView(is_terminal=False).summary(files).splitlines()
    assert any("x.onnx" in line and line.endswith("yes") for line in lines)
    assert any("y.onnx" in line and "no: ExternalData" in line for line in lines)
    assert "b/y.onnx" in lines


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    assert view.short_names(["a/m.onnx", "b/m.onnx"]) == ["a/m.onnx", "b/m.onnx"]
