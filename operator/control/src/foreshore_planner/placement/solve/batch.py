"""The nodes of all slots that need one in a pass.

Called by the reference plan and by the fold, with the same problem and therefore the same answer:
nothing here reads a clock, draws a number or depends on the order of rows.

    by precedence:  scarcest first (many slots twice, the second time with those earlier that paid
                    most for their turn) → no room? others move, depth 1, then 2 (this batch's own,
                    then running replicas) → still without a node? first in the next round
    a round         starts again with what the batch has placed near the slots that failed;
                    it stays only when it is better: fewer unplaced, better grades, lower cost
    exchanges       still some left? what this batch has placed gives way where several enter for
                    it; for the last few, others move at depth 3
    many slots      those that pay most change places with some that lose less
    at the end      the fewest leave the nodes that hold more than they have

A slot is refused for good when no candidate could hold it even empty of all that may move.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy

from foreshore_planner.placement.solve import ejection, exchange, order, relief, thrift
from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import (
    NOWHERE,
    UNLIMITED,
    Integers,
    PlacementProblem,
    PlacementSolution,
)

ROUNDS: Final = 12
"""How often what failed is tried again before the others."""

LAST_FEW: Final = 4
"""From so few slots without a node on, others are moved one deeper for them."""

MANY: Final = 100
"""From so many slots on, a batch is filled twice: fewer do not pay for the time."""


@dataclass(slots=True)
class _Filling:
    """What a batch keeps beside the allocation."""

    allocation: Allocation
    failures: dict[int, int] = field(default_factory=dict)
    unplaced: dict[int, None] = field(default_factory=dict)
    cut_short: set[int] = field(default_factory=set)
    rounds: int = 0


def solve(problem: PlacementProblem) -> PlacementSolution:
    """Return a node for every requested slot that can have one, and the moves that this takes."""
    progress = _Filling(Allocation(problem))
    requested = problem.requested.tolist()
    precedences = problem.precedence[problem.requested].tolist()
    for level in sorted(set(precedences)):
        slots = [slot for slot, rank in zip(requested, precedences, strict=True) if rank == level]
        _place(progress, slots)
    overfull = _relieve(progress.allocation)
    return _answer(progress, overfull)


def _place(progress: _Filling, slots: Sequence[int]) -> None:
    """Place the slots of one precedence: in order, by ejection, then in rounds."""
    failed = _in_the_better_order(progress, slots)
    stuck: set[int] = set()
    failed = [slot for slot in failed if not _by_moving_replicas(progress, slot, stuck)]
    batch = frozenset(slots)
    failed = [slot for slot in failed if _is_possible(progress.allocation, slot)]
    for _ in range(ROUNDS):
        if not failed:
            break
        failed = _round(progress, failed, batch)
    if failed:
        failed = _exchanged(progress, failed, batch)
    if len(failed) <= LAST_FEW:
        _search_deeper(progress, failed)
    if len(slots) >= MANY:
        thrift.lower_costs(progress.allocation, slots)


def _in_the_better_order(progress: _Filling, slots: Sequence[int]) -> list[int]:
    """Fill in order, and many slots twice: those who lost most by their turn come earlier then."""
    first = progress.allocation
    scarcity = order.Scarcity.measured(first.problem, slots)
    if len(slots) < MANY:
        return _in_order(first, scarcity.first({}))
    second = first.copy()
    failed = _in_order(first, scarcity.first({}))
    losses = thrift.relative_losses(first, scarcity.asked)
    again = _in_order(second, scarcity.first({}, losses))
    if _score(second, scarcity.asked) >= _score(first, scarcity.asked):
        return failed
    progress.allocation = second
    return again


def _score(allocation: Allocation, slots: Integers) -> tuple[int, int, float]:
    """How good a filling is, smaller is better: unplaced, grades, cost."""
    candidates = allocation.candidates(slots)
    placed = candidates[candidates != NOWHERE]
    grades = int(allocation.problem.grades[placed].sum(dtype=numpy.int64))
    cost = math.fsum(allocation.problem.costs[placed].tolist())
    return candidates.size - placed.size, grades, cost


def _in_order(allocation: Allocation, slots: Iterable[int]) -> list[int]:
    """Give each slot its best candidate, or room made by this batch's own; return who is left."""
    failed: list[int] = []
    stuck: set[int] = set()
    for slot in slots:
        position = allocation.best(slot, allocation.crowd(slot))
        if position != NOWHERE:
            allocation.put(slot, position)
            continue
        search = ejection.Ejection(allocation, 0, stuck)
        if not search.make_room(slot):
            failed.append(slot)
    return failed


def _by_moving_replicas(progress: _Filling, slot: int, stuck: set[int]) -> bool:
    """Place a slot where running replicas make room, within what may move in a batch."""
    allocation = progress.allocation
    left = _moves_left(allocation)
    search = ejection.Ejection(allocation, left, stuck)
    is_placed = left > 0 and search.make_room(slot)
    if is_placed:
        progress.cut_short.discard(slot)
    elif search.is_exhausted:
        progress.cut_short.add(slot)
    return is_placed


def _round(progress: _Filling, failed: list[int], batch: frozenset[int]) -> list[int]:
    """Try once more with the failed slots first; keep the result only when it is better."""
    allocation = progress.allocation
    progress.rounds += 1
    for slot in failed:
        progress.failures[slot] = progress.failures.get(slot, 0) + 1
    mark = allocation.mark()
    near = _near(allocation, failed, batch)
    for slot in near:
        allocation.take(slot)
    scarcity = order.Scarcity.measured(allocation.problem, [*failed, *near])
    left = _in_order(allocation, scarcity.first(progress.failures))
    if len(left) < len(failed):
        return left
    for slot in left:
        progress.failures[slot] = progress.failures.get(slot, 0) + 1
    allocation.back_to(mark)
    return failed


def _exchanged(progress: _Filling, failed: list[int], batch: frozenset[int]) -> list[int]:
    """Let what the batch has placed give way where several enter for it; return who is left."""
    search = exchange.GiveWay(progress.allocation, batch)
    left = search.fewest(failed)
    if search.is_exhausted:
        progress.cut_short.update(left)
    return left


def _search_deeper(progress: _Filling, failed: Iterable[int]) -> None:
    """Move others of this batch for the last few, one deeper."""
    for slot in failed:
        search = ejection.Ejection(progress.allocation, 0, set(), ejection.DEEP)
        if not search.make_room(slot) and search.is_exhausted:
            progress.cut_short.add(slot)


def _near(allocation: Allocation, failed: Iterable[int], batch: frozenset[int]) -> list[int]:
    """What this batch has put on the candidates of slots that failed."""
    nodes = {
        allocation.nodes[position]
        for slot in failed
        for position in range(allocation.starts[slot], allocation.starts[slot + 1])
    }
    return sorted(slot for node in nodes for slot in allocation.newcomers(node) if slot in batch)


def _relieve(allocation: Allocation) -> tuple[int, ...]:
    """Let the fewest leave the nodes that are too full; return the nodes that stay so."""
    return relief.relieve(allocation, allocation.problem.overfull, _moves_left(allocation))


def _moves_left(allocation: Allocation) -> int:
    limit = allocation.problem.move_limit
    return limit if limit == UNLIMITED else limit - len(allocation.moved())


def _is_possible(allocation: Allocation, slot: int) -> bool:
    """Whether some candidate could hold a slot if all left it that may."""
    return any(
        _fits_when_empty(allocation, slot, allocation.nodes[position])
        for position in range(allocation.starts[slot], allocation.starts[slot + 1])
    )


def _fits_when_empty(allocation: Allocation, slot: int, node: int) -> bool:
    row = list(allocation.free(node))
    for occupant in (*allocation.newcomers(node), *allocation.incumbents(node)):
        for kind, amount in allocation.need(occupant):
            row[kind] += amount
    return all(row[kind] >= amount for kind, amount in allocation.need(slot))


def _answer(progress: _Filling, overfull: tuple[int, ...]) -> PlacementSolution:
    allocation = progress.allocation
    slots = allocation.problem.requested
    candidates = allocation.candidates(slots)
    is_placed = candidates != NOWHERE
    nodes = numpy.full(slots.size, NOWHERE, numpy.int32)
    nodes[is_placed] = allocation.problem.nodes[candidates[is_placed]]
    unplaced = frozenset(slots[~is_placed].tolist())
    return PlacementSolution(
        nodes=nodes,
        candidates=candidates,
        moves=allocation.moved(),
        rounds=progress.rounds,
        overfull=overfull,
        cut_short=tuple(sorted(unplaced & progress.cut_short)),
    )
