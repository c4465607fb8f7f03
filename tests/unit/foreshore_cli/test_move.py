"""`kubectl foreshore move`: what is proposed is shown, and only what was read is confirmed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from builders import recorded
from foreshore_api import meta
from foreshore_cli import api, asking, errors, move, options, placements

TARGET = options.Target(namespace="hq")
TABLE, JSON = options.OutputFormat.TABLE, options.OutputFormat.JSON
NAME = "ventilate-when-occupied"


def proposal(slot: str = "r0", number: str = "3f9c0a1be2d4", **more: str) -> dict[str, str]:
    return {
        "id": number,
        "slot": slot,
        "from": "edge-2",
        "to": "edge-3",
        "cause": "NodeDead",
        "evidence": "its beats have stopped",
        "since": "2026-03-01T10:00:00Z",
        **more,
    }


def server(*proposals: dict[str, str], failover: str = "Manual") -> recorded.Server:
    listed = recorded.documents("well")
    for document in listed:
        if document["kind"] == "InferencePlacement":
            document["status"]["proposals"] = list(proposals)
            for replica in document["status"]["replicas"]:
                replica["version"] = "occupancy-v1"
        if document["kind"] == "DecisionPolicy":
            document["spec"]["placement"] = {"failover": failover}
    return recorded.Server("hq", listed)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[recorded.Server], recorded.Server]:
    def connected(to: recorded.Server) -> recorded.Server:
        monkeypatch.setattr(api, "connect", lambda _: to)
        return to

    return connected


def word(of: recorded.Server) -> str | None:
    placement = of.one_of("", "inferenceplacements", ("hq", f"{NAME}.hq"))
    marks: dict[str, str] = placement["metadata"].get("annotations", {})
    return marks.get(meta.ANNOTATION_CONFIRMED)


def test_a_yes_confirms_what_was_shown(at: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = at(server(proposal()))
    code = move.run(TARGET, TABLE, move.Choice(NAME, is_confirmed=True))
    shown = capsys.readouterr()
    assert (code, word(asked)) == (errors.EXIT_WELL, "3f9c0a1be2d4")
    assert f"r0 of {NAME}.hq: edge-2 → edge-3" in shown.out
    assert "NodeDead: its beats have stopped (since 2026-03-01T10:00:00Z)" in shown.out
    assert "costs  one more pod of" in shown.out
    assert "lost " in shown.out
    assert "Confirmed 3f9c0a1be2d4" in shown.err


def test_with_nothing_named_all_is_listed_and_nothing_is_written(
    at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = at(server(proposal(), proposal("r1", "0" * 12)))
    assert move.run(TARGET, TABLE, move.Choice()) == errors.EXIT_WELL
    assert capsys.readouterr().out.count("edge-2 → edge-3") == 2
    assert word(asked) is None


def test_a_program_gets_a_document_and_writes_nothing_without_yes(
    at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = at(server(proposal()))
    assert move.run(TARGET, JSON, move.Choice(NAME)) == errors.EXIT_WELL
    (entry,) = json.loads(capsys.readouterr().out)["proposals"]
    assert (entry["placement"], entry["id"], entry["to"]) == (
        f"{NAME}.hq",
        "3f9c0a1be2d4",
        "edge-3",
    )
    assert word(asked) is None


def test_a_program_gets_all_that_is_proposed_of_a_policy(
    at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    at(server(proposal(), proposal("r1", "0" * 12)))
    assert move.run(TARGET, JSON, move.Choice(NAME)) == errors.EXIT_WELL
    assert len(json.loads(capsys.readouterr().out)["proposals"]) == 2


def test_nobody_to_ask_is_told_of_yes(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at(server(proposal()))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(errors.UsageError, match="--yes"):
        move.run(TARGET, TABLE, move.Choice(NAME))
    assert word(asked) is None


def test_a_no_writes_nothing(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at(server(proposal()))
    monkeypatch.setattr(asking, "confirmer", lambda **_: lambda _: False)
    assert move.run(TARGET, TABLE, move.Choice(NAME)) == errors.EXIT_UNWELL
    assert word(asked) is None


def test_what_is_replaced_while_a_person_reads_is_refused(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: a yes to one move must never be the yes to another."""
    asked = at(server(proposal()))

    def agrees(_: str) -> bool:
        placement = asked.one_of("", "inferenceplacements", ("hq", f"{NAME}.hq"))
        placement["status"]["proposals"] = [proposal(number="a" * 12, to="edge-1")]
        return True

    monkeypatch.setattr(asking, "confirmer", lambda **_: agrees)
    with pytest.raises(errors.CommandError, match="not proposed any more: look again"):
        move.run(TARGET, TABLE, move.Choice(NAME))
    assert word(asked) is None


@pytest.mark.parametrize(
    ("choice", "proposals", "failover", "remedy"),
    [
        (move.Choice(NAME), (), "Automatic", "its failover is Automatic"),
        (move.Choice(NAME), (), "Manual", "or not any more; see kubectl foreshore placements"),
        (move.Choice(NAME), (proposal(), proposal("r1", "0" * 12)), "Manual", "--slot"),
        (move.Choice(NAME, slot="r7"), (proposal(),), "Manual", "or not any more"),
        (move.Choice(site="nowhere"), (proposal(),), "Manual", "nothing is proposed in namespace"),
        (move.Choice("nobody"), (proposal(),), "Manual", "no policy or placement 'nobody'"),
    ],
    ids=["not Manual", "nothing", "several", "another slot", "another site", "no such policy"],
)
def test_what_cannot_be_confirmed_is_refused_with_what_helps(
    at: Any, choice: move.Choice, proposals: Any, failover: str, remedy: str
) -> None:
    asked = at(server(*proposals, failover=failover))
    with pytest.raises(errors.CommandError, match=remedy):
        move.run(TARGET, TABLE, choice)
    assert word(asked) is None


def test_the_tree_of_placements_shows_what_waits_for_a_person(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from foreshore_cli import terminal

    seen = placements.look(server(proposal()), placements.Filter(NAME))
    terminal.show(*(placements.drawn(branch, is_wide=False, on="hq") for branch in seen.branches))
    tree = capsys.readouterr().out
    assert "waits for a person (kubectl foreshore move)" in tree
    assert "edge-2 → edge-3" in tree
