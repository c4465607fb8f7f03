"""Why a replica is where it is, why not elsewhere, and what would change it."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import plan as planning
from foreshore_planner import snapshot


def considered(seen: snapshot.Snapshot) -> inferenceplacement.Candidates:
    (placement,) = planning.plan(seen).placements
    return placement.candidates


def passed(seen: snapshot.Snapshot) -> dict[str, inferenceplacement.PassedNode]:
    return {node.node: node for node in considered(seen).passed}


def priced(**price: str) -> v1alpha1.Cluster:
    spec = {"connection": {"type": "InCluster"}, "price": price}
    return v1alpha1.Cluster.read({"metadata": {"name": "local", "generation": 1}, "spec": spec})


def test_each_node_says_the_first_thing_that_speaks_against_it_and_what_would_change_it() -> None:
    full = snapshot.ComputeResources(cpu=1950)
    nodes = (
        build.edge("edge-1"),
        build.edge("edge-2"),
        build.edge("edge-3", requested=full),
        build.edge("edge-4", is_schedulable=False),
        build.node("cloud-1"),
    )
    others = passed(build.world(nodes=nodes))
    assert {name: node.reason for name, node in others.items()} == {
        "cloud-1": "OtherTierFirst",
        "edge-2": "LaterByName",
        "edge-3": "InsufficientCPU",
        "edge-4": "Cordoned",
    }
    assert others["edge-3"].change == "50m more CPU free on it"
    assert others["edge-4"].change == "kubectl uncordon"
    assert others["cloud-1"].predicted == "52ms"


def test_a_dearer_node_says_at_which_price_it_would_be_taken() -> None:
    clusters = (priced(edge="0.1", cloud="0.4"),)
    policies = (build.policy(placement={"tier": "Cheapest"}),)
    seen = build.world(clusters=clusters, policies=policies)
    node = passed(seen)["cloud-1"]
    assert (node.reason, node.price) == ("Dearer", "0.04")
    assert node.change == "a price of a CPU hour of less than 0.1"
    cheaper = build.world(clusters=(priced(edge="0.1", cloud="0.09"),), policies=policies)
    assert build.where(planning.plan(cheaper)) == {"r0": "cloud-1"}, "and it is"


def test_a_slower_node_says_by_how_much() -> None:
    probes = build.probes(edge_1=1, edge_2=30, edge_3=60, cloud_1=90)
    agents = [build.agent(name, probes=probes) for name in build.EDGES]
    node = passed(build.world(fleet=build.fleet(agents)))["edge-2"]
    assert node.reason == "Slower"
    assert node.change.endswith("ms less on the way or there")


def test_a_node_over_the_budget_says_with_which_it_would_do() -> None:
    probes = build.probes(edge_1=1, edge_2=300, edge_3=300, cloud_1=300)
    agents = [build.agent(name, probes=probes) for name in build.EDGES]
    seen = build.world(fleet=build.fleet(agents))
    node = passed(seen)["edge-2"]
    assert node.reason == "LatencyBudget"
    needed = node.change.removeprefix("a latency budget of ")
    wide = build.world(fleet=build.fleet(agents), policies=(build.policy(latencyBudget="350ms"),))
    assert needed == "326ms"
    assert passed(wide)["edge-2"].reason == "Slower", "then it would be within it"


def test_a_node_in_use_says_what_spoke_for_it_and_what_it_costs() -> None:
    seen = build.settle(build.world(clusters=(priced(edge="0.1", cloud="0.4"),)))
    (node,) = considered(seen).chosen
    assert node.node == "edge-1"
    assert node.price == "0.01"
    assert node.why == "predicted within the budget; no worse than edge-2, and first by name"
    alone = build.settle(build.world(nodes=(build.edge("edge-1"),)))
    (node,) = considered(alone).chosen
    assert node.why == "predicted within the budget; no other node could serve"


def test_what_runs_stays_although_another_node_would_be_taken_today() -> None:
    seen = build.settle(build.world(nodes=(build.edge("edge-2"), build.edge("edge-3"))))
    better = dataclasses.replace(seen, nodes=(*seen.nodes, build.edge("edge-1")))
    assert passed(better)["edge-1"].reason == "WouldBeTaken"


def test_a_move_names_what_was_possible_too() -> None:
    settled = build.settle(build.world())
    made = planning.plan(build.silenced(settled, "edge-1"))
    assert made.placements[0].moves[0].others.startswith("edge-3 (11")
    only = build.settle(build.world(nodes=(build.edge("edge-1"),)))
    assert only.placements[0].status.moves[0].others == "no other node"


def test_nothing_is_written_anew_for_what_only_became_older() -> None:
    settled = build.settle(build.world())
    nodes = tuple(
        dataclasses.replace(node, is_ready=False, lease_age=20.0) if node.name == "edge-3" else node
        for node in settled.nodes
    )
    seen = dataclasses.replace(settled, nodes=nodes)
    seen = build.applied(seen, planning.plan(seen))
    before = considered(seen)
    older = build.with_nodes(build.later(seen, 3.0), lambda node: node.older(3.0))
    assert considered(older).passed == before.passed


def reached(seen: snapshot.Snapshot, **milliseconds: float) -> snapshot.Snapshot:
    probes = build.probes(**milliseconds)
    agents = [build.agent(name, probes=probes) for name in build.EDGES]
    return dataclasses.replace(seen, fleet=build.fleet(agents))


def test_nothing_is_written_anew_where_noise_alone_reorders_nodes() -> None:
    """Two nodes alike, one of which is a bucket slower at each look."""
    first = reached(build.world(), edge_1=1, edge_2=30, edge_3=33, cloud_1=90)
    seen = build.settle(first)
    before = considered(seen)
    assert considered(reached(seen, edge_1=1, edge_2=33, edge_3=30, cloud_1=90)) == before
    far = considered(reached(seen, edge_1=1, edge_2=60, edge_3=30, cloud_1=90))
    assert far.passed[0].node == "edge-3", "more than noise"


def test_a_move_names_what_nobody_measured_last() -> None:
    nodes = tuple(build.edge(name) for name in (*build.EDGES, "edge-4"))
    seen = build.settle(reached(build.world(nodes=nodes), edge_1=1, edge_2=10, edge_4=30))
    cordoned = build.with_nodes(
        seen, lambda node: dataclasses.replace(node, is_schedulable=node.name != "edge-1")
    )
    move = planning.plan(cordoned).placements[0].moves[0]
    assert (move.to, move.others) == ("edge-2", "edge-4 (41.6ms), edge-3 (unknown)")


@pytest.mark.parametrize("count", [3, 40])
def test_few_nodes_are_named_however_many_there_are(count: int) -> None:
    nodes = [build.edge(f"edge-{number:02d}") for number in range(count)]
    crowded = snapshot.ComputeResources(cpu=1990)
    full: list[Any] = [build.edge(f"full-{n:02d}", requested=crowded) for n in range(count)]
    names = passed(build.world(nodes=(*nodes, *full)))
    assert len(names) == min(inferenceplacement.PASSED, 2 * count - 1)
    assert any(node.reason == "InsufficientCPU" for node in names.values())
