"""What should go: pods that nobody wants any more, and placements that nobody asks for.

    wanted ──superseded──► answers until its successor does ──► drains while agents still call it
                                                                        └──► deleted, gracefully

Deleting costs nothing only when nobody calls: agents learn of a successor through status, hub and
assignment, one after the other, and say in their reports which addresses they have.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from foreshore_api import addresses, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.wire import report
from foreshore_planner import binding, health, snapshot
from foreshore_planner.placement import case, figures, in_agents

AGAIN_AFTER = 15.0
"""Seconds after which a pod that failed on the node it should be on is made again there."""

HEARD_AFTER = 5.0
"""Seconds that agents have, from when a successor serves, to hear of it and to say so."""

DRAINED_AFTER = 120.0
"""Seconds after which a replaced pod goes although an agent still has its address."""

LOOK_AGAIN = 2.0
"""Seconds until the next look at a pod that agents still have: they report as often."""

HUB_AWAY = 30.0
"""The same while the hub is out of reach; its return makes a pass of its own."""

HELD_STILL = 30.0
"""The same while an agent cannot take the generation that the successor serves."""


@dataclass(frozen=True, slots=True)
class Successors:
    """What the plan of a placement says of its pods, and what agents say of them.

    Without a plan nothing is wanted: its policy asks for no replica at the site any more.
    """

    wanted: Mapping[str, str]
    """The slots of pods that should be, by name."""
    answering: frozenset[str]
    """Pods that answer in a slot until the wanted one does."""
    yielding: str | None
    """Of these the one that goes first, for its successor has no room beside it."""
    ready: Mapping[str, float]
    """Seconds for which the wanted pod of a slot has been ready."""
    serving: float | None
    """The same of the longest; 0 where none is, and without end where the agents do without any:
    what they have in themselves they have heard of. None without a plan."""
    listed: frozenset[str]
    """Slots that status lists, so that agents cannot know yet that one of them is to go."""
    assigned: frozenset[str]
    """Addresses that agents which report still have."""
    held: frozenset[str]
    """Addresses that an agent goes on with: it cannot take what is newest."""
    is_silent: bool
    """Whether some node's agent does not report."""

    @property
    def slots(self) -> frozenset[str]:
        """Slots that have a wanted pod."""
        return frozenset(self.wanted.values())


Plans = Mapping[snapshot.At, case.PlacementPlan]


def by_placement(plans: Iterable[case.PlacementPlan]) -> Plans:
    """Return plans by the placement that they are of."""
    return {(plan.namespace, plan.policy, plan.site): plan for plan in plans}


def superseded(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    plans: Sequence[case.PlacementPlan],
) -> tuple[case.Removal, ...]:
    """Return the pods that no placement wants any more, by name."""
    planned = by_placement(plans)
    removals = [
        removal
        for at in seen.index.replicas_at
        for removal in superseded_at(seen, verdicts, bound, at, planned.get(at))
    ]
    return tuple(sorted(removals, key=lambda removal: (removal.namespace, removal.name)))


def superseded_at(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    at: snapshot.At,
    plan: case.PlacementPlan | None,
) -> list[case.Removal]:
    """Return the pods of one placement that it does not want any more.

    A pod that serves stays until its successor in the slot does, and until agents have turned to
    that one. A pod on a node that may only be cut off is left alone: it may be serving its site. So
    are those of a policy, or for devices, not accepted as they stand: agents go on with what was.
    Those of a policy that is gone, or that this release cannot read, are its owner's to take along.
    One that has failed where it should be goes after a while, so that it is made again: Kubernetes
    never starts a failed pod.
    """
    wanted, unwanted = _divided(seen, at, plan)
    removals = [
        _removal(replica, reasons.FAILED)
        for replica in wanted
        if replica.phase is snapshot.PodPhase.FAILED and replica.phase_age >= AGAIN_AFTER
    ]
    owner = bound.policies.get(at[:2])
    if not unwanted or owner is None or _is_suspended(owner, at[2]):
        return removals
    if owner.is_retained and plan is None:
        return removals
    next_ = _successors(seen, at, plan)
    for replica in unwanted:
        is_needed = _is_last(replica, next_) or _drains(seen, verdicts, replica, next_) is not None
        if not is_needed and _may_go(replica, verdicts):
            removals.append(_removal(replica, reasons.SUPERSEDED))
    return removals


def wakes(
    seen: snapshot.Snapshot, verdicts: health.Health, plans: Sequence[case.PlacementPlan]
) -> list[float]:
    """Return the seconds after which a pod that drains has to be looked at again."""
    planned = by_placement(plans)
    return sorted(
        wait
        for at in seen.index.replicas_at
        for wait in wakes_at(seen, verdicts, at, planned.get(at))
    )


def wakes_at(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    at: snapshot.At,
    plan: case.PlacementPlan | None,
) -> list[float]:
    """Return the same for the pods of one placement."""
    _, unwanted = _divided(seen, at, plan)
    if not unwanted:
        return []
    next_ = _successors(seen, at, plan)
    waits = [_drains(seen, verdicts, replica, next_) for replica in unwanted]
    return [wait for wait in waits if wait is not None]


def _divided(
    seen: snapshot.Snapshot, at: snapshot.At, plan: case.PlacementPlan | None
) -> tuple[list[snapshot.Replica], list[snapshot.Replica]]:
    """Return the pods of a placement that its plan wants, and the others."""
    names = {pod.name for pod in plan.pods} if plan is not None else set()
    wanted: list[snapshot.Replica] = []
    unwanted: list[snapshot.Replica] = []
    for replica in seen.index.replicas_at.get(at, ()):
        (wanted if replica.name in names else unwanted).append(replica)
    return wanted, unwanted


def _successors(
    seen: snapshot.Snapshot, at: snapshot.At, plan: case.PlacementPlan | None
) -> Successors:
    index, pods = seen.index, plan.pods if plan is not None else ()
    wanted = {pod.name: pod.slot for pod in pods}
    ready = {
        wanted[replica.name]: replica.phase_age
        for replica in index.replicas_at.get(at, ())
        if replica.name in wanted and replica.phase is snapshot.PodPhase.READY
    }
    before = index.placements.get((at[0], f"{at[1]}.{at[2]}"))
    endpoints = _endpoints(index, at)
    return Successors(
        wanted=wanted,
        answering=frozenset(plan.standing_in if plan is not None else ()),
        yielding=plan.yielding if plan is not None else None,
        ready=ready,
        serving=_serving(plan, ready),
        listed=frozenset(
            replica.slot for replica in (before.status.replicas if before is not None else ())
        ),
        assigned=frozenset(endpoint.url for _, endpoint in endpoints),
        held=frozenset(
            endpoint.url for agent, endpoint in endpoints if pods and _is_stuck(agent, pods[0])
        ),
        is_silent=any(node.name not in index.reports for node in index.nodes_of.get(at[2], ())),
    )


def _serving(plan: case.PlacementPlan | None, ready: Mapping[str, float]) -> float | None:
    if plan is None:
        return None
    is_without = plan.needs is in_agents.PodNeed.NOTHING
    return math.inf if is_without else max(ready.values(), default=0.0)


def _endpoints(
    index: snapshot.Index, at: snapshot.At
) -> list[tuple[report.AgentEvidence, report.EndpointReport]]:
    """Return what agents have of a policy: those of the site, and those whose site nobody knows."""
    of_site = index.reports_of.get(at[2], {})
    stray = [
        agent
        for node, agent in index.reports.items()
        if node not in index.nodes or index.nodes[node].site is None
    ]
    return [
        (agent, endpoint)
        for agent in (*of_site.values(), *stray)
        for endpoint in agent.report.endpoints
        if (endpoint.namespace, endpoint.policy) == at[:2]
    ]


def _is_stuck(agent: report.AgentEvidence, pod: case.PodIntent) -> bool:
    """Whether an agent reports that the newest generation of a policy does not work for it."""
    newest = (v1alpha1.DecisionPolicy.kind, pod.namespace, pod.policy, pod.generation)
    return any(
        (problem.kind, problem.namespace, problem.name, problem.generation) == newest
        for problem in agent.report.problems
    )


def _is_last(replica: snapshot.Replica, next_: Successors) -> bool:
    """Whether nothing serves in its slot but this pod."""
    if replica.name == next_.yielding:
        return False
    if replica.name in next_.answering:
        return True
    is_ready = replica.phase is snapshot.PodPhase.READY
    return is_ready and replica.slot in next_.slots and replica.slot not in next_.ready


def _drains(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    replica: snapshot.Replica,
    next_: Successors,
) -> float | None:
    """Return in how many seconds to look again at a pod that agents may still call, or None.

    What counts is for how long agents have had another address: that of the slot's successor, or
    any of the placement where the slot is asked for no more.
    """
    slot = replica.slot
    age = next_.ready.get(slot) if slot in next_.slots else next_.serving
    is_serving = replica.phase is snapshot.PodPhase.READY and replica.address is not None
    if age is None or not is_serving or verdicts.of(replica.node).is_lost:
        return None
    if age < HEARD_AFTER:
        return HEARD_AFTER - age
    if slot not in next_.slots and slot in next_.listed:
        return LOOK_AGAIN
    return _is_called(seen, replica, next_, age)


def _is_called(
    seen: snapshot.Snapshot, replica: snapshot.Replica, next_: Successors, age: float
) -> float | None:
    """Return the same, by what agents report.

    Without the hub no agent can hear of the successor, so that the old address is all they have. A
    hub that has just started has heard of none what it has. An agent that does not report may work
    on, a peer relaying its renewals: it counts as one that has the old address. One that cannot
    take the newest generation of the policy goes on with the one before for as long as that lasts.
    """
    if seen.fleet is None:
        return HUB_AWAY
    if seen.fleet.uptime_seconds + seen.fleet_age <= health.AGENT_SILENT:
        return LOOK_AGAIN
    url = addresses.http(replica.address or "", figures.PORT)
    if url in next_.held:
        return HELD_STILL
    is_assigned = url in next_.assigned
    if is_assigned and replica.slot not in next_.slots:  # nobody knows since when it is to go
        return LOOK_AGAIN
    is_kept = is_assigned or next_.is_silent
    return LOOK_AGAIN if age < DRAINED_AFTER and is_kept else None


def _may_go(replica: snapshot.Replica, verdicts: health.Health) -> bool:
    """Whether a pod is not on its way out already, nor perhaps serving a site that is cut off."""
    verdict = verdicts.of(replica.node).verdict
    is_cut = verdict in (health.NodeVerdict.SITE_CUT, health.NodeVerdict.LINK_CUT)
    return not is_cut and replica.phase is not snapshot.PodPhase.TERMINATING


def _is_suspended(policy: binding.BoundPolicy, site: str) -> bool:
    return policy.is_placed and site in policy.suspended


def _removal(replica: snapshot.Replica, cause: str) -> case.Removal:
    return case.Removal(
        replica.namespace, replica.name, replica.uid, replica.resource_version, cause
    )


def retired(
    seen: snapshot.Snapshot, bound: binding.BoundSnapshot, plans: Sequence[case.PlacementPlan]
) -> tuple[case.Removal, ...]:
    """Return the placements that nobody asks for any more.

    Their policy infers no more, or no longer at that site. Those of a policy that is gone go with
    it, by their owner.
    """
    planned = {(plan.namespace, plan.name) for plan in plans}
    gone = (
        retired_at(bound, placement, is_planned=binding.key(placement) in planned)
        for placement in sorted(seen.placements, key=binding.key)
    )
    return tuple(removal for removal in gone if removal is not None)


def retired_at(
    bound: binding.BoundSnapshot, placement: v1alpha1.InferencePlacement, *, is_planned: bool
) -> case.Removal | None:
    """Return the same of one placement; None where it stays."""
    key = binding.key(placement)
    policy = bound.policies.get((key[0], placement.spec.policy_ref.name))
    if policy is None or policy.is_retained or is_planned:
        return None
    if _is_suspended(policy, placement.spec.site):
        return None
    metadata = placement.metadata
    return case.Removal(*key, metadata.uid or "", metadata.resource_version or "", reasons.RETIRED)
