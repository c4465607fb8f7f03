"""Who leaves a node whose replicas ask for more than it has.

Called by `batch` after everything without a node has been placed: those who leave run already.
The fewest leave: if one departure is enough, the smallest that is, else the one that helps most,
and again. Nobody leaves for a worse grade or for a domain that it would share, and who has no other
node stays, because a replica on a node that is too full serves better than none.
"""

from collections.abc import Iterable

from foreshore_planner.placement.solve import ejection
from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import NOWHERE

Departure = tuple[tuple[bool, float, float, int], int, int]
"""(how well it serves, smaller is better; the slot; where it goes)."""


def relieve(allocation: Allocation, nodes: Iterable[int], moves_left: int) -> tuple[int, ...]:
    """Let the fewest leave these nodes, the scarcest of departures first.

    Return the nodes that still hold more than they have.
    """
    choices = {node: len(_departures(allocation, node)) for node in nodes}
    for node in sorted(choices, key=lambda node: (choices[node], node)):
        moves_left -= _relieve(allocation, node, moves_left)
    return tuple(sorted(node for node in choices if _short(allocation, node)))


def _relieve(allocation: Allocation, node: int, moves_left: int) -> int:
    moved = 0
    while moved < moves_left and _short(allocation, node):
        if departures := _departures(allocation, node):
            _, slot, target = min(departures)
            allocation.take(slot)
            allocation.put(slot, target)
            moved += 1
        elif ejection.Ejection(allocation, 0, set()).clear(node):
            moved += 1  # who gave way for it has moved already
        elif moved + 1 < moves_left and ejection.Ejection(allocation, 1, set()).clear(node):
            moved += 2
        else:
            break
    return moved


def _departures(allocation: Allocation, node: int) -> list[Departure]:
    short = _short(allocation, node)
    return [
        departure
        for slot in (*allocation.newcomers(node), *allocation.incumbents(node))
        if short and (departure := _departure(allocation, slot, node, short)) is not None
    ]


def _short(allocation: Allocation, node: int) -> list[tuple[int, int]]:
    return [(kind, -left) for kind, left in enumerate(allocation.free(node)) if left < 0]


def _departure(
    allocation: Allocation, slot: int, node: int, short: list[tuple[int, int]]
) -> Departure | None:
    """What it helps when a slot leaves, and where it would go; None where it cannot."""
    helped = sum(min(1.0, allocation.amount(slot, kind) / missing) for kind, missing in short)
    if not helped:
        return None
    crowd = allocation.crowd(slot)
    target = allocation.best(slot, crowd, allocation.rank_of_place(slot, crowd), node)
    if target == NOWHERE:
        return None
    is_enough = helped >= len(short)
    size = sum(allocation.amount(slot, kind) / missing for kind, missing in short)
    loss = allocation.costs[target] - allocation.cost(slot)
    benefit = (not is_enough, size if is_enough else -helped, loss, allocation.order[slot])
    return benefit, slot, target
