"""Moves that nothing forces: a replica goes to where its policy would have it in the first place.

    replicas share a failure domain, another one has a node ──► RedundancyRestored
    a replica overflowed into the cloud, the edge has room  ──► RoomAtEdge

One replica of a placement at a time, a standby before an active one, and rarely: only where all is
well otherwise, to a node that has been well for a while, once in ten minutes. What waits for that
is told. Latency alone is no reason, and no return makes replicas share a domain, so that two never
trade places. Called by `placing` when all that is forced has its node: a return takes what is left
of the room and of the site's minute, and makes no room for itself.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from foreshore_api import scalars, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import placing
from foreshore_planner import health, snapshot
from foreshore_planner.placement import (
    candidates,
    choose,
    incumbents,
    serving,
    slots,
    supply,
    turns,
)
from foreshore_planner.placement.case import Case, Delay
from foreshore_planner.placement.solve import problem

WELL_FOR: Final = 60.0
"""Seconds for which a node has to be Ready before a replica goes there though nothing forces it."""

APART: Final = 600.0
"""Seconds between two moves of one placement that nothing forces."""

Held = Mapping[str, incumbents.Incumbent]
Chosen = dict[str, candidates.Candidate]


@dataclass(frozen=True, slots=True)
class Aim:
    """A replica that would be better elsewhere."""

    slot: str
    cause: reasons.Reason
    evidence: str
    accepts: Callable[[candidates.Candidate], bool]
    """Whether a node that could take it would be better by the rule of this aim."""


def shared_domain(case: Case, held: Held) -> Iterator[Aim]:
    """Replicas share a failure domain: one of them goes to a domain that has none of them.

    Not to where the latency is less certain to hold the budget than here.
    """
    domains = _domains(case, held)
    shared = {domain for domain, count in Counter(domains.values()).items() if count > 1}
    grades = {slot: _grade(case, incumbent.node) for slot, incumbent in held.items()}
    for slot in _in_order(held):
        if domains[slot] in shared:
            yield Aim(
                slot,
                reasons.REDUNDANCY_RESTORED,
                f"another replica is in the same failure domain, {domains[slot]}",
                lambda offer, here=grades[slot]: choose.grade(offer, case.demand) <= here,
            )


def overflow(case: Case, held: Held) -> Iterator[Aim]:
    """A replica is in the cloud though the policy wants the edge first, and may come back."""
    placement = case.demand.placement
    wants_edge = placement.tier is placing.TierPreference.EDGE_FIRST
    if not wants_edge or placement.failback is placing.Failback.NEVER:
        return
    nodes = case.seen.index.nodes
    for slot in _in_order(held):
        if nodes[held[slot].node].tier is v1alpha1.Tier.CLOUD:
            evidence = f"{held[slot].node} is in the cloud, and the policy wants the edge first"
            yield Aim(slot, reasons.ROOM_AT_EDGE, evidence, lambda offer: _is_edge(case, offer))


AIMS: tuple[Callable[[Case, Held], Iterator[Aim]], ...] = (
    shared_domain,  # before all: the next loss of a node would take both
    overflow,
)


def _is_edge(case: Case, offer: candidates.Candidate) -> bool:
    is_within = choose.grade(offer, case.demand) is problem.Grade.WITHIN
    is_of_site = offer.node.site == case.site and offer.node.tier is v1alpha1.Tier.EDGE
    return is_within and is_of_site


def _in_order(held: Held) -> list[str]:
    """Return slots in the order in which they may move: standbys first, of them the last."""
    return sorted(held, key=lambda slot: (held[slot].was_active, -int(slot[1:])))


def _domains(case: Case, held: Held) -> dict[str, str]:
    nodes, demand = case.seen.index.nodes, case.demand
    return {slot: choose.domain(nodes[incumbent.node], demand) for slot, incumbent in held.items()}


def _grade(case: Case, node: str) -> problem.Grade:
    view = case.view(node)
    if view is None:
        return problem.Grade.UNKNOWN
    return choose.grade(candidates.Candidate(view.node, view.prediction, 0.0), case.demand)


def among(
    stock: supply.Supply,
    matched: Sequence[tuple[turns.PermittedWants, Chosen]],
    asked: Collection[snapshot.At],
) -> Iterator[tuple[turns.PermittedWants, Chosen]]:
    """Let replicas of these placements return, as far as room and minutes are left for it.

    Of placements that were not asked about, but only looked at for their room, none does.
    """
    for turn, chosen in matched:
        is_free = turn.wants.is_content and not turn.moves_unforced and turn.key in asked
        yield _after(stock, turn) if is_free and _is_calm(stock, turn) else (turn, chosen)


def _after(stock: supply.Supply, turn: turns.PermittedWants) -> tuple[turns.PermittedWants, Chosen]:
    """Return one placement with the replica that returns, or with what that waits for."""
    case, held = turn.wants.case, turn.wants.held
    aims = [aim for find in AIMS for aim in find(case, held)]
    if not aims:
        return turn, {}
    offers = turns.offers(stock, case)
    delays: list[Delay] = []
    for aim in aims:
        able = _able(case, held, aim, offers)
        result = _choose(stock, case, aim, able)
        if isinstance(result, Delay):
            delays.append(result)
            continue
        stock.take(result.node.name, case.demand.requests)
        stock.spend(case.site, 1)
        force = (str(aim.cause), f"{aim.evidence}; {result.node.name} has room")
        return turn.moving({aim.slot: force}), {aim.slot: result}
    first = next((delay for delay in delays if delay.is_pending), delays[0])
    return dataclasses.replace(turn, delay=first), {}


def _able(
    case: Case, held: Held, aim: Aim, offers: candidates.Offers
) -> list[candidates.Candidate]:
    """Return the nodes that would do for an aim, best first, whether or not it is time for it."""
    others = {domain for slot, domain in _domains(case, held).items() if slot != aim.slot}
    avoided = slots.left_lately(case, reasons.TROUBLES)
    return [
        offer
        for offer in choose.rank(offers.fitting, case.demand)
        if offer.node.name not in avoided
        and case.verdicts.of(offer.node.name).verdict is health.NodeVerdict.HEALTHY
        and choose.domain(offer.node, case.demand) not in others
        and aim.accepts(offer)
    ]


def _choose(
    stock: supply.Supply, case: Case, aim: Aim, able: Sequence[candidates.Candidate]
) -> candidates.Candidate | Delay:
    """Return where a replica goes now, or why it does not."""
    what = f"{aim.slot} ({aim.cause})"
    if not able:
        return Delay(f"{what}: no node that would be better has room and is well", is_pending=False)
    due = _not_before(case)
    if due is not None:
        message = f"{what} moves to {able[0].node.name} at {due} at the earliest"
        message = f"{message}: moves that nothing forces are {APART / 60:.0f} minutes apart"
        return Delay(message, is_pending=True)
    ready = [offer for offer in able if offer.node.ready_age >= WELL_FOR]
    if not ready:
        first = max(able, key=lambda offer: offer.node.ready_age)
        due = _moment(case.seen.now + timedelta(seconds=WELL_FOR - first.node.ready_age))
        message = f"{what} moves to {first.node.name} at {due} at the earliest"
        return Delay(f"{message}: it has to be well for {WELL_FOR:.0f}s", is_pending=True)
    if stock.pace(case.site).moves <= 0:
        message = f"{what} waits: site {case.site} has used up its moves of this minute"
        return Delay(message, is_pending=True)
    for offer in ready:
        if stock.free(offer.node).has_room_for(case.demand.requests):
            return offer
    return Delay(f"{what} waits: other replicas take the room first", is_pending=True)


def _not_before(case: Case) -> str | None:
    """Return until when the placement rests since its last move that nothing forced, if it does."""
    past = case.before.status.moves if case.before is not None else ()
    lately = incumbents.departures(past, case.seen.now - timedelta(seconds=APART))
    times = [scalars.instant(move.time) for move in lately if move.cause in reasons.UNFORCED]
    until = max(times, default=case.seen.now - timedelta(seconds=APART)) + timedelta(seconds=APART)
    return _moment(until) if until > case.seen.now else None


def _moment(time: datetime) -> str:
    """Write a moment, rounded up to a whole second."""
    return scalars.timestamp(time + timedelta(seconds=math.ceil(time.microsecond / 1e6)))


def _is_calm(stock: supply.Supply, turn: turns.PermittedWants) -> bool:
    """Whether a placement may move of its own accord: nothing is wrong with it, or under way."""
    case, held = turn.wants.case, turn.wants.held
    is_held = case.site in stock.verdicts.held_sites or stock.verdicts.is_fleet_held
    is_automatic = case.demand.placement.failover is placing.Failover.AUTOMATIC
    if is_held or not is_automatic or case.bound.problem is not None or case.seen.fleet is None:
        return False
    pods = {incumbent.pod.name for incumbent in held.values() if incumbent.pod is not None}
    terminating = snapshot.PodPhase.TERMINATING
    others = [pod for pod in case.replicas if pod.name not in pods and pod.phase != terminating]
    return not others and all(
        incumbent.node in case.seen.index.nodes
        and incumbent.pod is not None
        and serving.is_settled_in(case, incumbent.pod)
        for incumbent in held.values()
    )
