"""Models that agents run themselves: when pods are made beside, when they go, and what is said."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning
from foreshore_api import v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planner
from foreshore_planner import snapshot

PLACEMENT = "InferencePlacement"
NAME = "ventilate.hq"
SECOND = "1" * 64

STATES: Mapping[str, Mapping[str, Any]] = {
    "ready": {},
    "resting": {"failed": 1, "bad_for_seconds": 2.0, "reason": "Deadline"},
    "bad": {"failed": 9, "bad_for_seconds": 40.0, "reason": "Deadline"},
}
"""What an agent reports of its own replica once that is loaded; until then it is absent."""


def version(name: str = "occupancy-v1", digest: str = "0" * 64) -> v1alpha1.ModelVersion:
    runtime = {"isolation": "Agent"}
    return planning.version(name, digest=f"sha256:{digest}", runtime=runtime)


def problem(reason: str, message: str = "128Mi asked") -> report.Problem:
    return report.Problem(
        kind="ModelVersion", namespace="hq", name="occupancy-v1", reason=reason, message=message
    )


def agent(
    node: str, state: str = "ready", digest: str = "0" * 64, **more: Any
) -> report.AgentEvidence:
    hears = more.pop("hears", [peer for peer in planning.EDGES if peer != node])
    own = () if state == "absent" else (planning.own_endpoint(node, digest, **STATES[state]),)
    endpoints = (*own, *more.pop("endpoints", ()))
    return planning.agent(node, hears=hears, probes=planning.FAST, endpoints=endpoints, **more)


def unable(node: str, reason: str = "NoModelMemory", **more: Any) -> report.AgentEvidence:
    return agent(node, "absent", problems=(problem(reason),), **more)


def world(
    *agents: report.AgentEvidence, allowed: str = "Agent", **changes: Any
) -> snapshot.Snapshot:
    every = {made.node: made for made in (*map(agent, planning.EDGES), *agents)}
    defaults = {
        "sites": (planning.site(isolation=allowed),),
        "versions": (version(),),
        "fleet": planning.fleet(list(every.values())),
    }
    return planning.world(**{**defaults, **changes})


def heard(seen: snapshot.Snapshot, *agents: report.AgentEvidence) -> snapshot.Snapshot:
    """The same world after these agents have reported anew."""
    assert seen.fleet is not None
    every = {made.node: made for made in (*seen.fleet.agents, *agents)}
    return dataclasses.replace(seen, fleet=planning.fleet(list(every.values())))


def placement(seen: snapshot.Snapshot) -> v1alpha1.InferencePlacement:
    (only,) = seen.placements
    return only


def in_agent(made: planner.Plan, kind: str, name: str) -> tuple[str, str] | None:
    return planning.condition(made, kind, name, "InAgent")


def test_where_every_agent_runs_the_model_there_is_no_pod() -> None:
    seen = planning.settle(world())
    assert seen.replicas == ()
    shown = placement(seen).status
    assert [(own.node, own.phase.value) for own in shown.agents] == [
        (node, "Ready") for node in planning.EDGES
    ]
    assert shown.replicas == ()
    made = planner.plan(seen)
    for kind, name in [
        (PLACEMENT, NAME),
        ("DecisionPolicy", "ventilate"),
        ("ModelVersion", "occupancy-v1"),
    ]:
        assert in_agent(made, kind, name) == ("True", "RunsInAgents")
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")
    assert planning.condition(made, PLACEMENT, NAME, "Placed") == ("True", "Placed")
    assert planning.condition(made, PLACEMENT, NAME, "Redundant") == ("True", "Spread")


def test_what_the_site_does_not_allow_is_placed_in_pods_and_said_with_the_remedy() -> None:
    seen = planning.settle(world(allowed="Child"))
    assert len(seen.replicas) == 1
    assert placement(seen).status.agents == ()
    made = planner.plan(seen)
    for kind, name in [
        (PLACEMENT, NAME),
        ("DecisionPolicy", "ventilate"),
        ("ModelVersion", "occupancy-v1"),
    ]:
        assert in_agent(made, kind, name) == ("False", "IsolationNotAllowed")
        assert "set isolation: Agent in Site hq" in planning.message(made, kind, name, "InAgent")
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")


def test_nothing_is_said_of_a_version_that_asks_a_child() -> None:
    made = planner.plan(planning.settle(world(versions=(planning.version(),))))
    assert in_agent(made, PLACEMENT, NAME) is None
    assert in_agent(made, "DecisionPolicy", "ventilate") is None
    assert in_agent(made, "ModelVersion", "occupancy-v1") is None


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("NoModelMemory", "NoModelMemory"),
        ("ModelQuarantined", "ModelQuarantined"),
        ("TrialFailed", "TrialFailed"),
        ("OutputsDiffer", "NotInAgent"),
        ("FetchFailed", "NotInAgent"),
    ],
)
def test_pods_are_made_for_an_agent_that_cannot_and_its_reason_is_the_conditions(
    code: str, shown: str
) -> None:
    seen = planning.settle(world(unable("edge-2", code)))
    assert len(seen.replicas) == 1
    made = planner.plan(seen)
    for kind, name in [
        (PLACEMENT, NAME),
        ("DecisionPolicy", "ventilate"),
        ("ModelVersion", "occupancy-v1"),
    ]:
        assert in_agent(made, kind, name) == ("False", shown)
        message = planning.message(made, kind, name, "InAgent")
        assert f"edge-2: {code}: 128Mi asked" in message
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")


@pytest.mark.parametrize(
    "waiting",
    [
        agent("edge-2", "absent"),
        agent("edge-2", "absent", problems=(problem("Loading"),)),
        agent("edge-2", "resting"),
    ],
    ids=["not loaded", "says that it loads", "a call has failed"],
)
def test_a_model_that_is_waited_for_makes_no_pod(waiting: report.AgentEvidence) -> None:
    assert planning.settle(world(waiting)).replicas == ()


def test_a_model_whose_calls_are_bad_for_long_makes_a_pod() -> None:
    seen = planning.settle(world(agent("edge-2", "bad")))
    assert len(seen.replicas) == 1
    message = planning.message(planner.plan(seen), PLACEMENT, NAME, "InAgent")
    assert "edge-2: Deadline: its calls fail or are late" in message


def test_an_agent_that_cannot_but_whose_node_is_lost_asks_for_no_pod() -> None:
    left = [agent("edge-1", hears=["edge-2"]), agent("edge-2", hears=["edge-1"])]
    seen = planning.silenced(world(unable("edge-3")), "edge-3")
    made = planner.plan(dataclasses.replace(seen, fleet=planning.fleet(left)))
    (planned,) = made.placements
    assert planned.pods == ()
    assert planned.agents is not None
    assert [own.phase.value for own in planned.agents.replicas] == ["Ready", "Ready", "Lost"]


@pytest.mark.parametrize("reason", ["no reason", "\x1b[2J", "A" * 200, ""])
def test_an_agents_strange_words_fit_into_status_and_stop_nobody(reason: str) -> None:
    strange = report.Problem(
        kind="ModelVersion",
        namespace="",
        name="occupancy-v1",
        reason=reason,
        message="\x1b[2J" + "long " * 200,
    )
    seen = planning.settle(world(agent("edge-2", "absent", problems=(strange,))))
    made = planner.plan(seen)
    assert made.defects == ()
    assert in_agent(made, PLACEMENT, NAME) == ("False", "NotInAgent")
    (shown,) = [own for own in placement(seen).status.agents if own.node == "edge-2"]
    assert shown.reason is None
    assert shown.message
    assert "\x1b" not in shown.message


def test_when_the_last_agent_runs_it_its_pods_drain() -> None:
    seen = planning.settle(world(unable("edge-2")))
    (pod,) = seen.replicas
    url = f"http://{pod.address}:8080"
    calling = agent("edge-2", endpoints=(planning.endpoint("r0", pod.node, url, good=1),))
    seen = planning.settle(heard(planning.aged(seen, 300.0), calling))
    assert seen.replicas == (dataclasses.replace(pod, phase_age=300.0),), "an agent calls it still"
    assert placement(seen).status.replicas == ()
    seen = planning.settle(heard(seen, agent("edge-2")))
    assert seen.replicas == ()


def test_agents_that_load_anew_do_not_let_a_begun_pod_go() -> None:
    seen = planning.settle(world(unable("edge-2")))
    again = planning.settle(heard(seen, agent("edge-2", "absent")))
    assert again.replicas == seen.replicas
    assert placement(again).status.replicas == placement(seen).status.replicas


def test_a_begun_pod_is_looked_after_while_agents_load_anew() -> None:
    seen = planning.settle(world(unable("edge-2")))
    (pod,) = seen.replicas
    left = [node for node in planning.EDGES if node != pod.node]
    quiet = planning.silenced(seen, pod.node)
    loading = [
        agent(node, "absent", hears=[other for other in left if other != node]) for node in left
    ]
    after = planning.settle(dataclasses.replace(quiet, fleet=planning.fleet(loading)))
    assert {replica.node for replica in after.replicas} - {pod.node}, "nobody else would answer"


def switched(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The policy asks for a second version, which the agents are to run."""
    return dataclasses.replace(
        seen,
        versions=(*seen.versions, version("occupancy-v2", SECOND)),
        policies=(planning.policy(modelRef={"version": "occupancy-v2"}),),
    )


def test_pods_of_the_version_before_answer_until_every_agent_runs_the_new_one() -> None:
    before = planning.settle(world(versions=(planning.version(),)))
    seen = planning.settle(switched(before))
    assert [pod.version for pod in seen.replicas] == ["occupancy-v1"]
    (kept,) = placement(seen).status.replicas
    assert (kept.version, kept.phase.value) == ("occupancy-v1", "Ready")
    made = planner.plan(seen)
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")
    assert planning.condition(made, PLACEMENT, NAME, "Reconciling") == ("True", "Progressing")
    assert in_agent(made, PLACEMENT, NAME) == ("Unknown", "AgentLoading")

    unready = [dataclasses.replace(pod, phase=snapshot.PodPhase.UNREADY) for pod in seen.replicas]
    assert planner.plan(dataclasses.replace(seen, replicas=tuple(unready))).removals == ()

    two = [agent(node, digest=SECOND) for node in ("edge-1", "edge-2")]
    seen = planning.settle(heard(seen, *two))
    assert [pod.version for pod in seen.replicas] == ["occupancy-v1"]

    seen = planning.settle(heard(seen, agent("edge-3", digest=SECOND)))
    assert seen.replicas == ()
    assert {own.version for own in placement(seen).status.agents} == {"occupancy-v2"}


def test_an_agent_that_cannot_take_the_new_generation_keeps_the_pods_that_it_goes_on_with() -> None:
    before = planning.settle(world(versions=(planning.version(),)))
    stuck = report.Problem(
        kind="DecisionPolicy",
        namespace="hq",
        name="ventilate",
        generation=1,
        reason="CompileFailed",
        message="no such output",
    )
    every = [agent(node, digest=SECOND) for node in planning.EDGES[:2]]
    every.append(agent("edge-3", digest=SECOND, problems=(stuck,)))
    seen = planning.settle(heard(switched(before), *every))
    assert [pod.version for pod in seen.replicas] == ["occupancy-v1"]
    (kept,) = placement(seen).status.replicas
    assert kept.phase.value == "Ready"


def test_an_absent_hub_neither_makes_pods_nor_unsays_what_the_agents_run() -> None:
    seen = planning.settle(world())
    away = planning.settle(dataclasses.replace(seen, fleet=None))
    assert away.replicas == ()
    assert placement(away).status.agents == placement(seen).status.agents
    made = planner.plan(away)
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")


def test_a_silent_agent_is_waited_for_where_nothing_was_heard_of_it() -> None:
    left = [agent(node) for node in planning.EDGES[:2]]
    seen = planning.settle(world(fleet=planning.fleet(left)))
    assert seen.replicas == ()
    made = planner.plan(seen)
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("False", "ReplicaStarting")
    assert in_agent(made, PLACEMENT, NAME) == ("Unknown", "AgentLoading")
    assert "edge-3" in planning.message(made, PLACEMENT, NAME, "InAgent")


def test_the_latency_of_an_agents_own_model_has_no_network() -> None:
    stages = tuple(
        report.StageReport(
            namespace="hq",
            policy="ventilate",
            stage=stage,
            node="edge-1" if stage is histogram.Stage.INFERENCE else None,
            histogram=histogram.Histogram.of([0.002] * 50),
        )
        for stage in (histogram.Stage.DECIDE, histogram.Stage.INFERENCE)
    )
    budget = placement(planning.settle(world(agent("edge-1", stages=stages)))).status.budget
    assert budget is not None
    assert budget.predicted is not None
    assert [share.stage.value for share in budget.split] == ["Decide", "Inference"]


def test_what_an_agent_holds_against_its_own_replica_is_no_complaint_about_a_pod_beside_it() -> (
    None
):
    seen = planning.settle(world(unable("edge-1")))
    (pod,) = seen.replicas
    url = f"http://{pod.address}:8080"
    own = planning.own_endpoint(pod.node, failed=9, bad_for_seconds=60.0, reason="NoModelMemory")
    praise = planning.endpoint("r0", pod.node, url, good=50)
    callers = [
        unable(node, endpoints=(own, praise)) if node == pod.node else agent(node)
        for node in planning.EDGES
    ]
    made = planner.plan(heard(planning.aged(seen, 300.0), *callers))
    assert planning.where(made) == {"r0": pod.node}
    assert planning.condition(made, PLACEMENT, NAME, "Degraded") is None


def test_a_suspended_policy_goes_on_being_shown_as_run_by_its_agents() -> None:
    seen = planning.settle(world())
    broken = planning.policy(record={"attribution": "Occlusion"})
    made = planner.plan(dataclasses.replace(seen, policies=(broken,)))
    assert planning.condition(made, "DecisionPolicy", "ventilate", "Ready") == (
        "False",
        "NotSupported",
    )
    assert in_agent(made, PLACEMENT, NAME) == ("True", "RunsInAgents")
    assert planning.condition(made, PLACEMENT, NAME, "Ready") == ("True", "Delivered")


def test_of_a_hundred_and_more_agents_those_in_trouble_are_shown_first() -> None:
    names = [f"edge-{number}" for number in range(1, 131)]
    agents = [agent(name) for name in names if name != "edge-99"] + [unable("edge-99")]
    nodes = tuple(map(planning.edge, names))
    seen = planning.settle(world(nodes=nodes, fleet=planning.fleet(agents)), passes=2)
    shown = placement(seen).status.agents
    assert len(shown) == inferenceplacement.AGENTS
    assert [own.node for own in shown if own.phase.value != "Ready"] == ["edge-99"]
    made = planner.plan(seen)
    assert "30 agents that run it are not listed" in planning.message(
        made, PLACEMENT, NAME, "InAgent"
    )


SAYS = st.sampled_from(["ready", "resting", "bad", "absent", "unable", "silent"])


def evidence(node: str, says: str) -> report.AgentEvidence | None:
    if says == "silent":
        return None
    return unable(node) if says == "unable" else agent(node, says)


@settings(max_examples=60, deadline=None)
@given(st.tuples(SAYS, SAYS, SAYS), st.tuples(SAYS, SAYS, SAYS))
def test_pods_are_made_only_for_agents_that_cannot_and_go_only_when_all_can(
    first: tuple[str, ...], then: tuple[str, ...]
) -> None:
    def fleet(says: tuple[str, ...]) -> report.Fleet:
        heard = [evidence(*pair) for pair in zip(planning.EDGES, says, strict=True)]
        return planning.fleet([each for each in heard if each is not None])

    seen = planning.settle(world(fleet=fleet(first)))
    is_needed = bool({"unable", "bad"} & set(first))
    assert len(seen.replicas) == is_needed

    seen = dataclasses.replace(planning.aged(seen, 300.0), fleet=fleet(then))
    after = planning.settle(seen)
    assert planning.settle(after) == after, "a pass on what a pass made plans nothing new"
    if is_needed and len(after.replicas) == 0:
        assert {"ready"} >= {
            said
            for said, was in zip(then, first, strict=True)
            if (was, said) != ("ready", "silent")
        }
    if {"unable", "bad"} & set(then):
        assert len(after.replicas) == 1


def at_two_sites(first: str, second: str) -> snapshot.Snapshot:
    """Sites hq and annex, each with what it allows, a device and agents that run the model."""
    far = planning.node("far-1", site="annex", tier=v1alpha1.Tier.EDGE)
    near = [planning.edge(name) for name in planning.EDGES]
    return world(
        sites=(planning.site(isolation=first), planning.site_of("annex", isolation=second)),
        devices=(planning.device(), planning.device("shed-1", site="annex")),
        nodes=(*near, far, planning.node("cloud-1")),
        fleet=planning.fleet([*map(agent, planning.EDGES), agent("far-1", hears=[])]),
    )


def test_each_site_allows_for_itself_and_the_worst_stands_at_policy_and_version() -> None:
    seen = planning.settle(at_two_sites("Agent", "Child"))
    assert {pod.site for pod in seen.replicas} == {"annex"}
    made = planner.plan(seen)
    assert in_agent(made, PLACEMENT, NAME) == ("True", "RunsInAgents")
    for kind, name in [("DecisionPolicy", "ventilate"), ("ModelVersion", "occupancy-v1")]:
        assert in_agent(made, kind, name) == ("False", "IsolationNotAllowed")
        assert "Site annex" in planning.message(made, kind, name, "InAgent")


def test_what_is_the_same_of_several_sites_is_counted() -> None:
    made = planner.plan(planning.settle(at_two_sites("Child", "Child")))
    message = planning.message(made, "ModelVersion", "occupancy-v1", "InAgent")
    assert message.endswith("; the same of 1 more placement")
