"""Lower cost for those who pay most: they take the place of somebody who loses less by leaving.

Called by `batch` once a large batch is placed. Who chooses late finds the cheap nodes full, even
where somebody there would lose little elsewhere. The costliest ask in turn, the cheapest of their
candidates first; all numbers below are bounds, so that the search stays small beside the batch.
Only what the batch has placed moves, and nobody to a worse grade or to a domain that it shares
while it did not before.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import NOWHERE

COSTLIEST: Final = 40
"""Of so many slots one asks for a cheaper place: those that pay most beside their first choice."""
NODES: Final = 8
"""Cheaper nodes that each of them looks at."""
OCCUPANTS: Final = 8
"""Slots on such a node that are asked what they would lose."""

Offer = tuple[float, int, int]
"""(what is saved by both together, the candidate, who leaves it)."""


def lower_costs(allocation: Allocation, slots: Iterable[int]) -> None:
    """Let pairs of these slots change places where both together cost less then."""
    batch = frozenset(slots)
    bargains = _Bargains(allocation, batch)
    losses = ((_loss(allocation, slot), -allocation.order[slot], slot) for slot in batch)
    for loss, _, slot in heapq.nlargest(len(batch) // COSTLIEST, losses):
        if loss > 0:
            bargains.improve(slot)


def _loss(allocation: Allocation, slot: int) -> float:
    """What a slot pays beside its first choice; nothing where that is of another grade."""
    position, first = allocation.candidate(slot), allocation.starts[slot]
    if position == NOWHERE or allocation.grades[position] != allocation.grades[first]:
        return 0.0
    return allocation.costs[position] - allocation.costs[first]


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
        row = allocation.free(node)
        short = [(kind, amount - row[kind]) for kind, amount in allocation.need(slot)]
        for other in allocation.newcomers(node):
            if asked >= OCCUPANTS:
                return
            if other not in self._batch or allocation.is_akin(slot, other):
                continue
            if all(allocation.amount(other, kind) >= amount for kind, amount in short):
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
