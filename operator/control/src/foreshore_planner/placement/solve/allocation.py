"""Who holds which node while a batch is worked out.

`batch` and `ejection` try changes on it and take back what does not help: every change is noted,
and `back_to` undoes all since a mark. Only what is touched is read from the problem's columns, so
that a small batch in a large fleet costs what the batch costs.
"""

from collections.abc import Sequence
from typing import Final, cast

from foreshore_planner.placement.solve.problem import NOWHERE, Grade, PlacementProblem

SHARED_DOMAIN: Final = 1
SHARED_NODE: Final = 2
RANKS: Final = 3
"""Ranks of one grade: a domain of its own, a shared domain, a shared node."""
WORST: Final = RANKS * len(Grade) - 1
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
        self.costs = cast("memoryview[float]", problem.costs.data)
        self._held = problem.held.data
        self._group = problem.group.data
        self._free: dict[int, list[int]] = {}
        self._residents: dict[int, dict[int, None]] = {}
        self._crowds: dict[int, tuple[list[int], list[int]]] = {}
        self._needs: dict[int, tuple[tuple[int, int], ...]] = {}
        self._candidates: dict[int, int] = {}
        self._changes: list[tuple[int, int]] = []

    def candidate(self, slot: int) -> int:
        """Return the position of the candidate that a slot has, or NOWHERE."""
        position = self._candidates.get(slot, _AS_GIVEN)
        if position != _AS_GIVEN or self._held[slot] == NOWHERE:
            return max(position, NOWHERE)
        span = range(self.starts[slot], self.starts[slot + 1])
        return next((at for at in span if self.nodes[at] == self._held[slot]), NOWHERE)

    def is_held(self, slot: int) -> bool:
        """Whether a slot is a running replica that has not moved in this batch."""
        return self._held[slot] != NOWHERE and slot not in self._candidates

    def moved(self) -> dict[int, int]:
        """Return the held slots that have moved, with the position of their new candidate."""
        return {
            slot: position
            for slot, position in sorted(self._candidates.items())
            if self._held[slot] != NOWHERE and self.nodes[position] != self._held[slot]
        }

    def node(self, slot: int) -> int:
        """Return the node that a slot has, or NOWHERE."""
        position = self._candidates.get(slot, _AS_GIVEN)
        if position == _AS_GIVEN:
            return self._held[slot]
        return self.nodes[position] if position != NOWHERE else NOWHERE

    def need(self, slot: int) -> tuple[tuple[int, int], ...]:
        """Return what a slot asks, as (resource, amount), without what it does not ask."""
        need = self._needs.get(slot)
        if need is None:
            amounts: Sequence[int] = self.problem.demand[slot].tolist()
            need = tuple((kind, amount) for kind, amount in enumerate(amounts) if amount)
            self._needs[slot] = need
        return need

    def amount(self, slot: int, kind: int) -> int:
        """Return how much a slot asks of a resource."""
        return next((amount for other, amount in self.need(slot) if other == kind), 0)

    def free(self, node: int) -> list[int]:
        """Return what is free on a node now."""
        row = self._free.get(node)
        if row is None:
            row = self._free[node] = self.problem.free[node].tolist()
        return row

    def residents(self, node: int) -> dict[int, None]:
        """Return the slots on a node now."""
        slots = self._residents.get(node)
        if slots is None:
            slots = dict.fromkeys(self.problem.occupants.get(node, ()))
            self._residents[node] = slots
        return slots

    def best(self, slot: int, limit: int = WORST, barred: int = NOWHERE) -> int:
        """Return the best candidate with room, of a rank up to `limit`, or NOWHERE.

        Grade first; then a domain of its own before a shared one, a shared domain before a shared
        node; then the order of the list. The slot itself must be nowhere.
        """
        domains, nodes = self._crowd(self._group[slot])
        need, grade = self.need(slot), NOWHERE
        second, penalty = NOWHERE, RANKS
        for position in range(self.starts[slot], self.starts[slot + 1]):
            if self.grades[position] != grade:
                if second != NOWHERE:
                    break
                grade = self.grades[position]
                if grade * RANKS > limit:
                    break
            node = self.nodes[position]
            if node == barred or not self._has_room(node, need):
                continue
            if self.domains[position] not in domains:
                return position
            sharing = SHARED_NODE if node in nodes else SHARED_DOMAIN
            if sharing < penalty and grade * RANKS + sharing <= limit:
                second, penalty = position, sharing
        return second

    def rank(self, slot: int, position: int) -> int:
        """Return how good a candidate is for a slot that is nowhere now; lower is better."""
        return self.grades[position] * RANKS + self._sharing(
            slot, self.domains[position], self.nodes[position]
        )

    def rank_held(self, slot: int) -> int:
        """Return how good the place of a slot is, apart from itself.

        A running replica whose own node is not among its candidates is taken to stand well: it
        moves to the best grade only.
        """
        position, domain = self.candidate(slot), self._domain(slot)
        mark = self.mark()
        node = self.node(slot)
        self.take(slot)
        grade = self.grades[position] if position != NOWHERE else Grade.WITHIN
        rank = grade * RANKS + self._sharing(slot, domain, node)
        self.back_to(mark)
        return rank

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

    def changed_since(self, mark: int) -> dict[int, int]:
        """Return the slots changed since a mark, with the candidate they had then."""
        before: dict[int, int] = {}
        for slot, position in self._changes[mark:]:
            before.setdefault(slot, position)
        return before

    def back_to(self, mark: int) -> None:
        """Undo every change since a mark."""
        while len(self._changes) > mark:
            slot, position = self._changes.pop()
            if self.node(slot) != NOWHERE:
                self._vacate(slot)
            if position == _AS_GIVEN:
                self._candidates.pop(slot, None)
            else:
                self._candidates[slot] = position
            if self.node(slot) != NOWHERE:
                self._occupy(slot)

    def _note(self, slot: int) -> None:
        self._changes.append((slot, self._candidates.get(slot, _AS_GIVEN)))

    def _has_room(self, node: int, need: tuple[tuple[int, int], ...]) -> bool:
        row = self._free.get(node) or self.free(node)
        for kind, amount in need:  # noqa: SIM110 - a generator takes four times as long here
            if row[kind] < amount:
                return False
        return True

    def _occupy(self, slot: int) -> None:
        self._count(slot, self.node(slot), 1)

    def _vacate(self, slot: int) -> None:
        self._count(slot, self.node(slot), -1)

    def _count(self, slot: int, node: int, sign: int) -> None:
        row = self.free(node)
        for kind, amount in self.need(slot):
            row[kind] -= sign * amount
        domains, nodes = self._crowd(self._group[slot])
        if sign > 0:
            self.residents(node)[slot] = None
            domains.append(self._domain(slot))
            nodes.append(node)
        else:
            del self.residents(node)[slot]
            domains.remove(self._domain(slot))
            nodes.remove(node)

    def _crowd(self, group: int) -> tuple[list[int], list[int]]:
        """The domains and nodes of a group now; short lists, with repeats."""
        crowd = self._crowds.get(group)
        if crowd is None:
            slots = self.problem.members.get(group, ())
            crowd = [self._domain(slot) for slot in slots], [self.node(slot) for slot in slots]
            self._crowds[group] = crowd
        return crowd

    def _domain(self, slot: int) -> int:
        position = self._candidates.get(slot, _AS_GIVEN)
        if position == _AS_GIVEN:
            return int(self.problem.held_domain[slot])
        return self.domains[position]

    def _sharing(self, slot: int, domain: int, node: int) -> int:
        domains, nodes = self._crowd(self._group[slot])
        if domain not in domains:
            return 0
        return SHARED_NODE if node in nodes else SHARED_DOMAIN
