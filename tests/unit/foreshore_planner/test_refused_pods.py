"""A pod that the API server does not let in: the placement says so, and what works stays.

The trap: a refused pod is no pod, so that its slot looked like one that only starts, for ever.
"""

import dataclasses

import pytest

from builders import planning as build
from foreshore_planner import plan as planning
from foreshore_planner import protection, snapshot

WHY = '403 Forbidden: pods "x" is forbidden: exceeded quota: small, requested: cpu=100m'


def refusing(seen: snapshot.Snapshot, why: str = WHY) -> snapshot.Snapshot:
    """The API server refused every pod that is planned and not there."""
    there = {one.name for one in seen.replicas}
    planned = [pod for one in planning.plan(seen).placements for pod in one.pods]
    refused = {(pod.namespace, pod.name): why for pod in planned if pod.name not in there}
    assert refused
    return dataclasses.replace(seen, refusals=refused)


def switching() -> snapshot.Snapshot:
    """A policy that serves, and whose next version is to be served."""
    settled = build.settle(build.world())
    newer = build.policy(modelRef={"version": "occupancy-v2"})
    newer = newer.model_copy(
        update={"metadata": newer.metadata.model_copy(update={"generation": 2})}
    )
    versions = (*settled.versions, build.version("occupancy-v2", digest=f"sha256:{'1' * 64}"))
    return dataclasses.replace(settled, policies=(newer,), versions=versions)


def condition(seen: snapshot.Snapshot, type_: str) -> tuple[str, str] | None:
    return build.condition(planning.plan(seen), "InferencePlacement", "ventilate.hq", type_)


def message(seen: snapshot.Snapshot, type_: str) -> str:
    made = planning.plan(seen)
    status = next(one.status for one in made.statuses if one.kind == "InferencePlacement")
    return next(one.message for one in status.conditions if one.type == type_)


def test_a_first_pod_that_is_refused_is_said_with_the_api_servers_words() -> None:
    seen = refusing(build.world())
    assert condition(seen, "Ready") == ("False", "PodRefused")
    assert "exceeded quota: small" in message(seen, "Ready")
    assert "r0: occupancy-v1 on edge-1" in message(seen, "Ready")
    assert condition(seen, "Reconciling") is None, "nothing is under way"


def test_a_successor_that_is_refused_leaves_what_serves_and_says_what_is_waited_for() -> None:
    seen = refusing(switching())
    (placement,) = planning.plan(seen).placements
    (replica,) = placement.replicas
    assert (replica.phase, replica.version) == ("Ready", "occupancy-v1")
    assert replica.successor is not None
    assert replica.successor.reason == "PodRefused"
    assert "exceeded quota" in replica.successor.message
    assert condition(seen, "Ready") == ("False", "PodRefused")
    assert condition(seen, "Degraded") == ("True", "PodRefused")
    assert "occupancy-v1 on edge-1 serves until it does" in message(seen, "Ready")


def test_what_a_pod_reads_may_be_refused_too() -> None:
    """The pod is there and waits for a file that the API server does not let in."""
    begun = build.world()
    begun = build.applied(begun, planning.plan(begun), ready=False)
    (pod,) = begun.replicas
    seen = dataclasses.replace(begun, refusals={(pod.namespace, pod.name): WHY})
    assert condition(seen, "Ready") == ("False", "PodRefused")


def test_a_refusal_of_a_pod_that_serves_meanwhile_is_no_trouble() -> None:
    settled = build.settle(build.world())
    (pod,) = settled.replicas
    seen = dataclasses.replace(settled, refusals={(pod.namespace, pod.name): WHY})
    assert condition(seen, "Ready") == ("True", "Delivered")


def test_a_disruption_budget_that_is_refused_is_said_with_what_helps_and_stops_nothing() -> None:
    settled = build.settle(build.world())
    seen = dataclasses.replace(settled, refusals={protection.key("hq", "ventilate"): WHY})
    assert condition(seen, "Ready") == ("True", "Delivered")
    assert condition(seen, "Degraded") == ("True", "EvictionsUnprotected")
    assert "exceeded quota: small" in message(seen, "Degraded")
    assert "cordon it" in message(seen, "Degraded")
    other = dataclasses.replace(settled, refusals={protection.key("hq", "other"): WHY})
    assert condition(other, "Degraded") is None


def test_a_pod_in_trouble_is_said_before_what_would_protect_it() -> None:
    seen = refusing(switching())
    budget = {protection.key("hq", "ventilate"): WHY}
    seen = dataclasses.replace(seen, refusals={**seen.refusals, **budget})
    assert condition(seen, "Degraded") == ("True", "PodRefused")


@pytest.mark.parametrize("why", ["x" * 5000, "a\x1b[2Jb\nc"])
def test_words_of_others_fit_into_a_status(why: str) -> None:
    seen = refusing(switching(), why)
    (replica,) = planning.plan(seen).placements[0].replicas
    assert replica.successor is not None
    assert len(replica.successor.message) <= 256
    assert "\x1b" not in message(seen, "Ready")
