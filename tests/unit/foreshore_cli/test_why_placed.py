"""Why here, why not there, at what cost, and how it came here: from what the planner wrote."""

import dataclasses
import json
from typing import Any

import pytest

from builders import planning, recorded
from foreshore_api import v1alpha1
from foreshore_cli import errors, options, placements, terminal, why_placed
from foreshore_planner import plan as planner
from foreshore_planner import snapshot

Question = why_placed.PlacementQuestion


def moved() -> snapshot.Snapshot:
    """A replica that left edge-1 when that died; a cloud node costs more; edge-3 is cordoned."""
    spec = {"connection": {"type": "InCluster"}, "price": {"edge": "0.1", "cloud": "0.4"}}
    metadata = {"name": "local", "generation": 1}
    cluster = v1alpha1.Cluster.read({"metadata": metadata, "spec": spec})
    nodes = (
        planning.edge("edge-1"),
        planning.edge("edge-2"),
        planning.edge("edge-3", is_schedulable=False),
        planning.node("cloud-1"),
    )
    settled = planning.settle(planning.world(clusters=(cluster,), nodes=nodes))
    dead = planning.later(planning.silenced(settled, "edge-1"), 60.0)
    return planning.settle(dead)


def server(seen: snapshot.Snapshot) -> recorded.Server:
    rows = {(row.kind, row.name): row.status for row in planner.plan(seen).statuses}
    documents = []
    for thing in (*seen.policies, *seen.placements):
        shown = rows[(thing.kind, thing.name)].document()
        documents.append({**thing.document(), "status": shown})
    return recorded.Server(planning.NAMESPACE, documents)


def text(capsys: pytest.CaptureFixture[str], question: Question, *, is_wide: bool = False) -> str:
    for explanation in why_placed.explain(server(moved()), question):
        terminal.show(why_placed.drawn(explanation, question, is_wide=is_wide), is_wide=is_wide)
    return capsys.readouterr().out


def test_it_says_why_here_why_not_there_at_what_cost_and_how_it_came_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = text(capsys, Question("ventilate"))
    for words in (
        "r0 is on edge-2: Active",
        "of the tier that comes first, unlike cloud-1",
        "0.01 an hour",
        "budget 200ms: predicted",
        "not on cloud-1: OtherTierFirst: it is of tier Cloud, edge-2 of tier Edge",
        "what would change it: placement.tier: Cheapest",
        "0.04 an hour",
        "not on edge-3: Cordoned",
        "what would change it: kubectl uncordon",
        "from edge-1 to edge-2: NodeDead",
        "seen: ",
        "possible too: cloud-1 (52",
        "placed on edge-1: FirstPlacement",
    ):
        assert words in answer, words


def test_a_node_that_is_asked_about_is_answered_alone(capsys: pytest.CaptureFixture[str]) -> None:
    answer = text(capsys, Question("ventilate", node="cloud-1"))
    assert "not on cloud-1: OtherTierFirst" in answer
    assert "edge-3" not in answer
    assert "r0 is on" not in answer
    gone = text(capsys, Question("ventilate", node="edge-1"))
    assert "from edge-1 to edge-2: NodeDead" in gone
    here = text(capsys, Question("ventilate", node="edge-2"))
    assert "r0 is on edge-2" in here
    assert "not on" not in here


def test_a_node_that_status_does_not_name_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = text(capsys, Question("ventilate", node="edge-9"))
    assert "edge-9 is none of the 8 nodes that are named: of 4 nodes" in answer


def test_a_moment_in_the_past_has_the_moves_until_then(capsys: pytest.CaptureFixture[str]) -> None:
    at = why_placed.moment("2026-03-01T10:00:30Z")
    answer = text(capsys, Question("ventilate", at=at))
    assert "ventilate at site hq at 2026-03-01T10:00:30" in answer
    assert "placed on edge-1: FirstPlacement" in answer
    assert "NodeDead" not in answer
    assert "r0 is on" not in answer, "that is how it is now"
    before = text(capsys, Question("ventilate", at=why_placed.moment("2026-03-01T09:00:00Z")))
    assert "no move by then" in before


def test_a_slot_has_its_own_node_and_moves(capsys: pytest.CaptureFixture[str]) -> None:
    assert "r0 is on edge-2" in text(capsys, Question("ventilate", slot="r0"))
    with pytest.raises(errors.CommandError, match="has a slot r7"):
        why_placed.explain(server(moved()), Question("ventilate", slot="r7"))


def test_a_slot_that_is_not_on_the_node_that_is_asked_about_has_its_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The trap: nothing of r0 is on cloud-1, which does not mean that there is no r0."""
    assert "not on cloud-1: OtherTierFirst" in text(
        capsys, Question("ventilate", slot="r0", node="cloud-1")
    )
    gone = text(capsys, Question("ventilate", slot="r0", node="edge-3"))
    assert "not on edge-3: Cordoned" in gone
    assert "no move that status still knows" in gone


def moving() -> snapshot.Snapshot:
    """A replica that answers on edge-2 until its successor on cloud-1 does: edge-2 is cordoned."""
    cordoned = planning.with_nodes(
        moved(), lambda node: dataclasses.replace(node, is_schedulable=node.name == "cloud-1")
    )
    made = planner.plan(cordoned)
    return planning.applied(cordoned, made, ready=False)


@pytest.mark.parametrize("question", [Question("ventilate"), Question("ventilate", slot="r0")])
def test_a_replica_on_its_way_is_explained_by_where_it_goes(
    capsys: pytest.CaptureFixture[str], question: why_placed.PlacementQuestion
) -> None:
    for explanation in why_placed.explain(server(moving()), question):
        terminal.show(why_placed.drawn(explanation, question, is_wide=False))
    answer = capsys.readouterr().out
    assert "r0 is on edge-2: Active, Ready" in answer
    assert "r0 moves to cloud-1: its successor there is Pending" in answer
    assert "why is not known" not in answer
    assert "from edge-2 to cloud-1: Cordoned" in answer


def test_moves_that_are_not_told_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    seen = moved()
    (placement,) = seen.placements
    status = placement.status.model_copy(update={"moves": placement.status.moves[:1] * 5})
    many = (placement.model_copy(update={"status": status}),)
    listed = recorded.Server("hq", [thing.document() for thing in many])
    for is_wide in (False, True):
        for explanation in why_placed.explain(listed, Question("ventilate")):
            drawn = why_placed.drawn(explanation, Question("ventilate"), is_wide=is_wide)
            terminal.show(drawn, is_wide=is_wide)
        assert ("2 more moves with -o wide" in capsys.readouterr().out) is not is_wide


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(errors.CommandError, match="no policy or placement 'nowhere'"):
        why_placed.explain(server(moved()), Question("nowhere"))
    with pytest.raises(errors.CommandError, match="nothing is placed for 'ventilate' at site x"):
        why_placed.explain(server(moved()), Question("ventilate", site="x"))
    with pytest.raises(errors.UsageError, match="--at takes a moment, such as 2026"):
        why_placed.moment("yesterday")


def test_programs_get_the_same_as_a_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreshore_cli.api.connect", lambda _: server(moved()))
    code = why_placed.run(options.Target(), options.OutputFormat.JSON, Question("ventilate"))
    (placement,) = json.loads(capsys.readouterr().out)["placements"]
    assert code == errors.EXIT_WELL
    assert placement["replicas"][0]["node"] == "edge-2"
    assert {node["node"]: node["reason"] for node in placement["passed"]} == {
        "cloud-1": "OtherTierFirst",
        "edge-1": "NodeDead",
        "edge-3": "Cordoned",
    }


def test_a_document_about_the_past_says_nothing_of_now() -> None:
    at = why_placed.moment("2026-03-01T10:00:30Z")
    (explanation,) = why_placed.explain(server(moved()), Question("ventilate", at=at))
    document = explanation.document()
    assert [move["cause"] for move in document["moves"]] == ["FirstPlacement"]
    assert (document["replicas"], document["chosen"], document["passed"]) == ([], [], [])


def test_a_status_of_an_older_operator_is_explained_as_far_as_it_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    older = server(moved())
    status: dict[str, Any] = older.objects[-1]["status"]
    for field in ("chosen", "passed"):
        status["candidates"].pop(field)
    for explanation in why_placed.explain(older, Question("ventilate")):
        terminal.show(why_placed.drawn(explanation, Question("ventilate"), is_wide=False))
    assert "why is not known" in capsys.readouterr().out


def test_what_takes_longer_than_predicted_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    seen = moved()
    (placement,) = seen.placements
    budget = v1alpha1.inferenceplacement.Budget(
        limit="200ms",
        margin=30,
        model_error=v1alpha1.inferenceplacement.ModelError(
            percent=32, since="2026-03-01T09:00:00Z"
        ),
    )
    status = placement.status.model_copy(update={"budget": budget})
    shown = dataclasses.replace(seen, placements=(placement.model_copy(update={"status": status}),))
    listed = recorded.Server("hq", [thing.document() for thing in shown.placements])
    for explanation in why_placed.explain(listed, Question("ventilate")):
        terminal.show(why_placed.drawn(explanation, Question("ventilate"), is_wide=False))
    answer = capsys.readouterr().out
    assert "measured 32 % above what the stages add up to" in answer
    assert "raised by 30 %" in answer


def test_the_wide_tree_of_placements_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for is_wide in (False, True):
        for branch in placements.look(server(moved()), placements.Filter()).branches:
            terminal.show(placements.drawn(branch, is_wide=is_wide, on="hq"), is_wide=is_wide)
        answer = capsys.readouterr().out
        assert ("on edge-2: predicted within the budget" in answer) is is_wide
        assert ("it would take kubectl uncordon" in answer) is is_wide
