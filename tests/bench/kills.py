"""A journal's writer that is killed at random under load, and what it had answered for."""

import random
import time
from pathlib import Path

from builders import killed

SEED = 20261129


def report(folder: Path, kills: int = 200) -> None:
    """Kill, look, and print what was lost."""
    victim = killed.KilledWriter(folder / "killed", random.Random(SEED))
    problems: list[str] = []
    begun = time.monotonic()
    for number in range(1, kills + 1):
        victim.kill()
        problems += [f"after kill {number}: {problem}" for problem in victim.problems()]
    seconds = time.monotonic() - begun
    print(f"killed {kills} times in {seconds:.0f} s, seed {SEED}, {killed.WORKERS} workers:")
    print(
        f"  writes answered for    {len(victim.durable)}, of which forgotten since with leave",
        end="",
    )
    print(f" {len(victim.forgotten() & victim.durable.keys())}")
    print(f"  lost, or not as written {len(problems)}   (limit 0)   ", end="")
    print("holds" if not problems else "MISSED")
    for problem in problems[:10]:
        print(f"    {problem}")
