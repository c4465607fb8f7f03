"""Two replicas that ended on one node part again once another is back, and nobody notices.

Early by its name: a node that was left in trouble, as by what is slow, is none to return to.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from e2e import changes
from e2e import world as worlds

MIN_READY = 10
"""Seconds for which a node is Ready before a replica goes there though nothing forces it: the least
that may be chosen, as nobody wants to wait a minute here."""
WINDOW = 15
BUDGET = f"{worlds.POLICY}-replicas"
"""The PodDisruptionBudget of the policy."""


@pytest.fixture
def edge_alone(world: worlds.World) -> Iterator[worlds.World]:
    """Inference on two edge nodes and not in the cloud: when one dies the replicas share.

    A booting node takes this machine's processors for seconds: calls are given the time.
    """
    edge = {node.name for node in world.cluster.edge}
    label = worlds.INFERENCE_LABEL.split("=")[0]
    timeout = world.find("decisionpolicies", worlds.POLICY)["spec"]["inference"]["timeout"]
    waits = (
        f"--returns-min-ready-seconds={MIN_READY}",
        f"--returns-stabilization-window-seconds={WINDOW}",
    )
    with changes.options(world, *waits):
        world.edit_policy(inference={"timeout": worlds.PATIENT})
        world.until(lambda: set(world.replicas().values()) <= edge, "both are at the edge", 120)
        world.until_redundant()
        for node in world.cluster.cloud:
            world.cluster.kubectl("label", "node", node.name, f"{label}-")
        try:
            yield world
        finally:
            for node in world.cluster.cloud:
                world.cluster.kubectl(
                    "label", "node", node.name, "--overwrite", worlds.INFERENCE_LABEL
                )
            world.edit_policy(inference={"timeout": timeout})


def serving(world: worlds.World) -> dict[str, dict[str, Any]]:
    """By role: every replica that is ready."""
    replicas = world.placement()["replicas"]
    return {replica["role"]: replica for replica in replicas if replica["phase"] == "Ready"}


def redundant(world: worlds.World) -> tuple[str, str] | None:
    """What the placement says of its redundancy."""
    return world.condition("inferenceplacements", worlds.PLACEMENT, "Redundant")


def budget(world: worlds.World) -> dict[str, Any]:
    """The policy's PodDisruptionBudget."""
    return world.cluster.get("poddisruptionbudget", BUDGET, "-n", worlds.NAMESPACE)


def healthy(world: worlds.World) -> int:
    """How many replicas the budget counts as ready."""
    return int(budget(world)["status"]["currentHealthy"])


def test_replicas_that_share_a_node_part_the_standby_first_and_no_decision_waits(
    edge_alone: worlds.World,
) -> None:
    world = edge_alone
    world.hold_apart()
    infers = world.replicas()["Active"]
    world.cluster.kill(infers)
    world.until(
        lambda: redundant(world) == ("False", "SharedDomain") and len(serving(world)) == 2,
        "both share a node",
        120,
    )
    assert len(set(world.nodes())) == 1
    world.until(lambda: healthy(world) >= 2, "the disruption budget counts both", 30)
    active, protected = serving(world)["Active"], budget(world)["metadata"]["uid"]

    world.cluster.heal()
    back = worlds.now()
    fewest: list[int] = []

    def have_parted() -> bool:
        fewest.append(healthy(world))
        replicas = serving(world)
        return len(replicas) == 2 and replicas["Standby"]["node"] == infers

    world.until(have_parted, "the standby is on the node that is back", 120)
    move = world.placement()["moves"][0]
    assert (move["to"], move["cause"]) == (infers, "RedundancyRestored")
    assert worlds.now() - back >= timedelta(seconds=MIN_READY - 2), "not before it was well"
    assert serving(world)["Active"]["endpoint"] == active["endpoint"], "it stayed where it was"
    assert min(fewest) >= 2, "the old standby goes when the new one serves"
    assert budget(world)["metadata"]["uid"] == protected
    records = changes.stored_since(world, back)
    assert records
    assert changes.errors(records) == []
    gap = worlds.gap(world.taken(), back)
    assert gap is not None
    assert gap < timedelta(seconds=3)
    world.until(lambda: redundant(world) == ("True", "Spread"), "that they parted is told", 30)
