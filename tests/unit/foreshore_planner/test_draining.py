"""A node that a person wants empty: its replicas go at once, and who cannot is told."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

PLACEMENT = "InferencePlacement", "ventilate.hq"


def cordoned(*full: str, **placement: Any) -> snapshot.Snapshot:
    """The node of the replica is cordoned; these other nodes have no room."""
    policy = build.policy(placement=placement)
    settled = build.settle(build.world(policies=(policy,)))
    (node,) = build.where(planning.plan(settled)).values()

    def change(present: snapshot.Node) -> snapshot.Node:
        changes: dict[str, Any] = {"is_schedulable": present.name != node}
        if present.name in full:
            changes["requested"] = build.ROOM
        return dataclasses.replace(present, **changes)

    return build.with_nodes(settled, change)


OTHERS = ("edge-2", "edge-3", "cloud-1")


@pytest.mark.parametrize("failover", ["Automatic", "Manual", "Never"])
def test_a_drain_waits_until_the_successor_serves_whatever_the_failover(failover: str) -> None:
    seen = cordoned(failover=failover)
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    starting = build.applied(seen, made, ready=False)
    assert planning.plan(starting).removals == (), "nothing serves but the old one"
    ready = tuple(
        dataclasses.replace(pod, phase=snapshot.PodPhase.READY, address="10.1.2.3", phase_age=200.0)
        for pod in starting.replicas
    )
    settled = dataclasses.replace(starting, replicas=ready)
    after = planning.plan(build.applied(settled, planning.plan(settled)))
    assert [removal.cause for removal in after.removals] in ([], ["Superseded"])


def test_a_replica_that_cannot_leave_a_cordoned_node_says_what_the_drain_waits_for() -> None:
    """The trap: `every replica has a node` stood there, and the drain never ended."""
    seen = cordoned(*OTHERS)
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-1"}
    assert made.removals == ()
    assert build.condition(made, *PLACEMENT, "Placed") == ("False", "CannotLeave")
    message = build.message(made, *PLACEMENT, "Placed")
    assert "r0 is to leave edge-1 (Cordoned: the node is cordoned)" in message
    assert f"delete pod {seen.replicas[0].name}" in message


def test_a_replica_leaves_a_cordoned_node_as_soon_as_there_is_room() -> None:
    seen = cordoned(*OTHERS)
    seen = build.applied(seen, planning.plan(seen))
    freed = build.with_nodes(
        seen, lambda node: dataclasses.replace(node, requested=snapshot.ComputeResources())
    )
    made = planning.plan(freed)
    assert build.where(made) == {"r0": "edge-2"}
    assert build.condition(made, *PLACEMENT, "Placed") == ("True", "Placed")
