"""The nodes of all slots that need one in a pass.

Called by the reference plan and by the fold, with the same problem and therefore the same answer:
nothing here reads a clock, draws a number or depends on the order of rows.

    by precedence:  scarcest first → no room? others move, depth 1, then 2 (this batch's own,
                    then running replicas) → still without a node? first in the next round
    a round         starts again with what the batch has placed near the slots that failed;
                    it stays only when it is better: fewer unplaced, better grades, lower cost

A slot is refused for good when no candidate could hold it even empty of all that may move.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy

from foreshore_planner.placement.solve import ejection, order
from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import (
    NOWHERE,
    PlacementProblem,
    PlacementSolution,
)

ROUNDS: Final = 12
"""How often what failed is tried again before the others."""


@dataclass(slots=True)
class _Progress:
    """What a batch keeps beside the allocation."""

    allocation: Allocation
    failures: dict[int, int] = field(default_factory=dict)
    unplaced: dict[int, None] = field(default_factory=dict)
    cut_short: set[int] = field(default_factory=set)
    rounds: int = 0


def solve(problem: PlacementProblem) -> PlacementSolution:
    """Return a node for every requested slot that can have one, and the moves that this takes."""
    progress = _Progress(Allocation(problem))
    requested = problem.requested.tolist()
    precedences = problem.precedence[problem.requested].tolist()
    for level in sorted(set(precedences)):
        slots = [slot for slot, rank in zip(requested, precedences, strict=True) if rank == level]
        _place(progress, slots)
    return _answer(progress, requested)


def _place(progress: _Progress, slots: Sequence[int]) -> None:
    """Place the slots of one precedence: in order, by ejection, then in rounds."""
    problem = progress.allocation.problem
    failed = _in_order(progress, order.scarcest_first(problem, slots, {}))
    failed = [slot for slot in failed if not _by_moving_replicas(progress, slot)]
    batch = frozenset(slots)
    failed = [slot for slot in failed if _is_possible(progress.allocation, slot)]
    for _ in range(ROUNDS):
        if not failed:
            break
        failed = _round(progress, failed, batch)


def _in_order(progress: _Progress, slots: Iterable[int]) -> list[int]:
    """Give each slot its best candidate, or room made by this batch's own; return who is left."""
    allocation = progress.allocation
    failed: list[int] = []
    for slot in slots:
        position = allocation.best(slot)
        if position != NOWHERE:
            allocation.put(slot, position)
            continue
        search = ejection.Ejection(allocation, moves_left=0)
        if not search.make_room(slot):
            failed.append(slot)
    return failed


def _by_moving_replicas(progress: _Progress, slot: int) -> bool:
    """Place a slot where running replicas make room, within what may move in a batch."""
    allocation = progress.allocation
    left = allocation.problem.move_limit - len(allocation.moved())
    search = ejection.Ejection(allocation, moves_left=left)
    is_placed = left > 0 and search.make_room(slot)
    if is_placed:
        progress.cut_short.discard(slot)
    elif search.is_exhausted:
        progress.cut_short.add(slot)
    return is_placed


def _round(progress: _Progress, failed: list[int], batch: frozenset[int]) -> list[int]:
    """Try once more with the failed slots first; keep the result only when it is better."""
    allocation = progress.allocation
    progress.rounds += 1
    for slot in failed:
        progress.failures[slot] = progress.failures.get(slot, 0) + 1
    mark = allocation.mark()
    near = _near(allocation, failed, batch)
    for slot in near:
        allocation.take(slot)
    again = order.scarcest_first(allocation.problem, [*failed, *near], progress.failures)
    left = _in_order(progress, again)
    if len(left) < len(failed):
        return left
    for slot in left:
        progress.failures[slot] = progress.failures.get(slot, 0) + 1
    allocation.back_to(mark)
    return failed


def _near(allocation: Allocation, failed: Iterable[int], batch: frozenset[int]) -> list[int]:
    """What this batch has put on the candidates of slots that failed."""
    nodes = {
        allocation.nodes[position]
        for slot in failed
        for position in range(allocation.starts[slot], allocation.starts[slot + 1])
    }
    return sorted(slot for node in nodes for slot in allocation.residents(node) if slot in batch)


def _is_possible(allocation: Allocation, slot: int) -> bool:
    """Whether some candidate could hold a slot if all left it that may."""
    return any(
        _fits_when_empty(allocation, slot, allocation.nodes[position])
        for position in range(allocation.starts[slot], allocation.starts[slot + 1])
    )


def _fits_when_empty(allocation: Allocation, slot: int, node: int) -> bool:
    row = list(allocation.free(node))
    for occupant in allocation.residents(node):
        for kind, amount in allocation.need(occupant):
            row[kind] += amount
    return all(row[kind] >= amount for kind, amount in allocation.need(slot))


def _answer(progress: _Progress, requested: Sequence[int]) -> PlacementSolution:
    allocation = progress.allocation
    candidates = [allocation.candidate(slot) for slot in requested]
    nodes = [allocation.node(slot) for slot in requested]
    unplaced = {slot for slot, node in zip(requested, nodes, strict=True) if node == NOWHERE}
    return PlacementSolution(
        nodes=numpy.array(nodes, numpy.int32),
        candidates=numpy.array(candidates, numpy.int64),
        moves=allocation.moved(),
        rounds=progress.rounds,
        cut_short=tuple(sorted(unplaced & progress.cut_short)),
    )
