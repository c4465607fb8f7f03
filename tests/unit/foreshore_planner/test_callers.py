"""Who calls a replica says how it is: one that nobody calls is vouched for by nobody.

The trap: agents that hold no device call nothing, and their silence counted as praise, so that a
replica too slow for its callers was never replaced.
"""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot
from foreshore_planner.placement import slots

TWO = build.policy(placement={"replicas": 1, "standby": 1})
SLOW: dict[str, Any] = {"late": 9, "reason": "Late"}


def told(
    seen: snapshot.Snapshot, *lines: tuple[str, report.EndpointReport], age: float = 60.0
) -> snapshot.Snapshot:
    """Agents, by node, report these calls; the others have the endpoints and do not call them."""
    (placement,) = seen.placements
    idle = [build.endpoint(one.slot, one.node) for one in placement.status.replicas]
    agents = []
    for name in build.EDGES:
        said = {line.slot: line for node, line in lines if node == name}
        mine = tuple(said.get(one.slot, one) for one in idle)
        hears = [peer for peer in build.EDGES if peer != name]
        agents.append(build.agent(name, hears=hears, probes=build.FAST, endpoints=mine))
    return build.aged(dataclasses.replace(seen, fleet=build.fleet(agents)), age)


def roles(seen: snapshot.Snapshot) -> dict[str, str]:
    (placement,) = planning.plan(seen).placements
    return {one.slot: one.role.value for one in placement.replicas}


def slow(bad_for: float | None, **more: Any) -> tuple[str, report.EndpointReport]:
    return "edge-1", build.endpoint("r0", "edge-1", bad_for_seconds=bad_for, **{**SLOW, **more})


def test_agents_that_do_not_call_a_replica_do_not_vouch_for_it() -> None:
    seen = told(build.settle(build.world()), slow(20.0))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "TooSlow"


def unreached(slot: str, node: str) -> report.EndpointReport:
    """An agent that calls nothing looks after the replica, and does not get there."""
    return build.endpoint(slot, node, bad_for_seconds=30.0, reason="Unreachable")


def test_an_agent_that_calls_nothing_moves_no_standby_that_the_others_reach() -> None:
    """The trap: who is content and does not call had no say, so that one link moved it."""
    settled = build.settle(build.world(policies=(TWO,)))
    calls = ("edge-1", build.endpoint("r0", "edge-1", good=9))
    seen = told(settled, calls, ("edge-3", unreached("r1", "edge-2")))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-1", "r1": "edge-2"}
    degraded = build.condition(made, "InferencePlacement", "ventilate.hq", "Degraded")
    assert degraded != ("True", "EndpointBad")


def test_an_agent_that_calls_nothing_moves_no_replica_that_is_called_once_in_a_while() -> None:
    seen = told(build.settle(build.world()), ("edge-3", unreached("r0", "edge-1")))
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}


def test_a_replica_that_none_calls_and_none_reaches_moves() -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    lines = [(name, unreached("r1", "edge-2")) for name in build.EDGES]
    assert build.where(planning.plan(told(settled, *lines))) == {"r0": "edge-1", "r1": "edge-3"}


def test_who_calls_is_heard_before_who_only_looks() -> None:
    seen = told(build.settle(build.world()), slow(20.0), ("edge-3", unreached("r0", "edge-1")))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "TooSlow"


def test_an_agent_whose_calls_are_good_does() -> None:
    seen = told(
        build.settle(build.world()), slow(20.0), ("edge-2", build.endpoint("r0", "edge-1", good=9))
    )
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}


@pytest.mark.parametrize(
    ("good", "late", "failed", "node"),
    [
        pytest.param(3, 9, 0, "edge-2", id="mostly late"),
        pytest.param(3, 5, 4, "edge-2", id="late or failed"),
        pytest.param(9, 3, 0, "edge-1", id="mostly good"),
        pytest.param(0, 2, 0, "edge-1", id="too few to say"),
    ],
)
def test_late_calls_count_as_bad_though_a_try_in_between_succeeds(
    good: int, late: int, failed: int, node: str
) -> None:
    seen = told(build.settle(build.world()), slow(None, good=good, late=late, failed=failed))
    assert build.where(planning.plan(seen)) == {"r0": node}


def test_the_role_goes_to_the_standby_at_once_and_the_replica_later() -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    assert roles(settled) == {"r0": "Active", "r1": "Standby"}
    at_once = told(settled, slow(1.5))
    assert roles(at_once) == {"r0": "Standby", "r1": "Active"}
    assert build.where(planning.plan(at_once)) == {"r0": "edge-1", "r1": "edge-2"}
    assert build.condition(
        planning.plan(at_once), "InferencePlacement", "ventilate.hq", "Degraded"
    ) == ("True", "EndpointBad")
    later = told(build.applied(at_once, planning.plan(at_once)), slow(12.0))
    assert build.where(planning.plan(later)) == {"r0": "edge-3", "r1": "edge-2"}


def test_the_role_stays_where_it_went() -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    slowed = told(settled, slow(1.5))
    after = told(build.applied(slowed, planning.plan(slowed)))
    assert roles(after) == {"r0": "Standby", "r1": "Active"}


def test_the_role_does_not_leave_for_a_standby_that_is_no_better() -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    line = build.endpoint("r1", "edge-2", failed=9, bad_for_seconds=5.0)
    both = told(settled, slow(5.0), ("edge-3", line))
    assert roles(both) == {"r0": "Active", "r1": "Standby"}


def test_a_slow_replica_goes_nowhere_that_is_predicted_too_slow_as_well() -> None:
    """Nor round the fleet, where it is the caller's own link that is slow."""
    settled = build.settle(build.world())
    far = build.probes(edge_1=1, edge_2=250, edge_3=250, cloud_1=250)
    seen = told(settled, slow(20.0))
    assert seen.fleet is not None
    agents = [
        one.model_copy(update={"report": one.report.model_copy(update={"probes": far})})
        for one in seen.fleet.agents
    ]
    stuck = dataclasses.replace(seen, fleet=build.fleet(agents))
    made = planning.plan(stuck)
    assert build.where(made) == {"r0": "edge-1"}
    degraded = build.message(made, "InferencePlacement", "ventilate.hq", "Degraded")
    assert "it stays: no other node with room is predicted to answer in time" in degraded


LATE = {**SLOW}
FAILED = {"failed": 9, "reason": "Refused"}


def in_trouble(seen: snapshot.Snapshot, calls: dict[str, Any]) -> snapshot.Snapshot:
    """Its caller says so of the replica, wherever it is."""
    (placement,) = seen.placements
    (replica,) = placement.status.replicas
    line = build.endpoint("r0", replica.node, bad_for_seconds=20.0, **calls)
    return told(seen, ("edge-1", line))


def gone_round(calls: dict[str, Any]) -> snapshot.Snapshot:
    """A site of three nodes; the replica was in trouble on two of them, and is on the third."""
    seen = build.settle(build.world(nodes=tuple(build.edge(name) for name in build.EDGES)))
    for node in ("edge-2", "edge-3"):
        seen = build.later(in_trouble(seen, calls), 60.0)
        made = planning.plan(seen)
        assert build.where(made) == {"r0": node}
        seen = build.settle(build.applied(seen, made))
    return seen


@pytest.mark.parametrize(
    ("calls", "seconds"),
    [
        pytest.param(LATE, slots.LATE_FOR, id="late"),
        pytest.param(FAILED, slots.AVOIDED_FOR, id="failed"),
    ],
)
def test_a_slot_that_went_round_the_site_tries_the_first_node_again_when_its_time_is_up(
    calls: dict[str, Any], seconds: float
) -> None:
    seen = gone_round(calls)
    soon = in_trouble(build.later(seen, seconds - 120.0), calls)
    assert build.where(planning.plan(soon)) == {"r0": "edge-3"}
    due = in_trouble(build.later(seen, seconds - 30.0), calls)
    assert build.where(planning.plan(due)) == {"r0": "edge-1"}


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        pytest.param(
            LATE,
            "agents' calls are late (Late); it stays: no other node with room is"
            " predicted to answer in time, or it left them",
            id="late",
        ),
        pytest.param(
            FAILED,
            "agents' calls fail (Refused); it stays: no other node has room for"
            " it, or it left them",
            id="failed",
        ),
    ],
)
def test_a_replica_that_stays_in_trouble_says_why_in_words_that_fit(
    calls: dict[str, Any], words: str
) -> None:
    made = planning.plan(in_trouble(gone_round(calls), calls))
    assert words in build.message(made, "InferencePlacement", "ventilate.hq", "Degraded")


def test_one_late_echo_rules_out_no_node_that_mostly_answers_in_time() -> None:
    """The trap: its tail did, for minutes after it had booted, so that a slow replica stayed."""
    seen = told(build.settle(build.world()), slow(20.0))
    assert seen.fleet is not None
    booted = histogram.Histogram.of([0.25] + [0.001] * 9)
    others = tuple(
        dataclasses.replace(probe, histogram=booted) for probe in build.probes(edge_2=1, edge_3=1)
    )
    agents = [
        agent.model_copy(update={"report": agent.report.model_copy(update={"probes": others})})
        for agent in seen.fleet.agents
    ]
    echoed = dataclasses.replace(seen, fleet=build.fleet(agents))
    made = planning.plan(echoed)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "TooSlow"


def test_the_agent_beside_a_standby_does_not_vouch_for_it() -> None:
    """The trap: it reaches it whatever its link is like, and who would turn to it does not."""
    settled = build.settle(build.world(policies=(TWO,)))
    calls = ("edge-1", build.endpoint("r0", "edge-1", good=9))
    tried = ("edge-1", build.endpoint("r1", "edge-2", bad_for_seconds=70.0, reason="Late"))
    made = planning.plan(told(settled, calls, tried))
    assert build.where(made) == {"r0": "edge-1", "r1": "edge-3"}
    assert made.placements[0].moves[0].cause == "TooSlow"


BRISK = build.policy(inference={"timeout": "40ms"})
UNDECLARED = build.version(expectedInference=None)


def inferred(seen: snapshot.Snapshot, **milliseconds: float) -> snapshot.Snapshot:
    """The agent of `edge-1` measured Inference on these nodes."""
    assert seen.fleet is not None
    lines = tuple(
        report.StageReport(
            namespace="hq",
            policy="ventilate",
            stage=histogram.Stage.INFERENCE,
            node=node.replace("_", "-"),
            histogram=histogram.Histogram.of([value / 1000] * 50),
        )
        for node, value in milliseconds.items()
    )
    first, *others = seen.fleet.agents
    measured = first.model_copy(
        update={"report": first.report.model_copy(update={"stages": lines})}
    )
    fleet = seen.fleet.model_copy(update={"agents": (measured, *others)})
    return dataclasses.replace(seen, fleet=fleet)


def test_what_nobody_declared_or_measured_is_no_evidence_against_a_node() -> None:
    """The trap: 50 ms are assumed where nothing is declared, which is later than this timeout."""
    world = build.world(policies=(BRISK,), versions=(UNDECLARED,))
    late = inferred(told(build.settle(world), slow(20.0)), edge_1=90)
    assert build.where(planning.plan(late)) == {"r0": "edge-2"}
    known = inferred(late, edge_1=90, edge_2=90)
    assert build.where(planning.plan(known)) == {"r0": "edge-3"}, "late there too, as measured"


def test_a_network_that_is_later_than_the_timeout_says_enough() -> None:
    world = build.world(policies=(BRISK,), versions=(UNDECLARED,))
    late = inferred(told(build.settle(world), slow(20.0)), edge_1=90)
    far = seen_from(late, "edge-1", edge_2=60, edge_3=20, cloud_1=60)
    assert build.where(planning.plan(far)) == {"r0": "edge-3"}


def test_what_is_declared_to_be_later_than_the_timeout_is_evidence() -> None:
    declared = build.version(expectedInference={"p99": "50ms"})
    world = build.world(policies=(BRISK,), versions=(declared,))
    late = inferred(told(build.settle(world), slow(20.0)), edge_1=90)
    assert build.where(planning.plan(late)) == {"r0": "edge-1"}


def seen_from(seen: snapshot.Snapshot, node: str, **milliseconds: float) -> snapshot.Snapshot:
    """The agent of a node measures these echo times, the others as before."""
    assert seen.fleet is not None
    agents = tuple(
        one.model_copy(
            update={
                "report": one.report.model_copy(update={"probes": build.probes(**milliseconds)})
            }
        )
        if one.node == node
        else one
        for one in seen.fleet.agents
    )
    return dataclasses.replace(seen, fleet=seen.fleet.model_copy(update={"agents": agents}))


def test_what_a_node_measures_whose_own_link_is_slow_keeps_no_replica_there() -> None:
    """The trap: the echoes of the slow node's own agent made every other node look as slow."""
    policy = build.policy(
        placement={"replicas": 1, "standby": 1},
        inference={"timeout": "150ms"},
        latencyBudget="500ms",
    )
    placed = build.settle(build.world(policies=(policy,)))
    bad = build.endpoint("r1", "edge-2", late=9, bad_for_seconds=20.0, reason="Late")
    good = build.endpoint("r0", "edge-1", good=9)
    seen = told(placed, ("edge-1", bad), ("edge-1", good))
    seen = seen_from(seen, "edge-1", edge_2=220, edge_3=1, cloud_1=40)
    seen = seen_from(seen, "edge-2", edge_1=220, edge_3=220, cloud_1=260)
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-1", "r1": "edge-3"}
    assert made.placements[0].moves[0].cause == "TooSlow"


def test_a_replica_that_nobody_reaches_goes_wherever_there_is_room() -> None:
    line = build.endpoint("r0", "edge-1", failed=9, bad_for_seconds=20.0, reason="Unreachable")
    seen = told(build.settle(build.world()), ("edge-1", line))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    assert made.placements[0].moves[0].cause == "EndpointBad"
