"""What holds for every plan: order, repetition, silence and missing evidence."""

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import histogram, report
from foreshore_planner import latency, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.placement import candidates

FEW = settings(max_examples=40)

free = st.integers(min_value=0, max_value=2000).map(
    lambda cpu: snapshot.ComputeResources(cpu=cpu, memory=1 << 30)
)
sizes = st.lists(
    st.tuples(st.integers(min_value=0, max_value=3), st.integers(min_value=0, max_value=2)),
    min_size=1,
    max_size=3,
)


@st.composite
def worlds(draw: st.DrawFn) -> snapshot.Snapshot:
    """Some nodes in two sites and the cloud, some of them broken, and some policies."""
    nodes = []
    for number in range(draw(st.integers(min_value=1, max_value=5))):
        more = {
            "requested": draw(free),
            "is_schedulable": draw(st.sampled_from([True, True, True, False])),
            "is_ready": draw(st.sampled_from([True, True, True, False, None])),
            "zone": draw(st.sampled_from([None, "a", "b"])),
        }
        nodes.append(build.edge(f"edge-{number + 1}", **more))
    nodes += [
        build.node(f"cloud-{number + 1}")
        for number in range(draw(st.integers(min_value=0, max_value=2)))
    ]
    policies = tuple(
        build.policy(
            f"p{number}",
            placement={
                "replicas": replicas or 1,
                "standby": standby,
                "spread": draw(st.sampled_from(["Node", "Zone", "Site"])),
                "failover": draw(st.sampled_from(["Automatic", "Never"])),
            },
        )
        for number, (replicas, standby) in enumerate(draw(sizes))
    )
    return build.world(nodes=tuple(nodes), policies=policies, devices=(build.device(),))


@FEW
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_anything_seen_never_changes_the_plan(
    seen: snapshot.Snapshot, order: random.Random
) -> None:
    seen = build.settle(seen)
    assert seen.fleet is not None

    def mixed(things: Sequence[object]) -> tuple[object, ...]:
        return tuple(order.sample(list(things), len(things)))

    names = ("nodes", "policies", "replicas", "placements", "devices", "versions")
    changes: dict[str, Any] = {name: mixed(getattr(seen, name)) for name in names}
    fleet = seen.fleet.model_copy(update={"agents": mixed(seen.fleet.agents)})
    assert planning.plan(dataclasses.replace(seen, fleet=fleet, **changes)) == planning.plan(seen)


@FEW
@given(worlds())
def test_a_pass_on_its_own_result_changes_nothing(seen: snapshot.Snapshot) -> None:
    settled = build.settle(seen)
    again = build.applied(settled, planning.plan(settled))
    assert again == settled
    later = build.later(settled, 45.0)
    assert build.applied(later, planning.plan(later)) == later


@FEW
@given(
    st.lists(st.integers(min_value=0, max_value=2), min_size=1, max_size=3),
    st.sets(st.sampled_from(build.EDGES), min_size=2),
    st.booleans(),
)
def test_silencing_more_than_half_of_a_site_moves_nothing(
    standbys: list[int], silent: set[str], has_hub: bool
) -> None:
    policies = tuple(
        build.policy(f"p{number}", placement={"replicas": 1, "standby": standby})
        for number, standby in enumerate(standbys)
    )
    settled = build.settle(build.world(policies=policies))
    cut = build.silenced(settled, *silent)
    made = planning.plan(cut if has_hub else dataclasses.replace(cut, fleet=None))
    before = planning.plan(settled)
    assert [one.pods for one in made.placements] == [one.pods for one in before.placements]
    assert [one.replicas for one in made.placements] == [one.replicas for one in before.placements]
    assert (made.removals, made.retired, made.grants) == ((), (), ())


histograms = st.builds(
    histogram.Histogram,
    buckets=st.dictionaries(
        st.integers(min_value=0, max_value=histogram.OVERFLOW),
        st.integers(min_value=0, max_value=40),
        max_size=3,
    ),
)


@FEW
@given(
    st.dictionaries(st.sampled_from([one.value for one in histogram.Stage]), histograms),
    st.none() | st.tuples(histograms, st.none() | st.floats(min_value=0, max_value=1000)),
)
def test_missing_evidence_never_counts_as_within_the_budget(
    stages: dict[str, histogram.Histogram],
    probe: tuple[histogram.Histogram, float | None] | None,
) -> None:
    lines = tuple(
        report.StageReport(
            namespace="hq",
            policy="ventilate",
            stage=histogram.Stage(stage),
            node="edge-1" if stage in ("Network", "Inference") else None,
            histogram=seen,
        )
        for stage, seen in stages.items()
    )
    probes: tuple[report.ProbeReport, ...] = ()
    if probe is not None:
        probes = (report.ProbeReport(node="edge-1", histogram=probe[0], age_seconds=probe[1]),)
    agents = [build.agent(name, stages=lines, probes=probes) for name in ("edge-2", "edge-3")]
    evidence = latency.gather("hq", "ventilate", latency.SiteReports(agents))
    seen = build.world(fleet=build.fleet(agents))
    made = planning.plan(build.settle(seen))

    whole = stages.get("EndToEnd")
    if whole is None or whole.count * 2 < latency.ENOUGH:
        met = build.condition(made, "InferencePlacement", "ventilate.hq", "BudgetMet")
        assert met != ("True", "WithinBudget")
        assert evidence.measured() is None
    network = stages.get("Network")
    is_measured = network is not None and network.count * 2 >= latency.ENOUGH
    is_fresh = probe is not None and probe[1] is not None and probe[1] <= latency.PROBE_STALE
    is_probed = probe is not None and probe[0].count > 0 and is_fresh
    if not is_measured and not is_probed:
        assert latency.predict(evidence, "edge-1", 0.01, 0.2).total is None


def test_a_latency_without_bound_is_over_every_budget() -> None:
    endless = histogram.Histogram(buckets={histogram.OVERFLOW: 50})
    probes = (report.ProbeReport(node="edge-1", histogram=endless, age_seconds=1.0),)
    agents = [build.agent(name, probes=probes) for name in ("edge-2", "edge-3")]
    found = latency.predict(
        latency.gather("hq", "ventilate", latency.SiteReports(agents)), "edge-1", 0.01, 0.2
    )
    assert found.total == math.inf
    candidate = candidates.Candidate(build.edge("edge-1"), found, 0.0)
    assert candidate.is_over(1e9)
    assert candidates.late(candidate, 1e9) is not None
