"""Moves that a person decides: with `failover: Manual` what is forced is proposed, and waits.

    forced away ──► proposed under an id ──annotation confirmed-move: <id>──► moved
                        │
                        └─ nothing forces it any more, or its node cannot take it: the id is gone,
                           and a confirmation of it does nothing and is told

The annotation stays after the move, for as long as nobody takes it away: status remembers that it
was heeded when the move itself has made room for newer ones.

A cause may turn into another meanwhile, as LinkCut into NodeDead when the last peer misses a node:
the move is the same and keeps its id, so that nobody confirms in vain what they read a second ago.

What people ask for themselves, such as a cordon, needs no second word, and an empty slot is filled.
Called by `placing`: first for what is confirmed, then, when all that moves has its node, for what
is proposed.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement, placing
from foreshore_planner.placement import (
    candidates,
    choose,
    incumbents,
    slots,
    steadiness,
    supply,
    turns,
)
from foreshore_planner.placement.case import Case

Proposal = inferenceplacement.ProposedMove
Held = Mapping[str, incumbents.Incumbent]
Chosen = dict[str, candidates.Candidate]

_ID: Final = re.compile(r"[0-9a-f]{12}")


def among(
    stock: supply.Supply, matched: Sequence[tuple[turns.PermittedWants, Chosen]]
) -> Iterator[tuple[turns.PermittedWants, Chosen]]:
    """Propose what waits for a person, and say so."""
    for turn, chosen in matched:
        case = turn.wants.case
        proposed: tuple[Proposal, ...] = ()
        if turn.waiting is not None and turn.waiting[0] == conditions.Reason.AWAITS_CONFIRMATION:
            proposed = tuple(_proposed(stock, turn, chosen))
        if proposed:
            waiting = (conditions.Reason.AWAITS_CONFIRMATION, _message(case, proposed))
            turn = dataclasses.replace(turn, proposals=proposed, waiting=waiting)
        yield dataclasses.replace(turn, unheeded=_unheeded(case, turn)), chosen


def _proposed(
    stock: supply.Supply, turn: turns.PermittedWants, chosen: Chosen
) -> Iterator[Proposal]:
    """Yield a move for each slot that waits and has a node to go to; those of a pass differ."""
    case, held = turn.wants.case, turn.wants.held
    waits = {slot: f for slot, f in turn.wants.causes.items() if slot not in turn.allowed}
    nodes = case.seen.index.nodes
    places = [held[slot].node for slot in held if slot not in waits and slot not in chosen]
    places += [candidate.node.name for candidate in chosen.values()]
    domains = {choose.domain(nodes[name], case.demand) for name in places if name in nodes}
    left = {held[slot].node for slot in waits}
    for slot, force in sorted(waits.items()):
        able = [offer for offer in _able(stock, turn, slot, domains) if offer.node.name not in left]
        proposal = _proposal(case, held[slot], force, [offer.node.name for offer in able])
        if proposal is not None:
            yield proposal
            domains.add(choose.domain(nodes[proposal.to], case.demand))


def _able(
    stock: supply.Supply, turn: turns.PermittedWants, slot: str, domains: set[str]
) -> list[candidates.Candidate]:
    """Return where a slot may go, best first: a failure domain of its own before a shared one."""
    case, offers = turn.wants.case, turn.wants.offers
    fitting = offers.fitting if offers is not None else ()
    steady = _steady(turn.wants, slot, fitting)
    offered = slots.suitable(case, slot, turn.wants.causes[slot], steady)
    free = [
        offer
        for offer in choose.rank(offered, case.demand)
        if stock.free(offer.node).has_room_for(case.demand.requests)
    ]
    demand = case.demand
    return sorted(
        free,
        key=lambda offer: (
            choose.grade(offer, demand),
            choose.domain(offer.node, demand) in domains,
        ),
    )


def _steady(
    asking: turns.Wants, slot: str, fitting: Sequence[candidates.Candidate]
) -> list[candidates.Candidate]:
    """Return the nodes that may take a slot by their flaps: the same that a move asks for."""
    is_lost = asking.causes[slot][0] in slots.LOSSES
    return steadiness.offered(asking.case, asking.held[slot] if is_lost else None, fitting)


def _proposal(
    case: Case, incumbent: incumbents.Incumbent, force: slots.Force, able: Sequence[str]
) -> Proposal | None:
    """Return what is proposed for a slot: what was, while that is possible; None where nothing is.

    So a person confirms what they read, though another node has become a little better since.
    """
    cause, evidence = force[0], force[1][:256]
    for earlier in _earlier(case):
        is_same = (earlier.slot, earlier.from_) == (incumbent.slot, incumbent.node)
        if is_same and earlier.to in able:
            return earlier.model_copy(update={"cause": cause, "evidence": evidence})
    if not able or case.before is None:
        return None
    since = scalars.timestamp(case.seen.now)
    return Proposal(
        id=_digest(case.before.metadata.uid or "", incumbent.slot, incumbent.node, able[0], since),
        slot=incumbent.slot,
        from_=incumbent.node,
        to=able[0],
        cause=cause,
        evidence=evidence,
        since=since,
    )


def _digest(*parts: str) -> str:
    """Return an id of the move, and of when: what is proposed anew has another."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def confirmed(asking: turns.Wants) -> dict[str, Proposal]:
    """Return the moves that a person has confirmed and that are still what is proposed, by slot."""
    case, held, forces = asking.case, asking.held, asking.causes
    asked = asked_of(case.before)
    is_manual = case.demand.placement.failover is placing.Failover.MANUAL
    if asked is None or not is_manual or asking.offers is None:
        return {}
    fitting = asking.offers.fitting
    return {
        proposal.slot: proposal
        for proposal in _earlier(case)
        if proposal.id == asked
        and proposal.slot in forces
        and held[proposal.slot].node == proposal.from_
        and proposal.to in {offer.node.name for offer in _steady(asking, proposal.slot, fitting)}
    }


def _earlier(case: Case) -> Sequence[Proposal]:
    return case.before.status.proposals if case.before is not None else ()


def asked_of(placement: v1alpha1.InferencePlacement | None) -> str | None:
    """Return what a person wrote as the id of the move that they confirm."""
    return placement.metadata.annotations.get(meta.ANNOTATION_CONFIRMED) if placement else None


def _unheeded(case: Case, turn: turns.PermittedWants) -> str | None:
    """Say of a confirmation that it is of nothing that is proposed, nor of what was done."""
    asked = asked_of(case.before)
    if asked is None or case.before is None:
        return None
    proposed = {proposal.id for proposal in (*turn.proposals, *turn.confirmed.values())}
    if asked in proposed or heeded(case.before, ()) is not None:
        return None
    what = asked if _ID.fullmatch(asked) else "no id of a move"
    return f"the annotation {meta.ANNOTATION_CONFIRMED} ({what}) is of no move that is proposed"


def heeded(
    before: v1alpha1.InferencePlacement, moves: Sequence[inferenceplacement.Move]
) -> str | None:
    """Return what a person wrote as the move that they confirm, if it was moved, now or ever."""
    asked = asked_of(before)
    done = {move.confirmed for move in (*before.status.moves, *moves)}
    return asked if asked in {before.status.confirmed, *done} else None


def _message(case: Case, proposed: Sequence[Proposal]) -> str:
    """Say what waits for a person, and how they confirm it."""
    first = proposed[0]
    more = f", and {len(proposed) - 1} more" if len(proposed) > 1 else ""
    what = f"{first.slot} from {first.from_} to {first.to} ({first.cause}: {first.evidence}){more}"
    verb = f"kubectl foreshore move {case.demand.policy} --site {case.site}"
    return f"failover is Manual: {what}; confirm it with {verb} -n {case.demand.namespace}"
