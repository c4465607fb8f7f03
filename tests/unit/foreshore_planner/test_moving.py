"""Moves: how many, how often, and only to where it helps."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import scalars
from foreshore_api.wire import histogram, report
from foreshore_planner import latency, snapshot
from foreshore_planner import plan as planning

V2 = "occupancy-v2"
POLICY = {"namespace": "hq", "policy": "ventilate"}


def troubled(seen: snapshot.Snapshot, **changes: Any) -> snapshot.Snapshot:
    return dataclasses.replace(
        seen, replicas=tuple(dataclasses.replace(one, **changes) for one in seen.replicas)
    )


def visited(
    seen: snapshot.Snapshot, trouble: Callable[[snapshot.Snapshot], snapshot.Snapshot], rounds: int
) -> list[str]:
    """The node of the replica in each round of trouble, two minutes apart."""
    nodes = []
    for _ in range(rounds):
        seen = build.later(trouble(seen), 120.0)
        made = planning.plan(seen)
        nodes.append(build.where(made)["r0"])
        seen = build.applied(seen, made)
        seen = build.applied(seen, planning.plan(seen))  # its pod was seen to be ready
    return nodes


def test_a_pod_that_starts_nowhere_visits_each_node_once_and_then_stays() -> None:
    settled = build.settle(build.world())
    pending = {"phase": snapshot.PodPhase.PENDING, "phase_age": 70.0}
    nodes = visited(settled, lambda seen: troubled(seen, **pending), rounds=8)
    assert nodes == ["edge-2", "edge-3", *["cloud-1"] * 6]


def test_a_node_left_in_trouble_is_tried_again_after_an_hour() -> None:
    settled = build.settle(build.world())
    failed = {"phase": snapshot.PodPhase.FAILED, "reason": "Evicted"}
    seen = build.later(troubled(settled, **failed), 1.0)
    seen = build.applied(seen, planning.plan(seen))
    assert build.where(planning.plan(troubled(seen, **failed))) == {"r0": "edge-3"}
    later = build.later(troubled(seen, **failed), 3700.0)
    assert build.where(planning.plan(later)) == {"r0": "edge-1"}


def slow(stage: histogram.Stage, seconds: float, node: str | None = None) -> report.StageReport:
    measured = histogram.Histogram.of([seconds] * 50)
    return report.StageReport(**POLICY, stage=stage, node=node, histogram=measured)


def over_budget(*nodes: str, probes: tuple[report.ProbeReport, ...] = build.FAST) -> report.Fleet:
    """Inference takes half a second on these nodes, and the whole is over the budget of 200 ms."""
    inference = [slow(histogram.Stage.INFERENCE, 0.5, node) for node in nodes]
    network = [slow(histogram.Stage.NETWORK, 0.001, node) for node in nodes]
    stages = (slow(histogram.Stage.END_TO_END, 0.5), *inference, *network)
    hears = ["edge-2", "edge-3"]
    return build.fleet([build.agent("edge-1", hears=hears, probes=probes, stages=stages)])


def test_a_replica_over_its_budget_moves_to_where_it_is_well_within() -> None:
    settled = build.settle(build.world())
    late = dataclasses.replace(settled, fleet=over_budget("edge-1"))
    assert build.where(planning.plan(late)) == {"r0": "edge-2"}


def test_a_replica_whose_stages_are_late_together_moves_though_apart_they_would_hold() -> None:
    """A throttled node delays Network and Inference at once: neither tail says so alone."""
    late = histogram.Histogram.of([0.02] * 994 + [0.11] * 6)
    lines = tuple(
        report.StageReport(**POLICY, stage=stage, node="edge-1", histogram=late)
        for stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
    )
    whole = slow(histogram.Stage.END_TO_END, 0.25)
    hears = ["edge-2", "edge-3"]
    agent = build.agent("edge-1", hears=hears, probes=build.FAST, stages=(*lines, whole))
    found = latency.predict(
        latency.gather("hq", "ventilate", latency.SiteReports([agent])), "edge-1", 0.01, 0.2
    )
    assert (found.bound or 0.0) > 0.2 >= (found.total or 1.0), "apart they hold the budget"
    seen = dataclasses.replace(build.settle(build.world()), fleet=build.fleet([agent]))
    assert build.where(planning.plan(seen)) == {"r0": "edge-2"}


def test_a_move_for_latency_passes_over_a_nearer_node_that_barely_holds_the_budget() -> None:
    settled = build.settle(build.world())
    probes = build.probes(edge_1=1, edge_2=175, edge_3=175, cloud_1=40)
    late = dataclasses.replace(settled, fleet=over_budget("edge-1", probes=probes))
    assert build.where(planning.plan(late)) == {"r0": "cloud-1"}


def test_nothing_moves_for_latency_when_every_node_is_as_slow() -> None:
    settled = build.settle(build.world())
    late = dataclasses.replace(settled, fleet=over_budget(*build.EDGES, "cloud-1"))
    made = planning.plan(late)
    assert build.where(made) == {"r0": "edge-1"}
    met = build.condition(made, "InferencePlacement", "ventilate.hq", "BudgetMet")
    assert met == ("False", "OverBudget")


def test_a_slow_machine_whose_old_figures_fade_is_not_toured_for_ever() -> None:
    """Only the node in use has figures: each other one looks fast until it is tried."""
    settled = build.settle(build.world())

    def late(seen: snapshot.Snapshot) -> snapshot.Snapshot:
        return dataclasses.replace(
            seen, fleet=over_budget(seen.placements[0].status.replicas[0].node)
        )

    nodes = visited(settled, late, rounds=8)
    assert nodes == ["edge-2", "edge-3", *["cloud-1"] * 6]


@pytest.mark.parametrize(("node", "expected"), [("edge-1", "edge-2"), ("edge-3", "edge-1")])
def test_only_calls_to_the_node_that_has_the_slot_make_its_endpoint_bad(
    node: str, expected: str
) -> None:
    line = report.EndpointReport(
        namespace=POLICY["namespace"],
        policy=POLICY["policy"],
        slot="r0",
        node=node,
        url="http://10.244.1.7:8080",
        good=0,
        late=0,
        failed=9,
        bad_for_seconds=20.0,
    )
    settled = troubled(build.settle(build.world()), phase_age=60.0)
    agents = [build.agent("edge-1", probes=build.FAST, endpoints=(line,))]
    bad = dataclasses.replace(settled, fleet=build.fleet(agents))
    assert build.where(planning.plan(bad)) == {"r0": expected}


def test_the_move_limit_holds_for_placements_whose_history_is_full() -> None:
    policies = tuple(build.policy(f"p{number}") for number in range(8))
    settled = build.settle(build.world(policies=policies))
    old = {"time": "2026-03-01T08:00:00Z", "from": "edge-3", "to": "edge-1", "cause": "NodeDead"}
    full = tuple(
        type(one).read(one.document() | {"status": one.status.document() | {"moves": [old] * 32}})
        for one in settled.placements
    )
    seen = build.silenced(dataclasses.replace(settled, placements=full), "edge-1")
    made = planning.plan(seen)
    moved = [one for one in made.placements if one.pods[0].node != "edge-1"]
    assert len(moved) == 6


def past(count: int, minutes: float, node: str, cause: str) -> list[dict[str, str]]:
    """So many moves off a node, so long ago."""
    time = scalars.timestamp(build.NOW - timedelta(minutes=minutes))
    return [{"time": time, "from": node, "to": "edge-2", "cause": cause}] * count


def with_moves(seen: snapshot.Snapshot, moves: list[dict[str, str]]) -> snapshot.Snapshot:
    (one,) = seen.placements
    status = one.status.document() | {"moves": moves}
    return dataclasses.replace(
        seen, placements=(type(one).read(one.document() | {"status": status}),)
    )


def test_a_placement_of_many_replicas_remembers_all_moves_of_its_minute() -> None:
    """The trap: ten were remembered, so that the minute never had room for fewer."""
    roomy = snapshot.ComputeResources(cpu=64000, memory=1 << 40)
    nodes = tuple(build.edge(name, allocatable=roomy) for name in build.EDGES)
    policy = build.policy(placement={"replicas": 16, "standby": 14})
    settled = build.settle(build.world(policies=(policy,), nodes=nodes))
    seen = with_moves(build.silenced(settled, "edge-1"), past(12, 0.5, "edge-3", "NodeDead"))
    made = planning.plan(seen)
    assert len(made.placements[0].moves) == 12 + 3, "half of thirty in a minute"
    assert planning.plan(build.applied(seen, made)).placements[0].moves == made.placements[0].moves


def test_a_full_history_forgets_no_node_that_was_left_in_trouble_within_the_hour() -> None:
    moves = [
        *past(31, 30.0, "edge-2", "NodeDead"),
        *past(1, 40.0, "edge-3", "PodFailed"),
    ]
    settled = build.settle(build.world())
    failed = {"phase": snapshot.PodPhase.FAILED, "reason": "Evicted"}
    seen = build.later(troubled(with_moves(settled, moves), **failed), 1.0)
    seen = build.applied(seen, planning.plan(seen))
    assert build.where(planning.plan(seen)) == {"r0": "edge-2"}
    assert len(seen.placements[0].status.moves) == 32
    assert build.where(planning.plan(troubled(seen, **failed))) == {"r0": "cloud-1"}


@pytest.mark.parametrize("age", [None, latency.PROBE_STALE + 1])
def test_a_probe_that_nobody_answered_for_a_minute_says_nothing(age: float | None) -> None:
    (probe,) = build.probes(edge_2=1)
    agents = [
        build.agent(name, probes=(dataclasses.replace(probe, age_seconds=age),))
        for name in ("edge-1", "edge-3")
    ]
    found = latency.predict(
        latency.gather("hq", "ventilate", latency.SiteReports(agents)), "edge-2", 0.01, 0.2
    )
    assert found.total is None


def test_a_successor_that_finds_no_room_takes_none_from_an_empty_slot() -> None:
    """The trap: a pod that was never scheduled kept room from all others for ever."""
    large: dict[str, Any] = {"resources": {"cpu": "1500m", "memory": "128Mi"}}
    versions = (
        build.version(**large),
        build.version("occupancy-v2", digest=f"sha256:{'1' * 64}", **large),
        build.version("small", resources={"cpu": "300m", "memory": "128Mi"}),
    )
    nodes = (build.edge("edge-1"),)
    seen = build.settle(build.world(versions=versions, nodes=nodes))
    edited = dataclasses.replace(seen, policies=(build.policy(modelRef={"version": V2}),))
    seen = build.applied(edited, planning.plan(edited), ready=False)
    small = tuple(
        build.policy(name, modelRef={"version": "small"}) for name in ("small-1", "small-2")
    )
    seen = dataclasses.replace(seen, policies=(*seen.policies, *small))
    assert taken(seen) == [], "it may be scheduled yet"
    waiting: dict[str, Any] = {"phase": snapshot.PodPhase.PENDING, "reason": "Unschedulable"}
    stuck = dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, **waiting) if one.version == V2 else one
            for one in seen.replicas
        ),
    )
    assert taken(stuck) == ["small-1"], "the room is there once"
    alone = dataclasses.replace(
        stuck, replicas=tuple(one for one in stuck.replicas if one.version == V2)
    )
    assert taken(alone) == ["small-1"], "of 500m: what serves nobody else keeps its room"


def taken(seen: snapshot.Snapshot) -> list[str]:
    """The policies of the small version that found room."""
    made = planning.plan(seen)
    return [one.policy for one in made.placements if one.policy != "ventilate" and one.pods]
