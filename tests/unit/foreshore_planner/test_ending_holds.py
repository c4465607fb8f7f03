"""A hold that a person ends, and what status says of nodes that are not healthy."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import judging
from foreshore_planner import health, snapshot
from foreshore_planner import plan as planning

HELD = ("Site", "hq", "Held")


def status(made: planning.Plan, kind: str = "Site", name: str = "hq") -> Any:
    return next(row.status for row in made.statuses if (row.kind, row.name) == (kind, name))


def written(seen: snapshot.Snapshot, made: planning.Plan) -> snapshot.Snapshot:
    """The statuses of Sites as an API server has them after a pass."""
    sites = tuple(
        site.model_copy(update={"status": status(made, name=site.name)}) for site in seen.sites
    )
    return dataclasses.replace(seen, sites=sites)


def ended(seen: snapshot.Snapshot, start: str) -> snapshot.Snapshot:
    (site,) = seen.sites
    annotations = {meta.ANNOTATION_HOLD_ENDED: start}
    metadata = site.metadata.model_copy(update={"annotations": annotations})
    return dataclasses.replace(seen, sites=(site.model_copy(update={"metadata": metadata}),))


def dark() -> snapshot.Snapshot:
    """The site is silent as a whole, and its hold is written; the cloud has room."""
    settled = build.settle(build.world())
    silent = build.silenced(settled, *build.EDGES)
    return written(silent, planning.plan(silent))


def test_a_hold_says_since_when_and_how_a_person_ends_it() -> None:
    seen = dark()
    made = planning.plan(build.later(seen, 100.0))
    assert build.condition(made, *HELD) == ("True", "SiteSilent")
    assert "kubectl foreshore nodes -n hq --end-hold hq" in build.message(made, *HELD)
    assert status(made).held_since == "2026-03-01T10:00:00Z"
    assert build.where(made) == {"r0": "edge-1"}


def test_what_is_lost_at_a_site_moves_once_a_person_has_ended_its_hold() -> None:
    made = planning.plan(ended(dark(), "2026-03-01T10:00:00Z"))
    assert build.where(made) == {"r0": "cloud-1"}
    assert build.condition(made, *HELD) == ("False", "HoldEnded")
    assert status(made).held_since == "2026-03-01T10:00:00Z"
    assert made.health["edge-1"].verdict is health.NodeVerdict.UNKNOWN


def test_no_right_moves_by_the_word_of_a_person_alone() -> None:
    """A right needs a peer that no longer hears its holder; an ended hold is no such sign."""
    assert planning.plan(ended(dark(), "2026-03-01T10:00:00Z")).grants == ()


@pytest.mark.parametrize("start", ["2026-03-01T09:00:00Z", "", "soon"])
def test_the_end_of_another_hold_is_none_of_this_one(start: str) -> None:
    made = planning.plan(ended(dark(), start))
    assert build.where(made) == {"r0": "edge-1"}
    assert build.condition(made, *HELD) == ("True", "SiteSilent")
    is_told = "speaks of another hold" in build.message(made, *HELD)
    assert is_told is bool(start)


def test_an_ended_hold_dies_with_the_silence() -> None:
    seen = ended(dark(), "2026-03-01T10:00:00Z")
    back = dataclasses.replace(
        seen, nodes=build.world().nodes, fleet=build.fleet(), now=seen.now.replace(minute=30)
    )
    made = planning.plan(back)
    assert build.condition(made, *HELD) is None
    assert status(made).held_since is None
    again = written(back, made)
    again = build.silenced(again, *build.EDGES)
    made = planning.plan(again)
    assert build.condition(made, *HELD) == ("True", "SiteSilent")
    assert status(made).held_since == "2026-03-01T10:30:00Z"


def fleet_of_dark_sites() -> snapshot.Snapshot:
    """Three of four sites are dark together, so that everything is held; each has two nodes."""
    names = ("hq", "annex", "depot", "shop")
    nodes = [
        build.node(
            f"{site}-{number}",
            site=site,
            tier=v1alpha1.Tier.EDGE,
            **({} if site == "shop" else {"is_ready": False, "silent_age": 10.0, "lease_age": 30}),
        )
        for site in names
        for number in (1, 2)
    ]
    agents = [build.agent("shop-1", hears=["shop-2"]), build.agent("shop-2", hears=["shop-1"])]
    return build.world(
        sites=tuple(map(build.site_of, names)),
        nodes=(*nodes, build.node("cloud-1")),
        fleet=build.fleet(agents),
    )


def test_a_hold_of_all_is_ended_site_by_site() -> None:
    seen = fleet_of_dark_sites()
    made = planning.plan(seen)
    assert build.condition(made, "Site", "shop", "Held") == ("True", "FleetSilent")
    seen = written(seen, made)
    first, *others = seen.sites
    annotations = {meta.ANNOTATION_HOLD_ENDED: first.status.held_since or ""}
    metadata = first.metadata.model_copy(update={"annotations": annotations})
    seen = dataclasses.replace(
        seen, sites=(first.model_copy(update={"metadata": metadata}), *others)
    )
    verdicts = health.assess(seen)
    assert verdicts.is_fleet_held
    assert verdicts.held_sites == {"annex", "depot", "shop"}
    assert verdicts.of("hq-1").verdict is health.NodeVerdict.UNKNOWN
    assert verdicts.of("annex-1").verdict is health.NodeVerdict.SITE_CUT
    placed = build.where(planning.plan(seen))
    assert placed == {"r0": "cloud-1"}


def test_a_site_without_nodes_that_is_held_with_all_says_so_and_is_let_go_by_a_person() -> None:
    """Its replicas in the cloud stayed where they were, and its condition did not say why."""
    dark = fleet_of_dark_sites()
    bare = build.site_of("bare")
    made = planning.plan(dataclasses.replace(dark, sites=(*dark.sites, bare)))
    assert build.condition(made, "Site", "bare", "Held") == ("True", "FleetSilent")
    assert "--end-hold bare" in build.message(made, "Site", "bare", "Held")
    start = status(made, name="bare").held_since
    assert start is not None
    metadata = bare.metadata.model_copy(update={"annotations": {meta.ANNOTATION_HOLD_ENDED: start}})
    asked = bare.model_copy(update={"metadata": metadata, "status": status(made, name="bare")})
    seen = dataclasses.replace(dark, sites=(*dark.sites, asked))
    made = planning.plan(seen)
    assert build.condition(made, "Site", "bare", "Held") == ("False", "HoldEnded")
    assert health.assess(seen).is_fleet_held
    assert not health.assess(seen).is_held("bare")
    made = planning.plan(dataclasses.replace(seen, nodes=build.world().nodes))
    assert build.condition(made, "Site", "bare", "Held") is None
    assert status(made, name="bare").held_since is None


def test_status_lists_what_is_wrong_with_nodes_and_nothing_that_ticks() -> None:
    seen = build.silenced(build.settle(build.world()), "edge-2")
    seen = build.with_nodes(
        seen,
        lambda node: dataclasses.replace(
            node, flaps=(60.0, 600.0) if node.name == "edge-3" else ()
        ),
    )
    listed = status(planning.plan(seen)).verdicts
    assert [(node.node, node.verdict, node.flaps) for node in listed] == [
        ("edge-2", "NodeDead", None),
        ("edge-3", "Healthy", 2),
    ]
    assert listed[0].evidence == "the node is not Ready, and its beats have stopped at its site"
    assert listed[1].quarantined_until == "2026-03-01T10:50:00Z"
    later = build.with_nodes(
        written(seen, planning.plan(seen)),
        lambda node: dataclasses.replace(node.older(100.3), lease_age=node.lease_age),
    )
    assert status(planning.plan(build.later(later, 100.0))).verdicts == listed


def test_a_healthy_site_lists_nothing_and_a_hub_that_is_away_no_agent() -> None:
    assert status(planning.plan(build.world())).verdicts == ()
    assert status(planning.plan(build.world(fleet=None))).verdicts == ()
    silent = build.world(fleet=build.fleet([]))
    assert {node.verdict for node in status(planning.plan(silent)).verdicts} == {"Suspect"}


def test_a_list_has_room_for_so_many_the_worst_first() -> None:
    nodes = [
        build.edge(f"n{number:03}", is_ready=number >= 60, flaps=(1.0, 2.0))
        for number in range(130)
    ]
    agents = [build.agent(node.name, hears=["n060"]) for node in nodes[60:]]
    made = planning.plan(build.world(nodes=tuple(nodes), fleet=build.fleet(agents)))
    site = status(made)
    assert len(site.verdicts) == judging.LISTED
    assert site.more_verdicts == 130 - judging.LISTED
    assert [node.verdict for node in site.verdicts] == ["NodeDead"] * 60 + ["Healthy"] * 4


def test_nodes_of_no_site_stand_at_their_cluster() -> None:
    spec = {"connection": {"type": "InCluster"}}
    local = v1alpha1.Cluster.read({"metadata": {"name": "local", "generation": 1}, "spec": spec})
    lost = build.node("cloud-1", is_ready=False)
    made = planning.plan(build.world(clusters=(local,), nodes=(build.edge("edge-1"), lost)))
    (node,) = status(made, "Cluster", "local").verdicts
    assert (node.node, node.verdict) == ("cloud-1", "Unknown")


def test_nodes_whose_label_names_no_site_that_there_is_stand_at_their_cluster_too() -> None:
    spec = {"connection": {"type": "InCluster"}}
    local = v1alpha1.Cluster.read({"metadata": {"name": "local", "generation": 1}, "spec": spec})
    typo = build.node("edge-9", site="hqq", tier=v1alpha1.Tier.EDGE, is_ready=False)
    made = planning.plan(build.world(clusters=(local,), nodes=(build.edge("edge-1"), typo)))
    (node,) = status(made, "Cluster", "local").verdicts
    assert (node.node, node.verdict) == ("edge-9", "SiteCut")
