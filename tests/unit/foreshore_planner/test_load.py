"""Twenty policies on one node are not each predicted as if they were alone there."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import binding, contention, health, latency, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.placement import load, supply

ONE_CORE = snapshot.ComputeResources(cpu=1000, memory=4 << 30)
shares = st.lists(st.floats(0.0, 0.9), max_size=6)


@settings(max_examples=200)
@given(shares, st.sampled_from([1.0, 1.5, 2.0, 4.0]))
def test_the_stretch_is_that_of_every_combination_of_others_at_work(
    busy: list[float], cores: float
) -> None:
    answer = load.stretch(busy, cores)
    assert sum(probability for _, probability in answer) == pytest.approx(1.0)
    wanted = math.fsum(
        math.prod(share if works else 1 - share for share, works in zip(busy, at_work, strict=True))
        * max(1.0, (sum(at_work) + 1) / cores)
        for at_work in itertools.product((False, True), repeat=len(busy))
    )
    assert sum(factor * probability for factor, probability in answer) == pytest.approx(
        wanted, abs=1e-3 * (len(busy) + 1)
    )


@settings(max_examples=200)
@given(shares, st.floats(0.01, 0.9), st.sampled_from([1.0, 2.0, 4.0]))
def test_one_more_on_a_node_never_makes_calls_faster(
    busy: list[float], more: float, cores: float
) -> None:
    before, after = load.stretch(busy, cores), load.stretch([*busy, more], cores)
    slack = load.NEGLIGIBLE * 2
    for factor, _ in after:
        beyond = [
            sum(chance for longer, chance in of if longer >= factor) for of in (before, after)
        ]
        assert beyond[0] <= beyond[1] + slack


def test_two_hundred_replicas_are_no_longer_than_they_must_be() -> None:
    assert len(load.stretch([0.05] * 200, 4.0)) < 60


def called(policy: str, node: str, seconds: float, times: int) -> report.StageReport:
    return report.StageReport(
        namespace="hq",
        policy=policy,
        stage=histogram.Stage.INFERENCE,
        node=node,
        histogram=histogram.Histogram.of([seconds] * times),
    )


def crowd(count: int, share: float) -> snapshot.Snapshot:
    """So many policies that all run on edge-1, each at work for such a share of a core."""
    policies = tuple(build.policy(f"crowd-{number}") for number in range(count))
    nodes = (build.edge("edge-1", allocatable=ONE_CORE),)
    version = build.version(resources={"cpu": "10m", "memory": "16Mi"})
    alone = build.world(policies=policies, nodes=nodes, versions=(version,))
    settled = build.settle(alone)
    times = round(share * report.WINDOW_SECONDS / 0.01)
    stages = tuple(called(policy.name, "edge-1", 0.01, times) for policy in policies)
    fleet = build.fleet([build.agent("edge-1", probes=build.FAST, stages=stages)])
    return dataclasses.replace(settled, fleet=fleet)


def arriving(seen: snapshot.Snapshot, **spec: Any) -> planning.Plan:
    """A new policy comes, and edge-2, where nobody is."""
    nodes = (*seen.nodes, build.edge("edge-2", allocatable=ONE_CORE))
    policies = (*seen.policies, build.policy("ventilate", **spec))
    return planning.plan(dataclasses.replace(seen, nodes=nodes, policies=policies))


def chosen(made: planning.Plan) -> tuple[str, str | None]:
    (plan,) = [plan for plan in made.placements if plan.policy == "ventilate"]
    return plan.pods[0].node, plan.budget.predicted if plan.budget else None


def test_a_policy_goes_where_nobody_is_when_the_others_would_break_its_budget() -> None:
    """Declared 10 ms of 25 ms: four others at work a tenth of the time each make it 30 ms."""
    tight = {"latencyBudget": "25ms"}
    assert chosen(arriving(crowd(4, 0.0), **tight))[0] == "edge-1"
    assert chosen(arriving(crowd(4, 0.1), **tight))[0] == "edge-2"


def test_a_saturated_node_is_taken_only_where_nothing_else_is_left() -> None:
    full = crowd(7, 0.1)
    assert chosen(arriving(full))[0] == "edge-2"
    alone = dataclasses.replace(full, policies=(*full.policies, build.policy("ventilate")))
    made = planning.plan(alone)
    assert chosen(made)[0] == "edge-1"
    (plan,) = [plan for plan in arriving(full).placements if plan.policy == "ventilate"]
    reasons = {rejected.reason: rejected.example for rejected in plan.candidates.rejected}
    assert "70% of the time" in reasons["Saturated"] or "71%" in reasons["Saturated"]


def test_what_nobody_measured_is_expected_to_use_what_it_reserves() -> None:
    seen = build.settle(build.world())
    stock = supply.Supply(seen, health.assess(seen), binding.bind(seen))
    at = ("hq", "ventilate", "hq")
    placed = build.where(planning.plan(seen))["r0"]
    assert stock.load_of(seen.index.nodes[placed]).busy == {at: pytest.approx(0.065)}
    calls = build.agent("edge-1", stages=(called("ventilate", "edge-9", 0.01, 30),))
    elsewhere = dataclasses.replace(seen, fleet=build.fleet([calls]))
    stock = supply.Supply(elsewhere, stock.verdicts, stock.bound)
    assert stock.load_of(seen.index.nodes[placed]).busy == {at: 0.0}, "its calls go elsewhere"


def test_what_was_measured_on_a_node_holds_what_others_do_there() -> None:
    seen = crowd(4, 0.1)
    predicted = {
        plan.budget.predicted for plan in planning.plan(seen).placements if plan.budget is not None
    }
    alone = {
        plan.budget.predicted
        for plan in planning.plan(crowd(1, 0.1)).placements
        if plan.budget is not None
    }
    assert predicted == alone


def test_an_agent_that_just_started_is_not_as_busy_as_five_minutes_of_it() -> None:
    stage = called("crowd-0", "edge-1", 0.01, 100)
    young = build.agent("edge-1", uptime_seconds=50.0, stages=(stage,))
    busy = latency.SiteReports([young]).busy(("hq", "crowd-0"))
    assert busy is not None
    assert busy["edge-1"] == pytest.approx(1.0 / 50)


def test_nobody_at_work_stretches_nothing() -> None:
    assert load.stretch([], 1.0) == contention.ALONE
    assert load.stretch([0.5], 2.0) == contention.ALONE
