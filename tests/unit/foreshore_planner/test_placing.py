"""Placement: repair in place, in a total order, with every rejection kept."""

import dataclasses
import random
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_planner import plan as planning
from foreshore_planner import snapshot


def placed(seen: snapshot.Snapshot) -> dict[str, str]:
    return build.where(planning.plan(seen))


def test_the_first_replica_goes_to_an_edge_node_before_the_cloud() -> None:
    assert placed(build.world()) == {"r0": "edge-1"}


def test_a_pass_on_its_own_result_plans_the_same() -> None:
    settled = build.settle(build.world())
    assert build.applied(settled, planning.plan(settled)) == settled


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_snapshot_does_not_matter(seed: int) -> None:
    seen = build.world(policies=(build.policy("a"), build.policy("b"), build.policy("c")))
    shuffler = random.Random(seed)
    nodes, policies = list(seen.nodes), list(seen.policies)
    shuffler.shuffle(nodes)
    shuffler.shuffle(policies)
    mixed = dataclasses.replace(seen, nodes=tuple(nodes), policies=tuple(policies))
    assert planning.plan(mixed).placements == planning.plan(seen).placements


def test_active_and_standby_do_not_share_a_node_while_another_has_room() -> None:
    policy = build.policy(placement={"replicas": 1, "standby": 1})
    assert placed(build.world(policies=(policy,))) == {"r0": "edge-1", "r1": "edge-2"}


def test_two_replicas_share_a_node_when_no_other_has_room_and_say_so() -> None:
    policy = build.policy(placement={"replicas": 1, "standby": 1, "tier": "EdgeOnly"})
    full = snapshot.ComputeResources(cpu=1950, memory=0)
    seen = build.with_nodes(
        build.world(policies=(policy,)),
        lambda one: one if one.name == "edge-3" else dataclasses.replace(one, requested=full),
    )
    made = planning.plan(build.settle(seen))
    assert build.where(made) == {"r0": "edge-3", "r1": "edge-3"}
    redundant = build.condition(made, "InferencePlacement", "ventilate.hq", "Redundant")
    assert redundant == ("False", "SharedDomain")


def test_a_node_selector_keeps_replicas_off_nodes_without_the_label() -> None:
    policy = build.policy(placement={"nodeSelector": {"example.com/inference": "true"}})
    seen = build.with_nodes(
        build.world(policies=(policy,)),
        lambda one: (
            one
            if one.name == "edge-1"
            else dataclasses.replace(one, labels={"example.com/inference": "true"})
        ),
    )
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    (placement,) = made.placements
    assert [(one.reason, one.count) for one in placement.candidates.rejected] == [
        ("NodeSelector", 1)
    ]


@pytest.mark.parametrize("later", ["occupancy-v2", "occupancy-small"])
def test_a_replica_takes_the_room_that_it_asked_for_when_its_policy_names_another_version(
    later: str,
) -> None:
    """Whether that version is missing or asks for less: what runs asked for more."""
    large = build.version(resources={"cpu": "1500m", "memory": "128Mi"})
    small = build.version(resources={"cpu": "100m", "memory": "128Mi"})
    small = small.model_copy(
        update={"metadata": small.metadata.model_copy(update={"name": "occupancy-small"})}
    )
    settled = build.settle(build.world(versions=(large, small), policies=(build.policy("a"),)))
    edited = dataclasses.replace(
        settled, policies=(build.policy("a", modelRef={"version": later}), build.policy("b"))
    )
    made = planning.plan(edited)
    nodes = {plan.policy: [pod.node for pod in plan.pods] for plan in made.placements}
    assert [one.node for one in edited.replicas] == ["edge-1"]
    assert nodes["b"] == ["edge-2"]


def test_a_full_edge_overflows_to_the_cloud_when_the_budget_allows() -> None:
    full = snapshot.ComputeResources(cpu=1950, memory=0)
    seen = build.with_nodes(
        build.world(),
        lambda one: dataclasses.replace(one, requested=full) if one.site == "hq" else one,
    )
    assert placed(seen) == {"r0": "cloud-1"}


def test_a_full_edge_overflows_past_the_budget_rather_than_not_at_all_and_says_so() -> None:
    full = snapshot.ComputeResources(cpu=1950, memory=0)
    seen = build.with_nodes(
        build.world(policies=(build.policy(latencyBudget="30ms"),)),
        lambda one: dataclasses.replace(one, requested=full) if one.site == "hq" else one,
    )
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "cloud-1"}
    met = build.condition(made, "InferencePlacement", "ventilate.hq", "BudgetMet")
    assert met == ("False", "OverBudget")
    (placement,) = made.placements
    assert "cloud-1" in (placement.findings.nearest or "")


def test_a_node_nobody_has_probed_is_the_last_resort() -> None:
    agents = [build.agent(name, probes=build.probes(edge_3=1)) for name in ("edge-1", "edge-2")]
    seen = build.world(fleet=build.fleet(agents))
    assert placed(seen) == {"r0": "edge-3"}


def test_another_sites_edge_node_never_serves() -> None:
    seen = build.world(nodes=(build.node("x", site="other", tier=v1alpha1.Tier.EDGE),))
    assert placed(seen) == {}


def test_an_untolerated_taint_rejects_and_a_toleration_admits() -> None:
    taint = (snapshot.Taint("gpu", "yes", "NoSchedule"),)
    nodes = (build.edge("edge-1", taints=taint), build.edge("edge-2", is_schedulable=False))
    assert placed(build.world(nodes=nodes)) == {}
    tolerant = build.policy(placement={"tolerations": [{"key": "gpu", "operator": "Exists"}]})
    assert placed(build.world(nodes=nodes, policies=(tolerant,))) == {"r0": "edge-1"}


def test_the_replica_of_a_dead_node_moves_and_the_move_is_recorded() -> None:
    settled = build.settle(build.world())
    made = planning.plan(build.silenced(settled, "edge-1"))
    assert build.where(made) == {"r0": "edge-2"}
    (placement,) = made.placements
    move = placement.moves[0]
    assert (move.from_, move.to, move.cause) == ("edge-1", "edge-2", "NodeDead")


def test_a_ready_standby_is_promoted_at_once_when_the_active_node_dies() -> None:
    policy = build.policy(placement={"replicas": 1, "standby": 1})
    settled = build.settle(build.world(policies=(policy,)))
    made = planning.plan(build.silenced(settled, "edge-1"))
    (placement,) = made.placements
    roles = {one.node: one.role.value for one in placement.replicas}
    assert roles == {"edge-2": "Active", "edge-3": "Standby"}


def test_a_returned_node_does_not_draw_its_replica_back() -> None:
    settled = build.settle(build.world())
    moved = build.settle(build.silenced(settled, "edge-1"))
    healed = dataclasses.replace(
        build.world(), placements=moved.placements, replicas=moved.replicas
    )
    assert placed(healed) == {"r0": "edge-2"}


def test_nothing_moves_while_more_than_half_of_the_site_is_silent() -> None:
    settled = build.settle(build.world())
    made = planning.plan(build.silenced(settled, "edge-1", "edge-2"))
    assert build.where(made) == {"r0": "edge-1"}
    assert build.condition(made, "Site", "hq", "Held") == ("True", "SiteSilent")
    assert not made.removals


def test_nothing_moves_off_a_node_whose_beats_its_peers_still_hear() -> None:
    settled = build.settle(build.world())
    cut = build.with_nodes(
        settled,
        lambda one: dataclasses.replace(one, is_ready=False) if one.name == "edge-1" else one,
    )
    assert placed(cut) == {"r0": "edge-1"}


def test_failover_never_waits_and_says_so() -> None:
    policy = build.policy(placement={"failover": "Never"})
    settled = build.settle(build.world(policies=(policy,)))
    made = planning.plan(build.silenced(settled, "edge-1"))
    assert build.where(made) == {"r0": "edge-1"}
    (placement,) = made.placements
    assert placement.findings.waiting_reason == "FailoverNever"


def test_the_seventh_move_of_a_site_within_a_minute_waits() -> None:
    policies = tuple(build.policy(f"p{number}") for number in range(8))
    settled = build.settle(build.world(policies=policies))
    made = planning.plan(build.silenced(settled, "edge-1"))
    moved = [one for one in made.placements if one.pods[0].node != "edge-1"]
    held = [one for one in made.placements if one.findings.waiting_reason == "MoveLimit"]
    assert (len(moved), len(held)) == (6, 2)


def test_a_failed_pod_moves_but_a_refused_model_does_not() -> None:
    settled = build.settle(build.world())

    def failed(reason: str) -> snapshot.Snapshot:
        return dataclasses.replace(
            settled,
            replicas=tuple(
                dataclasses.replace(one, phase=snapshot.PodPhase.FAILED, reason=reason)
                for one in settled.replicas
            ),
        )

    assert placed(failed("Evicted")) == {"r0": "edge-2"}
    refused = planning.plan(failed("DigestMismatch"))
    assert build.where(refused) == {"r0": "edge-1"}
    stalled = build.condition(refused, "ModelVersion", "occupancy-v1", "Stalled")
    assert stalled == ("True", "ModelRejected")


def test_a_serving_pod_goes_only_when_its_successor_serves() -> None:
    settled = build.settle(build.world())
    newer = dataclasses.replace(settled, serving_image="foreshore-edge:next")
    made = planning.plan(newer)
    assert made.removals == ()
    starting = build.applied(newer, made, ready=False)
    assert planning.plan(starting).removals == ()
    running = build.applied(newer, made, ready=True)
    assert planning.plan(running).removals == (), "no agent can have heard of the successor"
    heard = build.aged(running, 10.0)
    assert [one.name for one in planning.plan(heard).removals] == [settled.replicas[0].name]


def test_without_a_hub_a_silent_nodes_replica_still_moves() -> None:
    settled = build.settle(build.world())
    lost = dataclasses.replace(build.silenced(settled, "edge-1"), fleet=None)
    assert placed(lost) == {"r0": "edge-2"}


def broken(seen: snapshot.Snapshot, **spec: Any) -> snapshot.Snapshot:
    """The policy was edited and does not compile any more."""
    edited = build.policy(**spec)
    problem = ("CompileFailed", "spec.rules[high]: no such name")
    compiled = {("hq", "ventilate"): snapshot.Compiled(1, "sha256:0", problem)}
    return dataclasses.replace(seen, policies=(edited,), compiled=compiled)


def test_an_edit_that_does_not_compile_keeps_the_replicas_of_what_did() -> None:
    edited = broken(build.settle(build.world()))
    made = planning.plan(edited)
    assert (made.removals, made.retired) == ((), ())
    assert placed(build.silenced(edited, "edge-1")) == {"r0": "edge-2"}


def test_an_edit_that_does_not_compile_and_names_another_model_touches_nothing() -> None:
    edited = broken(
        build.settle(build.world()), placement={"tolerations": [{"operator": "Exists"}]}
    )
    made = planning.plan(edited)
    assert (made.placements, made.removals, made.retired) == ((), (), ())


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param({"versions": ()}, id="its version is removed"),
        pytest.param({"models": ()}, id="the model of its version is removed"),
        pytest.param(
            {"policies": (build.policy(modelRef={"version": "occupancy-v9"}),)},
            id="it names a version that does not exist",
        ),
    ],
)
def test_a_version_that_is_not_there_tears_down_nothing(gone: dict[str, Any]) -> None:
    settled = build.settle(build.world())
    made = planning.plan(dataclasses.replace(settled, **gone))
    assert (made.placements, made.removals, made.retired) == ((), (), ())
    ready = build.condition(made, "DecisionPolicy", "ventilate", "Ready")
    assert ready == ("False", "ReferenceNotFound")


def test_a_new_policy_that_does_not_compile_is_placed_nowhere() -> None:
    assert planning.plan(broken(build.world())).placements == ()


def test_a_disabled_policy_gives_its_replicas_and_its_placement_back() -> None:
    settled = build.settle(build.world())
    disabled = dataclasses.replace(settled, policies=(build.policy(mode="Disabled"),))
    made = planning.plan(disabled)
    assert [one.name for one in made.retired] == ["ventilate.hq"]
    assert [one.name for one in made.removals] == [settled.replicas[0].name]


def test_a_profile_edit_that_is_not_accepted_tears_down_nothing() -> None:
    settled = build.settle(build.world())
    orphaned = dataclasses.replace(settled, profiles=())
    made = planning.plan(orphaned)
    assert (made.placements, made.removals, made.retired) == ((), (), ())
    disabled = dataclasses.replace(orphaned, policies=(build.policy(mode="Disabled"),))
    assert len(planning.plan(disabled).removals) == 1


def test_a_policy_that_cannot_be_read_any_more_loses_no_replica() -> None:
    unread = dataclasses.replace(build.settle(build.world()), policies=())
    made = planning.plan(unread)
    assert (made.removals, made.retired) == ((), ())


def test_a_site_without_bound_devices_loses_its_placement() -> None:
    settled = dataclasses.replace(build.settle(build.world()), devices=())
    assert [one.name for one in planning.plan(settled).retired] == ["ventilate.hq"]


def test_a_pod_that_failed_on_the_only_node_is_made_again() -> None:
    settled = build.settle(build.world(nodes=(build.edge("edge-1"),)))
    (pod,) = settled.replicas
    failed = dataclasses.replace(pod, phase=snapshot.PodPhase.FAILED, phase_age=1.0)
    fresh = dataclasses.replace(settled, replicas=(failed,))
    assert planning.plan(fresh).removals == ()
    old = dataclasses.replace(failed, phase_age=30.0)
    made = planning.plan(dataclasses.replace(settled, replicas=(old,)))
    assert [(one.name, one.cause) for one in made.removals] == [(pod.name, "Failed")]
