"""A node that comes and goes is used once more, then left alone.

Early by its name: a node that was left in trouble, as by what is slow, is none to return to.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import changes
from e2e import world as worlds
from harness import process

MIN_READY = 10
WINDOW = 15
LEFT_ALONE = 30.0
"""Seconds for which a node in quarantine is Ready and watched: three times what a replica waits
for that would rather be at the edge."""


@pytest.fixture
def quarantining(world: worlds.World) -> Iterator[worlds.World]:
    """A fleet with quarantine, where what gave way comes back soon."""
    waits = (
        f"--returns-min-ready-seconds={MIN_READY}",
        f"--returns-stabilization-window-seconds={WINDOW}",
    )
    edge = {node.name for node in world.cluster.edge}
    with changes.options(world, "--quarantine", *waits):
        world.until(lambda: set(world.replicas().values()) <= edge, "both are at the edge", 120)
        world.until_redundant()
        yield world


@contextlib.contextmanager
def silent(world: worlds.World, node: str) -> Iterator[None]:
    """The node's kubelet and agent are dead for as long as this lasts; its machine goes on."""
    world.cluster.run_on(node, "systemctl", "stop", "kubelet")
    try:
        with contextlib.suppress(process.CommandError):  # it may be about to start
            world.cluster.run_on(node, "pkill", "-9", "-f", "foreshore-agent run")
        world.cluster.wait_not_ready(node)
        yield
    finally:
        world.cluster.run_on(node, "systemctl", "start", "kubelet")
        world.cluster.wait_ready(node)


def judged(world: worlds.World, node: str) -> dict[str, Any]:
    """What the Site's status says of a node; nothing of one that is well."""
    verdicts = world.find("sites", worlds.SITE)["status"].get("verdicts", [])
    return next((dict(one) for one in verdicts if one["node"] == node), {})


def test_a_node_that_comes_and_goes_is_used_once_more_and_then_quarantined(
    quarantining: worlds.World,
) -> None:
    world = quarantining
    world.hold_apart()
    flapping = world.replicas()["Active"]
    before = world.placement()["moves"]
    with silent(world, flapping):
        world.until_replaced(flapping, 90)
    world.until(
        lambda: flapping in world.replicas().values(), "after one fall it is used again", 120
    )
    world.until_redundant()
    with silent(world, flapping):
        world.until_replaced(flapping, 90)
    world.until(
        lambda: (
            judged(world, flapping).get("verdict") == "Healthy"
            and "quarantinedUntil" in judged(world, flapping)
        ),
        "it is well again, and in quarantine",
        60,
    )
    assert judged(world, flapping)["flaps"] == 2
    until = judged(world, flapping)["quarantinedUntil"]
    shown = worlds.foreshore(world.cluster, "nodes", "-n", worlds.NAMESPACE, "-o", "wide")
    assert until in next(line for line in shown.splitlines() if flapping in line)

    placed = world.nodes()
    worlds.wait(LEFT_ALONE)
    assert world.nodes() == placed, "one that is in the cloud would rather be on that node"
    rejected = {one["reason"] for one in world.placement()["candidates"]["rejected"]}
    assert "Quarantined" in rejected

    with silent(world, flapping):
        worlds.wait(10)
    assert world.nodes() == placed
    moves = world.placement()["moves"]
    fresh = moves[: len(moves) - len(before)]
    assert sum(move["to"] == flapping for move in fresh) == 1
    assert sum(move.get("from") == flapping for move in fresh) == 2
    world.until_deciding(30)
