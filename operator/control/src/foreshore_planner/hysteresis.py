"""How steady things have to be before a replica moves though nothing forces it.

What a fleet may choose about `placement.returns`: carried by every snapshot, read there and where
moments are set at which such a move may be due (`world`).
"""

from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 10.0
"""Seconds. Below this a node that only restarts its kubelet would draw replicas to and fro."""

LONGEST: Final = 3600.0
"""Seconds. Placements keep what they need of their moves for as long (`placement.slots`), and what
`failback: WhenStable` waits is no longer."""


@dataclass(frozen=True, slots=True)
class Stabilization:
    """Seconds that moves wait for which nothing forces; each from `SHORTEST` to `LONGEST`.

    Raises ValueError where they are not.
    """

    min_ready: float = 60.0
    """For which a node has to be Ready before a replica goes there."""
    window: float = 600.0
    """Between two such moves of one placement."""

    def __post_init__(self) -> None:
        for seconds in (self.min_ready, self.window):
            if not SHORTEST <= seconds <= LONGEST:
                raise ValueError(f"{seconds:g}s is not within {SHORTEST:g}s and {LONGEST:g}s")


DEFAULT: Final = Stabilization()
