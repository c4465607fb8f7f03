"""Two replicas that ended on one node part again once another is back."""

from collections.abc import Iterator

import pytest

from e2e import world as worlds
from foreshore_planner.placement import returns


@pytest.fixture
def edge_alone(world: worlds.World) -> Iterator[worlds.World]:
    """Inference on two edge nodes and not in the cloud: when one dies the replicas share."""
    edge = {node.name for node in world.cluster.edge}
    world.until(lambda: set(world.replicas().values()) <= edge, "both are at the edge", 900)
    label = worlds.INFERENCE_LABEL.split("=")[0]
    for node in world.cluster.cloud:
        world.cluster.kubectl("label", "node", node.name, f"{label}-")
    try:
        yield world
    finally:
        for node in world.cluster.cloud:
            world.cluster.kubectl("label", "node", node.name, "--overwrite", worlds.INFERENCE_LABEL)


def nodes(world: worlds.World) -> list[str]:
    """The nodes of the replicas that serve."""
    replicas = world.placement()["replicas"]
    return [replica["node"] for replica in replicas if replica["phase"] == "Ready"]


def test_replicas_that_share_a_node_part_once_the_other_has_been_back_for_a_minute(
    edge_alone: worlds.World,
) -> None:
    world = edge_alone
    world.hold_apart()
    infers = world.replicas()["Active"]
    world.cluster.kill(infers)
    world.until(
        lambda: len(nodes(world)) == 2 and len(set(nodes(world))) == 1, "both share a node", 120
    )
    assert world.condition("inferenceplacements", worlds.PLACEMENT, "Redundant") == (
        "False",
        "SharedDomain",
    )
    world.cluster.heal()
    back = worlds.now()
    world.until(lambda: len(set(nodes(world))) == 2, "they part again", 240)
    move = world.placement()["moves"][0]
    assert (move["to"], move["cause"]) == (infers, "RedundancyRestored")
    assert (worlds.now() - back).total_seconds() >= returns.WELL_FOR
    world.until_deciding(30)
