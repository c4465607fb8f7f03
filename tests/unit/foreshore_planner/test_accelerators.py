"""Accelerators of nodes, and the execution providers that replicas say they have."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import planning as build
from foreshore_planner import plan as planning
from foreshore_planner import snapshot
from foreshore_planner.placement import explain

GPU = "nvidia.com/gpu"
COUNTS = st.dictionaries(st.sampled_from(["a/x", "b/y", "c/z"]), st.integers(0, 8)).map(
    lambda counts: snapshot.ComputeResources(extended=tuple(sorted(counts.items())))
)


def roomy(gpus: int) -> snapshot.ComputeResources:
    return dataclasses.replace(build.ROOM, extended=((GPU, gpus),))


def world(gpus: dict[str, int], *, asked: int = 1, **more: Any) -> snapshot.Snapshot:
    """A site whose version asks for GPUs, of which some nodes have some."""
    wanted = build.version(resources={"accelerator": {"name": GPU, "count": asked}})
    seen = build.world(versions=(wanted,), **more)
    return build.with_nodes(
        seen,
        lambda one: (
            dataclasses.replace(one, allocatable=roomy(gpus[one.name])) if one.name in gpus else one
        ),
    )


def message(made: Any, type_: str) -> str:
    (row,) = [
        condition
        for status in made.statuses
        if (status.kind, status.name) == ("InferencePlacement", "ventilate.hq")
        for condition in status.status.conditions
        if condition.type == type_
    ]
    return str(row.message)


def reasons(made: Any) -> dict[str, int]:
    (placement,) = made.placements
    return {row.reason: row.count for row in placement.candidates.rejected}


def test_a_replica_goes_to_the_node_that_has_its_accelerator() -> None:
    made = planning.plan(world({"edge-2": 1}))
    assert build.where(made) == {"r0": "edge-2"}
    assert reasons(made)["NoAccelerator"] == 3


def test_without_one_it_says_what_is_lacking_and_what_it_takes() -> None:
    made = planning.plan(world({"edge-1": 0}))
    assert build.where(made) == {}
    assert reasons(made) == {"NoAccelerator": 4}
    assert build.condition(made, "InferencePlacement", "ventilate.hq", "Placed") == (
        "False",
        "NoCandidate",
    )
    assert f"4 have no {GPU}: it takes a node with the device" in message(made, "Placed")


def test_an_accelerator_that_another_pod_has_is_not_free() -> None:
    taken = snapshot.ComputeResources(extended=((GPU, 1),))
    seen = build.with_nodes(
        world({"edge-1": 1, "edge-2": 2}),
        lambda one: dataclasses.replace(one, requested=taken) if one.site == "hq" else one,
    )
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-2"}
    assert reasons(made)["InsufficientAccelerator"] == 1
    none_left = planning.plan(build.with_nodes(seen, lambda one: _gpus(one, 1)))
    assert reasons(none_left)["InsufficientAccelerator"] == 3
    (placement,) = none_left.placements
    assert any(f"1 {GPU} asked, 0 free" in row.example for row in placement.candidates.rejected)


def _gpus(one: snapshot.Node, count: int) -> snapshot.Node:
    return dataclasses.replace(one, allocatable=roomy(count)) if one.site == "hq" else one


def test_two_policies_do_not_take_the_same_accelerator() -> None:
    policies = (build.policy("a"), build.policy("b"))
    made = planning.plan(world({"edge-1": 1, "edge-3": 1}, policies=policies))
    nodes = {plan.policy: [pod.node for pod in plan.pods] for plan in made.placements}
    assert sorted(nodes.values()) == [["edge-1"], ["edge-3"]]


def test_two_replicas_of_one_policy_share_a_node_only_where_both_find_one() -> None:
    policies = (build.policy(placement={"replicas": 1, "standby": 1, "tier": "EdgeOnly"}),)
    one_each = planning.plan(world({"edge-1": 1}, policies=policies))
    assert build.where(one_each) == {"r0": "edge-1"}
    both = planning.plan(world({"edge-1": 2}, policies=policies))
    assert build.where(both) == {"r0": "edge-1", "r1": "edge-1"}


def test_a_running_replica_stays_when_its_device_plug_in_is_gone() -> None:
    settled = build.settle(world({"edge-2": 1}))
    gone = build.with_nodes(settled, lambda one: _gpus(one, 0))
    assert build.where(planning.plan(gone)) == {"r0": "edge-2"}


def test_another_accelerator_is_another_pod() -> None:
    (one,) = planning.plan(world({"edge-1": 2})).placements
    (two,) = planning.plan(world({"edge-1": 2}, asked=2)).placements
    assert one.pods[0].template != two.pods[0].template


@given(COUNTS, COUNTS)
def test_counts_add_up_name_by_name(
    ours: snapshot.ComputeResources, theirs: snapshot.ComputeResources
) -> None:
    names = {name for name, _ in (*ours.extended, *theirs.extended)}
    for name in names:
        mine, other = ours.count(name), theirs.count(name)
        assert (ours + theirs).count(name) == mine + other
        assert (ours - theirs).count(name) == mine - other
        assert ours.at_least(theirs).count(name) == max(mine, other)
    assert (ours + theirs).has_room_for(theirs)
    fits = all(ours.count(name) >= theirs.count(name) for name in names)
    assert ours.has_room_for(theirs) == fits


def computed_by(provider: str | None, wanted: list[str]) -> Any:
    """The plan once an agent has called the only replica and heard what computes it."""
    version = build.version(runtime={"providers": wanted})
    settled = build.settle(build.world(versions=(version,)))
    (replica,) = settled.placements[0].status.replicas
    line = build.endpoint(
        "r0", replica.node, f"http://{replica.endpoint}", good=5, provider=provider
    )
    caller = build.agent("edge-1", hears=build.EDGES[1:], probes=build.FAST, endpoints=(line,))
    others = [build.agent(name, hears=build.EDGES, probes=build.FAST) for name in build.EDGES[1:]]
    return dataclasses.replace(settled, fleet=build.fleet([caller, *others]))


def shown(made: Any) -> str | None:
    (placement,) = made.placements
    provider: str | None = placement.replicas[0].provider
    return provider


def test_a_replica_is_shown_with_what_computes_it_as_its_callers_heard() -> None:
    made = planning.plan(computed_by("CUDA", ["CUDA", "CPU"]))
    assert shown(made) == "CUDA"
    assert message(made, "Ready") == "every active replica serves"


def test_a_fall_back_is_said_with_what_it_takes() -> None:
    made = planning.plan(computed_by("CPU", ["CUDA", "CPU"]))
    assert shown(made) == "CPU"
    text = message(made, "Ready")
    assert "is computed by CPU, though CUDA is wanted first" in text
    assert "an image whose ONNX Runtime has CUDA" in text


def test_of_many_replicas_the_first_are_named_and_the_others_counted() -> None:
    (placement,) = planning.plan(computed_by("CPU", ["CUDA", "CPU"])).placements
    (replica,) = placement.replicas
    many = [replica.model_copy(update={"slot": f"r{number}"}) for number in range(5)]
    text = explain.shortfall(many, "CUDA")
    assert all(f"{slot} on " in text for slot in ("r0", "r1", "r2"))
    assert "r3" not in text
    assert " and 2 more, though CUDA is wanted first" in text


def test_what_was_heard_stays_shown_while_nobody_says_more() -> None:
    seen = computed_by("CPU", ["CUDA", "CPU"])
    later = build.applied(seen, planning.plan(seen))
    made = planning.plan(dataclasses.replace(later, fleet=build.fleet()))
    assert shown(made) == "CPU"


@pytest.mark.parametrize("said", ["not a code", "x" * 200, ""])
def test_a_word_that_is_no_code_is_not_shown(said: str) -> None:
    assert shown(planning.plan(computed_by(said, ["CPU"]))) is None


def test_a_provider_that_is_missing_is_named_as_what_to_mend() -> None:
    settled = build.settle(build.world())
    ending = "only CUDA is required, and this ONNX Runtime has CPU"
    pods = tuple(
        dataclasses.replace(
            one,
            phase=snapshot.PodPhase.UNREADY,
            reason="ProviderMissing",
            message=ending,
            restarts=1,
        )
        for one in settled.replicas
    )
    made = planning.plan(dataclasses.replace(settled, replicas=pods))
    assert build.condition(made, "InferencePlacement", "ventilate.hq", "Ready") == (
        "False",
        "ProviderMissing",
    )
    assert ending in message(made, "Ready")


@pytest.mark.parametrize(
    ("wanted", "moved_to"), [(["CUDA", "CPU"], "edge-2"), (["TensorRT", "CPU"], "edge-1")]
)
def test_a_pod_that_compiles_its_model_is_not_given_up_after_a_minute(
    wanted: list[str], moved_to: str
) -> None:
    version = build.version(runtime={"providers": wanted})
    settled = build.settle(build.world(versions=(version,)))
    starting = tuple(
        dataclasses.replace(one, phase=snapshot.PodPhase.UNREADY, phase_age=120.0)
        for one in settled.replicas
    )
    made = planning.plan(dataclasses.replace(settled, replicas=starting))
    assert build.where(made) == {"r0": moved_to}
