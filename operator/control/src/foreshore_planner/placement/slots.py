"""What becomes of each slot: what forces it to move, whether it may, how it is shown."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from foreshore_api import conditions, scalars
from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import inferenceplacement, placing
from foreshore_api.wire import serving as wire
from foreshore_planner import health, latency, snapshot
from foreshore_planner.placement import (
    callers,
    candidates,
    choose,
    creep,
    incumbents,
    load,
    pace,
    serving,
    steadiness,
    troubles,
)
from foreshore_planner.placement.case import Case

COMFORT = 0.8
"""A node is worth a move for latency only when it is predicted within this share of the budget."""

Force = tuple[str, str]
"""(cause, evidence)."""

Cause = Callable[[Case, incumbents.Incumbent], Force | None]


_SLOT = re.compile(r"r(0|[1-9][0-9]?)")


def wanted(case: Case) -> tuple[str, ...]:
    """Return the slots that the placement should have, by number.

    Of more than are asked for, those stay that serve, the active ones first: a slot that only
    starts takes no address away from agents that have it.
    """
    placement = case.demand.placement
    count = placement.replicas + placement.standby
    listed = case.before.status.replicas if case.before is not None else ()
    active = {replica.slot for replica in listed if replica.role is inferenceplacement.Role.ACTIVE}
    serve = {replica.slot for replica in case.replicas if serving.answers(case, replica)}
    existing = {replica.slot for replica in listed} | {
        slot for slot in serve if _SLOT.fullmatch(slot)
    }
    existing |= {f"r{number}" for number in range(count)}
    best = sorted(existing, key=lambda slot: (slot not in serve, slot not in active, _number(slot)))
    return tuple(sorted(best[:count], key=_number))


def _number(slot: str) -> int:
    return int(slot[1:])


def node_is_lost(case: Case, held: incumbents.Incumbent) -> Force | None:
    """The node is dead or silent, as far as anybody can tell."""
    verdict = case.verdicts.of(held.node)
    return (verdict.verdict.value, verdict.evidence) if verdict.is_lost else None


def node_is_unfit(case: Case, held: incumbents.Incumbent) -> Force | None:
    """The policy or the node has changed so that the policy does not want this node any more."""
    view = case.view(held.node)
    objection = candidates.examine(view, candidates.STANDING) if view is not None else None
    return (objection.reason, objection.message) if objection is not None else None


def node_is_cordoned(case: Case, held: incumbents.Incumbent) -> Force | None:
    """Somebody wants the node empty."""
    view = case.view(held.node)
    if view is not None and not view.node.is_schedulable:
        return reasons.CORDONED, "the node is cordoned"
    return None


def pod_has_failed(case: Case, held: incumbents.Incumbent) -> Force | None:
    """The pod failed, or has not become ready for too long, and another node may do better."""
    pod = held.pod
    if pod is None or not case.verdicts.of(held.node).is_usable:
        return None
    is_served = serving.is_served_by_another(case, pod)
    if troubles.is_hopeless(pod, is_served=is_served):
        return None
    if pod.phase is snapshot.PodPhase.FAILED:
        return reasons.POD_FAILED, pod.message or pod.reason or "the pod failed"
    waits = pod.phase in (snapshot.PodPhase.PENDING, snapshot.PodPhase.UNREADY)
    if case.is_out_of_sight(pod):
        return None
    compiling = wire.compile_seconds(case.version.spec.runtime.providers)
    is_patient = is_served or waits_for_room(case, pod)
    if waits and pod.phase_age >= troubles.patience(pod, compiling, is_served=is_patient):
        return reasons.POD_NOT_READY, pod.message or pod.reason or "the pod does not become ready"
    return None


def waits_for_room(case: Case, pod: snapshot.Replica) -> bool:
    """Whether a pod has no room because another that goes is still there, as after `MadeRoom`."""
    if pod.reason != conditions.Reason.UNSCHEDULABLE:
        return False
    index = case.seen.index
    return any(_is_leaving(index, other) for other in index.replicas_on.get(pod.node, ()))


def _is_leaving(index: snapshot.Index, pod: snapshot.Replica) -> bool:
    """Whether status says that a pod's slot is to be filled on another node."""
    placement = index.placements.get((pod.namespace, f"{pod.policy}.{pod.site}"))
    listed = placement.status.replicas if placement is not None else ()
    return any(
        replica.slot == pod.slot
        and pod.node != (replica.successor.node if replica.successor else replica.node)
        for replica in listed
    )


def endpoint_is_bad(case: Case, held: incumbents.Incumbent) -> Force | None:
    """Every agent that calls it says that its calls fail or are late, though the pod is ready."""
    why = case.complaints.get((held.slot, held.node))
    if why is None or why.seconds < callers.BAD_AFTER or not held.is_ready or held.pod is None:
        return None
    if held.pod.phase_age < callers.BAD_AFTER:
        return None
    cause = reasons.TOO_SLOW if why.is_slow else reasons.ENDPOINT_BAD
    return cause, f"agents report: {why.reason}"


def is_over_budget(case: Case, held: incumbents.Incumbent) -> Force | None:
    """Measured over the budget here, and predicted comfortably within it elsewhere."""
    if not held.was_active or not is_late(case, held.node) or not _better(case, held):
        return None
    return (
        reasons.OVER_BUDGET,
        "measured over the latency budget, another node is predicted within it",
    )


def is_late(case: Case, node: str) -> bool:
    """Whether the whole is measured over the budget, and calls of this node account for that.

    The whole holds calls of the last minutes, whichever replica was asked: one that has just become
    active is not held to what another took.
    """
    measured, here = case.evidence.measured(), case.view(node)
    if measured is None or measured <= case.demand.budget or here is None:
        return False
    own = here.prediction.bound if here.prediction.is_called else None
    return own is not None and own > case.demand.budget


def is_creeping(case: Case, held: incumbents.Incumbent) -> Force | None:
    """Measured close to the budget, and known to be comfortably within it elsewhere."""
    here = case.view(held.node)
    if here is None or not here.prediction.is_called or not creep.is_due(case, held):
        return None
    if here.prediction.bound is None or is_comfortable(case, here.prediction.bound):
        return None
    if not any(creep.is_proven(view) for view in _better(case, held)):
        return None
    return (
        reasons.CREEPING,
        f"measured at {creep.NEAR:.0%} of the latency budget or more, another node is known to be"
        f" within {COMFORT:.0%} of it",
    )


def _better(case: Case, held: incumbents.Incumbent) -> list[candidates.NodeView]:
    """Return the other nodes that could serve apart, comfortably within the budget."""
    avoided, taken = left_lately(case) | {held.node}, _taken(case, held.slot)
    return [
        view
        for view in case.views
        if view.node.name not in avoided
        and choose.domain(view.node, case.demand) not in taken
        and is_in_comfort(case, view)
        and candidates.examine(view, candidates.QUESTIONS) is None
    ]


def _taken(case: Case, slot: str) -> frozenset[str]:
    """Return the failure domains of the other replicas, where they are or go to.

    Not the one that this replica is in already: to stay in it makes nothing worse.
    """
    listed = case.before.status.replicas if case.before is not None else ()
    nodes = case.seen.index.nodes
    places = {
        replica.slot: replica.node if replica.successor is None else replica.successor.node
        for replica in listed
    }
    domains = {
        name: choose.domain(nodes[node], case.demand)
        for name, node in places.items()
        if node in nodes
    }
    own = domains.pop(slot, None)
    return frozenset(domains.values()) - {own}


def is_in_comfort(case: Case, view: candidates.NodeView) -> bool:
    """Whether a node is predicted well within the budget, and not too busy for that to hold."""
    return is_comfortable(case, view.prediction.bound) and view.utilisation <= load.FULL


def is_comfortable(case: Case, bound: float | None) -> bool:
    """Whether a predicted latency is worth a move for latency only, however stages depend."""
    return bound is not None and bound <= COMFORT * case.demand.budget


def is_in_time(case: Case, prediction: latency.Prediction) -> bool:
    """Whether most answers are predicted before agents give up; an unknown network is not.

    A model of which nobody said how long it takes is tried where it never ran, rather than left
    where it is known to be late.
    """
    is_declared = case.version.spec.expected_inference is not None
    seconds = prediction.answer(is_declared=is_declared)
    inference = case.bound.policy.spec.inference
    return seconds is not None and seconds <= scalars.seconds(inference.timeout)


AVOIDED_FOR = 3600.0
"""Seconds for which a placement does not return to a node that it left in trouble.

So a pod that starts nowhere visits each node once an hour instead of going round for ever.
"""

LATE_FOR = 600.0
"""Seconds for which it does not return to one whose answers were late.

What makes them late passes sooner than what makes them fail, and at a site of three nodes an hour
leaves a slot nowhere to go.
"""


HISTORY = 32
"""Moves that a placement's status has room for."""


def left_lately(case: Case) -> frozenset[str]:
    """Return the nodes that this placement left in trouble, and does not return to yet."""
    past = case.before.status.moves if case.before is not None else ()
    return frozenset(move.from_ for move in _avoiding(past, case.seen.now) if move.from_)


def _avoiding(
    past: Sequence[inferenceplacement.Move], now: datetime
) -> list[inferenceplacement.Move]:
    """Return the moves for which the node that was left is avoided still."""
    hour = incumbents.departures(past, now - timedelta(seconds=AVOIDED_FOR))
    late = incumbents.departures(past, now - timedelta(seconds=LATE_FOR))
    failed = reasons.TROUBLES - {reasons.TOO_SLOW}
    return [
        *(move for move in hour if move.cause in failed),
        *(move for move in late if move.cause == reasons.TOO_SLOW),
    ]


def suitable(
    case: Case, slot: str, force: Force | None, offered: Sequence[candidates.Candidate]
) -> list[candidates.Candidate]:
    """Return the candidates that help against what forces a slot away.

    An empty slot, or one whose node is lost, takes any; a replica in trouble tries no node that the
    placement left in trouble lately; one that is over the budget, or close to it, only goes where
    it is predicted to be well within it, apart from the placement's other replicas: what works is
    not crowded together for latency. One that is too slow for its callers goes where nothing says
    that its answers would be late too.
    """
    if force is None or force[0] not in reasons.TROUBLES:
        return list(offered)
    avoided = left_lately(case)
    fresh = [candidate for candidate in offered if candidate.node.name not in avoided]
    if force[0] == reasons.TOO_SLOW:
        return [candidate for candidate in fresh if is_in_time(case, candidate.prediction)]
    if force[0] not in FOR_LATENCY:
        return fresh
    taken = _taken(case, slot)
    return [
        candidate
        for candidate in fresh
        if is_comfortable(case, candidate.prediction.bound)
        and choose.domain(candidate.node, case.demand) not in taken
        and not candidate.is_saturated
        and (force[0] != reasons.CREEPING or creep.is_proven(candidate))
    ]


FOR_LATENCY = frozenset({reasons.OVER_BUDGET, reasons.CREEPING})
"""Causes to move a replica that still works."""


CAUSES: tuple[Cause, ...] = (
    node_is_lost,  # nothing else matters on a lost node
    node_is_unfit,
    node_is_cordoned,
    pod_has_failed,
    endpoint_is_bad,
    is_over_budget,  # late: the replica still works
    is_creeping,  # last: it even works in time
)


def forced(case: Case, held: Mapping[str, incumbents.Incumbent]) -> dict[str, Force]:
    """Return the slots that something forces away, with the first cause."""
    forces: dict[str, Force] = {}
    for slot, incumbent in sorted(held.items()):
        for cause in CAUSES:
            force = cause(case, incumbent)
            if force is not None:
                forces[slot] = force
                break
    return _in_turn(forces)


def _in_turn(forces: Mapping[str, Force]) -> dict[str, Force]:
    """Return of the moves for latency only the first: two at once would meet on the same node."""
    late = [slot for slot, force in forces.items() if force[0] in FOR_LATENCY]
    return {slot: force for slot, force in forces.items() if slot not in late[1:]}


def permitted(
    case: Case, wanted: Mapping[str, Force], left: pace.Pace, confirmed: Collection[str] = ()
) -> tuple[dict[str, Force], tuple[str, str] | None]:
    """Return the moves that may be made now, and why the others wait.

    `left` is what the site's minute has room for, `confirmed` the slots whose move a person wants.
    """
    if not wanted:
        return {}, None
    if case.verdicts.is_fleet_held and case.site not in case.verdicts.ended_holds:
        message = "many sites went dark together: nothing moves anywhere"
        return {}, (conditions.Reason.FLEET_SILENT, message)
    if case.site in case.verdicts.held_sites:
        message = "more than half of the site's nodes are silent: nothing moves"
        return {}, (conditions.Reason.SITE_SILENT, message)
    asked = {
        slot: force
        for slot, force in wanted.items()
        if force[0] in reasons.BY_PERSON or slot in confirmed
    }
    others = {slot: force for slot, force in wanted.items() if slot not in asked}
    if others and case.demand.placement.failover is placing.Failover.NEVER:
        message = f"failover is Never: {next(iter(others.values()))[1]}"
        return asked, (conditions.Reason.FAILOVER_NEVER, message)
    if others and case.demand.placement.failover is placing.Failover.MANUAL:
        message = f"failover is Manual: {next(iter(others.values()))[1]}"
        message = f"{message}; no other node can take over now"
        return asked, (conditions.Reason.AWAITS_CONFIRMATION, message)
    room = _within_pace(left, others)
    if len(room) < len(others):
        message = f"site {case.site} has used up its moves of this minute; the rest follows"
        return asked | room, (conditions.Reason.MOVE_LIMIT, message)
    return asked | room, None


LOSSES = frozenset({health.NodeVerdict.NODE_DEAD.value, health.NodeVerdict.UNKNOWN.value})
"""Causes that lie with the node: its replicas are replaced rather than moved."""


def _within_pace(left: pace.Pace, wanted: Mapping[str, Force]) -> dict[str, Force]:
    """Return the moves that the site's minute has room for, lost replicas first."""
    lost = [item for item in sorted(wanted.items()) if item[1][0] in LOSSES]
    others = [item for item in sorted(wanted.items()) if item[1][0] not in LOSSES]
    replaced = lost[: left.replacements]
    return dict([*replaced, *others[: left.after(len(replaced)).moves]])


def moves(
    case: Case,
    held: Mapping[str, incumbents.Incumbent],
    chosen: Mapping[str, candidates.Candidate],
    causes: Mapping[str, Force],
    confirmed: Mapping[str, inferenceplacement.ProposedMove],
) -> tuple[inferenceplacement.Move, ...]:
    """Return the placement's history with this pass's moves first, as many as status has room.

    Of those that a person has confirmed it keeps under which id.
    """
    now = scalars.timestamp(case.seen.now)
    fresh = []
    for slot, candidate in sorted(chosen.items()):
        before = held.get(slot)
        empty = f"the slot was empty{steadiness.last_resort(case, candidate)}"
        cause, evidence = causes.get(slot, (reasons.FIRST_PLACEMENT, empty))
        fresh.append(
            inferenceplacement.Move(
                time=now,
                from_=before.node if before is not None else None,
                to=candidate.node.name,
                cause=cause,
                evidence=evidence[:256],
                confirmed=confirmed[slot].id if slot in confirmed else None,
            )
        )
    past = case.before.status.moves if case.before is not None else ()
    return _shortened(case, (*fresh, *past))


def _shortened(
    case: Case, every: Sequence[inferenceplacement.Move]
) -> tuple[inferenceplacement.Move, ...]:
    """Forget the oldest moves, first those by which nothing is decided.

    Needed are the moves of the last minute (`pace`), the last one off each node that is avoided
    still, of each cause (`left_lately`), and of those that nothing forced the last of each cause
    (`returns`).
    """
    now = case.seen.now
    recent = incumbents.departures(every, now - timedelta(seconds=pace.WINDOW))
    lately = {(move.from_, move.cause) for move in _avoiding(every, now)}
    hour = incumbents.departures(every, now - timedelta(seconds=AVOIDED_FOR))
    causes = {move.cause for move in hour if move.cause in reasons.UNFORCED}
    needed: list[int] = []
    others: list[int] = []
    for index, move in enumerate(every):
        is_last = (move.from_, move.cause) in lately
        is_paced = move.cause in causes
        (needed if is_last or is_paced or move in recent else others).append(index)
        lately.discard((move.from_, move.cause))
        causes -= {move.cause}
    kept = sorted([*needed, *others][:HISTORY])
    return tuple(every[index] for index in kept)
