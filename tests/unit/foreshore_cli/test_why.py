"""One decision in words, from recorded objects."""

import json
from collections.abc import Mapping, Sequence

import pytest

from builders import recorded
from foreshore_api.wire import record
from foreshore_cli import api, errors, options, terminal, why

COMMANDED, DENIED = (one["metadata"]["name"] for one in recorded.documents("decisions"))


def told(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    document = recorded.find("decisions", "Decision", name)
    terminal.show(*why.worded(why.explained(document), document))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (why.Question(identity=DENIED), DENIED),
        (why.Question(device="room-302"), DENIED),
        (why.Question(device="room-301"), COMMANDED),
        (why.Question(policy="ventilate-when-occupied"), COMMANDED),
        (why.Question(policy="ventilate-when-occupied", verdict="Denied"), DENIED),
        (why.Question(), COMMANDED),
    ],
    ids=["by identity", "of a device", "of another", "of a policy", "with a verdict", "the last"],
)
@pytest.mark.parametrize("namespace", ["hq", ""], ids=["in a namespace", "in all"])
def test_the_decision_that_is_meant_is_found(
    question: why.Question, name: str, namespace: str
) -> None:
    server = recorded.server("decisions", namespace=namespace)
    assert why.find(server, question)["metadata"]["name"] == name


def test_only_one_decision_is_fetched_however_many_there_are() -> None:
    limits: list[int | None] = []

    class Counting(recorded.Server):
        def list(
            self,
            api_version: str,
            plural: str,
            query: Mapping[str, str],
            *,
            limit: int | None = None,
        ) -> Sequence[recorded.Json]:
            limits.append(limit)
            return super().list(api_version, plural, query, limit=limit)

    why.find(Counting("hq", recorded.documents("decisions")), why.Question(device="room-301"))
    assert limits == [1]


@pytest.mark.parametrize(
    ("question", "namespace", "words"),
    [
        (why.Question(device="x"), "hq", "there is no decision of device x in namespace hq"),
        (
            why.Question(policy="p", verdict="Denied"),
            "",
            "there is no decision of policy p, verdict Denied in any namespace",
        ),
        (why.Question(), "lab", "there is no decision at all in namespace lab"),
    ],
)
def test_a_decision_that_is_not_there_is_named(
    question: why.Question, namespace: str, words: str
) -> None:
    with pytest.raises(errors.CommandError) as raised:
        why.find(recorded.server("decisions", namespace=namespace), question)
    assert str(raised.value) == words


@pytest.mark.parametrize("name", ["a,verdict=Denied", "a b", "../x", "a=b", "!x"])
def test_a_name_cannot_smuggle_another_term_into_the_selector(name: str) -> None:
    with pytest.raises(errors.UsageError):
        why.find(recorded.server("decisions"), why.Question(device=name))


def test_a_command_is_told_with_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(COMMANDED, capsys)
    assert text.splitlines()[0].startswith("✓ Commanded: RoomOccupied")
    assert "score >= 0.8" in text
    assert "Confirmed" in text
    assert "broken" not in text


def test_a_denial_is_told_with_the_gate_that_decided(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(DENIED, capsys)
    assert text.splitlines()[0].startswith("✗ Denied: StepTooLarge")
    assert "x Limits" in text


def test_a_record_that_was_changed_on_its_way_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the chain of records is broken here" in told(DENIED, capsys)


def test_long_lines_are_broken_under_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    document = recorded.find("decisions", "Decision", COMMANDED)
    document["decision"]["gates"][4]["message"] = "word " * 40
    terminal.show(*why.worded(why.explained(document), document))
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  + Rule"))
    assert lines[at + 1].startswith(" " * len("  + Inference  ") + "word")
    assert max(map(len, lines)) <= 100


def test_a_record_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document = recorded.find("decisions", "Decision", COMMANDED)
    document["decision"]["verdict"]["message"] = "\x1b[2Jgone"
    document["outcomes"][0]["message"] = "\x1b[31mred"
    terminal.show(*why.worded(why.explained(document), document))
    assert "\x1b" not in capsys.readouterr().out


def test_a_document_holds_the_record_and_its_explanation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = recorded.server("decisions")
    monkeypatch.setattr(api, "connect", lambda _: server)
    for output in (options.OutputFormat.JSON, options.OutputFormat.YAML):
        assert why.run(options.Target(), output, why.Question(identity=DENIED)) == 0
    text = capsys.readouterr().out
    written, end = json.JSONDecoder().raw_decode(text)
    assert written["kind"] == "Decision"
    assert written["explanation"]["decidedBy"] == "Limits/value"
    assert written["explanation"]["gates"][5]["phase"] == "Fail"
    assert text[end:].lstrip().startswith("apiVersion: records.foreshore.dev/v1alpha1")


def test_a_record_of_a_newer_hub_is_an_error_that_says_how_to_see_it() -> None:
    document = recorded.find("decisions", "Decision", COMMANDED)
    document["decision"]["verdict"]["result"] = "Postponed"
    with pytest.raises(errors.CommandError, match=f"kubectl get decision {COMMANDED} -o yaml"):
        why.explained(document)


@pytest.mark.parametrize("namespace", ["hq", ""], ids=["in a namespace", "in all"])
def test_the_beginning_of_an_identity_names_a_decision(namespace: str) -> None:
    other = recorded.find("decisions", "Decision", DENIED)
    other["metadata"]["name"] = "01a20307-9b3d-71f5-af7f-39e9f642cdfa"
    server = recorded.Server(namespace, [*recorded.documents("decisions"), other])
    found = why.find(server, why.Question(identity="01a20307"))
    assert found["metadata"]["name"] == "01a20307-9b3d-71f5-af7f-39e9f642cdfa"


def test_decisions_that_begin_alike_are_listed_with_what_tells_them_apart() -> None:
    with pytest.raises(errors.UsageError) as raised:
        why.find(recorded.server("decisions"), why.Question(identity=COMMANDED[:8]))
    head, *rows = str(raised.value).splitlines()
    assert head.startswith(f"2 decisions begin with {COMMANDED[:8]}")
    assert [row.split()[0] for row in rows] == [COMMANDED, DENIED]
    assert "hq/room-302" in rows[1]
    assert "Denied/StepTooLarge" in rows[1]


def test_a_beginning_that_is_too_short_says_so() -> None:
    with pytest.raises(errors.UsageError, match="at least 4 characters"):
        why.find(recorded.server("decisions"), why.Question(identity=COMMANDED[:2]))


def test_a_verdict_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(errors.UsageError) as raised:
        why.find(recorded.server("decisions"), why.Question(verdict="Denyed"))
    assert "not 'Denyed'" in str(raised.value)
    for each in record.Verdict:
        assert each.value in str(raised.value)


def test_a_verdict_may_be_written_in_any_case() -> None:
    found = why.find(recorded.server("decisions"), why.Question(verdict="denied"))
    assert found["metadata"]["name"] == DENIED
