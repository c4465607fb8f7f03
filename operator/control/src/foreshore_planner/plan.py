"""One planning pass: the whole observed world in, everything to be written out, with reasons.

Called by `foreshore_operator` after each change and at least every thirty seconds; it neither reads
nor writes. A pass on the result of a pass plans nothing new (level, not edge), and the order of
anything in the snapshot does not matter.

    snapshot ─► health ─► binding ─► placements ─► authorities ─► statuses

An object that one of these steps cannot deal with is left as it is and named (`containment`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from foreshore_api import v1alpha1
from foreshore_planner import (
    authority,
    binding,
    containment,
    health,
    leaving,
    outcome,
    snapshot,
    succession,
)
from foreshore_planner.placement import case, retained


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """The status that one object should have; the applier skips it when nothing changes."""

    kind: str
    namespace: str | None
    name: str
    status: v1alpha1.statuses.Observed


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be, as data.

    `wake_after` asks for a pass in so many seconds although nothing changes.
    """

    placements: tuple[case.PlacementPlan, ...]
    grants: tuple[succession.GrantUpdate, ...]
    statuses: tuple[StatusWrite, ...]
    removals: tuple[case.Removal, ...]
    """Pods that should go."""
    retired: tuple[case.Removal, ...]
    """InferencePlacements that should go."""
    health: Mapping[str, health.Assessment]
    defects: tuple[containment.Defect, ...] = ()
    """Objects that this release could not plan, to be logged and counted."""
    wake_after: float | None = None


def plan(seen: snapshot.Snapshot) -> Plan:
    """Plan one pass."""
    verdicts = health.assess(seen)
    bound = binding.bind(seen)
    bound, placements, unplaced = containment.place_all(seen, verdicts, bound)
    bound, standings = containment.decide_all(
        bound, lambda device: authority.of(seen, verdicts, bound, device)
    )
    kept, unkept = containment.guarded(
        "what is only kept", lambda: retained.all_of(seen, verdicts, bound, placements)
    )
    removals, unremoved = containment.guarded(
        "removing what is replaced",
        lambda: leaving.superseded(seen, verdicts, bound, placements),
    )
    retired, unretired = containment.guarded(
        "removing placements", lambda: leaving.retired(seen, bound, placements)
    )
    shown = (*placements, *kept)
    decided = outcome.of(verdicts, bound, standings, shown)
    rows, unsaid = containment.statuses(seen, decided)
    wakes = [
        standing.wake_after for standing in standings.values() if standing.wake_after is not None
    ]
    if not unremoved:
        wakes += leaving.wakes(seen, verdicts, placements)
    grants = tuple(standing.grant for standing in standings.values() if standing.grant is not None)
    return Plan(
        placements=placements,
        grants=grants,
        statuses=tuple(StatusWrite(*row) for row in rows),
        removals=removals,
        retired=retired,
        health=verdicts.nodes,
        defects=(*containment.defects(bound), *unplaced, *unkept, *unremoved, *unretired, *unsaid),
        wake_after=min(wakes) if wakes else None,
    )
