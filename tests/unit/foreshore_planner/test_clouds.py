"""A large cloud: a placement chooses among a share of it, and says of the rest that it is there."""

import dataclasses
from typing import Any

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_planner import plan as planning
from foreshore_planner import snapshot
from foreshore_planner.placement import clouds


def in_the_cloud(count: int, **more: Any) -> snapshot.Snapshot:
    clouds_of = (build.node(f"cloud-{number:03d}", **more) for number in range(count))
    other = build.node("other-1", site="other", tier=v1alpha1.Tier.EDGE)
    return build.world(nodes=(build.edge("edge-1"), other, *clouds_of))


def counts(made: planning.Plan) -> dict[str, int]:
    (placement,) = made.placements
    return {one.reason: one.count for one in placement.candidates.rejected}


def test_a_placement_looks_at_sixty_four_cloud_nodes_and_counts_the_others() -> None:
    made = planning.plan(in_the_cloud(clouds.LIMIT + 36))
    (placement,) = made.placements
    assert placement.candidates.total == clouds.LIMIT + 38
    assert counts(made) == {"NotExamined": 36, "OtherSite": 1}
    assert "66/" not in placement.findings.summary
    assert placement.findings.summary.startswith("65/102 nodes can serve")


def test_no_more_is_counted_than_there_is_while_the_cloud_is_small() -> None:
    assert counts(planning.plan(in_the_cloud(clouds.LIMIT))) == {"OtherSite": 1}


def test_a_cloud_node_that_alone_fits_is_found_among_hundreds() -> None:
    """A share of the cloud by hash alone would most likely miss it."""
    seen = in_the_cloud(300)
    wanted = build.policy(placement={"nodeSelector": {"example.com/gpu": "yes"}})
    for name in ("cloud-007", "cloud-211"):
        labelled = build.with_nodes(
            dataclasses.replace(seen, policies=(wanted,)),
            lambda one, name=name: (  # type: ignore[misc]
                dataclasses.replace(one, labels={"example.com/gpu": "yes"})
                if one.name == name
                else one
            ),
        )
        made = planning.plan(labelled)
        assert build.where(made) == {"r0": name}
        assert counts(made) == {"NodeSelector": 300, "OtherSite": 1}


def test_a_cloud_whose_share_is_full_gives_another() -> None:
    full = snapshot.ComputeResources(cpu=1990)
    seen = in_the_cloud(300)
    asked = build.policy(placement={"tier": "CloudOnly"})
    crowded = build.with_nodes(
        dataclasses.replace(seen, policies=(asked,)),
        lambda one: one if one.name == "cloud-123" else dataclasses.replace(one, requested=full),
    )
    assert build.where(planning.plan(crowded)) == {"r0": "cloud-123"}


def test_sites_share_a_large_cloud_instead_of_all_choosing_the_same_part() -> None:
    policies = (build.policy(placement={"tier": "CloudOnly"}),)
    sites = [f"site-{number}" for number in range(6)]
    seen = build.world(
        nodes=tuple(build.node(f"cloud-{number:03d}") for number in range(400)),
        sites=tuple(build.site_of(site) for site in sites),
        devices=tuple(build.device(f"room-{site}", site=site) for site in sites),
        policies=policies,
    )
    made = planning.plan(seen)
    assert len({pod.node for one in made.placements for pod in one.pods}) >= 4


def test_a_replica_beyond_the_share_stays_where_it_is() -> None:
    seen = in_the_cloud(clouds.LIMIT)
    asked = build.policy(placement={"tier": "CloudOnly"})
    settled = build.settle(dataclasses.replace(seen, policies=(asked,)))
    before = build.where(planning.plan(settled))
    more = tuple(build.node(f"cloud-a{number:03d}") for number in range(300))
    grown = dataclasses.replace(settled, nodes=(*settled.nodes, *more))
    made = planning.plan(grown)
    assert build.where(made) == before
    assert sum(counts(made).values()) == len(grown.nodes) - clouds.LIMIT - 1
