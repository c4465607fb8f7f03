"""The tree of placements, from recorded objects."""

import copy
import io
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from builders import recorded
from foreshore_api import v1alpha1
from foreshore_cli import errors, placements, terminal


def drawn(
    server: recorded.Server,
    capsys: pytest.CaptureFixture[str],
    chosen: placements.Filter | None = None,
    *,
    is_wide: bool = False,
) -> str:
    seen = placements.look(server, chosen or placements.Filter())
    terminal.show(
        *(placements.drawn(one, is_wide=is_wide, on=server.namespace) for one in seen.branches),
        is_wide=is_wide,
    )
    return capsys.readouterr().out


def policy(**spec: Any) -> dict[str, Any]:
    document = recorded.find("well", "DecisionPolicy", "ventilate-when-occupied")
    document["metadata"]["name"] = "lonely"
    document["spec"].update(spec)
    return document


def test_a_tree_says_where_and_why(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert drawn(recorded.server("well"), capsys) == snapshot


def test_a_tree_in_trouble_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert drawn(recorded.server("well", "troubled"), capsys) == snapshot


def test_no_line_is_longer_than_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    tree = drawn(recorded.server("well", "troubled"), capsys)
    assert max(map(len, tree.splitlines())) <= 100


def test_a_terminal_without_unicode_gets_a_tree_too(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    seen = placements.look(recorded.server("well", "troubled"), placements.Filter())
    terminal.show(*(placements.drawn(one, is_wide=False, on="hq") for one in seen.branches))
    tree = raw.getvalue().decode("ascii")
    assert "?" not in tree
    assert "edge-2 -> edge-3" in tree
    assert "x Lost" in tree
    assert "#" in tree


def test_only_the_last_moves_are_shown_unless_wide(capsys: pytest.CaptureFixture[str]) -> None:
    document = recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq")
    document["status"]["moves"] *= 3
    server = recorded.Server("hq", [document])
    assert drawn(server, capsys).count("FirstPlacement") == 2
    assert drawn(server, capsys, is_wide=True).count("FirstPlacement") == 6


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (placements.Filter(policy="cool-servers"), ["cool-servers"]),
        (placements.Filter(policy="cool-servers.north"), ["cool-servers"]),
        (placements.Filter(site="hq"), ["ventilate-when-occupied"]),
        (placements.Filter(policy="night-purge"), ["night-purge"]),
        (placements.Filter(), ["cool-servers", "night-purge", "ventilate-when-occupied"]),
    ],
    ids=["policy", "placement", "site", "policy without a model", "all"],
)
def test_what_is_asked_for_is_shown(chosen: placements.Filter, expected: list[str]) -> None:
    seen = placements.look(recorded.server("well", "troubled"), chosen)
    assert [one.name for one in seen.branches] == expected


def test_a_name_that_nothing_has_is_an_error() -> None:
    with pytest.raises(errors.CommandError, match="no policy or placement 'nowhere' in namespace"):
        placements.look(recorded.server("well"), placements.Filter(policy="nowhere"))


def test_a_placement_of_a_policy_that_is_gone_is_still_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq")
    assert "the policy is gone" in drawn(recorded.Server("hq", [document]), capsys)


def test_a_policy_that_nothing_was_placed_for_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    idle = policy()
    idle["status"]["conditions"][0].update(reason="NoDevices", message="the selector matches none")
    assert "nothing to place: the selector matches none" in drawn(
        recorded.Server("hq", [idle]), capsys
    )
    stalled = copy.deepcopy(idle)
    stalled["status"]["conditions"][0].update(status="False", reason="Invalid", message="it is odd")
    assert "✗ nothing placed  Invalid: it is odd" in drawn(recorded.Server("hq", [stalled]), capsys)


def test_a_placement_that_was_not_looked_at_yet_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    document = recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq")
    document["status"] = {"observedGeneration": -1}
    tree = drawn(recorded.Server("hq", [document]), capsys)
    assert "site hq  ◌ the operator has not looked at it yet" in tree


def test_documents_are_the_placements_themselves() -> None:
    seen = placements.look(recorded.server("well", "troubled"), placements.Filter(site="hq"))
    assert seen.documents == (
        recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq"),
    )


def test_a_stage_over_the_whole_budget_is_marked_and_the_bar_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = drawn(recorded.server("troubled"), capsys, placements.Filter(policy="cool-servers"))
    (line,) = (one for one in tree.splitlines() if "Network  " in one)
    assert line.count("█") == placements.BAR
    assert line.endswith("162.0%  " + "█" * placements.BAR + " over")


def test_recordings_are_what_the_contract_describes() -> None:
    for name in ("well", "troubled"):
        for document in recorded.documents(name):
            model = next(kind for kind in v1alpha1.KINDS if kind.kind == document["kind"])
            read = model.read(document).document()
            assert set(document["spec"]) <= set(read["spec"])
            assert set(document["status"]) <= set(read["status"])


def test_a_replica_is_listed_with_what_computes_it(capsys: pytest.CaptureFixture[str]) -> None:
    document = recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq")
    for replica in document["status"]["replicas"]:
        replica["provider"] = "CUDA"
    tree = drawn(recorded.Server("hq", [document]), capsys)
    assert ":8080, CUDA" in tree
    assert max(map(len, tree.splitlines())) <= 100
