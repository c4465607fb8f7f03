"""A link that fills up: what infers behind it moves before the budget breaks.

Its budget is a second and a half, so that other work on the machine, which adds tens of
milliseconds, is small beside the tenth of it in which a move has to come.

Last of all by its name: what else infers behind that link leaves its node in trouble, and does not
return there for an hour.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from e2e import changes
from e2e import world as worlds
from foreshore_api import scalars
from harness import process

DEVICE = "room-302"
POLICY = "ventilate-in-time"
PLACEMENT = f"{POLICY}.{worlds.SITE}"
BUDGET = 1.54
"""Seconds. So long that what this machine adds at random is small beside a tenth of it; and a bound
of the buckets that latencies are counted in, so that 90 % of it can be told from over it."""
RATE = 0.6
"""Samples a second: none comes while the one before is decided, or it would wait for that too."""
AMPLE = 0.6
"""Of the budget: what another node is predicted to take when the link begins to fill up."""
TIMEOUT = "4s"
"""For both replicas: a call has half of it, so that none is late however near the budget is."""
SHARES = (0.5, 0.7, 0.8, 0.83, 0.86, 0.88, 0.9, 0.92, 0.94)
"""Of its budget, which the whole takes step by step: in ever smaller ones, as a queue grows."""
STEP = 8.0
"""Seconds of one step: several reports of the agent."""


def documents(world: worlds.World) -> list[dict[str, Any]]:
    """Another room of the site, and the example's policy for it: nothing is measured of it yet."""
    kinds = {document["kind"]: document for document in world.documents()}
    room = {"profileRef": {"name": "room-climate"}, "site": worlds.SITE}
    policy = kinds["DecisionPolicy"]["spec"]
    policy |= {
        "latencyBudget": f"{BUDGET * 1000:.0f}ms",
        "deviceSelector": {"matchLabels": {"zone": "far"}},
        "inference": {**policy["inference"], "timeout": TIMEOUT},
    }
    return [
        worlds.resource("Device", DEVICE, room, labels={"zone": "far"}),
        worlds.resource("DecisionPolicy", POLICY, policy),
    ]


@pytest.fixture
def room(world: worlds.World) -> Iterator[worlds.World]:
    """The room is decided for, by a replica behind a link.

    It says nothing before the replicas serve: what their start costs the first decisions would be
    taken for what decisions cost on any node.
    """
    with world.added("creep", documents(world)):
        world.until_redundant(placement=PLACEMENT)
        world.play(device=DEVICE, rate=RATE)
        try:
            world.until_deciding(device=DEVICE)
            world.hold_apart(DEVICE)
            cloud = world.cluster.cloud[0].name
            world.until(
                lambda: predicted(world, cloud) <= AMPLE * BUDGET,
                "another node is known to be well within the budget",
                120,
            )
            yield world
        finally:
            world.unplug(DEVICE)


def predicted(world: worlds.World, node: str) -> float:
    """Seconds that a decision would take with its model on a node that is not in use."""
    passed = world.placement(PLACEMENT)["candidates"]["passed"]
    return next(scalars.seconds(other["predicted"]) for other in passed if other["node"] == node)


def took(world: worlds.World, since: datetime) -> list[float]:
    """Seconds from sample to answer of every decision since a moment, as agents recorded them."""
    return [
        outcome["latency"]["EndToEnd"]
        for record in changes.stored_since(world, since, device=DEVICE)
        for outcome in record["outcomes"]
        if "EndToEnd" in outcome.get("latency", {})
    ]


def usual(world: worlds.World) -> float:
    """What most decisions take that are taken now."""
    since = worlds.now()
    world.until(lambda: len(took(world, since)) >= 10, "ten decisions are recorded", 60)
    every = sorted(took(world, since))
    return every[len(every) // 2]


def has_moved(world: worlds.World, node: str) -> bool:
    """Whether the active role, and what serves in it, left a node."""
    return world.replicas(PLACEMENT).get("Active") not in (None, node)


def test_a_replica_whose_latency_creeps_up_moves_before_its_budget_breaks(
    room: worlds.World,
) -> None:
    world = room
    creeping = world.replicas(PLACEMENT)["Active"]
    begun, whole = worlds.now(), usual(world)
    met = set()
    try:
        for share in SHARES:
            world.cluster.slow(creeping, delay=share * BUDGET - whole)
            with contextlib.suppress(process.HarnessError):  # it stays while there is room
                world.until(lambda: has_moved(world, creeping), "it moved", STEP)
            met.add(world.condition("inferenceplacements", PLACEMENT, "BudgetMet"))
            if has_moved(world, creeping):
                break
        world.until(lambda: has_moved(world, creeping), "it moved", 30)
        met.add(world.condition("inferenceplacements", PLACEMENT, "BudgetMet"))
        moves = world.placement(PLACEMENT)["moves"]
        assert [move["cause"] for move in moves if move.get("from") == creeping] == ["Creeping"]
        assert {status for status, _ in filter(None, met)} <= {"True", "Unknown"}
        world.until_deciding(30, device=DEVICE)
        every = took(world, begun)
        assert max(every) > 0.8 * BUDGET, "it came close"
        assert max(every) <= BUDGET, f"at {share:.0%} of it: {sorted(every)[-5:]}"
        world.until_redundant(60, placement=PLACEMENT)
    finally:
        world.cluster.quicken(creeping)
