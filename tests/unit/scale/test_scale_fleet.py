"""The played fleet: even however large, and made of documents that the product takes."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api import meta, v1alpha1
from scale import fleet

SIZES = st.integers(1, 3000)


@settings(max_examples=30, deadline=None)
@given(nodes=SIZES, devices=st.integers(0, 2000))
def test_a_fleet_of_any_size_has_so_many_nodes_and_a_site_for_every_edge_node(
    nodes: int, devices: int
) -> None:
    shape = fleet.FleetShape(nodes, devices)
    names = shape.node_names()
    assert len(names) == nodes
    sites = {site for site in names.values() if site is not None}
    assert sites <= {fleet.site_name(number) for number in range(shape.sites)}
    assert sum(site is None for site in names.values()) == shape.cloud


@settings(max_examples=10, deadline=None)
@given(nodes=st.integers(20, 150))
def test_ten_devices_a_node_reach_every_policy_at_every_site(nodes: int) -> None:
    shape = fleet.FleetShape(nodes, 10 * nodes)
    counts = Counter(
        (device["spec"]["site"], device["metadata"]["labels"]["zone"])
        for device in shape.device_documents(0, shape.devices)
    )
    assert len(counts) == shape.sites * fleet.POLICIES
    assert max(counts.values()) - min(counts.values()) <= 1


def test_devices_that_are_applied_later_are_other_devices() -> None:
    shape = fleet.FleetShape(50, 500)
    first = {device["metadata"]["name"] for device in shape.device_documents(0, 250)}
    later = {device["metadata"]["name"] for device in shape.device_documents(250, 500)}
    assert len(first) == len(later) == 250
    assert not first & later


def test_what_is_applied_is_what_the_product_reads() -> None:
    models = {model.kind: model for model in v1alpha1.KINDS}
    shape = fleet.FleetShape(20, 40)
    documents = [*shape.resources(), *shape.device_documents(0, 40)]
    kinds = Counter(models[document["kind"]].read(document).kind for document in documents)
    assert kinds["Device"] == 40
    assert kinds["Site"] == shape.sites
    assert kinds["DecisionPolicy"] == fleet.POLICIES


@pytest.mark.parametrize("site", ["s0001", None], ids=["a node of a site", "a cloud node"])
def test_a_node_carries_the_labels_that_placement_asks_for(site: str | None) -> None:
    labels = fleet.node("n", site)["metadata"]["labels"]
    assert labels.get(meta.LABEL_SITE) == site
    assert labels[meta.LABEL_TIER] == ("Edge" if site else "Cloud")
