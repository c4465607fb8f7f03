"""In which order a placement likes nodes, and which of its replicas are active.

Candidates are ranked by: predicted within the budget, over it, unknown, saturated; then, within
the budget, tier as the policy asks and price; bound on the latency; name. Over the budget only the
bound counts. Ties cannot occur, because names differ. `matching` puts a failure domain of its own
before a shared one, within each of the four grades.
Roles are given afterwards: a ready standby is promoted at once when an active replica is lost, and
whoever is active and ready stays so, unless callers complain of it, or it is over the budget while
another that is ready is well within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from foreshore_api import v1alpha1
from foreshore_planner import snapshot
from foreshore_planner.placement import candidates
from foreshore_planner.placement.solve import problem


@dataclass(frozen=True, slots=True)
class IncumbentReplica:
    """The replica that fills a slot now."""

    slot: str
    node: str
    is_ready: bool
    is_wanted: bool
    """Whether it serves the version that is asked for."""
    is_well: bool
    """Whether some caller is content with it, or nobody calls it; and it is not late while another
    is in time."""
    was_active: bool


def rank(
    offered: Sequence[candidates.Candidate], demand: candidates.Demand
) -> list[candidates.Candidate]:
    """Return candidates, best first."""

    def key(candidate: candidates.Candidate) -> tuple[int, int, float, float, str]:
        bound, is_over = candidate.prediction.bound, candidate.is_over(demand.budget)
        return (
            grade(candidate, demand),
            0 if is_over else tier_rank(candidate.node, demand),
            0.0 if is_over else candidate.price,
            bound if bound is not None else float("inf"),
            candidate.node.name,
        )

    return sorted(offered, key=key)


def grade(candidate: candidates.Candidate, demand: candidates.Demand) -> problem.Grade:
    """Return what is known of a candidate's latency; a better grade always wins."""
    if candidate.is_saturated:
        return problem.Grade.SATURATED
    if candidate.is_untried:
        return problem.Grade.UNKNOWN
    match candidate.is_over(demand.budget):
        case None:
            return problem.Grade.UNKNOWN
        case True:
            return problem.Grade.OVER
        case False:
            return problem.Grade.WITHIN


def roles(
    incumbents: Sequence[IncumbentReplica], order: Sequence[str], active: int
) -> dict[str, bool]:
    """Return for each slot whether it is active.

    Ready ones first, of those the ones that serve what is asked for, then those that are well,
    then those already active, then by rank.

    `order` ranks the node names of this placement, best first.
    """
    place = {name: position for position, name in enumerate(order)}

    def key(replica: IncumbentReplica) -> tuple[bool, bool, bool, bool, int, str]:
        return (
            not replica.is_ready,
            not replica.is_wanted,
            not replica.is_well,
            not replica.was_active,
            place.get(replica.node, len(place)),
            replica.slot,
        )

    ordered = sorted(incumbents, key=key)
    return {replica.slot: position < active for position, replica in enumerate(ordered)}


def domain(node: snapshot.Node, demand: candidates.Demand) -> str:
    """Return the failure domain of a node, as `spread` names it.

    A node without a zone or site is its own.
    """
    match demand.placement.spread.value:
        case "Zone":
            return f"zone/{node.zone}" if node.zone else f"node/{node.name}"
        case "Site":
            return f"site/{node.site}" if node.site else f"node/{node.name}"
        case _:
            return f"node/{node.name}"


def tier_rank(node: snapshot.Node, demand: candidates.Demand) -> int:
    """Return the place of a node's tier in what the policy prefers."""
    if demand.placement.tier.value != "EdgeFirst":
        return 0
    return 0 if node.tier is v1alpha1.Tier.EDGE else 1
