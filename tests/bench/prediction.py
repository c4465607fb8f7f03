"""Predicted beside simulated p99 of two hundred placements, of twenty thousand calls each."""

from collections.abc import Sequence
from typing import Final

from builders import servers

PLACEMENTS: Final = 200
CALLS: Final = 20_000
SEED: Final = 7
NEAR: Final = 0.15


def report(placements: int = PLACEMENTS, calls: int = CALLS) -> None:
    """Simulate, and print how many predictions are near, and which are not."""
    outcomes = list(servers.placements(SEED, placements, calls))
    print(f"latency model, {placements} placements of {calls} calls or more (seed {SEED}):")
    for words, off in (
        ("before it runs there", [it.before / it.simulated - 1 for it in outcomes]),
        ("from its own stages there", [it.in_place / it.simulated - 1 for it in outcomes]),
    ):
        print(f"  {words:26} {summary(off)}")
    missed = [it for it in outcomes if abs(it.before / it.simulated - 1) > NEAR]
    for it in missed:
        print(
            f"  missed {it.before / it.simulated - 1:+.0%}: {it.cores} cores at"
            f" {it.utilisation:.0%}, {it.kind}, p99 {it.simulated * 1000:.0f} ms"
        )


def summary(off: Sequence[float]) -> str:
    """Say how many are near, and where the middle and the ends lie."""
    near = sum(abs(of) <= NEAR for of in off) / len(off)
    ordered = sorted(off)
    low, middle, high = (
        ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.05, 0.5, 0.95)
    )
    return f"{near:.1%} within 15 %; {low:+.0%} / {middle:+.0%} / {high:+.0%} (p5, p50, p95)"
