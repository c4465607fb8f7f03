"""The plan of one placement, put together: pods, replicas as they are shown, what is wrong."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from foreshore_api import conditions
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency, protection, snapshot
from foreshore_planner.placement import (
    callers,
    candidates,
    choose,
    comparison,
    explain,
    figures,
    serving,
    slots,
    troubles,
)
from foreshore_planner.placement.case import Case, Findings, PlacementPlan, PodIntent, Trouble

BY_POLICY: Final = frozenset(
    {conditions.Reason.FAILOVER_NEVER, conditions.Reason.AWAITS_CONFIRMATION}
)
"""Why moves wait though nothing else of a placement does."""

Occupants = Mapping[str, serving.Occupant]


def assemble(
    case: Case,
    layout: Mapping[str, str],
    history: tuple[inferenceplacement.Move, ...],
    offers: candidates.Offers,
    waiting: tuple[str, str] | None,
) -> PlacementPlan:
    """Put the plan of one placement together; `layout` is the node of each slot."""
    pods = {slot: _intent(case, slot, node) for slot, node in sorted(layout.items())}
    occupants = serving.occupants(case, pods)
    active = _roles(case, occupants)
    is_held = waiting is not None and waiting[0] not in BY_POLICY
    budget = figures.budget(case, _predictions(case, occupants, active))
    replicas = tuple(figures.replica(case, occupants[slot], active[slot]) for slot in pods)
    return PlacementPlan(
        namespace=case.demand.namespace,
        name=case.name,
        policy=case.demand.policy,
        site=case.site,
        pods=tuple(pods.values()),
        replicas=replicas,
        standing_in=tuple(
            occupant.old.name for occupant in occupants.values() if occupant.old is not None
        ),
        yielding=None if is_held else serving.yields(case, occupants, active),
        budget=budget,
        candidates=_considered(case, occupants, offers),
        moves=history,
        findings=dataclasses.replace(
            _findings(case, occupants, active, offers, waiting),
            shortfall=explain.shortfall(replicas, case.version.spec.runtime.providers[0]),
            is_too_low=figures.is_too_low(case, budget),
        ),
        agents=case.agents,
    )


def _predictions(
    case: Case, occupants: Occupants, active: Mapping[str, bool]
) -> list[latency.Prediction]:
    nodes = {occupant.node for slot, occupant in occupants.items() if active[slot]}
    views = [case.view(node) for node in sorted(nodes)]
    return [view.prediction for view in views if view is not None]


def _intent(case: Case, slot: str, node: str) -> PodIntent:
    placement = f"{case.demand.namespace}/{case.name}"
    return PodIntent(
        name=figures.pod_name(case.demand.policy, slot, placement, node, case.template),
        namespace=case.demand.namespace,
        placement=case.name,
        policy=case.demand.policy,
        site=case.site,
        slot=slot,
        node=node,
        template=case.template,
        model=case.version.spec.model_ref.name,
        version=case.version.metadata.name,
        digest=case.version.spec.digest,
        generation=case.bound.policy.metadata.generation or 0,
    )


def _roles(case: Case, occupants: Occupants) -> dict[str, bool]:
    present = [_incumbent(case, occupant, occupants) for occupant in occupants.values()]
    order = [
        candidate.node.name for candidate in _ranked(case, {replica.node for replica in present})
    ]
    return choose.roles(present, order, case.demand.placement.replicas)


def _incumbent(
    case: Case, occupant: serving.Occupant, occupants: Occupants
) -> choose.IncumbentReplica:
    shown = serving.listed(case, occupant.intent.slot)
    blame = case.complaints.get((occupant.intent.slot, occupant.node))
    is_as_shown = shown is not None and shown.node == occupant.node
    return choose.IncumbentReplica(
        slot=occupant.intent.slot,
        node=occupant.node,
        is_ready=occupant.is_ready,
        is_wanted=serving.served(case, occupant.answering).digest == occupant.intent.digest,
        is_well=(blame is None or blame.seconds < callers.DEMOTED_AFTER)
        and not _is_outdone(case, occupant, occupants),
        was_active=is_as_shown
        and shown is not None
        and shown.role is inferenceplacement.Role.ACTIVE,
    )


def _is_outdone(case: Case, occupant: serving.Occupant, occupants: Occupants) -> bool:
    """Whether a replica is over the budget, and another one that serves is well within it.

    It may not go where that one is (`slots.suitable`), so that the role has to.
    """
    if not slots.is_late(case, occupant.node):
        return False
    others = [case.view(other.node) for other in occupants.values() if other.is_ready]
    return any(view is not None and slots.is_in_comfort(case, view) for view in others)


def _ranked(case: Case, nodes: Collection[str]) -> list[candidates.Candidate]:
    every = [
        candidates.Candidate(view.node, view.prediction, 0.0)
        for view in map(case.view, sorted(nodes))
        if view is not None
    ]
    return choose.rank(every, case.demand)


def _considered(
    case: Case, occupants: Occupants, offers: candidates.Offers
) -> inferenceplacement.Candidates:
    """Show the nodes that were looked at: counted, and the nearest of them by name."""
    taken = {occupant.intent.node for occupant in occupants.values()}
    passed = comparison.passed(case, taken, offers)
    return inferenceplacement.Candidates(
        total=offers.total,
        rejected=explain.fold(_passed_over(case, occupants, offers), offers.counted),
        chosen=comparison.chosen(case, taken, passed),
        passed=passed,
    )


def _passed_over(
    case: Case, occupants: Occupants, offers: candidates.Offers
) -> list[candidates.Rejection]:
    """Return the nodes that may not serve, and those that were not taken for their latency."""
    taken = {occupant.intent.node for occupant in occupants.values()}
    late = (candidates.late(candidate, case.demand.budget) for candidate in offers.fitting)
    return [
        *offers.rejected,
        *(rejection for rejection in late if rejection is not None and rejection.node not in taken),
    ]


def _findings(
    case: Case,
    occupants: Occupants,
    active: Mapping[str, bool],
    offers: candidates.Offers,
    waiting: tuple[str, str] | None,
) -> Findings:
    wanted = case.demand.placement.replicas + case.demand.placement.standby
    nodes = case.seen.index.nodes
    used = [occupant.node for occupant in occupants.values() if occupant.node in nodes]
    domains = [choose.domain(nodes[node], case.demand) for node in used]
    return Findings(
        wanted=wanted,
        unplaced=wanted - len(occupants),
        waiting=waiting[1] if waiting is not None else None,
        waiting_reason=waiting[0] if waiting is not None else None,
        nearest=_nearest(case, occupants, offers),
        summary=explain.summarise(offers),
        is_within_budget=within(case, _predictions(case, occupants, active)),
        shares_domain=len(set(domains)) < len(domains),
        trouble=_trouble(case, occupants),
        progress=_progress(occupants),
        complaint=_complaint(case, occupants, is_waiting=waiting is not None),
        refusal=_refusal(occupants),
        unprotected=case.seen.refusals.get(
            protection.key(case.demand.namespace, case.demand.policy)
        ),
    )


def _nearest(case: Case, occupants: Occupants, offers: candidates.Offers) -> str | None:
    taken = {occupant.intent.node for occupant in occupants.values()}
    here = [
        candidates.Candidate(view.node, view.prediction, 0.0)
        for view in map(case.view, sorted(taken))
        if view is not None and not case.verdicts.of(view.node.name).is_lost
    ]
    return explain.nearest([*offers.fitting, *here], case.demand.budget)


def within(case: Case, predictions: Sequence[latency.Prediction]) -> bool | None:
    """Whether the budget is held: as measured, or as good as surely not, on what is predicted."""
    measured = case.evidence.measured()
    if measured is not None:
        return measured <= case.demand.budget
    totals = [prediction.total for prediction in predictions]
    is_late = any(total is not None and total > case.demand.budget for total in totals)
    return False if is_late else None


def _trouble(case: Case, occupants: Occupants) -> Trouble | None:
    """Return what a person has to look at, of the first slot that has any."""
    for slot, occupant in sorted(occupants.items()):
        pod, place, instead = occupant.pod, _place(slot, occupant), _instead(occupant)
        if occupant.refusal is not None:
            message = f"{place} is not let in: {occupant.refusal}{instead}"
            return Trouble(conditions.Reason.POD_REFUSED, message)
        fault = troubles.of(pod) if pod is not None and not _is_well(case, occupant) else None
        if fault is not None:
            reason, message = fault
            return Trouble(reason, f"{place} does not serve: {message}{instead}")
    return None


def _is_well(case: Case, occupant: serving.Occupant) -> bool:
    return occupant.pod is not None and serving.answers(case, occupant.pod)


def _progress(occupants: Occupants) -> Trouble | None:
    """Return what a successor waits for, of the first slot that has one."""
    for slot, occupant in sorted(occupants.items()):
        pod, old = occupant.pod, occupant.old
        if old is None:
            continue
        place, instead = _place(slot, occupant), _instead(occupant)
        if pod is not None and pod.reason == conditions.Reason.UNSCHEDULABLE:
            message = f"{place} has no room beside what runs: {pod.message}{instead}"
            message = f"{message}; {_way_out(old.name, len(occupants))}"
            return Trouble(conditions.Reason.UNSCHEDULABLE, message)
        return Trouble(conditions.Reason.PROGRESSING, f"{place} starts{instead}")
    return None


def _way_out(old: str, slots: int) -> str:
    """Say what helps a successor that has no room beside the pod of this name."""
    ways = "free room for it, or ask for less"
    if slots > 1:
        return f"{ways}; where one in the place of the other fits, that is done after ten minutes"
    return f"{ways}, or delete pod {old} to let it go first: nothing infers until the new one does"


def _complaint(case: Case, occupants: Occupants, *, is_waiting: bool) -> Trouble | None:
    """Return what agents hold against a replica that serves, of the first slot they call bad."""
    for slot, occupant in sorted(occupants.items()):
        blame = case.complaints.get((slot, occupant.node))
        if blame is not None and blame.seconds >= callers.DEMOTED_AFTER and occupant.is_ready:
            what = "are late" if blame.is_slow else "fail"
            message = f"{slot} on {occupant.node}: agents' calls {what} ({blame.reason})"
            if not is_waiting and _is_stuck(blame, occupant):
                message += f"; it stays: {NO_TIMELY_NODE if blame.is_slow else NO_OTHER_NODE}"
            return Trouble(conditions.Reason.ENDPOINT_BAD, message)
    return None


LEFT_LATELY = (
    f"it left them because calls were late within {slots.LATE_FOR / 60:.0f} minutes or in other"
    " trouble within the hour"
)
"""Why nodes are avoided: `slots.left_lately` in words."""

NO_TIMELY_NODE = f"no other node with room is predicted to answer in time, or {LEFT_LATELY}"
NO_OTHER_NODE = f"no other node has room for it, or {LEFT_LATELY}"


def _is_stuck(blame: callers.Complaint, occupant: serving.Occupant) -> bool:
    """Whether a replica has been bad for long enough to be moved, and is not."""
    pod, is_here = occupant.pod, occupant.intent.node == occupant.node
    is_known = pod is not None and pod.phase_age >= callers.BAD_AFTER
    return is_here and is_known and blame.seconds >= callers.BAD_AFTER


def _refusal(occupants: Occupants) -> str | None:
    """Return why the version that is asked for is refused, if a replica says so."""
    for _, occupant in sorted(occupants.items()):
        pod: snapshot.Replica | None = occupant.pod
        if pod is not None and pod.reason in troubles.MODEL_FAULTS:
            return f"{pod.reason}: {pod.message or 'the model was refused'}"
    return None


def _place(slot: str, occupant: serving.Occupant) -> str:
    return f"{slot}: {occupant.intent.version} on {occupant.intent.node}"


def _instead(occupant: serving.Occupant) -> str:
    if occupant.old is None:
        return ""
    return f"; {occupant.old.version or 'what was'} on {occupant.old.node} serves until it does"
