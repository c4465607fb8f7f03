import dataclasses
import itertools
from typing import Any

import prometheus_client
import pytest
from prometheus_client import parser

from builders import resources
from foreshore_agent import meters, series
from foreshore_agent.engine import effects, events
from foreshore_api.wire import assignment, histogram, metrics, record

POLICY = events.Key("hq", "ventilate")


def samples(found: meters.Meters) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = prometheus_client.generate_latest(found.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def observed(*durations: float) -> meters.Meters:
    found = meters.Meters()
    for seconds in durations:
        found.observe(effects.Observe(POLICY, "Network", seconds, "edge-1"), at=1000.0)
    return found


def decided(reason: str, policy: events.Key = POLICY) -> effects.Decided:
    device, phase = events.Key("hq", "room-301"), record.Phase.PASS
    return effects.Decided(policy, device, record.Verdict.DENIED, reason, phase, None)


def test_a_decision_is_counted_with_its_reason_and_kept_by_verdict() -> None:
    found = meters.Meters()
    labels = (str(POLICY), "Denied", "OutsideLimits")
    for _ in range(3):
        found.count_decision(decided("OutsideLimits"))
    assert found.decisions == {"Denied": 3}
    exposed = tuple(sorted(zip(metrics.DECISIONS.labels, labels, strict=True)))
    assert samples(found)[metrics.DECISIONS.name, exposed] == 3.0


def place(**changes: Any) -> series.SeriesLabels:
    """An agent of site hq on edge-9 that calls two nodes of one class and one of another."""
    called = {"edge-1": "arm64-pi", "edge-2": "arm64-pi", "cloud-1": "amd64-large"}
    return dataclasses.replace(
        series.SeriesLabels(
            node="edge-9",
            site="hq",
            versions={POLICY: "v1"},
            nodes={node: series.CalledNode("hq", name) for node, name in called.items()},
            peers=frozenset(called),
        ),
        **changes,
    )


def stage_labels(**changes: str) -> tuple[tuple[str, str], ...]:
    values = {
        "site": "hq",
        "node": "edge-9",
        "policy": "hq/ventilate",
        "version": "v1",
        "stage": "Network",
        "class": "arm64-pi",
        **changes,
    }
    return tuple(sorted(values.items()))


def test_a_stage_is_a_prometheus_histogram_of_the_class_of_its_nodes() -> None:
    found = observed(0.002, 0.004)
    found.observe(effects.Observe(POLICY, "Network", 0.006, "edge-2"), at=1000.0)
    found.observe(effects.Observe(POLICY, "Network", 0.5, "cloud-1"), at=1000.0)
    found.assign(place())
    exposed = samples(found)
    labels = stage_labels()
    name = metrics.STAGE_SECONDS.name
    assert exposed[f"{name}_count", labels] == 3.0
    assert exposed[f"{name}_sum", labels] == 0.012
    assert exposed[f"{name}_bucket", tuple(sorted((("le", "+Inf"), *labels)))] == 3.0
    buckets = [
        value
        for (sample, of), value in exposed.items()
        if sample == f"{name}_bucket" and ("class", "arm64-pi") in of
    ]
    assert buckets == sorted(buckets), "cumulative"
    assert exposed[f"{name}_count", stage_labels(**{"class": "amd64-large"})] == 1.0


def test_prometheus_gets_the_very_buckets_that_the_hub_gets() -> None:
    durations = [0.0021, 0.004, 0.004, 0.1, 7.0, 500.0]
    found = observed(*durations)
    found.assign(place())
    exposed = {
        dict(labels)["le"]: value
        for (name, labels), value in samples(found).items()
        if name == f"{metrics.STAGE_SECONDS.name}_bucket"
    }
    ordered = sorted(exposed, key=float)
    assert [float(le) for le in ordered[:-1]] == pytest.approx(histogram.BOUNDS, rel=1e-4)
    counts = [exposed[le] for le in ordered]
    buckets = {
        index: int(count - before)
        for index, (before, count) in enumerate(itertools.pairwise([0.0, *counts]))
        if count > before
    }
    assert buckets == histogram.Histogram.of(durations).buckets


def test_times_of_a_version_that_a_node_does_not_serve_any_more_are_not_its_successors() -> None:
    found = meters.Meters()
    key = (POLICY, "edge-1")
    found.assign(place(replicas={key: "v1"}))
    for stage in ("Inference", "Network"):
        found.observe(effects.Observe(POLICY, stage, 0.004, "edge-1"), at=1000.0)
    found.assign(place(replicas={key: "v1"}, versions={POLICY: "v2"}))
    assert len(found.stages(at=1000.0)) == 2, "v1 still answers there"
    found.assign(place(replicas={key: "v2"}, versions={POLICY: "v2"}))
    assert [stage.stage for stage in found.stages(at=1000.0)] == [histogram.Stage.NETWORK]


def test_probes_are_exposed_by_site_and_class_not_peer_by_peer() -> None:
    found = meters.Meters()
    found.assign(place())
    for peer in ("edge-1", "edge-2", "cloud-1"):
        found.observe_probe(peer, 0.001, at=10.0)
    counts = {
        dict(labels)["class"]: value
        for (name, labels), value in samples(found).items()
        if name == f"{metrics.PROBE_SECONDS.name}_count"
    }
    assert counts == {"arm64-pi": 2.0, "amd64-large": 1.0}


def test_more_histograms_than_a_prometheus_should_keep_are_left_out_and_counted() -> None:
    found = meters.Meters()
    policies = [events.Key("hq", f"policy-{number:04}") for number in range(meters.EXPOSED + 7)]
    found.assign(place(versions=dict.fromkeys(policies, "v1")))
    for policy in policies:
        found.observe(effects.Observe(policy, "Decide", 0.001, None), at=10.0)
    exposed = samples(found)
    name = f"{metrics.STAGE_SECONDS.name}_count"
    assert sum(sample == name for sample, _ in exposed) == meters.EXPOSED
    assert exposed[metrics.SERIES_LEFT_OUT.name, ()] == 7.0


def test_labels_are_read_from_an_assignment() -> None:
    endpoint = assignment.Endpoint(
        slot="r0",
        role=assignment.Role.ACTIVE,
        node="cloud-1",
        url="http://192.0.2.1:8080",
        version="v1",
        node_class="amd64-large",
    )
    labels = series.SeriesLabels.of(
        assignment.Assignment(
            node="edge-9",
            policies=(
                assignment.AssignedPolicy(
                    namespace="hq",
                    name="ventilate",
                    uid="1",
                    generation=1,
                    digest="",
                    spec=resources.policy().spec,
                    devices=(),
                    endpoints=(endpoint,),
                ),
            ),
            probes=(
                assignment.ProbeTarget(
                    node="edge-1", url="http://192.0.2.2:8080", site="hq", node_class="arm64-pi"
                ),
            ),
        )
    )
    assert labels.of_stage(POLICY, "Inference", "cloud-1") == (
        ("", "edge-9", "hq/ventilate", "v1", "Inference", "amd64-large")
    )
    assert labels.of_probe("edge-1") == ("", "edge-9", "hq", "arm64-pi")
    assert labels.of_probe("stranger") == ("", "edge-9", "", "unknown")


def test_the_report_tells_the_replicas_nodes_apart() -> None:
    found = observed(0.002)
    found.observe(effects.Observe(POLICY, "Network", 0.006, "edge-2"), at=1000.0)
    stages = found.stages(at=1000.0)
    assert {(one.node, one.histogram.count) for one in stages} == {("edge-1", 1), ("edge-2", 1)}
    assert stages[0].stage is histogram.Stage.NETWORK


def test_a_stage_that_was_silent_for_five_minutes_is_not_reported() -> None:
    assert observed(0.002).stages(at=2000.0) == ()


def test_a_peer_that_never_answered_is_reported_without_an_age() -> None:
    found = meters.Meters()
    found.observe_probe("edge-2", 0.001, at=10.0)
    near, silent = found.probes(("edge-2", "edge-3"), at=12.0)
    assert (near.histogram.count, near.age_seconds) == (1, 2.0)
    assert (silent.histogram.count, silent.age_seconds) == (0, None)


def test_what_is_no_longer_assigned_is_forgotten() -> None:
    found = observed(0.002)
    found.observe_probe("edge-2", 0.001, at=10.0)
    found.assign(series.SeriesLabels())
    assert found.stages(at=1000.0) == ()
    assert found.probes(("edge-2",), at=12.0)[0].histogram.count == 0


def test_counters_do_not_pile_up_while_policies_come_and_go() -> None:
    found = meters.Meters()
    found.count_telemetry("Accepted")
    found.count(effects.Count(metrics.TELEMETRY.name, ("Accepted",)))
    sizes: set[int] = set()
    for number in range(100):
        policy = events.Key("hq", f"policy-{number}")
        for reason in ("OutsideLimits", "RoomOccupied"):
            found.count_decision(decided(reason, policy))
        found.count(effects.Count(metrics.COMMANDS.name, (str(policy), "Applied")))
        found.assign(series.SeriesLabels(versions={policy: ""}))
        sizes.add(len(samples(found)))
    assert len(sizes) == 1
    assert len(found._children) == 1 + 3
    assert found.decisions == {"Denied": 200}, "what the hub is told goes on"
    accepted = (("result", "Accepted"),)
    assert samples(found)[metrics.TELEMETRY.name, accepted] == 2.0


def test_a_policy_that_comes_back_is_counted_from_zero() -> None:
    found = meters.Meters()
    counted = effects.Count(metrics.COMMANDS.name, (str(POLICY), "Applied"))
    found.count(counted)
    found.assign(series.SeriesLabels())
    found.count(counted)
    exposed = (("outcome", "Applied"), ("policy", str(POLICY)))
    assert samples(found)[metrics.COMMANDS.name, exposed] == 1.0


def test_gauges_are_read_when_somebody_looks() -> None:
    found = meters.Meters()
    held = [1.0]
    found.read_gauges(lambda: [(metrics.AUTHORITY_HELD, (), held[0])])
    assert samples(found)[metrics.AUTHORITY_HELD.name, ()] == 1.0
    held[0] = 2.0
    assert samples(found)[metrics.AUTHORITY_HELD.name, ()] == 2.0


def test_records_that_the_journal_dropped_are_a_counter_that_goes_on_from_its_durable_total() -> (
    None
):
    found = meters.Meters()
    dropped = [7.0]
    found.read_gauges(lambda: [(metrics.JOURNAL_DROPPED, (), dropped[0])])
    assert samples(found)[metrics.JOURNAL_DROPPED.name, ()] == 7.0
    dropped[0] = 9.0
    assert samples(found)[metrics.JOURNAL_DROPPED.name, ()] == 9.0
    text = prometheus_client.generate_latest(found.registry).decode()
    assert f"# TYPE {metrics.JOURNAL_DROPPED.name} counter" in text
