"""Moves that nothing forces: to a domain of its own, back to the edge, rarely and one at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_planner import hysteresis, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.placement import returns, supply

PAIR = {"replicas": 1, "standby": 1}
TWO = (build.edge("edge-1"), build.edge("edge-2"))
EVERYBODY = build.fleet(
    [
        build.agent(name, hears=[peer for peer in build.EDGES if peer != name], probes=build.FAST)
        for name in (*build.EDGES, "cloud-1")
    ]
)
PLACEMENT = "InferencePlacement", "ventilate.hq"


def with_node(seen: snapshot.Snapshot, name: str, **changes: Any) -> snapshot.Snapshot:
    return build.with_nodes(
        seen, lambda node: dataclasses.replace(node, **changes) if node.name == name else node
    )


def returned(seen: snapshot.Snapshot, name: str, ready_age: float) -> snapshot.Snapshot:
    """The node is back, Ready for so long, and everybody reports."""
    back = with_node(seen, name, is_ready=True, lease_age=1.0, ready_age=ready_age)
    return dataclasses.replace(back, fleet=EVERYBODY)


def sharing(**placement: Any) -> snapshot.Snapshot:
    """Both replicas on edge-1, because edge-2 died and there was no other node."""
    policy = build.policy(placement={**PAIR, **placement})
    settled = build.settle(build.world(nodes=TWO, policies=(policy,)))
    assert set(build.where(planning.plan(settled)).values()) == {"edge-1", "edge-2"}
    seen = build.settle(build.silenced(settled, "edge-2"))
    assert build.where(planning.plan(seen)) == {"r0": "edge-1", "r1": "edge-1"}
    return build.later(seen, 30.0)


FULL = build.ROOM


def overflowed(**placement: Any) -> snapshot.Snapshot:
    """The only replica is in the cloud, because the edge was full; now it is not."""
    nodes = (*(build.edge(name, requested=FULL) for name in build.EDGES), build.node("cloud-1"))
    policy = build.policy(placement=placement)
    seen = build.settle(build.world(nodes=nodes, policies=(policy,), fleet=EVERYBODY))
    assert build.where(planning.plan(seen)) == {"r0": "cloud-1"}
    return with_node(seen, "edge-2", requested=snapshot.ComputeResources())


def cause(made: planning.Plan) -> str | None:
    (placement,) = made.placements
    return placement.moves[0].cause if placement.moves else None


def test_the_standby_leaves_the_shared_node_once_the_other_has_been_well_for_a_minute() -> None:
    """The trap, seen on a real cluster: nothing parted them, and the next loss took both."""
    seen = returned(sharing(), "edge-2", 10.0)
    early = planning.plan(seen)
    assert build.where(early) == {"r0": "edge-1", "r1": "edge-1"}
    assert build.condition(early, *PLACEMENT, "Redundant") == ("False", "SharedDomain")
    message = build.message(early, *PLACEMENT, "Redundant")
    assert "r1 (RedundancyRestored) moves to edge-2 at 2026-03-01T10:01:20Z at the earliest" in (
        message
    )

    due = returned(build.later(seen, 50.0), "edge-2", 60.0)
    made = planning.plan(due)
    assert build.where(made) == {"r0": "edge-1", "r1": "edge-2"}
    assert cause(made) == "RedundancyRestored"
    starting = build.applied(due, made, ready=False)
    waiting = planning.plan(starting)
    assert waiting.removals == (), "the old one answers until the new one does"
    assert waiting.placements[0].replicas[1].node == "edge-1"
    done = planning.plan(build.settle(starting))
    assert [replica.node for replica in done.placements[0].replicas] == ["edge-1", "edge-1"]
    after = build.settle(build.applied(due, made))
    settled = planning.plan(after)
    assert [replica.node for replica in settled.placements[0].replicas] == ["edge-1", "edge-2"]
    assert build.condition(settled, *PLACEMENT, "Redundant") == ("True", "Spread")


def test_a_replica_in_the_cloud_returns_when_the_edge_has_room() -> None:
    made = planning.plan(overflowed())
    assert (build.where(made), cause(made)) == ({"r0": "edge-2"}, "RoomAtEdge")


@pytest.mark.parametrize(
    "placement",
    [{"failback": "Never"}, {"failover": "Never"}, {"tier": "Cheapest"}],
    ids=["failback Never", "failover Never", "a policy that asks for the cheapest"],
)
def test_nothing_returns_from_the_cloud_against_the_policy(placement: dict[str, str]) -> None:
    assert build.where(planning.plan(overflowed(**placement))) == {"r0": "cloud-1"}


def test_replicas_part_with_failback_never_too_but_not_with_failover_never() -> None:
    well = returned(sharing(failback="Never"), "edge-2", 100.0)
    assert build.where(planning.plan(well))["r1"] == "edge-2"
    never = build.policy(placement={**PAIR, "failover": "Never"})
    still = dataclasses.replace(well, policies=(never,))
    assert build.where(planning.plan(still)) == {"r0": "edge-1", "r1": "edge-1"}


def reporting(*names: str, **more: Any) -> Callable[[snapshot.Snapshot], snapshot.Snapshot]:
    agents = [build.agent(name, **more) for name in names]
    return lambda seen: dataclasses.replace(seen, fleet=build.fleet(agents))


def pods(**changes: Any) -> Callable[[snapshot.Snapshot], snapshot.Snapshot]:
    return lambda seen: dataclasses.replace(
        seen, replicas=tuple(dataclasses.replace(pod, **changes) for pod in seen.replicas)
    )


def drains(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    old = dataclasses.replace(seen.replicas[0], name="old", slot="r7", template="old")
    return dataclasses.replace(seen, replicas=(*seen.replicas, old))


LARGER = build.version(resources={"cpu": "150m", "memory": "128Mi"})
SLOW = build.probes(edge_1=900, edge_2=900, edge_3=900, cloud_1=40)
REASONS_TO_STAY: dict[str, Callable[[snapshot.Snapshot], snapshot.Snapshot]] = {
    "the hub is away": lambda seen: dataclasses.replace(seen, fleet=None),
    "its agent does not report": reporting("edge-1", "edge-3", probes=build.FAST),
    "most of the site is silent": lambda seen: with_node(
        with_node(seen, "edge-1", is_ready=False), "edge-3", is_ready=False
    ),
    "it is predicted over the budget": reporting(*build.EDGES, probes=SLOW),
    "nobody has probed it": reporting(*build.EDGES),
    "the replica is not ready": pods(phase=snapshot.PodPhase.UNREADY),
    "it has been Ready for half a minute": lambda seen: with_node(seen, "edge-2", ready_age=30.0),
    "an older pod still drains": drains,
    "a version was edited": lambda seen: dataclasses.replace(seen, versions=(LARGER,)),
}


@pytest.mark.parametrize("why", REASONS_TO_STAY)
def test_nothing_returns_to_the_edge_while(why: str) -> None:
    assert build.where(planning.plan(REASONS_TO_STAY[why](overflowed()))) == {"r0": "cloud-1"}


def emptied(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """Every edge node has room."""
    for name in build.EDGES:
        seen = with_node(seen, name, requested=snapshot.ComputeResources())
    return seen


def crowd(count: int, **placement: Any) -> snapshot.Snapshot:
    """So many policies of one replica, all in the cloud; the edge has room again."""
    nodes = (*(build.edge(name, requested=FULL) for name in build.EDGES), build.node("cloud-1"))
    policies = tuple(build.policy(f"p{n}", placement=placement) for n in range(count))
    seen = build.settle(build.world(nodes=nodes, policies=policies, fleet=EVERYBODY))
    return emptied(seen)


def moved(before: snapshot.Snapshot, made: planning.Plan) -> list[str]:
    """The replicas whose node a plan changes, as policy/slot."""
    held = {
        (placement.spec.policy_ref.name, replica.slot): replica.node
        for placement in before.placements
        for replica in placement.status.replicas
    }
    return [
        f"{pod.policy}/{pod.slot}"
        for placement in made.placements
        for pod in placement.pods
        if held.get((pod.policy, pod.slot)) not in (None, pod.node)
    ]


def test_a_placement_moves_once_in_ten_minutes_of_its_own_accord_standbys_first() -> None:
    seen = crowd(1, replicas=1, standby=2)
    order = []
    for minutes in range(31):
        made = planning.plan(seen)
        order += [(minutes, slot) for slot in moved(seen, made)]
        seen = passing(build.settle(build.applied(seen, made)), 60.0)
    assert order == [(0, "p0/r2"), (10, "p0/r1"), (20, "p0/r0")]
    assert len(set(build.where(planning.plan(seen)).values())) == 3


SOON = hysteresis.Stabilization(min_ready=10.0, window=20.0)


def test_a_fleet_may_choose_for_how_long_a_node_is_well_first() -> None:
    seen = dataclasses.replace(returned(sharing(), "edge-2", 9.0), stabilization=SOON)
    early = planning.plan(seen)
    assert build.where(early)["r1"] == "edge-1"
    assert "it has to be well for 10s" in build.message(early, *PLACEMENT, "Redundant")
    due = returned(build.later(seen, 1.0), "edge-2", 10.0)
    assert build.where(planning.plan(due))["r1"] == "edge-2"


def test_a_fleet_may_choose_how_far_apart_moves_are_that_nothing_forces() -> None:
    seen = dataclasses.replace(crowd(1, replicas=1, standby=2), stabilization=SOON)
    order = []
    for seconds in range(0, 60, 5):
        made = planning.plan(seen)
        order += [(seconds, slot) for slot in moved(seen, made)]
        settled = build.aged(build.settle(build.applied(seen, made)), 30.0)  # no pod just started
        seen = passing(settled, 5.0)
    assert order == [(0, "p0/r2"), (20, "p0/r1"), (40, "p0/r0")]


def test_what_a_return_to_a_better_node_waits_for_is_no_fleets_choice() -> None:
    seen = dataclasses.replace(failed_over(failback="WhenStable"), stabilization=SOON)
    assert tried(seen, 62) == [(60, "edge-1")]


@pytest.mark.parametrize("seconds", [0.0, 9.9, 3601.0, float("nan"), float("inf")])
def test_a_choice_that_would_make_replicas_trade_places_is_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="is not within 10s and 3600s"):
        hysteresis.Stabilization(min_ready=seconds)
    with pytest.raises(ValueError, match="is not within 10s and 3600s"):
        hysteresis.Stabilization(window=seconds)


def test_what_returns_stays_within_the_minute_of_its_site() -> None:
    seen = crowd(9)
    made = planning.plan(seen)
    assert len(moved(seen, made)) == 6
    waits = [placement.findings.delay for placement in made.placements if placement.findings.delay]
    assert len(waits) == 3
    assert all("used up its moves" in delay.message and delay.is_pending for delay in waits)


def test_what_is_lost_comes_before_what_returns() -> None:
    """One node has room for one: who serves nobody gets it, though it comes last by name."""
    seen = crowd(1)
    small = snapshot.ComputeResources(cpu=1900, memory=1 << 30)
    for name in ("edge-1", "edge-3"):
        seen = with_node(seen, name, requested=FULL)
    seen = with_node(seen, "edge-2", requested=small)
    assert moved(seen, planning.plan(seen)) == ["p0/r0"]
    last = build.policy("zz", placement={"tier": "EdgeOnly"})
    both = dataclasses.replace(seen, policies=(*seen.policies, last))
    made = planning.plan(both)
    assert moved(both, made) == []
    assert {plan.policy: plan.pods[0].node for plan in made.placements}["zz"] == "edge-2"
    (delay,) = [plan.findings.delay for plan in made.placements if plan.findings.delay]
    assert "take the room" in delay.message


def test_a_replica_never_returns_to_where_it_would_share_a_node() -> None:
    """The trap: back to the edge for the tier, off again for the domain, for ever."""
    policy = build.policy(placement=PAIR)
    nodes = (build.edge("edge-1"), build.node("cloud-1"))
    seen = build.settle(build.world(nodes=nodes, policies=(policy,), fleet=EVERYBODY))
    assert build.where(planning.plan(seen)) == {"r0": "edge-1", "r1": "cloud-1"}
    later = build.later(seen, 4000.0)
    assert build.where(planning.plan(later)) == {"r0": "edge-1", "r1": "cloud-1"}


def test_what_keeps_a_replica_in_the_cloud_is_told() -> None:
    nodes = (*(build.edge(name, requested=FULL) for name in build.EDGES), build.node("cloud-1"))
    seen = build.settle(build.world(nodes=nodes, fleet=EVERYBODY))
    assert "no node that would be better has room" in build.message(
        planning.plan(seen), *PLACEMENT, "Placed"
    )


NEAR = build.probes(edge_1=1, edge_2=40, edge_3=50, cloud_1=90)
"""Of three nodes of one price the first is clearly faster."""


def failed_over(**placement: Any) -> snapshot.Snapshot:
    """The replica left edge-1 when it died, and edge-1 has been back for a second."""
    policy = build.policy(placement=placement)
    fast = build.fleet([build.agent(name, probes=NEAR) for name in build.EDGES])
    seen = build.settle(build.world(policies=(policy,), fleet=fast))
    seen = build.settle(build.silenced(seen, "edge-1"))
    assert cause(planning.plan(seen)) == "NodeDead"
    back = with_node(seen, "edge-1", is_ready=True, lease_age=1.0, ready_age=1.0)
    return dataclasses.replace(back, fleet=fast)


def tried(seen: snapshot.Snapshot, minutes: int) -> list[tuple[int, str]]:
    """The minutes at which the replica moves, and where to."""
    order = []
    for minute in range(minutes):
        made = planning.plan(seen)
        if moved(seen, made):
            order.append((minute, build.where(made)["r0"]))
        fleet = seen.fleet
        seen = passing(build.settle(build.applied(seen, made)), 60.0)
        seen = dataclasses.replace(seen, fleet=fleet)
    return order


def test_a_replica_returns_to_a_better_node_that_has_been_well_for_an_hour() -> None:
    """The node is as dear and as near an edge, and clearly faster."""
    seen = failed_over(failback="WhenStable")
    assert "FailedBack) moves to edge-1" in build.message(planning.plan(seen), *PLACEMENT, "Placed")
    assert tried(seen, 130) == [(60, "edge-1")]


@pytest.mark.parametrize("placement", [{}, {"failback": "Never"}], ids=["absent", "Never"])
def test_a_replica_stays_where_it_is_as_cheap_unless_the_policy_asks(
    placement: dict[str, str],
) -> None:
    assert tried(failed_over(**placement), 62) == []


def test_a_replica_returns_to_no_node_that_is_only_a_little_better() -> None:
    seen = failed_over(failback="WhenStable")
    agents = [build.agent(name, probes=build.FAST) for name in build.EDGES]
    assert tried(dataclasses.replace(seen, fleet=build.fleet(agents)), 62) == []


def test_a_replica_returns_once_an_hour() -> None:
    """The trap: a node that fails every twenty minutes, long after its first good hour."""
    seen = with_node(failed_over(failback="WhenStable"), "edge-1", ready_age=4000.0)
    order = []
    for minute in range(121):
        made = planning.plan(seen)
        order += [
            (minute, placement.moves[0].cause) for placement in made.placements if moved(seen, made)
        ]
        fleet = seen.fleet
        seen = passing(build.settle(build.applied(seen, made)), 60.0)
        seen = dataclasses.replace(seen, fleet=fleet)
        if minute % 20 == 10:
            silent = build.settle(build.silenced(seen, "edge-1"))
            seen = with_node(silent, "edge-1", is_ready=True, lease_age=1.0, ready_age=4000.0)
            seen = dataclasses.replace(seen, fleet=fleet)
    assert order == [(0, "FailedBack"), (60, "FailedBack"), (120, "FailedBack")]


worlds = st.lists(
    st.tuples(
        st.sampled_from(["silent", "back", "full", "empty", "cordon", "uncordon"]),
        st.sampled_from([*build.EDGES, "cloud-1"]),
    ),
    max_size=6,
)


def changed(seen: snapshot.Snapshot, what: str, name: str) -> snapshot.Snapshot:
    changes: dict[str, dict[str, Any]] = {
        "silent": {"is_ready": False, "lease_age": 30.0},
        "back": {"is_ready": True, "lease_age": 1.0, "ready_age": 0.0},
        "full": {"requested": FULL},
        "empty": {"requested": snapshot.ComputeResources()},
        "cordon": {"is_schedulable": False},
        "uncordon": {"is_schedulable": True},
    }
    return with_node(seen, name, **changes[what])


def passing(seen: snapshot.Snapshot, seconds: float) -> snapshot.Snapshot:
    """Time passes, and everybody who is up reports."""
    nodes = tuple(
        dataclasses.replace(node, ready_age=node.ready_age + seconds) for node in seen.nodes
    )
    pods = tuple(pod.older(seconds) for pod in seen.replicas)
    later = dataclasses.replace(build.later(seen, seconds), nodes=nodes, replicas=pods)
    up = [node.name for node in nodes if node.is_ready]
    agents = [
        build.agent(name, hears=[peer for peer in up if peer != name], probes=build.FAST)
        for name in up
    ]
    return dataclasses.replace(later, fleet=build.fleet(agents))


@settings(max_examples=15, deadline=None)
@given(
    worlds,
    st.sampled_from([{}, {"failback": "Never"}, {"failback": "WhenStable"}, {"tier": "Cheapest"}]),
    st.integers(min_value=0, max_value=2),
)
def test_whatever_happened_a_quiet_world_comes_to_rest(
    events: list[tuple[str, str]], placement: dict[str, str], standby: int
) -> None:
    """Three hours after the last event nothing moves any more, and replicas only parted."""
    policy = build.policy(placement={"standby": standby, **placement})
    seen = build.settle(build.world(policies=(policy,), fleet=EVERYBODY))
    for what, name in events:
        seen = passing(changed(seen, what, name), 45.0)
        seen = build.applied(seen, planning.plan(seen))
    sharing_since: list[int] = []
    for _ in range(8):
        seen = build.settle(passing(seen, 1400.0))
        domains = list(build.where(planning.plan(seen)).values())
        sharing_since.append(len(domains) - len(set(domains)))
    rest = passing(seen, 3601.0)
    assert moved(rest, planning.plan(rest)) == []
    assert sharing_since == sorted(sharing_since, reverse=True), "redundancy only grows"


MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "at any time": (
        returns,
        "_not_before",
        lambda *_: None,
        test_a_placement_moves_once_in_ten_minutes_of_its_own_accord_standbys_first,
    ),
    "to a node that is back this second": (
        returns.Aim,
        "well_for",
        lambda *_: 0.0,
        test_the_standby_leaves_the_shared_node_once_the_other_has_been_well_for_a_minute,
    ),
    "whatever the minute holds": (
        supply.Supply,
        "spend",
        lambda *_: None,
        test_what_returns_stays_within_the_minute_of_its_site,
    ),
    "before what is lost": (
        supply.Supply,
        "take",
        lambda *_: None,
        test_what_is_lost_comes_before_what_returns,
    ),
    "to a node that it would share": (
        returns,
        "_domains",
        lambda _, held: {slot: slot for slot in held},
        test_a_replica_never_returns_to_where_it_would_share_a_node,
    ),
    "to a node that is only a little better": (
        returns,
        "CLEARLY",
        1.1,
        test_a_replica_returns_to_no_node_that_is_only_a_little_better,
    ),
    "after a minute": (
        returns,
        "STABLE_FOR",
        60.0,
        test_a_replica_returns_to_a_better_node_that_has_been_well_for_an_hour,
    ),
    "the active one first": (
        returns,
        "_in_order",
        sorted,
        test_a_placement_moves_once_in_ten_minutes_of_its_own_accord_standbys_first,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_replica_that_would_return(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is caught by the test of the rule that it breaks."""
    module, attribute, value, test = MUTANTS[name]
    monkeypatch.setattr(module, attribute, value)
    with pytest.raises(AssertionError):
        test()
