"""How many moves a site may see within a minute.

Off a dead node, while most of the site is healthy, half of the site's replicas, for there the
evidence is good; else six, whatever is wrong. So a mistake of ours moves little before it is seen.

Half is what lifts the six at a large site; at one of up to twelve replicas it stays at six. There a
lower cap would protect from nothing that the hold of a silent site does not, and what is lost
serves nobody while it waits: a site of two replicas that lost one, or both, has them back at once.
"""

from dataclasses import dataclass
from datetime import timedelta

from foreshore_planner import health, snapshot
from foreshore_planner.placement import incumbents

MOVES_PER_MINUTE = 6
"""Moves of one site within `WINDOW` (design/placement.md); of a small site, more than half."""

WINDOW = 60.0
"""Seconds over which moves are counted."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is left of a site's minute."""

    moves: int = MOVES_PER_MINUTE
    replacements: int = MOVES_PER_MINUTE
    """Of replicas whose node is lost."""

    def after(self, made: int) -> "Pace":
        """Return what is left after so many moves."""
        return Pace(max(0, self.moves - made), max(0, self.replacements - made))


def of_site(seen: snapshot.Snapshot, verdicts: health.Health, site: str) -> Pace:
    """Return what is left for a site."""
    since = seen.now - timedelta(seconds=WINDOW)
    placements = seen.index.placements_at.get(site, ())
    replicas = sum(len(placement.status.replicas) for placement in placements)
    made = sum(
        len(incumbents.departures(placement.status.moves, since)) for placement in placements
    )
    half = (replicas + 1) // 2 if _has_healthy_majority(seen, verdicts, site) else 0
    return Pace(MOVES_PER_MINUTE, max(MOVES_PER_MINUTE, half)).after(made)


def _has_healthy_majority(seen: snapshot.Snapshot, verdicts: health.Health, site: str) -> bool:
    states = [verdicts.of(node.name).is_usable for node in seen.index.nodes_of.get(site, ())]
    return sum(states) * 2 > len(states)
