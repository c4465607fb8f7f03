"""A replica is exchanged, for another version or on another node: what answers is listed meanwhile.

The trap: a slot was shown as the pod it should have, so that an edit took the address of the pod
that worked away for as long as the new one was not ready, or for ever.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot
from foreshore_planner.placement import waves

OTHER = f"sha256:{'1' * 64}"
V2 = build.version("occupancy-v2", digest=OTHER)
TWO = {"replicas": 1, "standby": 1}
PENDING, READY = snapshot.PodPhase.PENDING, snapshot.PodPhase.READY
UNREADY, FAILED = snapshot.PodPhase.UNREADY, snapshot.PodPhase.FAILED


def asks_for_v2(generation: int = 2, **spec: Any) -> v1alpha1.DecisionPolicy:
    edited = build.policy(modelRef={"version": "occupancy-v2"}, **spec)
    newer = edited.metadata.model_copy(update={"generation": generation})
    return edited.model_copy(update={"metadata": newer})


def switching(**spec: Any) -> snapshot.Snapshot:
    """A settled placement whose policy has just been edited to the next version."""
    settled = build.settle(build.world(policies=(build.policy(**spec),)))
    versions = (*settled.versions, V2)
    return dataclasses.replace(settled, policies=(asks_for_v2(**spec),), versions=versions)


def pods(
    seen: snapshot.Snapshot, version: str, slot: str | None = None, **changes: Any
) -> snapshot.Snapshot:
    """The pods of a version, of one slot or of all, as they have become."""
    return dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, **changes)
            if one.version == version and slot in (None, one.slot)
            else one
            for one in seen.replicas
        ),
    )


def ready(seen: snapshot.Snapshot, slot: str | None = None, age: float = 0.0) -> snapshot.Snapshot:
    """The new pods of a slot, or of all, serve for so many seconds."""
    return dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(
                one, phase=READY, address=build.address(one.name), phase_age=age, reason=None
            )
            if one.version == "occupancy-v2" and slot in (None, one.slot)
            else one
            for one in seen.replicas
        ),
    )


def begun(**spec: Any) -> snapshot.Snapshot:
    """The edit was seen, the new pods were created and are not ready."""
    seen = switching(**spec)
    return build.applied(seen, planning.plan(seen), ready=False)


def shown(seen: snapshot.Snapshot) -> tuple[inferenceplacement.ReplicaStatus, ...]:
    (placement,) = planning.plan(seen).placements
    return placement.replicas


def condition(seen: snapshot.Snapshot, type_: str) -> tuple[str, str] | None:
    return build.condition(planning.plan(seen), "InferencePlacement", "ventilate.hq", type_)


def test_the_old_pod_is_listed_with_its_version_until_the_new_one_is_ready() -> None:
    before = shown(build.settle(build.world()))[0]
    (replica,) = shown(begun())
    assert (replica.node, replica.phase, replica.endpoint) == ("edge-1", "Ready", before.endpoint)
    assert (replica.version, replica.digest) == ("occupancy-v1", f"sha256:{'0' * 64}")
    assert replica.policy_generation == 1, "it does not serve the edit"
    assert replica.successor is not None
    assert (replica.successor.version, replica.successor.node) == ("occupancy-v2", "edge-1")
    assert replica.successor.phase == "Pending"


def test_also_in_the_very_pass_that_sees_the_edit() -> None:
    (replica,) = shown(switching())
    assert (replica.phase, replica.version) == ("Ready", "occupancy-v1")
    assert replica.successor is not None


def test_the_new_pod_is_listed_once_it_is_ready() -> None:
    (replica,) = shown(ready(begun()))
    assert (replica.phase, replica.version, replica.digest) == ("Ready", "occupancy-v2", OTHER)
    assert (replica.policy_generation, replica.successor) == (2, None)
    assert replica.endpoint is not None


def test_an_edit_of_the_policy_alone_is_served_by_the_pod_that_runs() -> None:
    settled = build.settle(build.world())
    edited = settled.policies[0].metadata.model_copy(update={"generation": 7})
    policy = settled.policies[0].model_copy(update={"metadata": edited})
    (replica,) = shown(dataclasses.replace(settled, policies=(policy,)))
    assert (replica.policy_generation, replica.successor) == (7, None)


def test_another_image_of_the_same_version_is_a_successor_too() -> None:
    settled = build.settle(build.world())
    seen = dataclasses.replace(settled, serving_image="foreshore-edge:next")
    (replica,) = shown(build.applied(seen, planning.plan(seen), ready=False))
    assert (replica.phase, replica.version, replica.policy_generation) == (
        "Ready",
        "occupancy-v1",
        1,
    )
    assert replica.successor is not None
    assert replica.successor.version == "occupancy-v1"


def test_a_pod_that_drains_stands_in_for_no_version_that_has_its_name_and_other_bytes() -> None:
    """Agents work by what was shown last: the pod before it would leave them without a model."""
    settled = ready(begun(), age=1.0)
    settled = build.applied(settled, planning.plan(settled), ready=True)
    assert {one.version for one in settled.replicas} == {"occupancy-v1", "occupancy-v2"}
    back = build.policy(modelRef={"version": "occupancy-v1"})
    back = back.model_copy(update={"metadata": back.metadata.model_copy(update={"generation": 3})})
    remade = (build.version("occupancy-v1", digest=f"sha256:{'3' * 64}"), V2)
    seen = dataclasses.replace(settled, policies=(back,), versions=remade)
    (replica,) = shown(build.applied(seen, planning.plan(seen), ready=False))
    assert (replica.version, replica.digest, replica.policy_generation) == (
        "occupancy-v2",
        OTHER,
        2,
    )


def redeclared(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The next version was deleted, and declared again with other bytes."""
    others = tuple(one for one in seen.versions if one.name != V2.name)
    remade = build.version(V2.name, digest=f"sha256:{'3' * 64}")
    return dataclasses.replace(seen, versions=(*others, remade))


def renamed(seen: snapshot.Snapshot, is_older_first: bool) -> snapshot.Snapshot:
    """Names of pods are hashes: those of the first version, or of the next, come first."""
    first = "occupancy-v1" if is_older_first else "occupancy-v2"
    return dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, name=f"{'a' if one.version == first else 'b'}-{one.name}")
            for one in seen.replicas
        ),
    )


@pytest.mark.parametrize("is_older_first", [True, False])
def test_of_pods_that_answer_without_a_status_the_newest_stand_in(is_older_first: bool) -> None:
    """Regression: it was the one whose name came first, and agents turned back to older bytes."""
    seen = dataclasses.replace(redeclared(ready(begun())), placements=())
    (replica,) = shown(renamed(seen, is_older_first))
    assert (replica.version, replica.digest) == (V2.name, OTHER)


@pytest.mark.parametrize("is_older_first", [True, False])
def test_the_same_bytes_on_another_node_stand_in_for_the_pod_that_was_shown(
    is_older_first: bool,
) -> None:
    seen = ready(begun())
    seen = build.applied(seen, planning.plan(seen))
    moved = dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, node="edge-3") if one.version == V2.name else one
            for one in seen.replicas
        ),
    )
    older = pods(redeclared(moved), "occupancy-v1", policy_generation=9)
    (replica,) = shown(renamed(older, is_older_first))
    assert (replica.version, replica.node) == (V2.name, "edge-3")


def test_version_and_generation_survive_a_lost_status() -> None:
    """An operator that starts anew, and a status that somebody dropped: the pods say it."""
    begun_ = dataclasses.replace(begun(), placements=())
    (replica,) = shown(begun_)
    assert (replica.version, replica.policy_generation) == ("occupancy-v1", 1)


def test_a_pod_of_a_release_that_said_nothing_is_known_by_its_template() -> None:
    settled = build.settle(build.world())
    nothing: dict[str, Any] = {"version": None, "digest": None, "policy_generation": None}
    unmarked = tuple(dataclasses.replace(one, **nothing) for one in settled.replicas)
    (replica,) = shown(dataclasses.replace(settled, replicas=unmarked))
    assert (replica.version, replica.policy_generation) == ("occupancy-v1", 1)


CORDON: dict[str, Any] = {"is_schedulable": False}


@pytest.mark.parametrize(
    "change",
    [CORDON, {"site": "annex"}, {"taints": (snapshot.Taint("x", "", "NoExecute"),)}],
    ids=["cordoned", "of another site", "tainted"],
)
def test_a_move_off_a_node_that_works_keeps_the_old_address_until_the_new_pod_is_ready(
    change: dict[str, Any],
) -> None:
    settled = build.settle(build.world())
    seen = build.with_nodes(
        settled, lambda one: dataclasses.replace(one, **change) if one.name == "edge-1" else one
    )
    for _ in range(3):
        made = planning.plan(seen)
        assert made.removals == ()
        (replica,) = made.placements[0].replicas
        assert (replica.node, replica.phase) == ("edge-1", "Ready")
        assert replica.successor is not None
        assert replica.successor.node == "edge-2"
        seen = build.applied(seen, made, ready=False)
    moved = dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, phase=READY, address="10.1.1.1") for one in seen.replicas
        ),
    )
    (replica,) = shown(moved)
    assert (replica.node, replica.endpoint, replica.successor) == ("edge-2", "10.1.1.1:8080", None)


def test_an_endpoint_of_a_pod_with_an_ipv6_address_has_brackets() -> None:
    """Without them nobody can tell where its address ends and its port begins."""
    settled = build.settle(build.world())
    seen = dataclasses.replace(
        settled,
        replicas=tuple(
            dataclasses.replace(replica, address="fd42:1::1:7") for replica in settled.replicas
        ),
    )
    (replica,) = shown(seen)
    assert replica.endpoint == "[fd42:1::1:7]:8080"


TROUBLES = [
    ("ImagePull", PENDING, "ImagePull"),
    ("SecretMissing", UNREADY, "SecretMissing"),
    ("DigestMismatch", UNREADY, "DigestMismatch"),
    ("SchemaMismatch", UNREADY, "ModelRejected"),
]


@pytest.mark.parametrize(("reason", "phase", "told"), TROUBLES)
@pytest.mark.parametrize("spec", [{}, {"placement": TWO}], ids=["alone", "with a standby"])
def test_a_version_that_cannot_start_leaves_the_old_pods_serving_for_as_long_as_it_lasts(
    reason: str, phase: snapshot.PodPhase, told: str, spec: dict[str, Any]
) -> None:
    seen = begun(**spec)
    old = {one.name for one in seen.replicas if one.version == "occupancy-v1"}
    for minute in (1, 2, 12, 60):
        seen = pods(
            build.later(seen, 60.0 * minute),
            "occupancy-v2",
            phase=phase,
            phase_age=60.0 * minute,
            reason=reason,
            message="what was seen",
        )
        made = planning.plan(seen)
        assert not {one.name for one in made.removals} & old
        for replica in made.placements[0].replicas:
            assert (replica.phase, replica.version) == ("Ready", "occupancy-v1")
            assert replica.successor is not None
            is_first = len(made.placements[0].replicas) == 1 or replica.role == "Standby"
            assert replica.successor.reason == (reason if is_first else None)
        assert build.where(made) == build.where(planning.plan(begun(**spec))), "it moves nothing"
        assert condition(seen, "Placed") == ("True", "Placed")
        assert condition(seen, "Ready") == ("False", told)
        assert condition(seen, "Degraded") == ("True", told)
        seen = build.applied(seen, made, ready=False)
    assert [one for one in seen.placements[0].status.moves if one.cause != "FirstPlacement"] == []


def test_going_back_to_the_version_that_serves_takes_the_broken_one_away() -> None:
    broken = pods(begun(), "occupancy-v2", reason="ImagePull", phase_age=100.0)
    back = dataclasses.replace(broken, policies=(build.policy(),))
    made = planning.plan(back)
    gone = {one.name for one in made.removals}
    assert gone == {one.name for one in broken.replicas if one.version == "occupancy-v2"}
    (replica,) = made.placements[0].replicas
    assert (replica.version, replica.phase, replica.successor) == ("occupancy-v1", "Ready", None)


def test_a_replica_that_only_starts_is_reconciling_and_ready() -> None:
    assert condition(begun(), "Ready") == ("True", "Delivered")
    assert condition(begun(), "Reconciling") == ("True", "Progressing")


def test_the_replica_that_serves_what_is_asked_for_becomes_active() -> None:
    """The one moment in which one slot serves the new version and the other the old."""
    seen = ready(begun(placement=TWO), "r1")
    by_slot = {one.slot: one for one in shown(seen)}
    assert by_slot["r1"].version == "occupancy-v2"
    assert by_slot["r1"].role == "Active"
    assert (by_slot["r0"].version, by_slot["r0"].phase) == ("occupancy-v1", "Ready")
    assert by_slot["r0"].role == "Standby"
    redundant = condition(seen, "Redundant")
    assert redundant == ("False", "ReplicaStarting"), "one replica serves each version"


@pytest.mark.parametrize(
    ("reason", "age", "node"),
    [
        ("Unschedulable", 61.0, "edge-1"),
        ("Unschedulable", 601.0, "edge-2"),
        (None, 61.0, "edge-1"),
        ("ContainerCreating", 299.0, "edge-1"),
    ],
)
def test_a_successor_that_waits_for_room_or_its_image_has_patience_of_its_own(
    reason: str | None, age: float, node: str
) -> None:
    waiting = pods(begun(), "occupancy-v2", reason=reason, phase_age=age)
    assert build.where(planning.plan(waiting)) == {"r0": node}
    assert shown(waiting)[0].version == "occupancy-v1"


def test_a_successor_without_room_says_so() -> None:
    waiting = pods(
        begun(), "occupancy-v2", reason="Unschedulable", message="Insufficient cpu", phase_age=30.0
    )
    assert condition(waiting, "Reconciling") == ("True", "Unschedulable")
    assert condition(waiting, "Ready") == ("True", "Delivered")


def without_surge(cpu: int, **spec: Any) -> snapshot.Snapshot:
    """A site of one node whose room is taken: the new pods have waited for ten minutes."""
    node = build.edge("edge-1", allocatable=snapshot.ComputeResources(cpu=cpu, memory=4 << 30))
    settled = build.settle(build.world(policies=(build.policy(**spec),), nodes=(node,)))
    settled = build.aged(settled, 900.0)
    edited = dataclasses.replace(
        settled, policies=(asks_for_v2(**spec),), versions=(*settled.versions, V2)
    )
    seen = build.applied(edited, planning.plan(edited), ready=False)
    return pods(
        seen, "occupancy-v2", reason="Unschedulable", message="Insufficient cpu", phase_age=601.0
    )


def test_without_surge_room_one_slot_after_the_other_is_replaced_where_it_is() -> None:
    """The trap: the edit never took effect, for what it was to replace had its room."""
    seen = without_surge(250, placement=TWO)
    early = pods(seen, "occupancy-v2", phase_age=599.0)
    assert gone(early) == 0
    made = planning.plan(seen)
    assert [one.name[:12] for one in made.removals] == ["ventilate-r1"], "the standby first"
    seen = build.applied(seen, made, ready=False)
    assert gone(seen) == 0, "one at a time"
    serves = ready(seen, "r1", age=20.0)
    assert gone(serves) == 0, "agents may not have turned to it"
    serves = ready(seen, "r1", age=121.0)
    serves = build.applied(serves, planning.plan(serves), ready=False)
    serves = pods(serves, "occupancy-v2", "r0", reason="Unschedulable", phase_age=601.0)
    made = planning.plan(serves)
    assert [one.name[:12] for one in made.removals] == ["ventilate-r0"]
    done = build.settle(ready(build.applied(serves, made), age=121.0))
    assert {one.version for one in done.replicas} == {"occupancy-v2"}


def test_without_surge_room_the_only_replica_stays_and_the_way_out_is_named() -> None:
    seen = without_surge(150)
    assert gone(seen) == 0
    said = build.message(planning.plan(seen), "InferencePlacement", "ventilate.hq", "Reconciling")
    old = next(one.name for one in seen.replicas if one.version == "occupancy-v1")
    assert "free room" in said
    assert f"delete pod {old}" in said


def test_nothing_is_replaced_where_it_is_if_that_makes_too_little_room() -> None:
    seen = without_surge(250, placement=TWO)
    larger = build.version("occupancy-v2", digest=OTHER, resources={"cpu": "9", "memory": "128Mi"})
    edited = dataclasses.replace(seen, versions=(*seen.versions[:1], larger))
    edited = build.applied(edited, planning.plan(edited), ready=False)
    waiting = pods(edited, "occupancy-v2", reason="Unschedulable", phase_age=601.0)
    assert not {one.name for one in planning.plan(waiting).removals} & {
        one.name for one in seen.replicas if one.version == "occupancy-v1"
    }


def test_a_pod_whose_image_is_being_pulled_is_not_moved_for_that() -> None:
    starting = build.applied(build.world(), planning.plan(build.world()), ready=False)
    pulled = pods(starting, "occupancy-v1", reason="ContainerCreating", phase_age=200.0)
    assert build.where(planning.plan(pulled)) == {"r0": "edge-1"}
    stuck = pods(starting, "occupancy-v1", reason="ContainerCreating", phase_age=301.0)
    assert build.where(planning.plan(stuck)) == {"r0": "edge-2"}


def calling(
    seen: snapshot.Snapshot,
    version: str,
    agents: tuple[str, ...] = build.EDGES,
    **more: Any,
) -> snapshot.Snapshot:
    """Agents of the site report that they have the endpoints of a version; the rest is silent."""
    lines = tuple(
        build.endpoint(one.slot, one.node, f"http://{one.address}:8080", good=5)
        for one in seen.replicas
        if one.version == version
    )
    found = [build.agent(name, probes=build.FAST, endpoints=lines, **more) for name in agents]
    return dataclasses.replace(seen, fleet=build.fleet(found))


def gone(seen: snapshot.Snapshot) -> int:
    return len(planning.plan(seen).removals)


def test_the_old_pod_goes_when_the_agents_have_turned_to_the_new_one() -> None:
    assert gone(ready(begun(), age=1.0)) == 0, "nobody can have heard of it yet"
    assert gone(calling(ready(begun(), age=20.0), "occupancy-v1")) == 0
    assert gone(calling(ready(begun(), age=20.0), "occupancy-v2")) == 1
    assert gone(calling(ready(begun(), age=121.0), "occupancy-v1")) == 1, "nobody waits for ever"


def test_the_old_pod_stays_while_no_agent_can_hear_of_the_new_one() -> None:
    cut = dataclasses.replace(ready(begun(), age=1000.0), fleet=None)
    assert gone(cut) == 0


def test_the_old_pod_stays_while_a_hub_that_has_just_started_has_heard_nobody() -> None:
    """The trap: no reports yet looked like agents that have no address."""
    young = build.fleet(agents=(), uptime=0.5)
    made = planning.plan(dataclasses.replace(ready(begun(), age=1000.0), fleet=young))
    assert made.removals == ()
    assert made.wake_after is not None
    old = build.fleet(agents=(), uptime=600.0)
    assert gone(dataclasses.replace(ready(begun(), age=1000.0), fleet=old)) == 1


def test_the_old_pod_stays_for_an_agent_that_does_not_report() -> None:
    """It may hold a device by what a peer relays, and the old address is all it has."""
    heard = ("edge-2", "edge-3")
    assert gone(calling(ready(begun(), age=20.0), "occupancy-v2", heard)) == 0
    assert gone(calling(ready(begun(), age=121.0), "occupancy-v2", heard)) == 1


def refusing(generation: int) -> report.Problem:
    """An agent goes on with the generation before: it cannot compile this one."""
    return report.Problem(
        kind="DecisionPolicy",
        namespace="hq",
        name="ventilate",
        generation=generation,
        reason="CompileFailed",
        message="spec.rules[high]: no such name",
    )


def test_the_old_pod_stays_for_as_long_as_an_agent_cannot_take_the_new_generation() -> None:
    """It goes on with the one before, and with its endpoints."""
    long = ready(begun(), age=3000.0)
    assert gone(calling(long, "occupancy-v1", problems=(refusing(2),))) == 0
    assert gone(calling(long, "occupancy-v1", problems=(refusing(1),))) == 1, "of long ago"
    assert gone(calling(long, "occupancy-v2", problems=(refusing(2),))) == 1, "it has turned"


def scaled_down(**first: Any) -> snapshot.Snapshot:
    """A standby is asked for no more; the pod of slot r0 has become `first`."""
    settled = build.aged(build.settle(build.world(policies=(build.policy(placement=TWO),))), 900.0)
    settled = pods(settled, "occupancy-v1", "r0", **first)
    settled = build.applied(settled, planning.plan(settled))
    return dataclasses.replace(settled, policies=(build.policy(),))


def test_scaling_down_keeps_the_slot_that_serves() -> None:
    """The trap: the slots of the highest number went, also the only one that answered."""
    seen = scaled_down(phase=UNREADY, phase_age=5.0)
    made = planning.plan(seen)
    assert {(one.slot, one.phase, one.role) for one in made.placements[0].replicas} == {
        ("r1", "Ready", "Active")
    }
    assert "ventilate-r1" not in {one.name[:12] for one in made.removals}
    seen = ready(build.applied(seen, made))
    assert build.settle(seen) == seen, "and it stays"
    both = dataclasses.replace(seen, policies=(build.policy(placement=TWO),))
    assert set(build.where(planning.plan(both))) == {"r0", "r1"}


def test_a_replica_that_is_asked_for_no_more_stays_until_agents_have_turned_from_it() -> None:
    seen = scaled_down()
    made = planning.plan(seen)
    assert set(build.where(made)) == {"r0"}
    assert made.removals == (), "status still lists it"
    assert made.wake_after is not None
    told = build.applied(seen, made)
    (r1,) = [one for one in told.replicas if one.slot == "r1"]
    has_it = build.endpoint("r1", r1.node, f"http://{r1.address}:8080", good=5)
    asks = [build.agent(name, endpoints=(has_it,)) for name in build.EDGES]
    assert gone(dataclasses.replace(told, fleet=build.fleet(asks))) == 0
    assert gone(dataclasses.replace(told, fleet=None)) == 0
    assert [one.name for one in planning.plan(told).removals] == [r1.name]


def test_a_pass_is_due_when_the_old_pod_may_go() -> None:
    wake = planning.plan(ready(begun(), age=1.0)).wake_after
    assert wake is not None
    assert 0 < wake <= 5


def test_a_successor_that_fails_again_gives_the_slot_back() -> None:
    was = ready(begun(), age=3.0)
    seen = build.applied(was, planning.plan(was))
    failed = pods(seen, "occupancy-v2", phase=UNREADY, reason="LoadFailed")
    (replica,) = shown(failed)
    assert (replica.version, replica.phase) == ("occupancy-v1", "Ready")
    assert gone(failed) == 0


def test_an_old_pod_on_a_node_out_of_sight_is_kept_and_listed() -> None:
    """Its kubelet is back and has not said yet how its pods are."""
    hidden = build.with_nodes(
        pods(begun(), "occupancy-v1", phase=UNREADY, phase_age=60.0),
        lambda one: dataclasses.replace(one, ready_age=2.0) if one.name == "edge-1" else one,
    )
    (replica,) = shown(hidden)
    assert (replica.phase, replica.version) == ("Ready", "occupancy-v1")
    assert replica.endpoint is not None
    assert gone(hidden) == 0


@pytest.mark.parametrize("ready_age", [2.0, 29.0])
def test_a_successor_that_starts_on_a_node_just_back_does_not_answer_yet(ready_age: float) -> None:
    """It did for half a minute: agents turned to pods that started, or never would."""
    starting = build.with_nodes(
        pods(ready(begun()), "occupancy-v2", phase=UNREADY, phase_age=ready_age - 1.0),
        lambda one: dataclasses.replace(one, ready_age=ready_age),
    )
    (replica,) = shown(starting)
    assert (replica.phase, replica.version) == ("Ready", "occupancy-v1")
    assert replica.successor is not None
    assert gone(starting) == 0


def test_an_old_pod_whose_node_died_is_not_what_answers() -> None:
    dead = build.silenced(begun(), "edge-1")
    (replica,) = shown(dead)
    assert (replica.node, replica.endpoint, replica.successor) == ("edge-2", None, None)


def test_what_a_site_has_stays_while_its_policy_is_planned_at_another_site_only() -> None:
    """An edit that is not accepted any more: one site has pods of it, the other of what was."""
    seen = begun()
    elsewhere = build.site_of("annex")
    device = build.device("room-9", site="annex")
    both = dataclasses.replace(
        seen, sites=(*seen.sites, elsewhere), devices=(*seen.devices, device)
    )
    old = next(one for one in both.replicas if one.version == "occupancy-v1")
    there = dataclasses.replace(old, name="ventilate-r0-0000abcd", site="annex", node="cloud-1")
    problem = ("CompileFailed", "spec.rules[high]: no such name")
    compiled = {("hq", "ventilate"): snapshot.Compiled(2, "sha256:0", problem)}
    broken = dataclasses.replace(both, replicas=(*both.replicas, there), compiled=compiled)
    made = planning.plan(broken)
    assert [one.site for one in made.placements] == ["hq"]
    assert there.name not in {one.name for one in made.removals}


def retained(status: str) -> snapshot.Snapshot:
    """A placement with a standby of which no plan is made any more; its active node is dead."""
    settled = build.settle(build.world(policies=(build.policy(placement=TWO),)))
    ways: dict[str, dict[str, Any]] = {
        "version that is not there": {"policies": (asks_for_v2(placement=TWO),)},
        "version removed": {"versions": ()},
        "does not compile": {
            "policies": (asks_for_v2(placement=TWO),),
            "versions": (*settled.versions, V2),
            "compiled": {
                ("hq", "ventilate"): snapshot.Compiled(2, "sha256:0", ("CompileFailed", "no name"))
            },
        },
        "site suspended": {"profiles": ()},
    }
    return build.silenced(dataclasses.replace(settled, **ways[status]), "edge-1")


@pytest.mark.parametrize(
    "status", ["version that is not there", "version removed", "does not compile", "site suspended"]
)
def test_of_what_is_kept_a_dead_replica_is_shown_as_lost_and_its_standby_promoted(
    status: str,
) -> None:
    """The trap: no plan, no status: the dead endpoint stayed Ready and Active for ever."""
    seen = retained(status)
    made = planning.plan(seen)
    assert (made.placements, made.removals, made.retired) == ((), (), ())
    (row,) = [one for one in made.statuses if one.kind == "InferencePlacement"]
    said = row.status
    assert isinstance(said, v1alpha1.InferencePlacementStatus)
    by_slot = {one.slot: one for one in said.replicas}
    assert (by_slot["r0"].phase, by_slot["r0"].role) == ("Lost", "Standby")
    assert by_slot["r0"].endpoint is None
    assert (by_slot["r1"].phase, by_slot["r1"].role) == ("Ready", "Active")
    assert by_slot["r1"].endpoint is not None
    assert (by_slot["r1"].version, by_slot["r1"].policy_generation) == ("occupancy-v1", 1)
    assert build.condition(made, row.kind, row.name, "Placed") == ("False", "ReplicaLost")
    assert build.condition(made, row.kind, row.name, "Redundant") == ("False", "ReplicaLost")
    assert build.condition(made, row.kind, row.name, "Ready") == ("True", "Delivered")


def test_of_what_is_kept_and_lost_nothing_is_said_to_serve() -> None:
    settled = build.settle(build.world())
    seen = build.silenced(dataclasses.replace(settled, versions=()), "edge-1")
    made = planning.plan(seen)
    assert build.condition(made, "InferencePlacement", "ventilate.hq", "Ready") == (
        "False",
        "ReplicaLost",
    )
    said = build.message(made, "InferencePlacement", "ventilate.hq", "Placed")
    assert "not made anew" in said


STATES: dict[str, Callable[[snapshot.Replica], snapshot.Replica]] = {
    "pending": lambda one: dataclasses.replace(one, phase=PENDING, phase_age=700.0),
    "unready": lambda one: dataclasses.replace(one, phase=UNREADY, phase_age=5.0),
    "image": lambda one: dataclasses.replace(
        one, phase=PENDING, reason="ImagePull", phase_age=4000.0
    ),
    "digest": lambda one: dataclasses.replace(one, phase=UNREADY, reason="DigestMismatch"),
    "evicted": lambda one: dataclasses.replace(one, phase=FAILED, reason="Evicted"),
    "full": lambda one: dataclasses.replace(
        one, phase=PENDING, reason="Unschedulable", phase_age=30.0
    ),
}


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 2),
    st.integers(0, 1),
    st.lists(st.sampled_from(sorted(STATES)), min_size=1, max_size=6),
    st.lists(st.sampled_from(["version", "image", "cordon", "nothing"]), min_size=1, max_size=4),
)
def test_an_old_ready_pod_is_never_without_an_endpoint_while_its_successor_is_not_ready(
    replicas: int, standby: int, states: list[str], edits: list[str]
) -> None:
    """Whatever is edited and however the new pods fail: every slot that answered is listed."""
    placement = {"replicas": replicas, "standby": standby}
    seen = build.settle(build.world(policies=(build.policy(placement=placement),)))
    seen = dataclasses.replace(seen, versions=(*seen.versions, V2))
    served = {one.name: one for one in seen.replicas}
    for step, edit in enumerate(edits):
        if edit == "version":
            seen = dataclasses.replace(seen, policies=(asks_for_v2(step + 2, placement=placement),))
        elif edit == "image":
            seen = dataclasses.replace(seen, serving_image=f"foreshore-edge:{step}")
        elif edit == "cordon":
            seen = build.with_nodes(
                seen,
                lambda one: dataclasses.replace(one, **CORDON) if one.name == "edge-1" else one,
            )
        for state in states:
            seen = build.later(seen, 90.0)
            made = planning.plan(seen)
            assert not {one.name for one in made.removals} & set(served)
            (plan,) = made.placements
            listed = {one.endpoint for one in plan.replicas if one.phase == "Ready"}
            assert {f"{one.address}:8080" for one in served.values()} <= listed
            seen = build.applied(seen, made, ready=False)
            seen = dataclasses.replace(
                seen,
                replicas=tuple(
                    one if one.name in served else STATES[state](one) for one in seen.replicas
                ),
            )


def fleet_edit(count: int, free: int, **spec: Any) -> snapshot.Snapshot:
    """So many policies of one node are edited at once; it has room for `free` pods more."""
    cpu = (count + free) * 100
    node = build.edge("edge-1", allocatable=snapshot.ComputeResources(cpu=cpu, memory=64 << 30))
    names = [f"p{number}" for number in range(count)]
    old = tuple(build.policy(name, **spec) for name in names)
    settled = build.aged(build.settle(build.world(policies=old, nodes=(node,))), 900.0)
    new = tuple(build.policy(name, modelRef={"version": "occupancy-v2"}, **spec) for name in names)
    return dataclasses.replace(settled, policies=new, versions=(*settled.versions, V2))


def new_pods(made: planning.Plan) -> list[str]:
    return [pod.policy for plan in made.placements for pod in plan.pods if pod.version == V2.name]


@pytest.mark.parametrize(("free", "expected"), [(0, 1), (1, 1), (3, 3), (9, 9)])
def test_no_more_successors_are_begun_at_once_than_fit(free: int, expected: int) -> None:
    """With no room at all one is begun: it says what it waits for."""
    seen = fleet_edit(9, free)
    made = planning.plan(seen)
    assert len(new_pods(made)) == expected
    assert made.removals == ()
    begins = build.applied(seen, made, ready=False)
    assert new_pods(planning.plan(begins)) == new_pods(made), "the next wave waits for this one"


def test_an_edit_of_a_fleet_goes_through_in_waves_and_all_serve_throughout() -> None:
    seen = fleet_edit(9, 2)
    sizes = []
    for _ in range(40):
        made = planning.plan(seen)
        starts = set(new_pods(made)) - {
            pod.policy for pod in seen.replicas if pod.version == V2.name
        }
        sizes.append(len(starts))
        seen = build.applied(build.later(seen, 130.0), made)
        serving_ = {pod.policy for pod in seen.replicas if pod.phase is READY}
        assert len(serving_) == 9
        seen = build.aged(seen, 200.0)
        if {pod.version for pod in seen.replicas} == {V2.name}:
            break
    assert {pod.version for pod in seen.replicas} == {V2.name}
    assert max(sizes) == 2


def test_the_standby_is_made_anew_before_the_active_replica() -> None:
    seen = switching(placement=TWO)
    first = planning.plan(seen)
    assert [pod.slot for plan in first.placements for pod in plan.pods] == ["r1"]
    assert "r0 of ventilate.hq goes to occupancy-v2 in a later wave" in build.message(
        first, "InferencePlacement", "ventilate.hq", "Reconciling"
    )
    then = planning.plan(build.applied(seen, first))
    assert "r0" in [pod.slot for plan in then.placements for pod in plan.pods]


def test_an_active_replica_does_not_wait_for_a_standby_that_is_lost() -> None:
    """The trap: a dead node of the standby would keep the old version in force for ever."""
    nodes = (build.edge("edge-1"), build.edge("edge-2"), build.edge("edge-3", requested=build.ROOM))
    spec: dict[str, Any] = {"placement": {**TWO, "failover": "Never"}}
    settled = build.settle(build.world(policies=(build.policy(**spec),), nodes=nodes))
    edited = dataclasses.replace(
        settled, policies=(asks_for_v2(**spec),), versions=(*settled.versions, V2)
    )
    made = planning.plan(build.silenced(edited, "edge-2"))
    assert "r0" in [pod.slot for plan in made.placements for pod in plan.pods]


MUTANTS: dict[str, tuple[str, Any, Callable[[], None]]] = {
    "that begins all at once": (
        "_has_turn",
        lambda *_: True,
        lambda: test_no_more_successors_are_begun_at_once_than_fit(3, 3),
    ),
    "that begins none where nothing fits": (
        "_is_busy",
        lambda *_: True,
        lambda: test_no_more_successors_are_begun_at_once_than_fit(0, 1),
    ),
    "that begins with the active replica": (
        "_waits_for_standby",
        lambda *_: False,
        test_the_standby_is_made_anew_before_the_active_replica,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rollout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is caught by the test of the rule that it breaks."""
    attribute, value, test = MUTANTS[name]
    monkeypatch.setattr(waves, attribute, value)
    with pytest.raises(AssertionError):
        test()
