"""`failover: Manual`: what is forced is proposed, and a person's word moves what they read."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import meta
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import plan as planning
from foreshore_planner import snapshot
from foreshore_planner.placement import proposals

PLACEMENT = "InferencePlacement", "ventilate.hq"
MANUAL = {"failover": "Manual"}


def lost(**placement: Any) -> snapshot.Snapshot:
    """The node of a replica is dead, and what is proposed for it is in status."""
    policy = build.policy(placement={**MANUAL, **placement})
    settled = build.settle(build.world(policies=(policy,)))
    assert build.where(planning.plan(settled))["r0"] == "edge-1"
    seen = build.silenced(settled, "edge-1")
    return build.applied(seen, planning.plan(seen))


def proposed(seen: snapshot.Snapshot) -> inferenceplacement.ProposedMove:
    (proposal,) = planning.plan(seen).placements[0].proposals
    return proposal


def confirmed(seen: snapshot.Snapshot, word: str) -> snapshot.Snapshot:
    """A person has written this as the move that they confirm."""
    (placement,) = seen.placements
    annotations = {meta.ANNOTATION_CONFIRMED: word}
    metadata = placement.metadata.model_copy(update={"annotations": annotations})
    marked = placement.model_copy(update={"metadata": metadata})
    return dataclasses.replace(seen, placements=(marked,))


def test_a_lost_replica_is_proposed_to_move_and_stays() -> None:
    seen = lost()
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-1"}
    proposal = proposed(seen)
    assert (proposal.slot, proposal.from_, proposal.to, proposal.cause) == (
        "r0",
        "edge-1",
        "edge-2",
        "NodeDead",
    )
    assert build.condition(made, *PLACEMENT, "Placed") == ("False", "AwaitsConfirmation")
    message = build.message(made, *PLACEMENT, "Placed")
    assert "r0 from edge-1 to edge-2 (NodeDead" in message
    assert "kubectl foreshore move ventilate --site hq -n hq" in message


def test_a_person_confirms_a_move_by_its_id_and_history_says_so() -> None:
    seen = lost()
    proposal = proposed(seen)
    made = planning.plan(confirmed(seen, proposal.id))
    assert build.where(made) == {"r0": "edge-2"}
    (placement,) = made.placements
    move = placement.moves[0]
    assert (move.cause, move.confirmed, placement.proposals) == ("NodeDead", proposal.id, ())
    settled = build.settle(build.applied(seen, made))
    after = planning.plan(confirmed(settled, proposal.id))
    assert "proposed" not in build.message(after, *PLACEMENT, "Placed"), "it was done"


def crowded_out(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """So many moves came since that none of those that are kept was confirmed."""
    (placement,) = seen.placements
    moves = [move.model_copy(update={"confirmed": None}) for move in placement.status.moves]
    status = placement.status.model_copy(update={"moves": tuple(moves)})
    return dataclasses.replace(seen, placements=(placement.model_copy(update={"status": status}),))


def shown(made: planning.Plan) -> str | None:
    (status,) = (row.status for row in made.statuses if (row.kind, row.name) == PLACEMENT)
    assert isinstance(status, inferenceplacement.InferencePlacementStatus)
    return status.confirmed


def test_a_confirmation_that_was_heeded_is_remembered_when_its_move_is_not() -> None:
    """Regression: an old annotation was called unheeded once its move had left the last ones."""
    seen = lost()
    word = proposed(seen).id
    seen = confirmed(seen, word)
    made = planning.plan(seen)
    assert shown(made) == word
    seen = crowded_out(confirmed(build.applied(seen, made), word))
    for _ in range(2):
        made = planning.plan(seen)
        assert "proposed" not in build.message(made, *PLACEMENT, "Placed"), "it was done"
        assert shown(made) == word
        seen = confirmed(build.applied(seen, made), word)
    assert shown(planning.plan(confirmed(seen, "f" * 12))) is None


def test_a_move_that_was_confirmed_is_forgotten_with_its_annotation() -> None:
    seen = lost()
    word = proposed(seen).id
    made = planning.plan(confirmed(seen, word))
    seen = crowded_out(build.applied(seen, made))
    assert not seen.placements[0].metadata.annotations
    after = planning.plan(seen)
    assert shown(after) is None
    again = planning.plan(confirmed(build.applied(seen, after), word))
    assert f"({word}) is of no move that is proposed" in build.message(again, *PLACEMENT, "Placed")


def test_a_proposal_keeps_its_id_and_time_while_it_stands() -> None:
    seen = lost()
    later = build.later(seen, 300.0)
    assert proposed(later) == proposed(seen)
    assert build.applied(later, planning.plan(later)) == later, "nothing is written again"


def was_cut(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The node was proposed to be left while only its link seemed cut."""
    (placement,) = seen.placements
    (proposal,) = placement.status.proposals
    cut = proposal.model_copy(update={"cause": "LinkCut"})
    status = placement.status.model_copy(update={"proposals": (cut,)})
    return dataclasses.replace(seen, placements=(placement.model_copy(update={"status": status}),))


def test_a_cause_that_turns_into_another_leaves_the_move_its_id() -> None:
    """LinkCut becomes NodeDead within seconds, while a person reads and confirms."""
    seen = was_cut(lost())
    earlier = seen.placements[0].status.proposals[0]
    proposal = proposed(seen)
    assert (earlier.cause, proposal.cause) == ("LinkCut", "NodeDead")
    assert (proposal.id, proposal.since) == (earlier.id, earlier.since)
    made = planning.plan(confirmed(seen, earlier.id))
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "NodeDead"


def elsewhere(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The node that was proposed has no room any more."""
    return build.with_nodes(
        seen,
        lambda node: (
            dataclasses.replace(node, requested=build.ROOM) if node.name == "edge-2" else node
        ),
    )


def fell(seen: snapshot.Snapshot, ages: dict[str, tuple[float, ...]]) -> snapshot.Snapshot:
    """Nodes fell silent so long ago."""
    return build.with_nodes(
        seen, lambda node: dataclasses.replace(node, flaps=ages.get(node.name, node.flaps))
    )


def test_no_node_is_proposed_that_falls_silent_too_often_to_be_moved_to() -> None:
    """What was proposed there could be confirmed, and never moved."""
    flapping = {"edge-1": (60.0, 600.0), "edge-2": (9.0,), "edge-3": (9.0,)}
    policy = build.policy(placement=MANUAL)
    settled = build.settle(build.world(policies=(policy,)))
    seen = fell(build.silenced(settled, "edge-1"), flapping)
    seen = build.applied(seen, planning.plan(seen))
    proposal = proposed(seen)
    assert proposal.to == "cloud-1"
    assert build.where(planning.plan(confirmed(seen, proposal.id))) == {"r0": "cloud-1"}


def test_a_confirmation_dies_where_the_node_that_was_proposed_falls_silent_too() -> None:
    seen = lost()
    word = proposed(seen).id
    made = planning.plan(confirmed(fell(seen, {"edge-1": (60.0, 600.0), "edge-2": (9.0,)}), word))
    assert build.where(made) == {"r0": "edge-1"}
    assert f"({word}) is of no move that is proposed" in build.message(made, *PLACEMENT, "Placed")
    assert [offer.to for offer in made.placements[0].proposals] == ["edge-3"]


def healed(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    back = build.with_nodes(
        seen, lambda node: dataclasses.replace(node, is_ready=True, lease_age=1.0)
    )
    return dataclasses.replace(back, fleet=build.fleet())


def lost_again(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The node came back, and died an hour later of the same."""
    back = healed(seen)
    well = build.applied(back, planning.plan(back))
    seen = build.later(build.silenced(well, "edge-1"), 3600.0)
    return build.applied(seen, planning.plan(seen))


def asked_otherwise(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    return dataclasses.replace(seen, policies=(build.policy(placement={"failover": "Never"}),))


@pytest.mark.parametrize(
    "change",
    [elsewhere, healed, lost_again, asked_otherwise],
    ids=["another node", "it is well again", "lost again", "failover Never"],
)
def test_a_confirmation_dies_with_its_proposal_and_that_is_told(
    change: Callable[[snapshot.Snapshot], snapshot.Snapshot],
) -> None:
    seen = lost()
    word = proposed(seen).id
    made = planning.plan(confirmed(change(seen), word))
    assert build.where(made) == {"r0": "edge-1"}
    assert f"({word}) is of no move that is proposed" in build.message(made, *PLACEMENT, "Placed")


@pytest.mark.parametrize("word", ["", "yes", "f" * 12, "x" * 200_000])
def test_a_word_that_is_no_id_moves_nothing_and_does_not_fill_the_screen(word: str) -> None:
    made = planning.plan(confirmed(lost(), word))
    assert build.where(made) == {"r0": "edge-1"}
    message = build.message(made, *PLACEMENT, "Placed")
    assert "is of no move that is proposed" in message
    assert len(message) < 600


def test_a_person_who_cordons_a_node_needs_no_second_word() -> None:
    policy = build.policy(placement=MANUAL)
    settled = build.settle(build.world(policies=(policy,)))
    cordoned = build.with_nodes(
        settled, lambda node: dataclasses.replace(node, is_schedulable=node.name != "edge-1")
    )
    made = planning.plan(cordoned)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].proposals == ()


def test_an_empty_slot_is_filled_without_a_word() -> None:
    grown = build.policy(placement={**MANUAL, "standby": 1})
    settled = build.settle(build.world(policies=(build.policy(placement=MANUAL),)))
    made = planning.plan(dataclasses.replace(settled, policies=(grown,)))
    assert len(made.placements[0].pods) == 2


def test_a_silent_site_proposes_nothing() -> None:
    seen = build.silenced(lost(), "edge-1", "edge-2")
    made = planning.plan(seen)
    assert made.placements[0].proposals == ()


def test_replicas_are_proposed_to_different_nodes() -> None:
    """The cloud for the second of them, though the first one's node is nearer."""
    nodes = (*(build.edge(name) for name in (*build.EDGES, "edge-4")), build.node("cloud-1"))
    policy = build.policy(placement={**MANUAL, "standby": 1})
    settled = build.settle(build.world(policies=(policy,), nodes=nodes))
    made = planning.plan(build.silenced(settled, "edge-1", "edge-2"))
    pairs = [(proposal.slot, proposal.to) for proposal in made.placements[0].proposals]
    assert pairs == [("r0", "edge-3"), ("r1", "cloud-1")]


def test_what_has_nowhere_to_go_is_told_without_a_proposal() -> None:
    nodes = (*(build.edge(name) for name in build.EDGES),)
    full = [dataclasses.replace(node, requested=build.ROOM) for node in nodes[1:]]
    policy = build.policy(placement=MANUAL)
    settled = build.settle(build.world(policies=(policy,), nodes=(nodes[0], *full)))
    made = planning.plan(build.silenced(settled, "edge-1"))
    assert made.placements[0].proposals == ()
    assert "no other node can take over now" in build.message(made, *PLACEMENT, "Placed")


MUTANTS: dict[str, tuple[str, Any, Callable[[], None]]] = {
    "whose id says nothing of when": (
        "_digest",
        lambda *parts: ("".join(parts[1:4]).encode().hex() + "0" * 12)[:12],
        lambda: test_a_confirmation_dies_with_its_proposal_and_that_is_told(lost_again),
    ),
    "that is made anew each time": (
        "_earlier",
        lambda _: (),
        test_a_proposal_keeps_its_id_and_time_while_it_stands,
    ),
    "that is forgotten with its move": (
        "heeded",
        lambda before, moves: None,
        test_a_confirmation_that_was_heeded_is_remembered_when_its_move_is_not,
    ),
    "whose dead confirmation nobody tells": (
        "_unheeded",
        lambda *_: None,
        lambda: test_a_confirmation_dies_with_its_proposal_and_that_is_told(healed),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_proposal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is caught by the test of the rule that it breaks."""
    attribute, value, test = MUTANTS[name]
    monkeypatch.setattr(proposals, attribute, value)
    with pytest.raises(AssertionError):
        test()
