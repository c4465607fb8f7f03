"""Predicted latencies: a bound that always holds, and the sum of independent stages."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import latency, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.placement import candidates, choose

BUDGET = 0.2


def evidence(*, slow: int) -> latency.Evidence:
    """Three stages, usually 20 ms each, `slow` times of a thousand 90 ms."""
    seen = histogram.Histogram.of([0.02] * (1000 - slow) + [0.09] * slow)
    lines = tuple(
        report.StageReport(
            namespace="hq", policy="ventilate", stage=stage, node=node, histogram=seen
        )
        for stage, node in (
            (histogram.Stage.DECIDE, None),
            (histogram.Stage.NETWORK, "edge-1"),
            (histogram.Stage.ACTUATE, None),
        )
    )
    return latency.gather(
        "hq", "ventilate", latency.SiteReports([build.agent("edge-1", stages=lines)])
    )


def test_rare_delays_that_never_meet_do_not_keep_a_replica_from_a_node_that_holds_the_budget() -> (
    None
):
    found = latency.predict(evidence(slow=5), "edge-1", 0.01, BUDGET)
    assert found.bound == pytest.approx(0.31, rel=0.2), "each stage's worst at once"
    assert found.total is not None
    assert found.total <= BUDGET


def test_delays_that_are_not_rare_miss_the_budget_either_way() -> None:
    found = latency.predict(evidence(slow=200), "edge-1", 0.01, BUDGET)
    assert found.convolved is None
    assert found.total == found.bound


def test_a_bound_that_holds_the_budget_is_what_is_shown() -> None:
    found = latency.predict(evidence(slow=5), "edge-1", 0.01, 1.0)
    assert found.convolved is None
    assert found.total == found.bound


RARELY = st.tuples(st.floats(0.001, 0.05), st.floats(0.0, 0.15), st.integers(0, 20))
"""Seconds that a stage takes, seconds more that it sometimes takes, how often of a thousand."""


def ranked(*nodes: dict[histogram.Stage, histogram.Histogram]) -> list[str]:
    """Names of `edge-1`, `edge-2` … with these stages measured there, best first."""
    lines = tuple(
        report.StageReport(
            namespace="hq", policy="ventilate", stage=stage, node=f"edge-{number}", histogram=seen
        )
        for number, stages in enumerate(nodes, start=1)
        for stage, seen in stages.items()
    )
    found = latency.gather(
        "hq", "ventilate", latency.SiteReports([build.agent("edge-1", stages=lines)])
    )
    placement = build.policy().spec.placement
    demand = candidates.Demand(
        "hq", "ventilate", "hq", placement, ("hq", "v1"), snapshot.ComputeResources(), BUDGET, 0.01
    )
    names = [f"edge-{number}" for number, _ in enumerate(nodes, start=1)]
    offered = [
        candidates.Candidate(build.edge(name), latency.predict(found, name, 0.01, BUDGET), 0.0)
        for name in reversed(names)
    ]
    return [one.node.name for one in choose.rank(offered, demand)]


def sometimes(usual: float, more: float, often: int, slower: float = 1.0) -> histogram.Histogram:
    late = [(usual + more) * slower] * often
    return histogram.Histogram.of([usual * slower] * (1000 - often) + late)


def test_a_node_that_only_independent_stages_admit_ranks_behind_a_faster_one() -> None:
    """The slower one's bound misses the budget, so that it has the small figure."""
    both = (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
    faster = dict.fromkeys(both, sometimes(0.02, 0.06, 6))
    slower = dict.fromkeys(both, sometimes(0.02, 0.1, 6))
    assert ranked(faster, slower) == ["edge-1", "edge-2"]


@settings(max_examples=200)
@given(RARELY, RARELY, st.floats(1.0, 2.0))
def test_a_node_slower_in_every_stage_never_ranks_better(
    network: tuple[float, float, int], inference: tuple[float, float, int], slower: float
) -> None:
    nodes = [
        {
            histogram.Stage.NETWORK: sometimes(*network, times),
            histogram.Stage.INFERENCE: sometimes(*inference, times),
        }
        for times in (1.0, slower)
    ]
    assert ranked(*nodes) == ["edge-1", "edge-2"]


def probing(node: str, **more: Any) -> report.AgentEvidence:
    echo = build.probes(edge_1=100, edge_2=100) if node == "edge-3" else build.probes(edge_2=1)
    return build.agent(node, probes=echo, **more)


def network(*agents: report.AgentEvidence, node: str) -> float | None:
    found = latency.predict(
        latency.gather("hq", "ventilate", latency.SiteReports(agents)), node, 0.01, BUDGET
    )
    return next(one.p99 for one in found.stages if one.stage is histogram.Stage.NETWORK)


def test_network_is_what_those_measure_who_call() -> None:
    calls = probing("edge-1", endpoints=(build.endpoint("r0", "edge-2", good=1),))
    idle = probing("edge-3", endpoints=(build.endpoint("r0", "edge-2", bad_for_seconds=9.0),))
    assert (network(calls, idle, node="edge-2") or 1.0) < 0.01
    assert network(calls, idle, node="edge-1") == latency.SAME_NODE, "the only caller's own node"
    assert (network(probing("edge-1"), idle, node="edge-2") or 0.0) > 0.05, "nobody calls yet"


def test_who_asks_the_model_in_its_own_process_calls_nobody() -> None:
    own = build.agent("edge-2", endpoints=(build.own_endpoint("edge-2", good=50),))
    caller = build.agent("edge-1", endpoints=(build.endpoint("r0", "edge-3", good=1),))
    assert latency.gather("hq", "ventilate", latency.SiteReports([own, caller])).callers == {
        "edge-1"
    }


def test_who_called_less_than_once_a_minute_is_known_by_the_stages_of_five() -> None:
    line = report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=histogram.Stage.NETWORK,
        node="edge-2",
        histogram=histogram.Histogram.of([0.02]),
    )
    calls = probing("edge-1", stages=(line,))
    assert (network(calls, probing("edge-3"), node="edge-2") or 1.0) < 0.01


def test_who_called_before_says_nothing_of_the_network_of_who_calls_now() -> None:
    slow = report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=histogram.Stage.NETWORK,
        node="edge-2",
        histogram=histogram.Histogram.of([0.3] * 50),
    )
    calls = probing("edge-1", endpoints=(build.endpoint("r0", "edge-2", good=1),))
    assert (network(calls, probing("edge-3", stages=(slow,)), node="edge-2") or 1.0) < 0.01


def test_only_of_the_nearest_few_beyond_the_budget_are_stages_added_up() -> None:
    """Forty nodes whose bound misses the budget, and whose stages together would hold it."""
    rare = histogram.Histogram.of([0.02] * 994 + [0.11] * 6)
    names = [f"edge-{number:02d}" for number in range(40)]
    lines = tuple(
        report.StageReport(
            namespace="hq", policy="ventilate", stage=stage, node=name, histogram=rare
        )
        for name in names
        for stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
    )
    agent = build.agent("edge-00", stages=lines)
    nodes = tuple(build.edge(name) for name in names)
    made = planning.plan(build.world(nodes=nodes, fleet=build.fleet([agent])))
    (rejected,) = made.placements[0].candidates.rejected
    assert (rejected.reason, rejected.count) == ("LatencyBudget", 40 - candidates.REFINED)
    assert build.where(made) == {"r0": "edge-00"}
