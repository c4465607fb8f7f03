"""Two operators on a real API server: how long nobody writes, and what a paused leader still does.

The leader writes ten statuses a second. It is killed: seconds until the other's first write, and
what the other had to list before it. It is paused at a random moment, and goes on once the other
writes: what it then writes all the same, by the API server's audit log.
"""

import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import operator_pair
from harness import process

SEED = 20261130
LIMIT = 8.0


def report(folder: Path, kills: int = 5, pauses: int = 10) -> None:
    """Kill, pause, and print."""
    chance = random.Random(SEED)
    with operator_pair.raised(folder) as pair:
        killed = []
        for number in range(kills):
            killed.append(operator_pair.killed(pair))
            process.say(f"takeover: kill {number + 1}: {killed[-1].led:.2f} s")
        paused = []
        for number in range(pauses):
            paused.append(operator_pair.paused(pair, after=chance.random()))
            process.say(f"takeover: pause {number + 1}: {paused[-1].led:.2f} s")
        in_force = [request for name in operator_pair.NAMES for request in pair.refused(name, 0.0)]
    print(f"operators that lead, killed {kills} times, paused {pauses} times, seed {SEED}:")
    _print_seconds("killed → next write", [one.led for one in killed])
    _print_seconds("paused → next write", [one.led for one in paused])
    every = [*killed, *paused]
    _print_count("listed by the heir before it wrote", sum(len(one.listed) for one in every))
    _print_count("written by the paused one after the heir", sum(one.late for one in paused))
    print(f"  {'refused by the policies':42} {len(in_force)}")


def _print_seconds(what: str, seconds: Sequence[float]) -> None:
    middle, longest = statistics.median(seconds), max(seconds)
    verdict = "holds" if longest <= LIMIT else "MISSED"
    print(
        f"  {what:42} median {middle:.2f} s, longest {longest:.2f} s   (limit {LIMIT:g})", verdict
    )


def _print_count(what: str, count: int) -> None:
    print(f"  {what:42} {count}   (limit 0)", "holds" if count == 0 else "MISSED")
