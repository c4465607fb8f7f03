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

Slot = tuple[str, str, str, str]
"""(namespace, policy, site, slot)."""

Placement = tuple[str, str, str]
"""(namespace, policy, site)."""


@dataclass(frozen=True, slots=True)
class Successors:
    """What the plans of a pass say of the pods that exist."""

    wanted: frozenset[tuple[str, str]]
    """(namespace, name) of pods that should be."""
    answering: frozenset[tuple[str, str]]
    """Of pods that answer in a slot until the wanted one does."""
    yielding: frozenset[tuple[str, str]]
    """Of these, that go first, for their successors have no room beside them."""
    slots: frozenset[Slot]
    """That have a wanted pod."""
    ready: Mapping[Slot, float]
    """Seconds for which the wanted pod of a slot has been ready."""
    serving: Mapping[Placement, float]
    """The same of the longest of each placement that is planned; 0 where none is, and without end
    where the agents do without any: what they have in themselves they have heard of."""
    listed: frozenset[Slot]
    """That status lists, so that agents cannot know yet that one of them is to go."""
    assigned: frozenset[str]
    """Addresses that agents which report still have."""
    held: frozenset[tuple[str, str, str]]
    """(namespace, policy, address) that an agent goes on with: it cannot take what is newest."""
    silent: frozenset[str | None]
    """Sites of which some node's agent does not report."""


def superseded(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    plans: Sequence[case.PlacementPlan],
) -> tuple[case.Removal, ...]:
    """Return the pods that no placement wants any more.

    A pod that serves stays until its successor in the slot does, and until agents have turned to
    that one. A pod on a node that may only be cut off is left alone: it may be serving its site. So
    are those of a policy, or for devices, not accepted as they stand: agents go on with what was.
    Those of a policy that is gone, or that this release cannot read, are its owner's to take along.
    One that has failed where it should be goes after a while, so that it is made again: Kubernetes
    never starts a failed pod.
    """
    planned = {(plan.namespace, plan.policy, plan.site) for plan in plans}
    next_ = _successors(seen, plans)
    removals = []
    for replica in sorted(seen.replicas, key=lambda replica: (replica.namespace, replica.name)):
        name = (replica.namespace, replica.name)
        if name in next_.wanted:
            if replica.phase is snapshot.PodPhase.FAILED and replica.phase_age >= AGAIN_AFTER:
                removals.append(_removal(replica, reasons.FAILED))
            continue
        owner = bound.policies.get((replica.namespace, replica.policy))
        if owner is None or _is_suspended(owner, replica.site):
            continue
        if owner.is_retained and (*owner.key, replica.site) not in planned:
            continue
        is_needed = _is_last(replica, next_) or _drains(seen, verdicts, replica, next_) is not None
        if not is_needed and _may_go(replica, verdicts):
            removals.append(_removal(replica, reasons.SUPERSEDED))
    return tuple(removals)


def wakes(
    seen: snapshot.Snapshot, verdicts: health.Health, plans: Sequence[case.PlacementPlan]
) -> list[float]:
    """Return the seconds after which a pod that drains has to be looked at again."""
    next_ = _successors(seen, plans)
    unwanted = [
        replica
        for replica in seen.replicas
        if (replica.namespace, replica.name) not in next_.wanted
    ]
    waits = [_drains(seen, verdicts, replica, next_) for replica in unwanted]
    return sorted(wait for wait in waits if wait is not None)


def _successors(seen: snapshot.Snapshot, plans: Sequence[case.PlacementPlan]) -> Successors:
    wanted = {(pod.namespace, pod.name): _slot(pod) for plan in plans for pod in plan.pods}
    reports = health.agent_reports(seen)
    ready = {
        _slot(replica): replica.phase_age
        for replica in seen.replicas
        if (replica.namespace, replica.name) in wanted and replica.phase is snapshot.PodPhase.READY
    }
    serving = {
        (plan.namespace, plan.policy, plan.site): (
            math.inf if plan.needs is in_agents.PodNeed.NOTHING else 0.0
        )
        for plan in plans
    }
    for slot, age in ready.items():
        serving[slot[:3]] = max(serving[slot[:3]], age)
    return Successors(
        wanted=frozenset(wanted),
        answering=frozenset((plan.namespace, name) for plan in plans for name in plan.standing_in),
        yielding=frozenset(
            (plan.namespace, plan.yielding) for plan in plans if plan.yielding is not None
        ),
        slots=frozenset(wanted.values()),
        ready=ready,
        serving=serving,
        listed=frozenset(
            (
                binding.key(placement)[0],
                placement.spec.policy_ref.name,
                placement.spec.site,
                replica.slot,
            )
            for placement in seen.placements
            for replica in placement.status.replicas
        ),
        assigned=frozenset(
            endpoint.url for agent in reports.values() for endpoint in agent.report.endpoints
        ),
        held=_held(reports.values(), plans),
        silent=frozenset(node.site for node in seen.nodes if node.name not in reports),
    )


def _held(
    agents: Iterable[report.AgentEvidence], plans: Sequence[case.PlacementPlan]
) -> frozenset[tuple[str, str, str]]:
    """Return what agents call for a policy of which they report that its newest does not work."""
    newest = {(pod.namespace, pod.policy): pod.generation for plan in plans for pod in plan.pods}
    calls: set[tuple[str, str, str]] = set()
    for agent in agents:
        stuck = {
            (problem.namespace, problem.name)
            for problem in agent.report.problems
            if problem.kind == v1alpha1.DecisionPolicy.kind
            and newest.get((problem.namespace, problem.name)) == problem.generation
        }
        calls.update(
            (endpoint.namespace, endpoint.policy, endpoint.url)
            for endpoint in agent.report.endpoints
            if (endpoint.namespace, endpoint.policy) in stuck
        )
    return frozenset(calls)


def _slot(pod: snapshot.Replica | case.PodIntent) -> Slot:
    return (pod.namespace, pod.policy, pod.site, pod.slot)


def _is_last(replica: snapshot.Replica, next_: Successors) -> bool:
    """Whether nothing serves in its slot but this pod."""
    name = (replica.namespace, replica.name)
    if name in next_.yielding:
        return False
    if name in next_.answering:
        return True
    slot = _slot(replica)
    is_ready = replica.phase is snapshot.PodPhase.READY
    return is_ready and slot in next_.slots and slot not in next_.ready


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
    slot = _slot(replica)
    age = next_.ready.get(slot) if slot in next_.slots else next_.serving.get(slot[:3])
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
    if (replica.namespace, replica.policy, url) in next_.held:
        return HELD_STILL
    is_assigned = url in next_.assigned
    if is_assigned and _slot(replica) not in next_.slots:  # nobody knows since when it is to go
        return LOOK_AGAIN
    is_kept = is_assigned or replica.site in next_.silent
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
    """Return the placements that nobody asks for any more."""
    planned = {(plan.namespace, plan.name) for plan in plans}
    placements = sorted(seen.placements, key=binding.key)
    removals = (
        retired_of(bound, placement, is_planned=binding.key(placement) in planned)
        for placement in placements
    )
    return tuple(removal for removal in removals if removal is not None)


def retired_of(
    bound: binding.BoundSnapshot, placement: v1alpha1.InferencePlacement, *, is_planned: bool
) -> case.Removal | None:
    """Return a placement as one to go where nobody asks for it any more.

    Its policy infers no more, or no longer at that site. Those of a policy that is gone go with it,
    by their owner.
    """
    key = binding.key(placement)
    policy = bound.policies.get((key[0], placement.spec.policy_ref.name))
    if policy is None or policy.is_retained or is_planned:
        return None
    if _is_suspended(policy, placement.spec.site):
        return None
    metadata = placement.metadata
    return case.Removal(*key, metadata.uid or "", metadata.resource_version or "", reasons.RETIRED)
