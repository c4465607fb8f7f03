"""Two sites: one falls wholly silent and is held, the other is looked after as before."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from e2e import world as worlds
from harness import cluster

SITE = "annex"
DEVICE = "annex-1"
PLACEMENT = f"{worlds.POLICY}.{SITE}"


def documents(world: worlds.World) -> list[dict[str, Any]]:
    """A second site on the same broker, and a device there that the example's policy selects."""
    (broker,) = (
        document["spec"]["broker"] for document in world.documents() if document["kind"] == "Site"
    )

    device = {"profileRef": {"name": "room-climate"}, "site": SITE}
    return [
        worlds.resource("Site", SITE, {"broker": broker}),
        worlds.resource("Device", DEVICE, device, labels={"zone": "west"}),
    ]


@pytest.fixture
def annex(world: worlds.World) -> Iterator[worlds.World]:
    """The last edge node is a site of its own, with a device that is decided for."""
    node = world.cluster.edge[-1]
    try:
        with world.added("annex", documents(world)):
            name_site(world, node, SITE)
            world.play(device=DEVICE, site=SITE)
            try:
                world.until_redundant(placement=PLACEMENT)
                world.until_deciding(device=DEVICE)
                world.until_redundant()
                yield world
            finally:
                world.unplug(DEVICE)
    finally:
        name_site(world, node, worlds.SITE)
        world.until_redundant()
        world.until_deciding()


def name_site(world: worlds.World, node: cluster.Node, site: str) -> None:
    world.cluster.kubectl("label", "node", node.name, "--overwrite", f"{cluster.LABEL_SITE}={site}")


def test_a_site_that_is_wholly_silent_holds_no_other(annex: worlds.World) -> None:
    world, dark = annex, annex.cluster.edge[:-1]
    holder, placed = world.authority(), world.nodes()
    world.cluster.isolate(dark)
    try:
        world.cluster.wait_not_ready(*dark)
        world.until(
            lambda: world.condition("sites", worlds.SITE, "Held") == ("True", "SiteSilent"),
            "the silent site is held",
            60,
        )
        moment = worlds.now()
        remove_replica(world, world.replicas(PLACEMENT)["Standby"])
        world.until(
            lambda: "Standby" not in world.replicas(PLACEMENT), "the annex has lost a replica", 60
        )
        world.until_redundant(90, placement=PLACEMENT)
        assert world.condition("sites", SITE, "Held") is None
        gap = worlds.gap(world.taken(DEVICE), moment)
        assert gap is not None
        assert gap < timedelta(seconds=5)
        assert world.commands_since(moment), "the silent site decides on by itself"
        assert (world.authority(), world.nodes()) == (holder, placed)
    finally:
        world.cluster.rejoin(dark)
    world.cluster.wait_ready(*dark)


def remove_replica(world: worlds.World, node: str) -> None:
    """Somebody deletes the annex's replica on a node."""
    listed = world.cluster.get("pods", "-n", worlds.NAMESPACE, "-l", f"foreshore.dev/site={SITE}")
    for pod in listed["items"]:
        if pod["spec"]["nodeName"] == node:
            name = pod["metadata"]["name"]
            world.cluster.kubectl("delete", "pod", name, "-n", worlds.NAMESPACE, "--wait=false")
