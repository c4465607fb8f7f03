"""What is too slow, and what is dead while nothing is fast enough."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from e2e import world as worlds
from harness import process

IMPOSSIBLE = "20ms"
"""A budget that Decide and Actuate alone exceed here: no choice of node could meet it."""
SLOWER = 0.6
"""Seconds: a call over a link so much slower misses `worlds.INFERENCE_TIMEOUT`."""


@pytest.fixture
def hurried(world: worlds.World) -> Iterator[worlds.World]:
    """A site whose budget no node can meet."""
    budget = world.find("decisionpolicies", worlds.POLICY)["spec"]["latencyBudget"]
    world.edit_policy(latencyBudget=IMPOSSIBLE)
    world.until(
        lambda: (
            (world.condition("inferenceplacements", worlds.PLACEMENT, "BudgetMet") or ("",))[0]
            == "False"
        ),
        "the budget is not met",
        60,
    )
    yield world
    world.edit_policy(latencyBudget=budget)


def test_a_dead_replica_is_replaced_although_no_node_meets_the_budget(
    hurried: worlds.World,
) -> None:
    infers = hurried.replicas()["Active"]
    hurried.cluster.kill(infers)
    hurried.until_replaced(infers, 40)
    condition = hurried.condition("inferenceplacements", worlds.PLACEMENT, "BudgetMet")
    assert condition == ("False", "OverBudget")
    hurried.until_deciding(30)


def test_a_replica_that_became_too_slow_loses_its_role_at_once_and_then_its_node(
    world: worlds.World,
) -> None:
    world.hold_apart()
    slow = world.replicas()["Active"]
    world.cluster.slow(slow, delay=SLOWER)
    try:
        world.until(
            lambda: world.replicas().get("Active") not in (None, slow),
            "the standby has the active role",
            30,
        )
        world.until(
            lambda: slow not in {one["node"] for one in world.placement()["replicas"]},
            "the replica has left the slow node",
            75,
        )
        world.until_redundant(60)
    finally:
        world.cluster.quicken(slow)


def test_an_agent_that_crashes_again_and_again_loses_its_device(world: worlds.World) -> None:
    before = world.authority()
    assert before is not None
    with crashing(world, before[0]):
        world.until(lambda: (world.authority() or before)[1] > before[1], "the right moves", 90)
        after = world.authority()
        assert after is not None
        assert after[0] != before[0]
        assert world.cluster.ready()[before[0]], "the node itself is well"
        world.until_deciding(30)
    assert world.arrived_twice() == set()


@contextlib.contextmanager
def crashing(world: worlds.World, node: str) -> Iterator[None]:
    """The agent of a node is killed as soon as it runs, for as long as this lasts."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.3):
            with contextlib.suppress(process.CommandError):  # there may be none at this moment
                world.cluster.run_on(node, "pkill", "-9", "-f", "foreshore-agent run")

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()
