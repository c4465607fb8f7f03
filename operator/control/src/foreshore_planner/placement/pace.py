"""How many moves a site may see within a minute.

Off a dead node, while most of the site is healthy, half of the site's replicas, for there the
evidence is good; else six, whatever is wrong. So a mistake of ours moves little before it is seen.

Half is what lifts the six at a large site; at one of up to twelve replicas it stays at six. There a
lower cap would protect from nothing that the hold of a silent site does not, and what is lost
serves nobody while it waits: a site of two replicas that lost one, or both, has them back at once.
"""

from collections import Counter
from collections.abc import Mapping
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


def of_sites(seen: snapshot.Snapshot, verdicts: health.Health) -> dict[str, Pace]:
    """Return what is left for every site that has a placement."""
    since = seen.now - timedelta(seconds=WINDOW)
    healthy = _healthy_majorities(seen, verdicts)
    replicas: Counter[str] = Counter()
    made: Counter[str] = Counter()
    for placement in seen.placements:
        site = placement.spec.site
        replicas[site] += len(placement.status.replicas)
        made[site] += len(incumbents.departures(placement.status.moves, since))
    paces: dict[str, Pace] = {}
    for site, count in replicas.items():
        half = (count + 1) // 2 if healthy.get(site, False) else 0
        whole = Pace(MOVES_PER_MINUTE, max(MOVES_PER_MINUTE, half))
        paces[site] = whole.after(made[site])
    return paces


def _healthy_majorities(seen: snapshot.Snapshot, verdicts: health.Health) -> Mapping[str, bool]:
    usable: dict[str, list[bool]] = {}
    for node in seen.nodes:
        if node.site is not None:
            usable.setdefault(node.site, []).append(verdicts.of(node.name).is_usable)
    return {site: sum(states) * 2 > len(states) for site, states in usable.items()}
