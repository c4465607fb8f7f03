"""Who holds which node while a batch is worked out.

`batch` and `ejection` try changes on it and take back what does not help: every change is noted,
and `back_to` undoes all since a mark. Only what is touched is read from the problem's columns, so
that a small batch in a large fleet costs what the batch costs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from foreshore_planner.placement.solve.problem import NOWHERE, Grade, Integers, PlacementProblem

SHARED_DOMAIN: Final = 1
SHARED_NODE: Final = 2
RANKS: Final = 3
"""Ranks of one grade: a domain of its own, a shared domain, a shared node."""
WORST: Final = RANKS * len(Grade) - 1
Crowd = tuple[Sequence[int], Sequence[int]]
"""The domains and the nodes of the rest of a group."""
NOBODY: Final[Crowd] = ((), ())
_NO_SLOTS: Final[dict[int, None]] = {}
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
        self._group = problem.group.data
        self._free = _FreeRooms(problem.free)
        self._newcomers: dict[int, dict[int, None]] = {}
        self._incumbents: dict[int, dict[int, None]] = {}
        self._crowds: dict[int, tuple[list[int], list[int]]] = {}
        self._needs: dict[int, tuple[tuple[int, int], ...]] = {}
        self._candidates: dict[int, int] = {}
        self._given: dict[int, int] = {}
        """The candidates of held slots that have not moved, of those that were asked for."""
        self._changes: list[tuple[int, int]] = []

    def candidate(self, slot: int) -> int:
        """Return the position of the candidate that a slot has, or NOWHERE."""
        position = self._candidates.get(slot, _AS_GIVEN)
        if position != _AS_GIVEN or self._held[slot] == NOWHERE:
            return max(position, NOWHERE)
        given = self._given.get(slot)
        if given is None:
            span = range(self.starts[slot], self.starts[slot + 1])
            given = next((at for at in span if self.nodes[at] == self._held[slot]), NOWHERE)
            self._given[slot] = given
        return given

    def is_held(self, slot: int) -> bool:
        """Whether a slot is a running replica that has not moved in this batch."""
        return self._held[slot] != NOWHERE and slot not in self._candidates

    def is_fixed(self, slot: int) -> bool:
        """Whether a slot has no candidates, and therefore stays."""
        return self.starts[slot] == self.starts[slot + 1]

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
        for other, amount in self._needs.get(slot) or self.need(slot):
            if other == kind:
                return amount
        return 0

    def free(self, node: int) -> list[int]:
        """Return what is free on a node now."""
        return self._free[node]

    def newcomers(self, node: int) -> dict[int, None]:
        """Return the slots that this batch has put on a node."""
        return self._newcomers.get(node, _NO_SLOTS)

    def with_newcomers(self, positions: Iterable[int]) -> list[int]:
        """Return the candidates on whose nodes this batch has put somebody."""
        nodes, newcomers = self.nodes, self._newcomers
        return [position for position in positions if newcomers.get(nodes[position])]

    def incumbents(self, node: int) -> dict[int, None]:
        """Return the running replicas on a node that have not moved in this batch."""
        slots = self._incumbents.get(node)
        if slots is None:
            slots = dict.fromkeys(self.problem.occupants.get(node, ()))
            self._incumbents[node] = slots
        return slots

    def best(  # noqa: C901 - the innermost loop: a call a candidate would double its time
        self, slot: int, crowd: Crowd, limit: int = WORST, barred: int = NOWHERE
    ) -> int:
        """Return the best candidate with room, of a rank up to `limit`, or NOWHERE.

        Grade first; then a domain of its own before a shared one, a shared domain before a shared
        node; then the order of the list. `crowd` is where the rest of its group is.
        """
        domains, occupied = crowd
        need, rows, grade = self.need(slot), self._free, NOWHERE
        nodes, grades = self.nodes, self.grades
        second, penalty = NOWHERE, RANKS
        for position in range(self.starts[slot], self.starts[slot + 1]):
            node = nodes[position]
            row = rows[node]
            for kind, amount in need:
                if row[kind] < amount:
                    break
            else:
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
        domains, nodes = self._crowd(self._group[slot])
        if not domains:
            return NOBODY
        if self.node(slot) == NOWHERE:
            return domains, nodes
        if len(domains) == 1:
            return NOBODY
        domains, nodes = domains.copy(), nodes.copy()
        domains.remove(self._domain(slot))
        nodes.remove(self.node(slot))
        return domains, nodes

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
        return {slot: self.candidate(slot) for slot, _ in self._changes[mark:]}

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
            self._residents(slot, node)[slot] = None
            domains.append(self._domain(slot))
            nodes.append(node)
        else:
            del self._residents(slot, node)[slot]
            domains.remove(self._domain(slot))
            nodes.remove(node)

    def _residents(self, slot: int, node: int) -> dict[int, None]:
        if self.is_held(slot):
            return self.incumbents(node)
        return self._newcomers.setdefault(node, {})

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


class _FreeRooms(dict[int, list[int]]):
    """What is free on each node now; a node is read from the column when it is first asked for."""

    def __init__(self, column: Integers) -> None:
        super().__init__()
        self._column = column

    def __missing__(self, node: int) -> list[int]:
        row: list[int] = self._column[node].tolist()
        self[node] = row
        return row


def _sharing(domain: int, node: int, crowd: Crowd) -> int:
    domains, nodes = crowd
    if domain not in domains:
        return 0
    return SHARED_NODE if node in nodes else SHARED_DOMAIN
