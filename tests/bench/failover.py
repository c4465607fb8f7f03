"""What a dead node costs, on a real cluster.

Decisions late by how many periods, a replacement after how long.
"""

import tempfile
from datetime import datetime
from pathlib import Path

from e2e import world as worlds
from harness import cluster, engine, settings

NAME = "foreshore-bench"
RATE = 5.0
LIMIT_REPLACED = 30.0


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
        inference_killed(world)
        holder_killed(world)


def inference_killed(world: worlds.World) -> None:
    """Decisions late, and the replacement serving."""
    node = world.replicas()["Active"]
    moment = worlds.now()
    world.cluster.kill(node)
    world.until(
        lambda: node not in world.replicas().values() and len(world.replicas()) == 2,
        "a replacement serves",
        120,
    )
    replaced = elapsed(moment)
    gap = worlds.gap(world.taken(), moment)
    late = gap.total_seconds() * RATE if gap is not None else float("nan")
    print(f"  inference node killed: decisions late by {max(0.0, late - 1):.1f} periods")
    verdict = "holds" if replaced <= LIMIT_REPLACED else "MISSED"
    print(f"  replacement serving after {replaced:.1f} s   (limit {LIMIT_REPLACED:g})   {verdict}")
    world.cluster.restart(node)
    world.until_redundant()
    world.until_deciding()


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
