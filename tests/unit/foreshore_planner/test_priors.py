"""What is alike is measured together, and what is too little says nothing."""

import dataclasses

from builders import planning as build
from foreshore_api import meta, node_class
from foreshore_api.wire import histogram, report
from foreshore_planner import priors

FEW, MANY = histogram.Histogram.of([0.5]), histogram.Histogram.of([0.01] * 30)
KEY = (("hq", "v1"), "arm64-pi")


def test_of_two_sources_the_first_that_has_enough_is_believed() -> None:
    hub = priors.LatencyPriors(inference={KEY: FEW})
    prometheus = priors.LatencyPriors(inference={KEY: MANY}, network={("hq", "", "x"): FEW})
    merged = priors.first(hub, None, prometheus)
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
    pooled = priors.pooled(
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
    node = seen.index.nodes["cloud-1"]
    assert pooled.of_network("hq", node) == pooled.network["hq", "", node_class.UNKNOWN]
    assert pooled.of_inference(("hq", "occupancy-v1"), node) == pooled.inference[key]
    assert pooled.of_inference(("hq", "occupancy-v2"), node) is None


def test_without_the_hub_nothing_is_pooled() -> None:
    assert priors.pooled(build.world(fleet=None)) == priors.LatencyPriors()
