"""The placement engine against a mixed-integer program, on many crowded fleets.

Where the engine leaves a slot without a node, the program has a minute of processor time to place
more. It fails where the program does so in more than one fleet of a hundred.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parents[1])]

from builders import exact, fleets  # noqa: E402
from foreshore_planner.placement.solve import batch  # noqa: E402

SECONDS: Final = 60.0
SIZES: Final = (330, 150)
"""Placements of a fleet, in turn."""
ALLOWED: Final = 0.01
"""Share of the fleets in which the program may place more."""


def main() -> int:
    """Place every fleet, and print those where something is left."""
    parser = argparse.ArgumentParser(prog="tight", description=__doc__)
    parser.add_argument("--fleets", type=int, default=300, help="how many (300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    chosen = parser.parse_args()
    beaten = 0
    for number in range(chosen.fleets):
        seed, size = chosen.first + number // len(SIZES), SIZES[number % len(SIZES)]
        beaten += _is_beaten(seed, size)
    print(f"{chosen.fleets} fleets, the program places more in {beaten}")
    return 1 if beaten > ALLOWED * chosen.fleets else 0


def _is_beaten(seed: int, placements: int) -> bool:
    asked = fleets.crowded(seed, placements)
    unplaced = batch.solve(asked).unplaced
    if not unplaced:
        return False
    answer = exact.fewest_unplaced(asked, SECONDS)
    proof = "proven" if answer.is_proven else "not proven"
    print(
        f"seed {seed}, {placements} placements: {unplaced} without a node,"
        f" by the program {answer.value:g} ({proof})",
        flush=True,
    )
    return answer.value < unplaced


if __name__ == "__main__":
    sys.exit(main())
