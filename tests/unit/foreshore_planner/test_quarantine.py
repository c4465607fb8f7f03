"""What a node that falls silent again and again gets, and what it keeps."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_planner import plan as planning
from foreshore_planner import quarantine, snapshot

TWICE = (60.0, 600.0)
EPOCH = 1_700_000_000


def flapping(seen: snapshot.Snapshot, **flaps: tuple[float, ...]) -> snapshot.Snapshot:
    """Nodes that fell silent so long ago, by name with `_` for `-`."""

    def change(node: snapshot.Node) -> snapshot.Node:
        ages = flaps.get(node.name.replace("-", "_"), node.flaps)
        return dataclasses.replace(node, flaps=ages)

    return build.with_nodes(seen, change)


def evidence(made: planning.Plan) -> str:
    return made.placements[0].moves[0].evidence


@pytest.mark.parametrize(
    ("ages", "ends"),
    [((), None), ((10.0,), None), (TWICE, 3000.0), ((1.0, 60.0, 3000.0), 3540.0)],
)
def test_a_quarantine_ends_when_fewer_than_two_times_count(
    ages: tuple[float, ...], ends: float | None
) -> None:
    assert quarantine.ends_in(build.edge("edge-1", flaps=ages)) == ends


def test_an_age_beyond_the_hour_counts_no_more() -> None:
    node = build.edge("edge-1", flaps=TWICE)
    assert quarantine.is_quarantined(node.older(2999.0))
    assert not quarantine.is_quarantined(node.older(3000.0))


def test_nothing_new_goes_to_a_node_in_quarantine_and_its_reason_says_until_when() -> None:
    made = planning.plan(flapping(build.world(), edge_1=TWICE))
    assert build.where(made) == {"r0": "edge-2"}
    (rejected,) = made.placements[0].candidates.rejected
    assert (rejected.reason, rejected.count) == ("Quarantined", 1)
    assert rejected.example == (
        "edge-1: it fell silent twice within the hour: nothing new before 10:51Z"
    )


def test_what_is_there_stays_there() -> None:
    settled = build.settle(build.world())
    made = planning.plan(flapping(settled, edge_1=TWICE, edge_2=TWICE))
    assert build.where(made) == {"r0": "edge-1"}
    assert not made.removals


def test_a_first_replica_takes_such_a_node_rather_than_none_and_says_so() -> None:
    world = build.world(nodes=(build.edge("edge-1", flaps=TWICE),))
    made = planning.plan(world)
    assert build.where(made) == {"r0": "edge-1"}
    assert "edge-1 is the only one that can serve, though it fell silent twice" in evidence(made)


def lost_again(**flaps: tuple[float, ...]) -> planning.Plan:
    """edge-1 has the replica and is silent; nobody but its site's nodes can serve."""
    nodes = tuple(build.edge(name) for name in build.EDGES)
    settled = build.settle(build.world(nodes=nodes))
    return planning.plan(flapping(build.silenced(settled, "edge-1"), **flaps))


@pytest.mark.parametrize(
    ("flaps", "node"),
    [
        pytest.param({"edge_1": (0.0,), "edge_2": (900.0,)}, "edge-2", id="a first loss"),
        pytest.param({"edge_1": (0.0,), "edge_2": TWICE}, "edge-3", id="others in quarantine"),
        pytest.param({"edge_1": TWICE, "edge_2": (9.0,)}, "edge-3", id="one that never fell"),
        pytest.param({"edge_1": TWICE, "edge_2": (9.0,), "edge_3": (9.0,)}, "edge-1", id="none"),
        pytest.param({"edge_1": (0.0,), "edge_2": TWICE, "edge_3": TWICE}, "edge-1", id="no other"),
    ],
)
def test_a_lost_replica_goes_to_a_node_that_will_likely_stay(flaps: Any, node: str) -> None:
    assert build.where(lost_again(**flaps)) == {"r0": node}


def test_a_replica_that_waits_for_its_flapping_node_says_why_and_what_helps() -> None:
    made = lost_again(edge_1=TWICE, edge_2=(9.0,), edge_3=(9.0,))
    about = ("InferencePlacement", "ventilate.hq", "Placed")
    assert build.condition(made, *about) == ("False", "Quarantined")
    assert "edge-1, which fell silent twice within the hour" in build.message(made, *about)
    assert "mend what makes the nodes fall silent" in build.message(made, *about)
    assert build.condition(made, *about[:2], "Held") == ("True", "Quarantined")


def held(**flaps: tuple[float, ...]) -> planning.Plan:
    """edge-1 holds the device and is lost, and its last right has run out."""
    right = {"holder": "edge-1", "epoch": EPOCH, "lastIssued": EPOCH}
    renewals = [build.renewal(EPOCH, age=40.0)]
    seen = build.world(
        devices=(build.device(authority=right),), fleet=build.fleet(renewals=renewals)
    )
    return planning.plan(flapping(build.silenced(seen, "edge-1"), **flaps))


@pytest.mark.parametrize(
    ("flaps", "holder"),
    [
        pytest.param({"edge_1": (0.0,), "edge_2": (900.0,)}, "edge-2", id="a first loss"),
        pytest.param({"edge_1": (0.0,), "edge_2": TWICE}, "edge-3", id="others in quarantine"),
        pytest.param({"edge_1": TWICE, "edge_2": (9.0,)}, "edge-3", id="one that never fell"),
    ],
)
def test_a_right_goes_to_a_node_that_will_likely_stay(flaps: Any, holder: str) -> None:
    (grant,) = held(**flaps).grants
    assert grant.authority.holder == holder


def test_a_right_waits_for_its_holder_where_everybody_flaps_and_says_so() -> None:
    made = held(edge_1=TWICE, edge_2=(9.0,), edge_3=TWICE)
    assert not made.grants
    assert build.condition(made, "Device", "room-301", "Held") == ("True", "Quarantined")
    message = build.message(made, "Device", "room-301", "Held")
    assert "(edge-2 once, edge-3 twice): it waits for its holder" in message


def test_a_first_right_goes_to_a_node_in_quarantine_only_where_nobody_else_can_hold_it() -> None:
    (grant,) = planning.plan(flapping(build.world(), edge_1=TWICE, edge_2=TWICE)).grants
    assert grant.authority.holder == "edge-3"
    every = dict.fromkeys(("edge_1", "edge_2", "edge_3"), TWICE)
    (grant,) = planning.plan(flapping(build.world(), **every)).grants
    assert grant.authority.holder == "edge-1"
    assert "nobody else can hold it than edge-1: it fell silent twice" in grant.evidence


def test_replicas_lost_among_a_thousand_flapping_nodes_wait_for_their_own() -> None:
    nodes = tuple(
        build.node(f"n{number:04}", site="hq", tier="Edge", flaps=TWICE) for number in range(1000)
    )
    policies = tuple(build.policy(f"p{number:02}") for number in range(20))
    settled = build.settle(build.world(nodes=nodes, policies=policies), passes=2)
    places = {pod.name: pod.node for pod in settled.replicas}
    assert len(places) == 20
    dead = sorted(set(places.values()))[:400]
    made = planning.plan(build.silenced(settled, *dead))
    after = {pod.name: pod.node for placement in made.placements for pod in placement.pods}
    assert after == places
