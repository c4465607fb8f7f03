"""Agents that say what cannot be: nobody else's verdict, replica or right changes by it."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import health, snapshot
from foreshore_planner import plan as planning

LONG_AGO = 1e9
"""More seconds than any wire lets pass."""


def peers(**ages: float) -> tuple[report.ReportedPeer, ...]:
    return tuple(
        report.ReportedPeer(node=name.replace("_", "-"), age_seconds=age, has_hub=True)
        for name, age in ages.items()
    )


def with_liar(*, name: str = "edge-3", **lies: Any) -> snapshot.Snapshot:
    """Two honest agents, and one that says this."""
    honest = [
        build.agent(node, hears=[peer for peer in build.EDGES if peer != node], probes=build.FAST)
        for node in ("edge-1", "edge-2")
    ]
    liar = build.agent(name, **lies)
    return build.settle(build.world(fleet=build.fleet([*honest, liar])))


def decided(made: planning.Plan) -> tuple[Any, ...]:
    verdicts = {name: node.verdict for name, node in made.health.items() if name != "edge-3"}
    return verdicts, build.where(made), made.removals, made.retired, made.defects


LIES: dict[str, dict[str, Any]] = {
    "beats of nodes that do not exist": {"peers": peers(nowhere=0.1, nobody=0.2)},
    "beats of another site's nodes": {"peers": peers(cloud_1=0.1)},
    "beats that nobody sent": {"peers": peers(edge_1=LONG_AGO, edge_2=LONG_AGO)},
    "it was up before there was time": {"uptime_seconds": LONG_AGO},
    "its own beats": {"peers": peers(edge_3=0.0)},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_while_all_are_heard_changes_nothing(lie: str) -> None:
    honest = planning.plan(build.settle(build.world()))
    assert decided(planning.plan(with_liar(**LIES[lie]))) == decided(honest)


def test_a_report_of_a_node_that_does_not_exist_changes_nothing() -> None:
    honest = planning.plan(build.settle(build.world()))
    made = planning.plan(with_liar(name="nowhere", peers=peers(edge_1=LONG_AGO)))
    assert decided(made) == decided(honest)
    assert "nowhere" not in made.health


def silent(seen: snapshot.Snapshot, *agents: report.AgentEvidence) -> snapshot.Snapshot:
    """edge-1 is not Ready; these agents report."""
    nodes = build.with_nodes(
        seen,
        lambda node: dataclasses.replace(node, is_ready=False) if node.name == "edge-1" else node,
    )
    return dataclasses.replace(nodes, fleet=build.fleet(agents))


def test_who_says_that_a_beating_node_is_dead_is_overruled_by_one_that_hears_it() -> None:
    seen = silent(
        build.settle(build.world()),
        build.agent("edge-2", hears=["edge-1"]),
        build.agent("edge-3", peers=peers(edge_1=LONG_AGO)),
    )
    made = planning.plan(seen)
    assert made.health["edge-1"].verdict is health.NodeVerdict.LINK_CUT
    assert build.where(made) == {"r0": "edge-1"}


def test_who_says_that_a_dead_node_beats_only_keeps_it_from_being_replaced() -> None:
    """Silence moves nothing without evidence: a liar can hold its own site still, and no other."""
    seen = silent(build.settle(build.world()), build.agent("edge-3", hears=["edge-1"]))
    made = planning.plan(seen)
    assert made.health["edge-1"].verdict is health.NodeVerdict.LINK_CUT
    assert (made.removals, made.defects) == ((), ())


def test_an_annotation_of_any_length_ends_no_hold_and_fits_into_the_condition() -> None:
    seen = build.silenced(build.settle(build.world()), *build.EDGES)
    (site,) = seen.sites
    annotations = {meta.ANNOTATION_HOLD_ENDED: "x" * 200_000}
    metadata = site.metadata.model_copy(update={"annotations": annotations})
    status = v1alpha1.SiteStatus(held_since="2026-03-01T09:00:00Z")
    held = site.model_copy(update={"metadata": metadata, "status": status})
    made = planning.plan(dataclasses.replace(seen, sites=(held,)))
    assert build.condition(made, "Site", "hq", "Held") == ("True", "SiteSilent")
    assert len(build.message(made, "Site", "hq", "Held")) < 400
