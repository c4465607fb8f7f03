"""Room for a slot that finds none: somebody else moves.

Called by `batch`. Depth 1 moves an occupant to a candidate with room, the move with the smallest
loss; depth 2 lets that occupant push a second one on, depth 3 (for the last few) a third. What this
batch has placed moves before a running replica does, nobody goes to a worse grade or to a domain
that it shares while it did not before, and a bound on the trials ends every search.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

from foreshore_planner.placement.solve.allocation import NOBODY, WORST, Allocation
from foreshore_planner.placement.solve.problem import NOWHERE

COMPARED: Final = 8
"""Occupants of a node among which the cheapest to move is looked for, once one can move."""
COMPARED_RUNNING: Final = 3
"""The same where running replicas may move: somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a search for one slot goes."""

    depth: int
    trials: int
    """Moves tried."""


USUAL: Final = Reach(depth=2, trials=600)
"""A few milliseconds."""
DEEP: Final = Reach(depth=3, trials=5000)
"""For the last few of a batch, some ten milliseconds each."""

Loss = tuple[bool, float, int]
"""(is a running replica, what the move costs, its order): smaller is better."""


class Ejection:
    """A search for room on behalf of one slot."""

    def __init__(
        self, allocation: Allocation, moves_left: int, stuck: set[int], reach: Reach | None = None
    ) -> None:
        """Search with what earlier searches learnt: `stuck` are slots that could not move.

        Room only shrinks while a batch is filled, so that who found no other node will find none
        until somebody moves away; a search that fails asks everybody once more.
        """
        self._allocation = allocation
        self._moves_left = moves_left
        self._stuck = stuck
        reach = reach or USUAL
        self._depth = reach.depth
        self._trials = reach.trials

    @property
    def is_exhausted(self) -> bool:
        """Whether the bound ended the search."""
        return self._trials <= 0

    def make_room(self, slot: int, limit: int = WORST) -> bool:
        """Place a slot, up to a rank, by moving others; what is not of use is taken back."""
        wanted = self._wanted(slot, limit)
        if self._swap(slot, wanted):
            return True
        if self._stuck:
            self._stuck.clear()
            if self._swap(slot, wanted):
                return True
        return self._push(slot, wanted, frozenset((slot,)), self._depth)

    def clear(self, node: int) -> bool:
        """Let an occupant of a node push another off a third, where none can simply leave."""
        allocation = self._allocation
        for occupant in (*allocation.newcomers(node), *allocation.incumbents(node)):
            if allocation.is_fixed(occupant):
                continue
            mark = allocation.mark()
            rank = allocation.rank_of_place(occupant, allocation.crowd(occupant))
            allocation.take(occupant)
            if (
                self._swap(occupant, self._wanted(occupant, rank))
                and allocation.node(occupant) != node
            ):
                return True
            allocation.back_to(mark)
        return False

    def _swap(self, slot: int, wanted: Iterable[int]) -> bool:
        """Move the occupant whose move costs least to a candidate with room."""
        compared = COMPARED_RUNNING if self._moves_left > 0 else COMPARED
        best: tuple[Loss, int, int, int] | None = None
        for position in wanted:
            if best is not None:
                break
            for number, occupant in enumerate(self._occupants(slot, position, self._stuck)):
                option = self._tried(slot, position, occupant)
                if option is not None and (best is None or option[0] < best[0]):
                    best = (*option, position, occupant)
                if best is not None and number >= compared:
                    break
        if best is None:
            return False
        _, target, position, occupant = best
        self._exchange(slot, position, occupant, target)
        return True

    def _tried(self, slot: int, position: int, occupant: int) -> tuple[Loss, int] | None:
        """What it costs to move an occupant, and where it would go; None where it cannot."""
        allocation = self._allocation
        target = self._target(slot, position, occupant)
        if target == NOWHERE:
            self._stuck.add(occupant)
            return None
        loss = allocation.costs[target] - allocation.cost(occupant)
        return (allocation.is_held(occupant), loss, allocation.order[occupant]), target

    def _target(self, slot: int, position: int, occupant: int) -> int:
        """Return where an occupant would go if a slot took its node, or NOWHERE.

        Elsewhere all stays as it is, so that nothing has to be tried out.
        """
        allocation = self._allocation
        crowd = allocation.crowd(occupant)
        rank = allocation.rank_of_place(occupant, crowd)
        if allocation.is_akin(slot, occupant):
            domains, nodes = crowd
            crowd = (
                [*domains, allocation.domains[position]],
                [*nodes, allocation.nodes[position]],
            )
        return allocation.best(occupant, crowd, rank, allocation.nodes[position])

    def _exchange(self, slot: int, position: int, occupant: int, target: int) -> None:
        self._allocation.take(occupant)
        self._allocation.put(slot, position)
        self._allocation.put(occupant, target)

    def _push(self, slot: int, wanted: Iterable[int], chain: frozenset[int], depth: int) -> bool:
        """Place a slot where an occupant leaves that pushes the next one, so many deep."""
        for position in wanted:
            for occupant in self._occupants(slot, position, chain):
                target = self._target(slot, position, occupant)
                if target != NOWHERE:
                    self._exchange(slot, position, occupant, target)
                    return True
                if depth > 1 and self._pushed_on(slot, position, occupant, chain, depth - 1):
                    return True
        return False

    def _pushed_on(
        self, slot: int, position: int, occupant: int, chain: frozenset[int], depth: int
    ) -> bool:
        """Put a slot in the place of an occupant that finds another by pushing the next one."""
        allocation = self._allocation
        mark = allocation.mark()
        rank = allocation.rank_of_place(occupant, allocation.crowd(occupant))
        allocation.take(occupant)
        allocation.put(slot, position)
        if self._push(occupant, self._wanted(occupant, rank), chain | {occupant}, depth):
            return True
        allocation.back_to(mark)
        return False

    def _wanted(self, slot: int, limit: int) -> Sequence[int]:
        """The candidates of a slot up to a rank where somebody might leave, best first."""
        allocation = self._allocation
        inhabited: Sequence[int] = range(allocation.starts[slot], allocation.starts[slot + 1])
        if self._moves_left <= 0:
            inhabited = allocation.with_newcomers(inhabited)
        crowd = allocation.crowd(slot)
        if crowd is NOBODY and limit == WORST:
            return inhabited
        ranked = [(allocation.rank(position, crowd), position) for position in inhabited]
        return [position for rank, position in sorted(ranked) if rank <= limit]

    def _occupants(self, slot: int, position: int, barred: Set[int]) -> Iterator[int]:
        """Who could make room there alone, this batch's own first; each counts as a trial."""
        allocation, node = self._allocation, self._allocation.nodes[position]
        shortage = allocation.shortage(slot, node)
        for occupant in self._residents(node):
            if occupant in barred or allocation.is_fixed(occupant):
                continue
            if not allocation.covers(occupant, shortage):
                continue
            if self._trials <= 0:
                return
            self._trials -= 1
            yield occupant

    def _residents(self, node: int) -> list[int]:
        newcomers = self._allocation.newcomers(node)
        if self._moves_left <= 0:
            return list(newcomers)
        return [*newcomers, *self._allocation.incumbents(node)]
