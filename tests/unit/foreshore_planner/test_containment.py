"""An object that this release cannot deal with is its own problem: the pass goes on for all others.

The defects are made: a function of ours raises for one object, as one would that meets what nobody
thought of.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import support, v1alpha1
from foreshore_api.wire import report
from foreshore_decision import selectors
from foreshore_planner import (
    binding,
    containment,
    latency,
    leaving,
    modes,
    placement_conditions,
    snapshot,
    succession,
)
from foreshore_planner import plan as planning
from foreshore_planner.placement import pace, retained


class Surprise(Exception):  # noqa: N818 - what nobody thought of
    """Nobody thought of this."""


Break = Callable[[pytest.MonkeyPatch], None]


def breaks(module: Any, name: str, is_meant: Callable[..., bool]) -> Break:
    """Make a function raise for what is meant, and work for everything else."""

    def break_it(patching: pytest.MonkeyPatch) -> None:
        works = getattr(module, name)

        def surprised(*given: Any, **more: Any) -> Any:
            if is_meant(*given):
                raise Surprise
            return works(*given, **more)

        patching.setattr(module, name, surprised)

    return break_it


def is_bad_policy(one: Any, *_: Any) -> bool:
    return (one.kind, one.name) == ("DecisionPolicy", "bad")


STEPS = {
    "reading a policy": ("DecisionPolicy", breaks(support, "unsupported", is_bad_policy)),
    "binding a policy": (
        "DecisionPolicy",
        breaks(selectors, "selects", lambda selector, _: selector.match_labels.get("zone") == "x"),
    ),
    "placing a policy": (
        "DecisionPolicy",
        breaks(latency, "gather", lambda _, policy, *__: policy == "bad"),
    ),
    "saying a policy's status": (
        "DecisionPolicy",
        breaks(modes, "in_force", lambda one, *_: one.key[1] == "bad"),
    ),
    "binding a device": (
        "Device",
        breaks(binding, "_device_references", lambda one, *_: one.name == "bad"),
    ),
    "deciding who may command a device": (
        "Device",
        breaks(succession, "decide", lambda view: view.device.name == "bad"),
    ),
}


def world() -> Any:
    bad = build.policy("bad", deviceSelector={"matchLabels": {"zone": "x"}})
    labelled = build.device("bad").metadata.model_copy(update={"labels": {"zone": "x"}})
    device = build.device("bad").model_copy(update={"metadata": labelled})
    return build.world(policies=(build.policy("good"), bad), devices=(build.device("good"), device))


@pytest.fixture(params=STEPS, ids=lambda step: step)
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world that was planned whole, and is planned again with a defect for one object."""
    binding._own_problem.clear()
    settled = build.settle(world())
    kind, break_it = STEPS[request.param]
    break_it(monkeypatch)
    binding._own_problem.clear()
    yield kind, settled, planning.plan(settled)
    binding._own_problem.clear()


def test_the_object_says_what_is_wrong_with_it_and_what_to_do(broken: Any) -> None:
    kind, _, made = broken
    assert build.condition(made, kind, "bad", "Ready") == ("False", "InternalError")
    (message,) = {
        one.message
        for row in made.statuses
        if (row.kind, row.name) == (kind, "bad")
        for one in row.status.conditions
    }
    assert "Surprise" in message
    assert "please report" in message


def test_the_shell_is_told_of_one_defect_with_its_error(broken: Any) -> None:
    kind, _, made = broken
    assert [(one.kind, one.name, type(one.error)) for one in made.defects] == [
        (kind, "bad", Surprise)
    ]


def test_everything_else_is_planned_as_it_was(broken: Any) -> None:
    _, settled, made = broken
    others = {(row.kind, row.name) for row in made.statuses}
    for kind in ("Site", "DeviceProfile", "Model", "ModelVersion"):
        assert kind in {row for row, _ in others}
    for kind in ("Device", "DecisionPolicy"):
        assert build.condition(made, kind, "good", "Ready") in {
            ("True", "Delivered"),
            ("True", "AwaitingDelivery"),
        }
    good = [one for one in made.placements if one.policy == "good"]
    assert [pod.node for one in good for pod in one.pods] == ["edge-1"]
    assert settled.placements


def test_what_runs_for_the_object_stays(broken: Any) -> None:
    _, _, made = broken
    assert made.removals == ()
    assert made.retired == ()
    assert made.grants == ()


def with_history(seen: Any, time: str) -> Any:
    """The placement of `bad` has left `edge-3` at this time."""

    def change(one: Any) -> Any:
        if not one.name.startswith("bad"):
            return one
        changes = {"time": time, "from_": "edge-3", "cause": "PodFailed"}
        move = one.status.moves[0].model_copy(update=changes)
        return one.model_copy(update={"status": one.status.model_copy(update={"moves": (move,)})})

    return dataclasses.replace(seen, placements=tuple(change(one) for one in seen.placements))


@pytest.mark.parametrize("time", ["yesterday", "", "2026-13-01T00:00:00Z"])
def test_a_history_whose_time_cannot_be_read_ends_no_pass(time: str) -> None:
    settled = with_history(build.settle(world()), time)
    failed = dataclasses.replace(
        settled,
        replicas=tuple(
            dataclasses.replace(one, phase=snapshot.PodPhase.FAILED) for one in settled.replicas
        ),
    )
    for seen in (settled, failed):
        made = planning.plan(seen)
        assert made.defects == ()
        assert {one.policy for one in made.placements} == {"good", "bad"}


def test_a_placement_that_ends_a_step_shared_by_all_is_its_own_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled = build.settle(world())

    def is_there(seen: Any, *_: Any) -> bool:
        return any(one.name.startswith("bad") for one in seen.placements)

    breaks(pace, "of_site", is_there)(monkeypatch)
    made = planning.plan(settled)
    assert [(one.kind, one.name, type(one.error)) for one in made.defects] == [
        ("DecisionPolicy", "bad", Surprise)
    ]
    assert [one.policy for one in made.placements] == ["good"]
    assert (made.removals, made.retired) == ((), ())


def test_a_placement_in_the_way_whose_policy_is_gone_is_named_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled = build.settle(world())
    gone = dataclasses.replace(settled, policies=settled.policies[:1])
    bad = next(one for one in gone.placements if one.name.startswith("bad"))
    left = dataclasses.replace(gone, placements=(bad,))
    breaks(pace, "of_site", lambda seen, *_: bool(seen.placements))(monkeypatch)
    made = planning.plan(left)
    assert [(one.kind, one.name) for one in made.defects] == [("InferencePlacement", bad.name)]
    assert [one.policy for one in made.placements] == ["good"]


def test_a_world_without_defects_has_none() -> None:
    assert planning.plan(world()).defects == ()


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_those_that_fail_are_found_among_many(count: int) -> None:
    keys = [("hq", f"p{number}") for number in range(count)]
    bad = set(keys[:: max(1, count // 2)])

    def run(some: Any) -> None:
        if bad & set(some):
            raise Surprise

    assert containment.culprits(run, keys).keys() == bad


def test_what_fails_only_together_is_raised() -> None:
    def run(some: Any) -> None:
        if len(some) > 1:
            raise Surprise

    with pytest.raises(Surprise):
        containment.culprits(run, [("hq", "a"), ("hq", "b")])


def test_a_status_that_cannot_be_said_keeps_the_rest_of_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled = build.settle(world())
    known = settled.placements[0].status
    assert known.replicas
    breaks(placement_conditions, "of", lambda plan: plan.policy == "bad")(monkeypatch)
    made = planning.plan(settled)
    rows = {row.name: row.status for row in made.statuses if row.kind == "InferencePlacement"}
    bad = next(name for name in rows if name.startswith("bad"))
    before = next(one for one in settled.placements if one.name == bad)
    assert rows[bad].replicas == before.status.replicas  # type: ignore[attr-defined]
    assert {one.reason for one in rows[bad].conditions} == {"InternalError"}


def test_a_node_that_the_hub_cannot_compile_for_is_named_at_its_site() -> None:
    problem = report.Problem(
        kind="Node", namespace="", name="edge-2", reason="InternalError", message="it stays"
    )
    fleet = build.fleet().model_copy(update={"problems": (problem,)})
    made = planning.plan(build.world(fleet=fleet))
    assert build.condition(made, "Site", "hq", "Degraded") == ("True", "InternalError")
    assert build.condition(made, "Site", "hq", "Ready") == ("True", "Accepted")
    (said,) = (
        one.message
        for row in made.statuses
        if row.kind == "Site"
        for one in row.status.conditions
        if one.type == "Degraded"
    )
    assert "node edge-2: it stays" in said
    assert build.condition(planning.plan(build.world()), "Site", "hq", "Degraded") is None


def hub_says(*nodes: str, reason: str = "InternalError", **more: Any) -> report.Fleet:
    """The evidence of a hub that cannot give these nodes a new assignment."""
    problems = tuple(
        report.Problem(kind="Node", namespace="", name=node, reason=reason, message="it stays")
        for node in nodes
    )
    return build.fleet(**more).model_copy(update={"problems": problems})


def test_what_the_hub_cannot_keep_has_a_reason_of_its_own_and_is_no_defect() -> None:
    made = planning.plan(build.world(fleet=hub_says(*build.EDGES, reason="StoreUnavailable")))
    assert build.condition(made, "Site", "hq", "Degraded") == ("True", "StoreUnavailable")
    said = build.message(made, "Site", "hq", "Degraded")
    assert said == "nodes edge-1, edge-2, edge-3: it stays"


def test_a_reason_that_this_release_does_not_know_is_a_defect() -> None:
    made = planning.plan(build.world(fleet=hub_says("edge-1", reason="OfALaterHub")))
    assert build.condition(made, "Site", "hq", "Degraded") == ("True", "InternalError")


def test_a_problem_of_the_hub_does_not_hide_what_else_is_wrong_with_the_site() -> None:
    agents = [build.agent(name, broker_connected=False) for name in build.EDGES]
    made = planning.plan(build.world(fleet=hub_says("edge-2", agents=agents)))
    assert build.condition(made, "Site", "hq", "Degraded") == ("True", "BrokerUnreachable")
    said = build.message(made, "Site", "hq", "Degraded")
    assert said.startswith("no broker")
    assert said.endswith("; node edge-2: it stays")


def local() -> v1alpha1.Cluster:
    spec = {"connection": {"type": "InCluster"}}
    return v1alpha1.Cluster.read({"metadata": {"name": "local", "generation": 1}, "spec": spec})


def test_a_problem_of_a_node_without_a_site_is_said_at_its_cluster() -> None:
    seen = build.world(fleet=hub_says("cloud-1", "edge-1"), clusters=(local(),))
    made = planning.plan(seen)
    assert build.condition(made, "Cluster", "local", "Degraded") == ("True", "InternalError")
    assert build.message(made, "Cluster", "local", "Degraded") == "node cloud-1: it stays"
    assert build.message(made, "Site", "hq", "Degraded") == "node edge-1: it stays"


def test_so_is_one_of_a_node_whose_label_names_no_site() -> None:
    nodes = (*build.world().nodes, build.node("lost-1", site="nowhere"))
    seen = build.world(fleet=hub_says("lost-1"), clusters=(local(),), nodes=nodes)
    made = planning.plan(seen)
    assert build.message(made, "Cluster", "local", "Degraded") == "node lost-1: it stays"


@pytest.mark.parametrize(
    ("module", "name"),
    [(leaving, "superseded"), (leaving, "retired"), (retained, "all_of")],
    ids=["removing pods", "removing placements", "what is only kept"],
)
def test_a_step_over_everything_that_fails_costs_the_pass_that_step_alone(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    whole = planning.plan(world())
    breaks(module, name, lambda *_: True)(monkeypatch)
    made = planning.plan(world())
    assert made.placements == whole.placements
    assert made.grants == whole.grants
    assert [one.kind for one in made.defects] == [containment.STEP]
