import prometheus_client
from prometheus_client import parser

from foreshore_agent import meters
from foreshore_agent.engine import effects, events
from foreshore_api.wire import histogram, metrics, record

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


def test_a_stage_is_a_prometheus_histogram_and_nodes_are_no_label() -> None:
    found = observed(0.002, 0.004)
    found.observe(effects.Observe(POLICY, "Network", 0.006, "edge-2"), at=1000.0)
    exposed = samples(found)
    labels = (("policy", "hq/ventilate"), ("stage", "Network"))
    name = metrics.STAGE_SECONDS.name
    assert exposed[f"{name}_count", labels] == 3.0
    assert exposed[f"{name}_sum", labels] == 0.012
    assert exposed[f"{name}_bucket", (("le", "+Inf"), *labels)] == 3.0
    buckets = [value for (sample, _), value in exposed.items() if sample == f"{name}_bucket"]
    assert buckets == sorted(buckets), "cumulative"


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
    found.forget_others((), ())
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
        found.forget_others((policy,), ())
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
    found.forget_others((), ())
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
