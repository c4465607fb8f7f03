"""Two replicas of a policy, and decisions that come late: only one of them moves for it.

Bug: a replica that had just become active was held to what calls of the other had taken, and to
what an agent behind a slow link probed; so it followed the other to the same node in the cloud.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import latency, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.placement import assembly, slots

PAIR = {"replicas": 1, "standby": 1}
BOTH = {"replicas": 2, "standby": 0}


def pair(
    placement: dict[str, int] = PAIR, clouds: tuple[str, ...] = ("cloud-1",)
) -> snapshot.Snapshot:
    """Replicas on edge-1 and edge-2; nothing else is left but the cloud."""
    nodes = (build.edge("edge-1"), build.edge("edge-2"), *map(build.node, clouds))
    policy = build.policy(placement=placement)
    return build.settle(build.world(policies=(policy,), nodes=nodes))


def line(
    stage: histogram.Stage, seconds: float, node: str | None = None, count: int = 50
) -> report.StageReport:
    return report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=stage,
        node=node,
        histogram=histogram.Histogram.of([seconds] * count),
    )


def late(
    seen: snapshot.Snapshot,
    *nodes: str,
    quick: tuple[str, ...] = (),
    endpoints: tuple[report.EndpointReport, ...] = (),
    **echoes: Any,
) -> snapshot.Snapshot:
    """Calls over the link of these nodes take half a second, as does what is probed from there."""
    calls = [(node, 0.5) for node in nodes] + [(node, 0.01) for node in quick]
    stages = [
        *(line(histogram.Stage.NETWORK, seconds, node) for node, seconds in calls),
        *(line(histogram.Stage.INFERENCE, 0.01, node) for node, _ in calls),
        line(histogram.Stage.END_TO_END, 0.5),
    ]
    echo = {"cloud_1": 40, "cloud_2": 40, **echoes}
    caller = build.agent(
        "edge-2",
        hears=["edge-1"],
        probes=build.probes(edge_1=500, **echo),
        stages=tuple(stages),
        endpoints=endpoints,
    )
    behind = build.agent(
        "edge-1",
        hears=["edge-2"],
        probes=build.probes(edge_2=870, cloud_1=60, cloud_2=60),
        stages=(line(histogram.Stage.NETWORK, 0.001, "edge-1", count=1),),
    )
    return dataclasses.replace(seen, fleet=build.fleet([caller, behind]))


def passes(seen: snapshot.Snapshot, count: int = 4) -> planning.Plan:
    """The last of so many passes, three seconds apart."""
    made = planning.plan(seen)
    for _ in range(count):
        seen = build.later(build.applied(seen, made), 3.0)
        made = planning.plan(seen)
    return made


def roles(made: planning.Plan) -> dict[str, str]:
    (plan,) = made.placements
    return {replica.slot: replica.role.value for replica in plan.replicas}


def turned(clouds: tuple[str, ...]) -> planning.Plan:
    """The caller turns from r0 to r1, and r0 moves; then nobody has called any of them lately.

    Until the first call of r1, all agents that called within five minutes count.
    """
    bad = build.endpoint("r0", "edge-1", late=9, bad_for_seconds=2.0)
    turning = late(pair(clouds=clouds), "edge-1", endpoints=(bad,))
    made = planning.plan(turning)
    assert build.where(made) == {"r0": "cloud-1", "r1": "edge-2"}
    assert roles(made)["r1"] == "Active"
    return passes(late(build.later(build.applied(turning, made), 2.0), "edge-1"))


def the_other_does_not_follow() -> None:
    made = turned(("cloud-1",))
    assert build.where(made) == {"r0": "cloud-1", "r1": "edge-2"}
    assert [move.cause for move in made.placements[0].moves if move.from_] == ["OverBudget"]


def one_that_nobody_called_is_not_late() -> None:
    """Two clouds: there is room apart from the other, and still no reason to go there."""
    assert build.where(turned(("cloud-1", "cloud-2"))) == {"r0": "cloud-1", "r1": "edge-2"}


def neither_takes_the_place_of_the_other() -> None:
    made = passes(late(pair(BOTH), "edge-1", "edge-2"))
    assert sorted(build.where(made).values()) == ["cloud-1", "edge-2"]


def one_of_two_moves_at_a_time() -> None:
    seen = late(pair(BOTH, ("cloud-1", "cloud-2")), "edge-1", "edge-2")
    assert build.where(planning.plan(seen)) == {"r0": "cloud-1", "r1": "edge-2"}
    assert build.where(passes(seen)) == {"r0": "cloud-1", "r1": "cloud-2"}


def what_is_late_gives_its_role_to_one_in_time() -> None:
    """It cannot go where the other is, so that the other has to serve."""
    seen = pair()
    made = planning.plan(late(seen, "edge-1", quick=("edge-2",), edge_2=1))
    assert roles(made) == {"r0": "Standby", "r1": "Active"}
    made = passes(late(seen, "edge-1", quick=("edge-2",), edge_2=1))
    assert roles(made) == {"r0": "Standby", "r1": "Active"}, "and does not take it back"


RULES = (
    the_other_does_not_follow,
    one_that_nobody_called_is_not_late,
    neither_takes_the_place_of_the_other,
    one_of_two_moves_at_a_time,
    what_is_late_gives_its_role_to_one_in_time,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_of_two_replicas_only_one_moves_for_latency(rule: Callable[[], None]) -> None:
    rule()


MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "held to calls of another": (
        latency.Prediction,
        "is_called",
        True,
        one_that_nobody_called_is_not_late,
    ),
    "crowded together": (
        slots,
        "_taken",
        lambda *_: frozenset(),
        neither_takes_the_place_of_the_other,
    ),
    "both at once": (slots, "_in_turn", lambda forces: forces, one_of_two_moves_at_a_time),
    "keeps its role": (
        assembly,
        "_is_outdone",
        lambda *_: False,
        what_is_late_gives_its_role_to_one_in_time,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_rule_of_two_replicas_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is caught by the rule that it breaks."""
    module, attribute, value, rule = MUTANTS[name]
    monkeypatch.setattr(module, attribute, value)
    with pytest.raises(AssertionError):
        rule()
