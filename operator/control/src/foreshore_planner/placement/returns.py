"""Moves that nothing forces: a replica goes to where its policy would have it in the first place.

    replicas share a failure domain, another one has a node ──► RedundancyRestored
    a replica overflowed into the cloud, the edge has room  ──► RoomAtEdge
    it left a better node, and `failback` is WhenStable     ──► FailedBack

One replica of a placement at a time, a standby before an active one, and rarely: only where all is
well otherwise, to a node that has been well for a while, once in a stabilisation window, back once
an hour (`hysteresis`). What waits for that is told. Latency alone is no reason but for `failback`,
and no return makes replicas share a domain, so that two never trade places. Called by `placing`
when all that is forced has its node: a return takes what is left of the room and of the site's
minute, and makes no room for itself.
"""

import dataclasses
import functools
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

STABLE_FOR: Final = 3600.0
"""Seconds: what `failback: WhenStable` takes for both waits of `hysteresis.Stabilization`."""

CLEARLY: Final = 0.8
"""Of two nodes that cost the same, the one that is predicted to take this share is better."""

Held = Mapping[str, incumbents.Incumbent]
Chosen = dict[str, candidates.Candidate]


@dataclass(frozen=True, slots=True)
class Aim:
    """A replica that would be better elsewhere."""

    slot: str
    cause: str
    evidence: str
    accepts: Callable[[candidates.Candidate], bool]
    """Whether a node that could take it would be better by the rule of this aim."""
    is_local: bool = True
    """Whether only nodes of its own site would."""

    def well_for(self, case: Case) -> float:
        """Return for how many seconds the node has to be Ready."""
        is_back = self.cause == reasons.FAILED_BACK
        return STABLE_FOR if is_back else case.seen.stabilization.min_ready


def shared_domain(stock: supply.Supply, case: Case, held: Held) -> Iterator[Aim]:
    """Replicas share a failure domain: one of them goes to a domain that has none of them.

    Not to where the latency is less certain to hold the budget than here.
    """
    del stock
    domains = _domains(case, held)
    shared = {domain for domain, count in Counter(domains.values()).items() if count > 1}
    for slot in _in_order(held):
        if domains[slot] in shared:
            yield Aim(
                slot,
                reasons.REDUNDANCY_RESTORED,
                f"another replica is in the same failure domain, {domains[slot]}",
                functools.partial(_is_as_sure, case, _grade(case, held[slot].node)),
                is_local=False,
            )


def overflow(stock: supply.Supply, case: Case, held: Held) -> Iterator[Aim]:
    """A replica is in the cloud though the policy wants the edge first, and may come back."""
    del stock
    placement = case.demand.placement
    wants_edge = placement.tier is placing.TierPreference.EDGE_FIRST
    if not wants_edge or placement.failback is placing.Failback.NEVER:
        return
    nodes = case.seen.index.nodes
    for slot in _in_order(held):
        if nodes[held[slot].node].tier is v1alpha1.Tier.CLOUD:
            evidence = f"{held[slot].node} is in the cloud, and the policy wants the edge first"
            yield Aim(slot, reasons.ROOM_AT_EDGE, evidence, functools.partial(_is_edge, case))


def left_node(stock: supply.Supply, case: Case, held: Held) -> Iterator[Aim]:
    """A replica had to leave a node that it would rather be on, and its policy lets it return."""
    if case.demand.placement.failback is not placing.Failback.WHEN_STABLE:
        return
    for slot in _in_order(held):
        here = case.view(held[slot].node)
        left = [view for name in _left(case, held[slot].node) if (view := case.view(name))]
        better = {
            view.node.name: view.node
            for view in left
            if here is not None
            and _is_better(
                case,
                candidates.candidate(here, stock.prices),
                candidates.candidate(view, stock.prices),
            )
        }
        if better:
            yield Aim(
                slot,
                reasons.FAILED_BACK,
                f"it left a node that is better than {held[slot].node}, which has been well since",
                functools.partial(_is_among, better),
                is_local=all(node.site == case.site for node in better.values()),
            )


AIMS: tuple[Callable[[supply.Supply, Case, Held], Iterator[Aim]], ...] = (
    shared_domain,  # before all: the next loss of a node would take both
    overflow,
    left_node,  # last: the only one where the replica is where it may well stay
)


def _left(case: Case, node: str) -> list[str]:
    """Return the nodes that led to this one, by moves that something forced, the last first."""
    past = case.before.status.moves if case.before is not None else ()
    left: list[str] = []
    for move in past:
        if move.to == node and move.from_ is not None:
            node = move.from_
            left += [node] if move.cause not in reasons.RETURNS else []
    return left


def _is_better(case: Case, here: candidates.Candidate, offer: candidates.Candidate) -> bool:
    """Whether the policy likes a node better: by latency only where it is clearly lower."""
    rank, own = (
        (choose.grade(place, case.demand), choose.tier_rank(place.node, case.demand), place.price)
        for place in (offer, here)
    )
    bound, present = offer.prediction.bound, here.prediction.bound
    is_faster = bound is not None and present is not None and bound <= CLEARLY * present
    return slots.is_comfortable(case, bound) and (rank < own or (rank == own and is_faster))


def _is_among(better: Mapping[str, snapshot.Node], offer: candidates.Candidate) -> bool:
    return offer.node.name in better


def _is_as_sure(case: Case, here: problem.Grade, offer: candidates.Candidate) -> bool:
    return choose.grade(offer, case.demand) <= here


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
    aims = [aim for look in AIMS for aim in look(stock, case, held)]
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
        force = (aim.cause, f"{aim.evidence}; {result.node.name} has room")
        return turn.moving({aim.slot: force}), {aim.slot: result}
    first = next((delay for delay in delays if delay.is_pending), delays[0])
    return dataclasses.replace(turn, delay=first), {}


def _able(
    case: Case, held: Held, aim: Aim, offers: candidates.Offers
) -> list[candidates.Candidate]:
    """Return the nodes that would do for an aim, best first, whether or not it is time for it."""
    others = {domain for slot, domain in _domains(case, held).items() if slot != aim.slot}
    avoided = slots.left_lately(case)
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
        message = f"{what}: no node that would be better has room and is well"
        return Delay(message, is_pending=not aim.is_local)
    due = _not_before(case, aim)
    if due is not None:
        message = f"{what} moves to {able[0].node.name} at {due} at the earliest"
        return Delay(f"{message}: such moves are kept apart", is_pending=True)
    well_for = aim.well_for(case)
    ready = [offer for offer in able if offer.node.ready_age >= well_for]
    if not ready:
        first = max(able, key=lambda offer: offer.node.ready_age)
        due = _moment(case.seen.now + timedelta(seconds=well_for - first.node.ready_age))
        message = f"{what} moves to {first.node.name} at {due} at the earliest"
        return Delay(f"{message}: it has to be well for {well_for:.0f}s", is_pending=True)
    if stock.pace(case.site).moves <= 0:
        message = f"{what} waits: site {case.site} has used up its moves of this minute"
        return Delay(message, is_pending=True)
    for offer in ready:
        if stock.free(offer.node).has_room_for(case.demand.requests):
            return offer
    return Delay(f"{what} waits: other replicas take the room first", is_pending=True)


def _not_before(case: Case, aim: Aim) -> str | None:
    """Return until when the placement rests since it last moved of its own accord, if it does."""
    now = case.seen.now
    past = case.before.status.moves if case.before is not None else ()
    ends = [now]
    rests = [(reasons.UNFORCED, case.seen.stabilization.window)]
    if aim.cause == reasons.FAILED_BACK:
        rests.append((frozenset({reasons.FAILED_BACK}), STABLE_FOR))
    for causes, apart in rests:
        rest = timedelta(seconds=apart)
        lately = incumbents.departures(past, now - rest)
        ends += [scalars.instant(move.time) + rest for move in lately if move.cause in causes]
    return _moment(max(ends)) if max(ends) > now else None


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
