"""Why a replica is where it is, and why not elsewhere: a few nodes side by side, with figures.

A candidate is compared with the node in use that ranks last: the first difference, in the order in
which `choose` ranks, is why it was not taken. What would change that is the smallest change of that
difference. Written anew only when a figure differs by more than `figures.NOISE`, so that nothing is
written because a lease became a second older. Called by `assembly`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency
from foreshore_planner.placement import candidates, choose, figures
from foreshore_planner.placement.case import Case

PassedNode = inferenceplacement.PassedNode

ABLE: Final = 5
"""Nodes that could serve and were passed over, of all that are named."""

BUSY: Final = 10
"""Percent by which a node's load may waver before it is written anew."""

Difference = tuple[str, str, str]
"""Reason, message, and what would change it."""


def passed(case: Case, taken: Collection[str], offers: candidates.Offers) -> tuple[PassedNode, ...]:
    """Return the nodes that came next, and those that could not serve, the nearest first."""
    able = [
        near for near in choose.rank(offers.fitting, case.demand) if near.node.name not in taken
    ]
    last = _last(case, taken)
    domains = {
        choose.domain(view.node, case.demand)
        for name in taken
        if (view := case.view(name)) is not None
    }
    shown = _shown(case, taken)
    named = [
        _named(candidate, difference(case, candidate, last, domains), shown)
        for candidate in able[:ABLE]
    ]
    full = [near.node.name for near in choose.rank(offers.full, case.demand)]
    order = {name: place for place, name in enumerate(full)}
    objections = sorted(
        (objection for objection in offers.rejected if objection.node not in taken),
        key=lambda objection: (order.get(objection.node, len(order)), objection.node),
    )
    left = inferenceplacement.PASSED - len(named)
    named += [_refused(case, objection, shown) for objection in objections[:left]]
    return _as_ordered(named, shown)


def _as_ordered(
    named: Sequence[PassedNode], shown: Mapping[str, PassedNode]
) -> tuple[PassedNode, ...]:
    """Return nodes in the order shown before, where each is as shown: noise alone reorders them."""
    if any(shown.get(node.node) != node for node in named):
        return tuple(named)
    order = {name: place for place, name in enumerate(shown)}
    return tuple(sorted(named, key=lambda node: order[node.node]))


def _shown(case: Case, taken: Collection[str]) -> Mapping[str, PassedNode]:
    """Return what was shown before beside the same nodes in use, by node."""
    before = case.before.status.candidates if case.before is not None else None
    if before is None or {node.node for node in before.chosen} != set(taken):
        return {}
    return {node.node: node for node in before.passed}


def chosen(
    case: Case, taken: Collection[str], passed_over: Sequence[PassedNode]
) -> tuple[inferenceplacement.ChosenNode, ...]:
    """Return the nodes in use, each with what it costs and why it is one."""
    before = case.before.status.candidates if case.before is not None else None
    shown = {node.node: node for node in before.chosen} if before is not None else {}
    nodes = []
    for name in sorted(taken):
        view, old = case.view(name), shown.get(name)
        if view is None:
            continue
        total = view.prediction.total
        nodes.append(
            inferenceplacement.ChosenNode(
                node=name,
                predicted=figures.settled(total, old.predicted if old else None),
                busy=_busy(view.utilisation, old.busy if old else None),
                price=_price(candidates.candidate(view, case.prices).price),
                why=_why(case, view.prediction, passed_over),
            )
        )
    return tuple(nodes[: inferenceplacement.REPLICAS])


def difference(
    case: Case,
    candidate: candidates.Candidate,
    last: candidates.Candidate | None,
    domains: Collection[str],
) -> Difference:
    """Return why a node that could serve was passed over for the one that ranks last in use."""
    demand, total = case.demand, candidate.prediction.total
    objection = candidates.late(candidate, demand.budget)
    if objection is not None:
        wider = f"a latency budget of {candidates.milliseconds(total or 0.0)}"
        is_late = objection.reason == reasons.LATENCY_BUDGET
        return objection.reason, objection.message, wider if is_late else _remedy(objection.reason)
    if total is None:
        return reasons.UNMEASURED, "nothing is known of the way to it", _remedy(reasons.UNMEASURED)
    if choose.domain(candidate.node, demand) in domains:
        message = "it shares a failure domain with a replica"
        return reasons.SHARES_DOMAIN, message, _remedy(reasons.SHARES_DOMAIN)
    if last is None or choose.rank([candidate, last], demand)[0] is candidate:
        message = "it would be taken for a new replica; what runs is not moved for that"
        return reasons.WOULD_BE_TAKEN, message, _remedy(reasons.WOULD_BE_TAKEN)
    return _ranked_below(case, candidate, last)


def _ranked_below(
    case: Case, candidate: candidates.Candidate, last: candidates.Candidate
) -> Difference:
    here = last.node.name
    if choose.tier_rank(candidate.node, case.demand) > choose.tier_rank(last.node, case.demand):
        message = f"it is of tier {candidate.node.tier}, {here} of tier {last.node.tier}"
        return reasons.OTHER_TIER_FIRST, message, "placement.tier: Cheapest"
    if candidate.price > last.price:
        message = f"{_price(candidate.price)} an hour, {here} {_price(last.price)}"
        cores = case.demand.requests.cpu / 1000
        most = _price(last.price / cores) if cores else "0"
        return reasons.DEARER, message, f"a price of a CPU hour of less than {most}"
    own, best = (near.prediction.bound or 0.0 for near in (candidate, last))
    if own > best:
        message = f"{candidates.milliseconds(own)}, {here} {candidates.milliseconds(best)}"
        return (
            reasons.SLOWER,
            message,
            f"{candidates.milliseconds(own - best)} less on the way or there",
        )
    return reasons.LATER_BY_NAME, f"no worse than {here}, whose name comes first", "any advantage"


def _last(case: Case, taken: Collection[str]) -> candidates.Candidate | None:
    views = [view for name in taken if (view := case.view(name)) is not None]
    near = [candidates.candidate(view, case.prices) for view in views]
    ranked = choose.rank(near, case.demand)
    return ranked[-1] if ranked else None


def _named(
    candidate: candidates.Candidate,
    why: Difference,
    shown: Mapping[str, PassedNode],
) -> PassedNode:
    """Show one node: as before, where it is passed over for the same and differs by noise."""
    reason, message, change = why
    name, total = candidate.node.name, candidate.prediction.total
    busy, price = _percent(candidate.utilisation), _price(candidate.price)
    old = shown.get(name)
    if old is not None and (old.reason, old.price) == (reason, price):
        is_near = figures.settled(total, old.predicted) == old.predicted
        if is_near and abs((old.busy or 0) - busy) <= BUSY:
            return old
    return PassedNode(
        node=name,
        reason=reason,
        message=message[:256],
        predicted=figures.duration(total) if total is not None else None,
        busy=busy,
        price=price,
        change=change[:256],
    )


def _refused(
    case: Case, objection: candidates.Rejection, shown: Mapping[str, PassedNode]
) -> PassedNode:
    view = case.view(objection.node)
    why = (objection.reason, objection.message, _room(view, objection.reason))
    if view is None:
        return PassedNode(node=objection.node, reason=why[0], message=why[1][:256], change=why[2])
    return _named(candidates.candidate(view, case.prices), why, shown)


def _room(view: candidates.NodeView | None, reason: str) -> str:
    """Return what would let a node serve: the missing amount, where it is one."""
    if view is not None and reason == reasons.INSUFFICIENT_CPU:
        return f"{view.demand.requests.cpu - max(0, view.free.cpu)}m more CPU free on it"
    if view is not None and reason == reasons.INSUFFICIENT_MEMORY:
        missing = view.demand.requests.memory - max(0, view.free.memory)
        return f"{-(-missing >> 20) or 1}Mi more memory free on it"
    return _remedy(reason)


def _remedy(reason: str) -> str:
    row = reasons.TABLE.get(reason)
    return row.remedy if row is not None else ""


def _why(case: Case, prediction: latency.Prediction, passed_over: Sequence[PassedNode]) -> str:
    """Say what speaks for the nodes in use, beside the best that was passed over."""
    total = prediction.total
    grade = "nothing is known of its latency"
    if total is not None:
        grade = "predicted over the budget"
    if total is not None and total <= case.demand.budget:
        grade = "predicted within the budget"
    following = next((node for node in passed_over if node.reason in WORDS), None)
    if following is None:
        return f"{grade}; no other node could serve"
    return f"{grade}; {WORDS[following.reason].format(following.node)}"


WORDS: Final[Mapping[str, str]] = {
    reasons.LATENCY_BUDGET: "{} would be over it",
    reasons.SATURATED: "{} is too busy",
    reasons.UNTRIED: "nobody measured {}",
    reasons.UNMEASURED: "nothing is known of the way to {}",
    reasons.SHARES_DOMAIN: "{} shares a failure domain",
    reasons.WOULD_BE_TAKEN: "it runs there; {} would be taken for a new one",
    reasons.OTHER_TIER_FIRST: "of the tier that comes first, unlike {}",
    reasons.DEARER: "cheaper than {}",
    reasons.SLOWER: "faster than {}",
    reasons.LATER_BY_NAME: "no worse than {}, and first by name",
}
"""What is said of a node in use, by why the next one was passed over."""


def _busy(utilisation: float, shown: int | None) -> int:
    percent = _percent(utilisation)
    return shown if shown is not None and abs(shown - percent) <= BUSY else percent


def _percent(share: float) -> int:
    return min(inferenceplacement.BUSIEST, round(100 * share))


def _price(amount: float) -> str:
    """Write an amount of money without digits that mean nothing."""
    return f"{amount:.6f}".rstrip("0").rstrip(".") or "0"
