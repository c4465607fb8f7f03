"""The latency budget ranks: a replica too slow for it is better than none, and says so.

The trap: with stages that no node changes over the budget, a dead replica was never replaced, and
its placement called itself placed.
"""

import dataclasses
import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot


def busy(*names: str, probes: tuple[report.ProbeReport, ...] = build.FAST) -> report.Fleet:
    """Agents whose Decide and Actuate alone take 50 ms, whatever node answers."""
    slow = histogram.Histogram.of([0.025] * 50)
    stages = tuple(
        report.StageReport(namespace="hq", policy="ventilate", stage=stage, histogram=slow)
        for stage in (histogram.Stage.DECIDE, histogram.Stage.ACTUATE)
    )
    return build.fleet(
        [
            build.agent(name, hears=[n for n in names if n != name], probes=probes, stages=stages)
            for name in names
        ]
    )


def tight(**spec: Any) -> snapshot.Snapshot:
    """20 ms, which no node can hold."""
    policies = (build.policy(latencyBudget="20ms", **spec),)
    return build.world(policies=policies, fleet=busy(*build.EDGES))


def condition(made: planning.Plan, type_: str) -> tuple[str, str] | None:
    return build.condition(made, "InferencePlacement", "ventilate.hq", type_)


def message(made: planning.Plan, type_: str) -> str:
    (row,) = [row for row in made.statuses if row.kind == "InferencePlacement"]
    return next(one.message for one in row.status.conditions if one.type == type_)


def test_an_empty_slot_takes_the_smallest_bound_when_no_node_holds_the_budget() -> None:
    probes = build.probes(edge_1=9, edge_2=3, edge_3=6, cloud_1=40)
    seen = dataclasses.replace(tight(), fleet=busy(*build.EDGES, probes=probes))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    assert condition(made, "Placed") == ("True", "Placed")
    assert condition(made, "BudgetMet") == ("False", "OverBudget")
    assert "edge-2: it would need a budget of" in message(made, "BudgetMet")


def test_a_node_within_the_budget_comes_before_a_dearer_faster_or_nearer_one_over_it() -> None:
    probes = build.probes(edge_1=300, edge_2=300, edge_3=300, cloud_1=40)
    agents = [build.agent(name, probes=probes) for name in build.EDGES]
    assert build.where(planning.plan(build.world(fleet=build.fleet(agents)))) == {"r0": "cloud-1"}


def test_a_dead_replica_is_replaced_at_once_though_every_node_is_over_the_budget() -> None:
    settled = build.settle(tight())
    dead = dataclasses.replace(build.silenced(settled, "edge-1"), fleet=busy("edge-2", "edge-3"))
    made = planning.plan(dead)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "NodeDead"
    assert condition(made, "BudgetMet") == ("False", "OverBudget")


def test_a_cordoned_node_is_left_though_every_other_is_over_the_budget() -> None:
    settled = build.settle(tight())
    cordoned = build.with_nodes(
        settled,
        lambda one: dataclasses.replace(one, is_schedulable=False) if one.name == "edge-1" else one,
    )
    assert build.where(planning.plan(cordoned)) == {"r0": "edge-2"}


def test_nothing_moves_for_latency_to_a_node_that_is_over_the_budget_too() -> None:
    settled = build.settle(tight())
    assert build.where(planning.plan(build.later(settled, 300.0))) == {"r0": "edge-1"}
    assert build.settle(build.later(settled, 300.0)).placements == settled.placements


def test_active_and_standby_over_the_budget_do_not_share_a_node() -> None:
    seen = tight(placement={"replicas": 1, "standby": 1})
    assert len(set(build.where(planning.plan(seen)).values())) == 2


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tier": "CloudOnly"}, "Tier"),
        ({"nodeSelector": {"gpu": "yes"}}, "NodeSelector"),
    ],
)
def test_what_the_policy_excludes_is_refused_although_nothing_else_is_left(
    more: dict[str, Any], reason: str
) -> None:
    seen = dataclasses.replace(
        tight(placement=more), nodes=tuple(build.edge(name) for name in build.EDGES)
    )
    made = planning.plan(seen)
    assert build.where(made) == {}
    assert condition(made, "Placed") == ("False", "NoCandidate")
    assert made.placements[0].candidates.rejected[0].reason == reason


def test_a_replica_on_a_dead_node_that_nothing_can_replace_is_not_placed() -> None:
    settled = build.settle(build.world())
    full = snapshot.ComputeResources(cpu=1950, memory=0)
    crowded = build.with_nodes(
        build.silenced(settled, "edge-1"),
        lambda one: one if one.name == "edge-1" else dataclasses.replace(one, requested=full),
    )
    made = planning.plan(crowded)
    assert build.where(made) == {"r0": "edge-1"}
    assert condition(made, "Placed") == ("False", "ReplicaLost")
    assert "3 InsufficientCPU" in message(made, "Placed")
    assert condition(made, "Ready") == ("False", "ReplicaLost")


def test_a_dead_standby_is_no_replica_that_starts() -> None:
    policy = build.policy(placement={"replicas": 1, "standby": 1, "failover": "Never"})
    settled = build.settle(build.world(policies=(policy,)))
    made = planning.plan(build.silenced(settled, "edge-2"))
    assert condition(made, "Redundant") == ("False", "ReplicaLost")
    assert condition(made, "Placed") == ("False", "FailoverNever")


def test_a_node_that_is_cordoned_is_called_so_whatever_taint_that_makes() -> None:
    taint = (snapshot.Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),)
    nodes = (build.edge("edge-1", taints=taint, is_schedulable=False),)
    (rejected,) = planning.plan(build.world(nodes=nodes)).placements[0].candidates.rejected
    assert rejected.reason == "Cordoned"


milliseconds = st.floats(min_value=0.1, max_value=5000)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["1ms", "20ms", "200ms", "10s"]),
    st.tuples(milliseconds, milliseconds, milliseconds, milliseconds),
    st.sets(st.sampled_from([*build.EDGES, "cloud-1"])),
    st.sets(st.sampled_from(["edge-1"])),
    st.integers(1, 2),
    st.integers(0, 1),
)
def test_a_lost_or_empty_slot_with_any_candidate_with_room_is_filled(
    budget: str,
    echoes: tuple[float, float, float, float],
    full: set[str],
    dead: set[str],
    replicas: int,
    standby: int,
) -> None:
    placement = {"replicas": replicas, "standby": standby}
    policy = build.policy(latencyBudget=budget, placement=placement)
    settled = build.settle(build.world(policies=(policy,)))
    seen = build.silenced(settled, *dead)
    left = [name for name in build.EDGES if name not in dead]
    names = ("edge_1", "edge_2", "edge_3", "cloud_1")
    probes = build.probes(**dict(zip(names, echoes, strict=True)))
    seen = dataclasses.replace(seen, fleet=busy(*left, probes=probes))
    crowded = snapshot.ComputeResources(cpu=1950, memory=0)
    seen = build.with_nodes(
        seen, lambda one: dataclasses.replace(one, requested=crowded) if one.name in full else one
    )
    made = planning.plan(seen)
    able = {"edge-1", "edge-2", "edge-3", "cloud-1"} - full - dead
    lost = [slot for slot, node in build.where(made).items() if node in dead]
    if able:
        assert not lost
        assert len(build.where(made)) == replicas + standby
    elif lost:
        assert condition(made, "Placed") == ("False", "ReplicaLost")


@pytest.mark.parametrize(
    ("share", "wanted"),
    [(0.91, "True"), (0.95, "True"), (1.04, "False"), (1.2, "False")],
)
def test_a_budget_is_not_called_broken_before_it_is(share: float, wanted: str) -> None:
    """Bug: a measured p99 of 91 % of 110 ms counted as 115.5 ms, the bound of its bucket."""
    middle, width = 0.11 * share / math.exp(0.3 * 2.326), 0.3
    normal = statistics.NormalDist()
    taken = [
        middle * math.exp(width * normal.inv_cdf((number + 0.5) / 2000)) for number in range(2000)
    ]
    line = report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=histogram.Stage.END_TO_END,
        histogram=histogram.Histogram.of(taken),
    )
    settled = build.settle(build.world(policies=(build.policy(latencyBudget="110ms"),)))
    agents = [build.agent(build.EDGES[0], probes=build.FAST, stages=(line,))]
    made = planning.plan(dataclasses.replace(settled, fleet=build.fleet(agents)))
    answer = condition(made, "BudgetMet")
    assert answer is not None
    assert answer[0] == wanted
