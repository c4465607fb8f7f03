"""Latency that creeps up moves a replica before the budget breaks, once an hour."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import node_class
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import priors, snapshot
from foreshore_planner.placement import creep, slots

KNOWN = priors.LatencyPriors(
    inference={(("hq", "occupancy-v1"), node_class.UNKNOWN): histogram.Histogram.of([0.01] * 50)}
)


def taking(seen: snapshot.Snapshot, share: float, **known: Any) -> snapshot.Snapshot:
    """The whole takes this share of the budget of 250 ms, nearly all of it on the node in use."""
    node = seen.placements[0].status.replicas[0].node
    seconds = 0.25 * share
    stages = [
        (histogram.Stage.INFERENCE, node, seconds * 0.95),
        (histogram.Stage.NETWORK, node, 0.001),
        (histogram.Stage.END_TO_END, None, seconds),
    ]
    lines = tuple(
        report.StageReport(
            namespace="hq",
            policy="ventilate",
            stage=stage,
            node=at,
            histogram=histogram.Histogram.of([taken] * 100),
        )
        for stage, at, taken in stages
    )
    agent = build.agent("edge-1", hears=build.EDGES[1:], probes=build.FAST, stages=lines)
    return dataclasses.replace(seen, fleet=build.fleet([agent]), priors=known.get("priors", KNOWN))


def settled(**spec: Any) -> snapshot.Snapshot:
    return build.settle(build.world(policies=(build.policy(latencyBudget="250ms", **spec),)))


def test_a_replica_close_to_its_budget_moves_to_where_it_is_well_within() -> None:
    made = planning.plan(taking(settled(), 0.92))
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "Creeping"
    met = build.condition(made, "InferencePlacement", "ventilate.hq", "BudgetMet")
    assert met == ("True", "WithinBudget"), "nothing was broken yet"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_one_that_is_not_that_close_stays(share: float) -> None:
    assert build.where(planning.plan(taking(settled(), share))) == {"r0": "edge-1"}


def test_it_never_goes_where_nobody_measured_anything() -> None:
    """Every node is declared to take 10 ms: what still works is not given up for that."""
    seen = taking(settled(), 0.92, priors=priors.NOTHING)
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}


def test_it_moves_once_an_hour_though_the_next_node_creeps_as_well() -> None:
    seen, nodes = settled(), []
    for _ in range(15):
        seen = taking(seen, 0.92)
        nodes.append(build.where(planning.plan(seen))["r0"])
        seen = build.later(build.settle(seen), 600.0)
    moves = [before != after for before, after in zip(["edge-1", *nodes], nodes, strict=False)]
    assert sum(moves) == 3, "at once, then each time more than an hour has passed"
    assert all(not any(moves[first + 1 : first + 6]) for first in range(len(moves)) if moves[first])


def test_it_stays_where_nothing_moves_by_itself() -> None:
    made = planning.plan(taking(settled(placement={"failover": "Never"}), 0.92))
    assert build.where(made) == {"r0": "edge-1"}
    placed = build.condition(made, "InferencePlacement", "ventilate.hq", "Placed")
    assert placed == ("True", "Placed"), "and that is no failure"


def test_a_standby_does_not_move_for_what_the_active_one_takes() -> None:
    pair = settled(placement={"replicas": 1, "standby": 1})
    assert pair.placements[0].status.replicas[0].role.value == "Active"
    seen = taking(pair, 0.92)
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-3", "r1": "edge-2"}


def test_a_placement_near_its_budget_is_looked_at_whenever_anything_changes() -> None:
    (plan,) = planning.plan(taking(settled(), 0.92, priors=priors.NOTHING)).placements
    assert not plan.is_settled
    (plan,) = planning.plan(taking(settled(), 0.5)).placements
    assert plan.is_settled


def test_between_near_and_comfortable_there_is_room() -> None:
    assert slots.COMFORT < creep.NEAR - 0.05
