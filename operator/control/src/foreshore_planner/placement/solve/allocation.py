"""Who holds which node while a batch is worked out.

`batch` and `ejection` try changes on it and take back what does not help: every change is noted,
and `back_to` undoes all since a mark. What is looked at for every candidate stands in columns of
plain numbers, not in objects: those of a large fleet would not stay in the processor's cache. The
rest is made for what is touched, so that a small batch in a large fleet costs little more than the
copy of two columns.
"""

import array
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self, TypeAlias, cast

import numpy

from foreshore_planner.placement.solve.problem import (
    NOWHERE,
    Grade,
    Indices,
    Integers,
    PlacementProblem,
)

SHARED_DOMAIN: Final = 1
SHARED_NODE: Final = 2
RANKS: Final = 3
"""Ranks of one grade: a domain of its own, a shared domain, a shared node."""
WORST: Final = RANKS * len(Grade) - 1
Crowd = tuple[Sequence[int], Sequence[int]]
"""The domains and the nodes of the rest of a group."""
NOBODY: Final[Crowd] = ((), ())
Slots: TypeAlias = "array.array[int]"
Shortage = list[tuple[int, int]]
"""How much is missing, as (resource, amount)."""
_AS_GIVEN: Final = -2
"""The candidate of a slot that the batch has not touched."""


class Allocation:
    """The state of a batch: what is free, who is where, which domains a group has taken."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        self.starts = problem.starts.data
        self.nodes = problem.nodes.data
        self.grades = problem.grades.data
        self.domains = problem.domains.data
        self.order = problem.order.data
        self.costs = cast("memoryview[float]", problem.costs.data)
        self._held = problem.held.data
        self._held_domain = problem.held_domain.data
        self._group = problem.group.data
        self._kinds: int = problem.demand.shape[1]
        self._demand = problem.demand.ravel().data
        self._free = tuple(column.data for column in numpy.array(problem.free.T, order="C"))
        """What is free on each node now, by resource."""
        self._newcomers: list[Slots | None] = [None] * len(problem.free)
        """By node: the slots that this batch has put there."""
        self._incumbents: dict[int, Slots] = {}
        self._placed: dict[int, tuple[int, ...]] = {}
        """The slots of a group that have a node now, of the groups that were asked for."""
        self._positions = numpy.full(problem.held.size, _AS_GIVEN, numpy.int64)
        self._candidates = self._positions.data
        self._given: dict[int, int] = {}
        """The candidates of held slots that have not moved, of those that were asked for."""
        self._is_single = (numpy.bincount(problem.group) == 1).data
        """Whether a group is a single slot, which keeps apart from nobody."""
        self._changes = array.array("q")
        """A slot and the candidate that it had, in turn."""

    def copy(self) -> Self:
        """Return the same state once more, to try something else on."""
        twin = copy.copy(self)  # it keeps what is there now, and this one goes on with copies
        self._free = tuple(numpy.array(column).data for column in self._free)
        self._positions = self._positions.copy()
        self._candidates = self._positions.data
        self._newcomers = [None if slots is None else slots[:] for slots in self._newcomers]
        self._incumbents = {node: slots[:] for node, slots in self._incumbents.items()}
        self._placed, self._given = self._placed.copy(), self._given.copy()
        self._changes = self._changes[:]
        return twin

    def candidate(self, slot: int) -> int:
        """Return the position of the candidate that a slot has, or NOWHERE."""
        position = self._candidates[slot]
        if position != _AS_GIVEN or self._held[slot] == NOWHERE:
            return max(position, NOWHERE)
        given = self._given.get(slot)
        if given is None:
            span = range(self.starts[slot], self.starts[slot + 1])
            given = next((at for at in span if self.nodes[at] == self._held[slot]), NOWHERE)
            self._given[slot] = given
        return given

    def candidates(self, slots: Integers | Indices) -> Integers:
        """Return the positions of the candidates that slots of this batch have, or NOWHERE."""
        positions: Integers = numpy.maximum(self._positions[slots], NOWHERE)
        return positions

    def is_held(self, slot: int) -> bool:
        """Whether a slot is a running replica that has not moved in this batch."""
        return self._held[slot] != NOWHERE and self._candidates[slot] == _AS_GIVEN

    def is_fixed(self, slot: int) -> bool:
        """Whether a slot has no candidates, and therefore stays."""
        return self.starts[slot] == self.starts[slot + 1]

    def moved(self) -> dict[int, int]:
        """Return the held slots that have moved, with the position of their new candidate."""
        held = sorted({slot for slot in self._changes[::2] if self._held[slot] != NOWHERE})
        return {
            slot: position
            for slot in held
            if self.nodes[position := self._candidates[slot]] != self._held[slot]
        }

    def node(self, slot: int) -> int:
        """Return the node that a slot has, or NOWHERE."""
        position = self._candidates[slot]
        if position == _AS_GIVEN:
            return self._held[slot]
        return self.nodes[position] if position != NOWHERE else NOWHERE

    def need(self, slot: int) -> list[tuple[int, int]]:
        """Return what a slot asks, as (resource, amount), without what it does not ask."""
        begin = slot * self._kinds
        asked = self._demand[begin : begin + self._kinds]
        return [(kind, amount) for kind, amount in enumerate(asked) if amount]

    def amount(self, slot: int, kind: int) -> int:
        """Return how much a slot asks of a resource."""
        return self._demand[slot * self._kinds + kind]

    def free(self, node: int) -> list[int]:
        """Return what is free on a node now, by resource."""
        return [column[node] for column in self._free]

    def shortage(self, slot: int, node: int) -> Shortage:
        """Return what a node has too little of for a slot."""
        free = self._free
        return [
            (kind, amount - left)
            for kind, amount in self.need(slot)
            if amount > (left := free[kind][node])
        ]

    def covers(self, slot: int, shortage: Shortage) -> bool:
        """Whether a slot that leaves its node makes up for all that is missing there."""
        begin, demand = slot * self._kinds, self._demand
        for kind, missing in shortage:  # noqa: SIM110 - `all` would double the time
            if demand[begin + kind] < missing:
                return False
        return True

    def newcomers(self, node: int) -> Sequence[int]:
        """Return the slots that this batch has put on a node."""
        return self._newcomers[node] or ()

    def with_newcomers(self, positions: Iterable[int]) -> list[int]:
        """Return the candidates on whose nodes this batch has put somebody."""
        nodes, newcomers = self.nodes, self._newcomers
        return [position for position in positions if newcomers[nodes[position]]]

    def incumbents(self, node: int) -> Sequence[int]:
        """Return the running replicas on a node that have not moved in this batch."""
        return self._running(node)

    def newcomers_that_cover(self, node: int, shortage: Shortage) -> list[int]:
        """Return which of the slots that this batch has put on a node make up for a shortage.

        Each of them alone, and all looked up at once: those of a large node are many, and far apart
        in the columns.
        """
        newcomers = self._newcomers[node]
        if not newcomers:
            return []
        least = numpy.zeros(self._kinds, numpy.int64)
        for kind, missing in shortage:
            least[kind] = missing
        slots = numpy.array(newcomers)
        able: list[int] = slots[(self.problem.demand[slots] >= least).all(axis=1)].tolist()
        return able

    def best(  # noqa: C901 - the innermost loop: a call a candidate would double its time
        self, slot: int, crowd: Crowd, limit: int = WORST, barred: int = NOWHERE
    ) -> int:
        """Return the best candidate with room, of a rank up to `limit`, or NOWHERE.

        Grade first; then a domain of its own before a shared one, a shared domain before a shared
        node; then the order of the list. `crowd` is where the rest of its group is.
        """
        domains, occupied = crowd
        need = [(self._free[kind], amount) for kind, amount in self.need(slot)]
        grades, grade = self.grades, NOWHERE
        second, penalty = NOWHERE, RANKS
        is_first_best = not domains and limit == WORST  # whatever its grade and its domain are
        begin, end = self.starts[slot], self.starts[slot + 1]
        for position, node in enumerate(self.nodes[begin:end], begin):
            for free, amount in need:
                if free[node] < amount:
                    break
            else:
                if is_first_best and node != barred:
                    return position
                if grades[position] != grade:
                    grade = grades[position]
                    if second != NOWHERE or grade * RANKS > limit:
                        break
                if node == barred:
                    continue
                if self.domains[position] not in domains:
                    return position
                sharing = SHARED_NODE if node in occupied else SHARED_DOMAIN
                if sharing < penalty and grade * RANKS + sharing <= limit:
                    second, penalty = position, sharing
        return second

    def rank(self, position: int, crowd: Crowd) -> int:
        """Return how good a candidate is beside a crowd; lower is better."""
        rank = self.grades[position] * RANKS
        return rank + _sharing(self.domains[position], self.nodes[position], crowd)

    def rank_of_place(self, slot: int, crowd: Crowd) -> int:
        """Return how good the place of a slot is beside the rest of its group.

        A running replica whose own node is not among its candidates is taken to stand well: it
        moves to the best grade only.
        """
        position = self.candidate(slot)
        grade = self.grades[position] if position != NOWHERE else Grade.WITHIN
        return grade * RANKS + _sharing(self._domain(slot), self.node(slot), crowd)

    def crowd(self, slot: int) -> Crowd:
        """Return where the rest of a slot's group is: their domains and their nodes."""
        group = self._group[slot]
        if self._is_single[group]:
            return NOBODY
        placed = self._of_group(group)
        if not placed or placed == (slot,):
            return NOBODY
        others = [other for other in placed if other != slot]
        return [self._domain(other) for other in others], [self.node(other) for other in others]

    def is_akin(self, slot: int, other: int) -> bool:
        """Whether two slots are of one group."""
        return self._group[slot] == self._group[other]

    def cost(self, slot: int) -> float:
        """Return what the place of a slot costs; nothing where that is not known."""
        position = self.candidate(slot)
        return self.costs[position] if position != NOWHERE else 0.0

    def put(self, slot: int, position: int) -> None:
        """Give a slot that is nowhere a candidate."""
        self._note(slot)
        self._candidates[slot] = position
        self._occupy(slot)

    def take(self, slot: int) -> None:
        """Take a slot off its node."""
        self._note(slot)
        self._vacate(slot)
        self._candidates[slot] = NOWHERE

    def mark(self) -> int:
        """Return the mark of this moment, for `back_to`."""
        return len(self._changes)

    def since(self, mark: int) -> dict[int, int]:
        """Return the slots changed since a mark, with the candidate that they have now."""
        return {slot: self.candidate(slot) for slot in self._changes[mark::2]}

    def set(self, candidates: Mapping[int, int]) -> None:
        """Give these slots these candidates, whatever they have now."""
        for slot in candidates:
            if self.node(slot) != NOWHERE:
                self.take(slot)
        for slot, position in candidates.items():
            if position != NOWHERE:
                self.put(slot, position)

    def back_to(self, mark: int) -> None:
        """Undo every change since a mark."""
        while len(self._changes) > mark:
            position, slot = self._changes.pop(), self._changes.pop()
            if self.node(slot) != NOWHERE:
                self._vacate(slot)
            self._candidates[slot] = position
            if self.node(slot) != NOWHERE:
                self._occupy(slot)

    def _note(self, slot: int) -> None:
        self._changes.append(slot)
        self._changes.append(self._candidates[slot])

    def _occupy(self, slot: int) -> None:
        node, group = self.node(slot), self._group[slot]
        for kind, amount in self.need(slot):
            self._free[kind][node] -= amount
        self._residents(slot, node).append(slot)
        if not self._is_single[group]:
            self._placed[group] = (*self._of_group(group), slot)

    def _vacate(self, slot: int) -> None:
        node, group = self.node(slot), self._group[slot]
        for kind, amount in self.need(slot):
            self._free[kind][node] += amount
        self._residents(slot, node).remove(slot)
        if not self._is_single[group]:
            placed = self._of_group(group)
            self._placed[group] = tuple(other for other in placed if other != slot)

    def _residents(self, slot: int, node: int) -> Slots:
        if self.is_held(slot):
            return self._running(node)
        newcomers = self._newcomers[node]
        if newcomers is None:
            newcomers = self._newcomers[node] = array.array("q")
        return newcomers

    def _running(self, node: int) -> Slots:
        slots = self._incumbents.get(node)
        if slots is None:
            slots = array.array("q", self.problem.occupants.get(node, ()))
            self._incumbents[node] = slots
        return slots

    def _of_group(self, group: int) -> tuple[int, ...]:
        """The slots of a group that have a node now; in a tuple, which no collector visits."""
        placed = self._placed.get(group)
        if placed is None:
            placed = self._placed[group] = tuple(self.problem.members.get(group, ()))
        return placed

    def _domain(self, slot: int) -> int:
        position = self._candidates[slot]
        if position == _AS_GIVEN:
            return self._held_domain[slot]
        return self.domains[position]


def _sharing(domain: int, node: int, crowd: Crowd) -> int:
    domains, nodes = crowd
    if domain not in domains:
        return 0
    return SHARED_NODE if node in nodes else SHARED_DOMAIN
