"""Predicted beside simulated p99 of two hundred placements, of twenty thousand calls each.

And of fewer with other seeds and at other loads, so that nobody fits the model to a seed.
"""

from collections.abc import Sequence
from typing import Final

from builders import servers

PLACEMENTS: Final = 200
FEWER: Final = 50
CALLS: Final = 20_000
SEED: Final = 7
OTHERS: Final = ((11, servers.LOADS), (23, servers.LOADS), (41, (0.05, 0.25)), (31, (0.5, 0.8)))
"""Seeds and loads that are looked at beside; beyond 65 % a node is saturated."""
NEAR: Final = 0.15


def report(placements: int = PLACEMENTS, calls: int = CALLS) -> None:
    """Simulate, and print how many predictions are near, and which are not."""
    outcomes = list(servers.placements(SEED, placements, calls))
    print(f"latency model, {placements} placements of {calls} calls or more (seed {SEED}):")
    before = [it.before / it.simulated - 1 for it in outcomes]
    print(f"  {'before it runs there':26} {summary(before)}")
    in_place = [it.in_place / it.simulated - 1 for it in outcomes]
    print(f"  {'from its own stages there':26} {summary(in_place)}")
    for it, off in zip(outcomes, before, strict=True):
        if abs(off) > NEAR:
            print(
                f"  missed {off:+.0%}: {it.cores} cores at {it.utilisation:.0%}, {it.kind},"
                f" p99 {it.simulated * 1000:.0f} ms"
            )
    print(f"before it runs there, {FEWER} placements each:")
    for seed, loads in OTHERS:
        beside = servers.placements(seed, FEWER, calls, loads)
        words = f"seed {seed}, at {loads[0]:.0%} to {loads[1]:.0%}"
        print(f"  {words:26} {summary([it.before / it.simulated - 1 for it in beside])}")


def summary(off: Sequence[float]) -> str:
    """Say how many are near, and where the middle and the ends lie."""
    near = sum(abs(of) <= NEAR for of in off) / len(off)
    ordered = sorted(off)
    low, middle, high = (
        ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.05, 0.5, 0.95)
    )
    short = sum(of < -NEAR for of in off) / len(off)
    return (
        f"{near:.1%} within 15 %, {short:.1%} too low;"
        f" {low:+.0%} / {middle:+.0%} / {high:+.0%} (p5, p50, p95)"
    )
