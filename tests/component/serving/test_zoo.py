"""Models as people export them: each served answers as the library that trained it does.

The exports, the libraries' answers and what is expected of each file stand in `builders.zoo`.
"""

import json
from typing import Any

import numpy as np
import pytest

from builders import local_models, serving_process
from builders.zoo import catalogue, exported, table
from builders.zoo.exported import Array, Entry, Question
from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port

pytestmark = pytest.mark.component


def infer_request(entry: Entry, question: Question) -> bytes:
    inputs = [
        {
            "name": declared.name,
            "datatype": declared.data_type,
            "shape": list(question.feeds[declared.name].shape),
            "data": question.feeds[declared.name].ravel().tolist(),
        }
        for declared in entry.inputs
    ]
    return json.dumps({"inputs": inputs}).encode()


def assert_answers(entry: Entry, answered: Any, question: Question) -> None:
    """Hold an answer's names, types, shapes and elements against the original library's."""
    assert [tensor["name"] for tensor in answered["outputs"]] == [
        declared.name for declared in entry.outputs
    ]
    for declared, tensor in zip(entry.outputs, answered["outputs"], strict=True):
        expected = question.answers[declared.name]
        assert tensor["datatype"] == declared.data_type
        assert tensor["shape"] == list(expected.shape)
        assert_elements(tensor["data"], expected.ravel(), entry.tolerance)


def assert_elements(elements: list[Any], expected: Array, tolerance: float) -> None:
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(elements, expected, rtol=tolerance, atol=tolerance)
    else:
        assert elements == expected.tolist()


@pytest.mark.parametrize("entry", catalogue.WORKING, ids=str)
def test_an_export_answers_over_the_protocol_as_its_library_does(entry: Entry) -> None:
    made = catalogue.made(entry.name)
    assert len(made.questions) >= 3
    config = entry.config(made.body)
    with serving_process.serving_process(made.body, config=config) as running:
        running.await_ready()
        for question in made.questions:
            path = f"/v2/models/{entry.name}/infer"
            status, answered = running.request("POST", path, infer_request(entry, question))
            assert status == 200, answered
            assert_answers(entry, answered, question)


@pytest.mark.parametrize("entry", catalogue.WORKING, ids=str)
def test_an_export_answers_in_the_agents_own_process_as_its_library_does(entry: Entry) -> None:
    made = catalogue.made(entry.name)
    model = local_models.loaded(made.body, entry.config(made.body))
    for question in made.questions:
        tensors = [
            effects.Tensor(
                declared.name, declared.data_type, fed.shape, tuple(fed.ravel().tolist())
            )
            for declared in entry.inputs
            for fed in (question.feeds[declared.name],)
        ]
        answered = model.run(tensors)
        assert isinstance(answered, port.RunOutputs), answered
        assert list(answered.outputs) == [declared.name for declared in entry.outputs]
        for name, elements in answered.outputs.items():
            assert_elements(list(elements), question.answers[name].ravel(), entry.tolerance)


@pytest.mark.parametrize("entry", catalogue.REFUSED, ids=str)
def test_an_export_that_is_refused_names_its_remedy(entry: Entry) -> None:
    assert entry.refused is not None
    body = catalogue.made(entry.name).body
    with serving_process.serving_process(body, config=entry.config(body)) as running:
        ending = running.await_end()
    assert ending.reason == entry.refused.reason
    assert entry.refused.remedy in ending.message
    assert entry.change, "the table says what to change"


def test_the_libraries_answers_tell_the_rows_apart() -> None:
    for entry in catalogue.WORKING:
        questions = catalogue.made(entry.name).questions
        answers = {
            tuple(tuple(np.asarray(answer).ravel()) for answer in question.answers.values())
            for question in questions
        }
        assert len(answers) > 1, entry.name


def test_another_answer_than_the_librarys_is_noticed() -> None:
    entry = catalogue.by_name("sklearn-logistic")
    question = catalogue.made(entry.name).questions[0]
    outputs: list[dict[str, Any]] = [
        {
            "name": declared.name,
            "datatype": declared.data_type,
            "shape": list(question.answers[declared.name].shape),
            "data": question.answers[declared.name].ravel().tolist(),
        }
        for declared in entry.outputs
    ]
    assert_answers(entry, {"outputs": outputs}, question)
    outputs[1]["data"].reverse()  # the probabilities in another order than the labels
    with pytest.raises(AssertionError):
        assert_answers(entry, {"outputs": outputs}, question)


def test_the_table_for_people_is_what_these_tests_show() -> None:
    assert table.PAGE.read_text() == table.page(), "make generate"


def test_names_of_exports_are_their_own() -> None:
    names = [entry.name for entry in catalogue.ENTRIES]
    assert len(set(names)) == len(names)
    assert {type(entry) for entry in catalogue.ENTRIES} == {exported.Entry}
