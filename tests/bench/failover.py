"""What a dead node costs, and what an update costs, on a real cluster.

Decisions late by how many periods, a replacement after how long; decisions lost to a new version,
to an image that cannot be pulled, to a budget that nothing meets, to a restart of the agents.
"""

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from e2e import changes, versions
from e2e import world as worlds
from harness import cluster, engine, settings

NAME = "foreshore-bench"
RATE = 5.0
LIMIT_REPLACED = 30.0
LIMIT_RESTARTED = 3.0
IMPOSSIBLE = "20ms"
"""A budget that the stages which no node changes exceed by themselves."""
HARM = 30.0
"""Seconds that an image which cannot be pulled is left to do harm."""


def report() -> None:
    """Kill the node that infers, then the holder; print the gaps."""
    engine.ensure()
    with (
        tempfile.TemporaryDirectory(prefix="foreshore-bench-") as folder,
        cluster.create(NAME, settings.read()) as made,
        worlds.raised(made, Path(folder)) as world,
    ):
        world.until_redundant()
        world.play(rate=RATE)
        world.until_deciding()
        worlds.wait(20)
        print(f"failover, telemetry every {1000 / RATE:.0f} ms, n 1 each")
        version_switched(world)
        image_not_pulled(world)
        agents_restarted(world)
        inference_killed(world)
        impossible_budget(world)
        holder_killed(world)


def inference_killed(world: worlds.World) -> None:
    """Decisions late, and the replacement serving."""
    world.hold_apart()
    node = world.replicas()["Active"]
    moment = worlds.now()
    world.cluster.kill(node)
    world.until_replaced(node, 120)
    replaced = elapsed(moment)
    gap = worlds.gap(world.taken(), moment)
    late = gap.total_seconds() * RATE if gap is not None else float("nan")
    print(f"  inference node killed: decisions late by {max(0.0, late - 1):.1f} periods")
    report_replaced("", replaced)
    world.cluster.restart(node)
    world.until_redundant()
    world.until_deciding()


def version_switched(world: worlds.World) -> None:
    """Decisions without an answer while both replicas change to another version, and back."""
    versions.declare(world, versions.SECOND)
    moment = worlds.now()
    changes.switch(world, versions.SECOND)
    worlds.wait(3)
    records = changes.stored_since(world, moment)
    lost = changes.errors(records)
    wrong = [
        one["metadata"]["name"]
        for one in versions.answered(records)
        if not versions.names_what_answered(one)
    ]
    print(f"  version switched: {missed(lost)} of {len(records)} decisions without an answer")
    print(f"    records that name a version which did not answer: {missed(wrong)}")
    changes.switch(world, versions.FIRST)


def image_not_pulled(world: worlds.World) -> None:
    """Decisions without an answer while every successor wants an image that nobody has."""
    wanted = changes.serving_image(world)
    moment = worlds.now()
    changes.set_serving_image(world, changes.NOWHERE)
    worlds.wait(HARM)
    records = changes.stored_since(world, moment)
    lost, why = changes.errors(records), set(changes.successors(world))
    print(f"  image that cannot be pulled: {missed(lost)} of {len(records)} without an answer")
    print(f"    what the placement says of the successors: {', '.join(sorted(why)) or 'nothing'}")
    changes.set_serving_image(world, wanted)
    world.until(lambda: changes.successors(world) == [], "nothing is to be replaced", 120)


def agents_restarted(world: worlds.World) -> None:
    """The longest time without a command while every agent is replaced, one after the other."""
    moment = worlds.now()
    changes.restart_agents(world)
    world.until_deciding(60)
    gap = worlds.gap(world.taken(), moment)
    seconds = gap.total_seconds() if gap is not None else float("nan")
    held = "holds" if seconds <= LIMIT_RESTARTED else "MISSED"
    print(
        f"  agents restarted: longest time without a command {seconds:.1f} s"
        f"   (limit {LIMIT_RESTARTED:g})   {held}"
    )


def impossible_budget(world: worlds.World) -> None:
    """A replacement also where no node meets the budget."""
    budget = world.find("decisionpolicies", worlds.POLICY)["spec"]["latencyBudget"]
    world.hold_apart()
    world.edit_policy(latencyBudget=IMPOSSIBLE)
    worlds.wait(10)
    node = world.replicas()["Active"]
    moment = worlds.now()
    world.cluster.kill(node)
    world.until_replaced(node, 120)
    report_replaced(f"budget {IMPOSSIBLE}: ", elapsed(moment))
    world.edit_policy(latencyBudget=budget)
    world.cluster.restart(node)
    world.until_redundant()
    world.until_deciding()


def missed(lost: Sequence[object]) -> str:
    """How many there are of what there should be none of, and the first of them."""
    return f"{len(lost)} (MISSED, such as {lost[0]})" if lost else "0"


def report_replaced(what: str, seconds: float) -> None:
    """How long a replacement took."""
    held = "holds" if seconds <= LIMIT_REPLACED else "MISSED"
    print(
        f"  {what}replacement serving after {seconds:.1f} s   (limit {LIMIT_REPLACED:g})   {held}"
    )


def holder_killed(world: worlds.World) -> None:
    """The first command of the next holder, beside the bound that the status shows."""
    before = world.authority()
    if before is None:
        print("  holder killed: no agent holds the device")
        return
    bound = world.find("devices", worlds.DEVICE)["status"]["authority"]["takeoverBound"]
    moment = worlds.now()
    world.cluster.kill(before[0])
    world.until(lambda: (world.authority() or before)[1] > before[1], "the right moves", 120)
    world.until(lambda: of_the_next(world, before[1]), "the next holder is obeyed", 60)
    first = min(one.time for one in of_the_next(world, before[1]))
    took = (first - moment).total_seconds()
    print(f"  holder killed → first command of the next {took:.1f} s   (takeoverBound {bound})")


def of_the_next(world: worlds.World, epoch: int) -> list[worlds.Obeyed]:
    """Commands that the device took under a higher number."""
    return [one for one in world.taken() if one.epoch > epoch]


def elapsed(moment: datetime) -> float:
    """Seconds since a moment."""
    return (worlds.now() - moment).total_seconds()
