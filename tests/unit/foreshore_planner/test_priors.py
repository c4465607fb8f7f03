"""What is alike is measured together, and what is too little says nothing."""

import dataclasses

import pytest

from builders import planning as build
from foreshore_api import meta, node_class
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import histogram, report
from foreshore_planner import latency, pooling, priors
from foreshore_planner import plan as planning

FEW, MANY = histogram.Histogram.of([0.5]), histogram.Histogram.of([0.01] * 30)
KEY = (("hq", "v1"), "arm64-pi")


def test_of_two_sources_the_first_that_has_enough_is_believed() -> None:
    hub = priors.LatencyPriors(inference={KEY: FEW})
    prometheus = priors.LatencyPriors(inference={KEY: MANY}, network={("hq", "", "x"): FEW})
    merged = priors.first(hub, prometheus)
    assert merged.inference == {KEY: MANY}
    assert merged.network == {}, "one echo is no evidence"
    assert priors.first(prometheus, priors.LatencyPriors(inference={KEY: FEW})).inference == {
        KEY: MANY
    }


def test_a_class_is_what_a_person_named_else_what_labels_tell() -> None:
    labels = {node_class.ARCHITECTURE: "arm64", node_class.INSTANCE: "k3s"}
    assert node_class.of(labels) == "arm64-k3s"
    assert node_class.of({**labels, meta.LABEL_CLASS: "orin-nano"}) == "orin-nano"
    assert node_class.of({}) == node_class.UNKNOWN
    assert len(node_class.of({meta.LABEL_CLASS: "x" * 300})) == node_class.LONGEST


def stage(node: str, milliseconds: int) -> report.StageReport:
    return report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=histogram.Stage.INFERENCE,
        node=node,
        histogram=histogram.Histogram.of([milliseconds / 1000] * 30),
    )


def test_what_agents_report_is_pooled_by_version_and_class_and_by_site_and_class() -> None:
    seen = build.settle(build.world())
    assert seen.fleet is not None
    [place] = {replica.node for replica in seen.replicas}
    agents = (
        build.agent("edge-1", stages=(stage(place, 4),), probes=build.probes(**{"cloud-1": 9.0})),
        build.agent("edge-2", stages=(stage(place, 8), stage("edge-7", 900))),
        build.agent("edge-3"),
    )
    pooled = pooling.pooled(
        dataclasses.replace(seen, fleet=seen.fleet.model_copy(update={"agents": agents}))
    )
    key = (("hq", "occupancy-v1"), node_class.UNKNOWN)
    assert list(pooled.inference) == [key], "nobody knows what answered on edge-7"
    assert pooled.inference[key].count == 60
    assert pooled.inference[key].buckets.keys() == {
        histogram.bucket(0.004),
        histogram.bucket(0.008),
    }
    assert list(pooled.network) == [("hq", "", node_class.UNKNOWN)]
    node, site = seen.index.nodes["cloud-1"], "hq"
    stages = latency.alike(pooled, ("hq", "occupancy-v1"), site, node)
    assert stages == {
        histogram.Stage.INFERENCE: pooled.inference[key],
        histogram.Stage.NETWORK: pooled.network["hq", "", node_class.UNKNOWN],
    }
    stages = latency.alike(pooled, ("hq", "occupancy-v2"), site, node)
    assert stages.keys() == {histogram.Stage.NETWORK}


def test_a_node_that_was_never_tried_is_ranked_by_what_its_class_took() -> None:
    """Declared 10 ms; nodes of one class take 150 ms of a budget of 100 ms, of another 2 ms."""
    slow, fast = ({meta.LABEL_CLASS: name} for name in ("slow", "fast"))
    nodes = (
        build.edge("edge-1", labels=slow),
        build.edge("edge-2", labels=slow),
        build.edge("edge-3", labels=fast),
    )
    version = ("hq", "occupancy-v1")
    measured = priors.LatencyPriors(
        inference={
            (version, "slow"): histogram.Histogram.of([0.15] * 50),
            (version, "fast"): histogram.Histogram.of([0.002] * 50),
        }
    )
    policies = (build.policy(latencyBudget="100ms"),)
    before = build.world(nodes=nodes, policies=policies)
    assert set(build.where(planning.plan(before)).values()) == {"edge-1"}, "by name alone"
    seen = dataclasses.replace(before, priors=measured)
    assert set(build.where(planning.plan(seen)).values()) == {"edge-3"}


def test_a_class_that_is_slow_elsewhere_moves_no_replica_that_runs() -> None:
    seen = build.settle(build.world(nodes=(build.edge("edge-1"), build.edge("edge-2"))))
    version, of_class = ("hq", "occupancy-v1"), node_class.UNKNOWN
    slow = priors.LatencyPriors(inference={(version, of_class): histogram.Histogram.of([5.0] * 50)})
    held = build.where(planning.plan(seen))
    assert build.where(planning.plan(dataclasses.replace(seen, priors=slow))) == held


CLASSES = (
    build.edge("edge-1", labels={meta.LABEL_CLASS: "slow"}),
    build.edge("edge-2", labels={meta.LABEL_CLASS: "slow"}),
    build.edge("edge-3", labels={meta.LABEL_CLASS: "fast"}),
)
RECORDED = priors.LatencyPriors(
    inference={
        (("hq", "occupancy-v1"), "slow"): histogram.Histogram.of([0.15] * 50),
        (("hq", "occupancy-v1"), "fast"): histogram.Histogram.of([0.002] * 50),
    },
    network={("hq", "hq", name): histogram.Histogram.of([0.001] * 50) for name in ("slow", "fast")},
    origin=priors.PriorOrigin.RECORDED,
)


def test_while_the_hub_is_away_a_new_placement_goes_by_what_is_recorded_and_says_so() -> None:
    policies = (build.policy(latencyBudget="100ms"),)
    seen = build.world(nodes=CLASSES, policies=policies, fleet=None, priors=RECORDED)
    made = planning.plan(seen)
    assert set(build.where(made).values()) == {"edge-3"}
    [budget] = [plan.budget for plan in made.placements]
    assert budget is not None
    bases = {share.stage: share.basis for share in budget.split}
    assert bases[inferenceplacement.BudgetStage.INFERENCE] == "Recorded"


@pytest.mark.parametrize("origin", priors.PriorOrigin)
def test_while_the_hub_is_away_nothing_that_is_recorded_moves_what_runs(
    origin: priors.PriorOrigin,
) -> None:
    policies = (build.policy(latencyBudget="100ms"),)
    seen = build.settle(build.world(nodes=CLASSES, policies=policies))
    held = build.where(planning.plan(seen))
    assert set(held.values()) == {"edge-1"}
    recorded = dataclasses.replace(RECORDED, origin=origin)
    for seconds in (1.0, 60.0, 3600.0):
        away = build.later(dataclasses.replace(seen, fleet=None, priors=recorded), seconds)
        assert build.where(planning.plan(away)) == held


def test_while_the_hub_is_away_a_forced_move_goes_by_what_is_recorded() -> None:
    policies = (build.policy(latencyBudget="100ms"),)
    seen = build.settle(build.world(nodes=CLASSES, policies=policies))
    drained = tuple(
        dataclasses.replace(node, is_schedulable=False) if node.name == "edge-1" else node
        for node in seen.nodes
    )
    away = dataclasses.replace(seen, nodes=drained, fleet=None, priors=RECORDED)
    assert set(build.where(planning.plan(away)).values()) == {"edge-3"}


def test_without_the_hub_nothing_is_pooled() -> None:
    assert pooling.pooled(build.world(fleet=None)) == priors.LatencyPriors()


def test_a_node_that_was_never_tried_is_not_taken_for_a_tight_budget_while_one_is_known() -> None:
    """Declared 10 ms. Of edge-2 alone it is known that it takes 15 ms, of the others nothing."""
    nodes = (build.edge("edge-1"), build.edge("edge-2", labels={meta.LABEL_CLASS: "tried"}))
    measured = priors.LatencyPriors(
        inference={(("hq", "occupancy-v1"), "tried"): histogram.Histogram.of([0.015] * 50)}
    )

    def placed(budget: str, known: priors.LatencyPriors) -> planning.Plan:
        policies = (build.policy(latencyBudget=budget),)
        return planning.plan(build.world(nodes=nodes, policies=policies, priors=known))

    assert build.where(placed("29ms", measured)) == {"r0": "edge-2"}
    (rejected,) = placed("29ms", measured).placements[0].candidates.rejected
    assert (rejected.reason, rejected.count) == ("Untried", 1)
    assert build.where(placed("30ms", measured)) == {"r0": "edge-1"}, "not tight: by its bound"
    assert build.where(placed("29ms", priors.NOTHING)) == {"r0": "edge-1"}, "nothing is known"
    late = priors.LatencyPriors(
        inference={(("hq", "occupancy-v1"), "tried"): histogram.Histogram.of([0.05] * 50)}
    )
    assert build.where(placed("29ms", late)) == {"r0": "edge-1"}, "what is known is over it"


def recalled_after(seconds: float, fresh: histogram.Histogram | None = None) -> int:
    """The count of what was measured forty times, so long ago."""
    before = priors.LatencyPriors(inference={KEY: histogram.Histogram.of([0.01] * 40)})
    memory = priors.remembered(priors.LatencyMemory(), before, 0.0)
    now = priors.LatencyPriors(inference={} if fresh is None else {KEY: fresh})
    memory = priors.remembered(memory, now, seconds)
    seen = priors.recalled(memory, now, seconds).inference.get(KEY)
    return 0 if seen is None else seen.count


def test_what_was_measured_counts_half_after_each_half_life_and_then_not_at_all() -> None:
    life = priors.HALF_LIFE
    counts = [recalled_after(seconds) for seconds in (0.0, life - 1, life, 2 * life, 3600.0)]
    assert counts == [40, 40, 20, 10, 0]
    assert recalled_after(life, FEW) == 21, "what is measured now counts whole"
    assert recalled_after(1.0, MANY) == 30, "and alone where it is enough"


def test_what_is_rare_does_not_vanish_before_the_rest() -> None:
    seen = histogram.Histogram.of([0.01] * 99 + [0.5])
    memory = priors.remembered(
        priors.LatencyMemory(), priors.LatencyPriors(inference={KEY: seen}), 0.0
    )
    recalled = priors.recalled(memory, priors.NOTHING, 1800.0).inference[KEY]
    assert histogram.quantile(recalled, 0.99) == histogram.quantile(seen, 1.0)


def test_memory_does_not_grow_for_ever() -> None:
    memory = priors.LatencyMemory()
    for hour in range(5):
        network = {(f"site-{hour}", "", "x"): MANY}
        memory = priors.remembered(memory, priors.LatencyPriors(network=network), hour * 3600.0)
    assert len(memory.network) == 1
