"""Room for a slot that finds none: somebody else moves.

Called by `batch`. Depth 1 moves an occupant to a candidate with room, the move with the smallest
loss; depth 2 lets that occupant push a second one on. What this batch has placed moves before a
running replica does, nobody goes to a worse grade or to a domain that it shares while it did not
before, and a bound on the trials ends every search.
"""

from collections.abc import Iterator
from typing import Final

from foreshore_planner.placement.solve.allocation import RANKS, WORST, Allocation
from foreshore_planner.placement.solve.problem import NOWHERE

TRIALS: Final = 600
"""Moves tried for one slot: a few milliseconds."""
DEPTH: Final = 2

Loss = tuple[bool, float, int]
"""(is a running replica, what the move costs, its order): smaller is better."""


class Ejection:
    """A search for room on behalf of one slot."""

    def __init__(self, allocation: Allocation, moves_left: int, trials: int = TRIALS) -> None:
        self._allocation = allocation
        self._moves_left = moves_left
        self._trials = trials

    @property
    def is_exhausted(self) -> bool:
        """Whether the bound ended the search."""
        return self._trials <= 0

    def make_room(self, slot: int, limit: int = WORST) -> bool:
        """Place a slot, up to a rank, by moving others; what is not of use is taken back."""
        return self._swap(slot, limit) or (
            DEPTH > 1 and self._push(slot, limit, frozenset((slot,)), DEPTH)
        )

    def _swap(self, slot: int, limit: int) -> bool:
        """Move the occupant whose move costs least to a candidate with room."""
        best: tuple[Loss, int, int, int] | None = None
        for position in self._wanted(slot, limit):
            if best is not None:
                break
            for occupant in self._occupants(slot, position, frozenset()):
                option = self._tried(slot, position, occupant)
                if option is not None and (best is None or option[0] < best[0]):
                    best = (*option, position, occupant)
        if best is None:
            return False
        _, target, position, occupant = best
        self._allocation.take(occupant)
        self._allocation.put(slot, position)
        self._allocation.put(occupant, target)
        return True

    def _tried(self, slot: int, position: int, occupant: int) -> tuple[Loss, int] | None:
        """What it costs to move an occupant, and where it would go; None where it cannot."""
        allocation, mark = self._allocation, self._allocation.mark()
        rank, cost, is_held = (
            allocation.rank_held(occupant),
            allocation.cost(occupant),
            allocation.is_held(occupant),
        )
        allocation.take(occupant)
        allocation.put(slot, position)
        target = allocation.best(occupant, rank, allocation.nodes[position])
        allocation.back_to(mark)
        if target == NOWHERE:
            return None
        loss = allocation.costs[target] - cost
        return (is_held, loss, int(allocation.problem.order[occupant])), target

    def _push(self, slot: int, limit: int, chain: frozenset[int], depth: int) -> bool:
        """Place a slot where an occupant leaves that pushes the next one, so many deep."""
        allocation = self._allocation
        for position in self._wanted(slot, limit):
            for occupant in self._occupants(slot, position, chain):
                mark, rank = allocation.mark(), allocation.rank_held(occupant)
                allocation.take(occupant)
                allocation.put(slot, position)
                if self._settled(occupant, rank, position, chain | {occupant}, depth - 1):
                    return True
                allocation.back_to(mark)
        return False

    def _settled(
        self, occupant: int, rank: int, barred: int, chain: frozenset[int], depth: int
    ) -> bool:
        target = self._allocation.best(occupant, rank, self._allocation.nodes[barred])
        if target != NOWHERE:
            self._allocation.put(occupant, target)
            return True
        return depth > 0 and self._push(occupant, rank, chain, depth)

    def _wanted(self, slot: int, limit: int) -> list[int]:
        """The candidates of a slot up to a rank, best first."""
        allocation = self._allocation
        span = range(allocation.starts[slot], allocation.starts[slot + 1])
        ranked = [(allocation.rank(slot, position), position) for position in span]
        return [position for rank, position in sorted(ranked) if rank <= limit]

    def _occupants(self, slot: int, position: int, chain: frozenset[int]) -> Iterator[int]:
        """Who could make room there alone, this batch's own first; each counts as a trial."""
        allocation, node = self._allocation, self._allocation.nodes[position]
        row, need = allocation.free(node), allocation.need(slot)
        short = [(kind, amount - row[kind]) for kind, amount in need if amount > row[kind]]
        enough = [
            occupant
            for occupant in allocation.residents(node)
            if occupant not in chain
            and allocation.starts[occupant] < allocation.starts[occupant + 1]
            and (self._moves_left > 0 or not allocation.is_held(occupant))
            and all(allocation.amount(occupant, kind) >= amount for kind, amount in short)
        ]
        enough.sort(key=lambda occupant: self._reluctance(occupant))
        for occupant in enough:
            if self._trials <= 0:
                return
            self._trials -= 1
            yield occupant

    def _reluctance(self, occupant: int) -> tuple[bool, int]:
        allocation = self._allocation
        return allocation.is_held(occupant), int(allocation.problem.order[occupant])


def grade_limit(grade: int) -> int:
    """Return the worst rank of a grade."""
    return grade * RANKS + RANKS - 1
