"""Lower cost for those who pay most: they take the place of somebody who loses less by leaving.

Called by `batch` once a large batch is placed. Who chooses late finds the cheap nodes full, even
where somebody there would lose little elsewhere. The costliest ask in turn, the cheapest of their
candidates first; all numbers below are bounds, so that the search stays small beside the batch.
Only what the batch has placed moves, and nobody to a worse grade or to a domain that it shares
while it did not before.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy

from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import NOWHERE, Costs, Integers

COSTLIEST: Final = 40
"""Of so many slots one asks for a cheaper place: those that pay most beside their first choice."""
NODES: Final = 8
"""Cheaper nodes that each of them looks at."""
OCCUPANTS: Final = 8
"""Slots on such a node that are asked what they would lose."""

Offer = tuple[float, int, int]
"""(what is saved by both together, the candidate, who leaves it)."""


def lower_costs(allocation: Allocation, slots: Sequence[int]) -> None:
    """Let pairs of these slots change places where both together cost less then."""
    asked = numpy.asarray(slots, numpy.int64)
    bargains = _Bargains(allocation, frozenset(slots))
    numbers, losses, _ = _losses(allocation, asked)
    ranked = numpy.lexsort((allocation.problem.order[asked[numbers]], -losses))
    costliest = ranked[: len(slots) // COSTLIEST]
    for slot in asked[numbers[costliest[losses[costliest] > 0]]].tolist():
        bargains.improve(slot)


def relative_losses(allocation: Allocation, slots: Integers) -> Costs:
    """Return what each slot pays beside its first choice, as a share of what that costs.

    Without bound where a slot has no node, or one of another grade.
    """
    numbers, losses, least = _losses(allocation, slots)
    shares = numpy.full(slots.size, numpy.inf)
    shares[numbers] = losses / numpy.where(least == 0, numpy.inf, numpy.abs(least))
    return shares


def _losses(allocation: Allocation, slots: Integers) -> tuple[Integers, Costs, Costs]:
    """Which of the slots have a node of the grade of their first choice.

    With what each of those pays beside it, and what the first choice costs.
    """
    problem, candidates = allocation.problem, allocation.candidates(slots)
    numbers = numpy.flatnonzero(candidates != NOWHERE)
    current, first = candidates[numbers], problem.starts[slots[numbers]]
    alike = problem.grades[current] == problem.grades[first]
    current, first = current[alike], first[alike]
    least = problem.costs[first]
    return numbers[alike], problem.costs[current] - least, least


class _Bargains:
    """Changes of place between two slots of a batch."""

    def __init__(self, allocation: Allocation, batch: frozenset[int]) -> None:
        self._allocation = allocation
        self._batch = batch
        self._losses: dict[int, float] = {}
        """What it would cost a slot to leave its place, as it was when it was asked."""

    def improve(self, slot: int) -> None:
        """Give a slot the cheaper place that saves most; nothing happens where none saves."""
        allocation = self._allocation
        saved, position, other = max(self._offers(slot), default=(0.0, NOWHERE, NOWHERE))
        if saved <= 0:
            return
        mark, before = allocation.mark(), allocation.cost(slot) + allocation.cost(other)
        rank = allocation.rank_of_place(other, allocation.crowd(other))
        allocation.take(slot)
        allocation.take(other)
        allocation.put(slot, position)
        del self._losses[other]
        target = allocation.best(other, allocation.crowd(other), rank, allocation.nodes[position])
        if target == NOWHERE or allocation.costs[position] + allocation.costs[target] >= before:
            allocation.back_to(mark)
        else:
            allocation.put(other, target)

    def _offers(self, slot: int) -> Iterator[Offer]:
        allocation = self._allocation
        current = allocation.candidate(slot)
        crowd = allocation.crowd(slot)
        rank, looked_at = allocation.rank(current, crowd), 0
        for position in range(allocation.starts[slot], current):
            if looked_at >= NODES:
                break
            saved = allocation.costs[current] - allocation.costs[position]
            if saved <= 0 or allocation.rank(position, crowd) > rank:
                continue
            looked_at += 1
            for other in self._able_to_leave(slot, allocation.nodes[position]):
                yield saved - self._loss_elsewhere(other), position, other

    def _able_to_leave(self, slot: int, node: int) -> Iterator[int]:
        """Who leaves enough room on a node, each alone."""
        allocation, asked = self._allocation, 0
        shortage = allocation.shortage(slot, node)
        for other in allocation.newcomers_that_cover(node, shortage):
            if asked >= OCCUPANTS:
                return
            if other in self._batch and not allocation.is_akin(slot, other):
                asked += 1
                yield other

    def _loss_elsewhere(self, slot: int) -> float:
        """What it would cost a slot to leave its node; without bound where it cannot."""
        loss = self._losses.get(slot)
        if loss is None:
            allocation = self._allocation
            crowd = allocation.crowd(slot)
            rank, node = allocation.rank_of_place(slot, crowd), allocation.node(slot)
            target = allocation.best(slot, crowd, rank, node)
            cost = float("inf") if target == NOWHERE else allocation.costs[target]
            loss = self._losses[slot] = cost - allocation.cost(slot)
        return loss
