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
from foreshore_planner import binding, containment, health, leaving, snapshot, succession
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
    bound, standings = authorities(seen, verdicts, bound)
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
    rows, unsaid = containment.statuses(seen, verdicts, bound, shown, standings)
    wakes = [
        standing.wake_after for standing in standings.values() if standing.wake_after is not None
    ]
    if not unremoved:
        wakes += leaving.wakes(seen, verdicts, placements)
    grants = tuple(standing.grant for standing in standings.values() if standing.grant is not None)
    return Plan(
        placements=placements,
        grants=grants,
        statuses=tuple(
            StatusWrite(kind, namespace, name, value)
            for kind, namespace, name, value in containment.with_hub_problems(seen, rows)
        ),
        removals=removals,
        retired=retired,
        health=verdicts.nodes,
        defects=(*containment.defects(bound), *unplaced, *unkept, *unremoved, *unretired, *unsaid),
        wake_after=min(wakes) if wakes else None,
    )


def authorities(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> tuple[binding.BoundSnapshot, Mapping[binding.Key, succession.Succession]]:
    """Decide the authority of every accepted device, by (namespace, name)."""

    def decide(device: binding.BoundDevice) -> succession.Succession:
        return succession.decide(_authority_view(seen, verdicts, bound, device))

    return containment.decide_all(bound, decide)


def _authority_view(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    device: binding.BoundDevice,
) -> succession.DeviceView:
    authority = device.device.status.authority
    holder = authority.holder if authority is not None else None
    return succession.DeviceView(
        now=seen.now,
        device=device.device,
        lease=device.lease_seconds,
        fence=device.fence,
        longest_time_to_live=succession.longest_time_to_live(bound.policies_of(device.key)),
        agents=succession.reporting(seen, device.reachable_from),
        lost=frozenset(node for node in device.reachable_from if verdicts.of(node).is_lost),
        holder=verdicts.of(holder) if holder is not None else None,
        own=health.agent_reports(seen).get(holder) if holder is not None else None,
        may_hold=holder in device.reachable_from,
        is_held=device.device.spec.site in verdicts.held_sites,
        is_fleet_held=verdicts.is_fleet_held,
        fleet=seen.fleet,
        fleet_age=seen.fleet_age,
    )
