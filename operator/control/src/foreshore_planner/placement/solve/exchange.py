"""The last few slots without a node: one that has a node gives way to several of them.

Called by `batch` when neither ejection nor rounds help. Where more is asked than there is, it
matters who is left out: of two that ask little and one that asks much, the one. Only what this
batch has placed gives way, so that nothing that runs is stopped, and a bound ends the search.

    an exchange     the slots that fit in place of one enter, and it waits with the others; where
                    just one fits, it asks less, and the room that is left over is tried for all
    it stays        when fewer are left without a node than before the first exchange
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy

from foreshore_planner.placement.solve import ejection
from foreshore_planner.placement.solve.allocation import Allocation
from foreshore_planner.placement.solve.problem import NOWHERE

EXCHANGES: Final = 64
"""Exchanges in a batch."""
PATIENCE: Final = 6
"""Exchanges in a row that help nobody, after which the search ends."""
SMALLEST: Final = 32
"""Slots without a node that are considered: those that ask least."""
TRIALS: Final = 100_000
"""Slots tried in place of another, in a batch: a tenth of a second."""
RETRIED: Final = 8
"""Slots for which others are asked to move after an exchange."""

Entrants = tuple[tuple[int, int], ...]
"""(slot, the position of its candidate): those that enter."""


@dataclass(frozen=True, slots=True)
class _Option:
    """Who would leave a node, and who would take its place."""

    worth: tuple[int, float, int]
    """How many enter; how little room is wasted, or won where just one enters; the order."""
    leaver: int
    entrants: Entrants


@dataclass(slots=True)
class GiveWay:
    """A search on behalf of the slots of a batch that found no node."""

    allocation: Allocation
    batch: frozenset[int]
    _trials: int = field(default=TRIALS, init=False)
    _scale: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Measure sizes by what was free at the start: what is scarce counts for more."""
        free = numpy.maximum(self.allocation.problem.free, 0).sum(axis=0)
        self._scale = tuple(numpy.maximum(free, 1).tolist())

    @property
    def is_exhausted(self) -> bool:
        """Whether the bound ended the search."""
        return self._trials <= 0

    def fewest(self, failed: Sequence[int]) -> list[int]:
        """Return who is still without a node after the exchanges that help."""
        allocation, waiting = self.allocation, self._smallest_first(failed)
        mark, least, in_vain = allocation.mark(), len(waiting), 0
        best: tuple[list[int], dict[int, int]] | None = None
        for _ in range(EXCHANGES):
            option = self._best_option(waiting) if in_vain < PATIENCE else None
            if option is None:
                break
            waiting = self._after(option, waiting)
            in_vain += 1
            if len(waiting) < least:
                least, in_vain = len(waiting), 0
                best = waiting, allocation.since(mark)
        allocation.back_to(mark)
        if best is None:
            return list(failed)
        allocation.set(best[1])
        return best[0]

    def _after(self, option: _Option, waiting: Sequence[int]) -> list[int]:
        """Exchange, let everybody try the room that is left over, and return who waits now."""
        allocation = self.allocation
        allocation.take(option.leaver)
        for slot, position in option.entrants:
            allocation.put(slot, position)
        left = [slot for slot in waiting if allocation.node(slot) == NOWHERE]
        left = self._unhoused(self._smallest_first([*left, option.leaver]))
        stuck: set[int] = set()
        for slot in [slot for slot in left if slot != option.leaver][:RETRIED]:
            ejection.Ejection(allocation, 0, stuck).make_room(slot)
        return self._unhoused(left)

    def _unhoused(self, slots: Sequence[int]) -> list[int]:
        """Place who finds room, and return the others."""
        allocation = self.allocation
        for slot in slots:
            if allocation.node(slot) == NOWHERE:
                position = allocation.best(slot, allocation.crowd(slot))
                if position != NOWHERE:
                    allocation.put(slot, position)
        return [slot for slot in slots if allocation.node(slot) == NOWHERE]

    def _best_option(self, waiting: Sequence[int]) -> _Option | None:
        """Return the exchange that lets most enter; None where none helps, or the bound is met."""
        hopeful: dict[int, list[tuple[int, int]]] = {}
        nodes, starts = self.allocation.nodes, self.allocation.starts
        for slot in waiting[:SMALLEST]:
            for position in range(starts[slot], starts[slot + 1]):
                hopeful.setdefault(nodes[position], []).append((slot, position))
        options = (
            option for node, slots in hopeful.items() for option in self._options(node, slots)
        )
        return max(options, key=lambda option: option.worth, default=None)

    def _options(self, node: int, hopeful: Sequence[tuple[int, int]]) -> Iterator[_Option]:
        allocation = self.allocation
        for leaver in allocation.newcomers(node):
            if leaver not in self.batch or self._trials <= 0:
                continue
            self._trials -= len(hopeful)
            entrants = self._entrants(node, leaver, hopeful)
            won = self._size(leaver) - sum(self._size(slot) for slot, _ in entrants)
            if len(entrants) > 1 or (entrants and won > 0):
                thrift = won if len(entrants) == 1 else -won
                yield _Option((len(entrants), thrift, -allocation.order[leaver]), leaver, entrants)

    def _entrants(self, node: int, leaver: int, hopeful: Sequence[tuple[int, int]]) -> Entrants:
        """Who fits on a node together, the smallest first, once somebody has left it."""
        allocation, entrants = self.allocation, []
        row = list(allocation.free(node))
        for kind, amount in allocation.need(leaver):
            row[kind] += amount
        for slot, position in hopeful:
            need = allocation.need(slot)
            if all(row[kind] >= amount for kind, amount in need):
                entrants.append((slot, position))
                for kind, amount in need:
                    row[kind] -= amount
        return tuple(entrants)

    def _smallest_first(self, slots: Sequence[int]) -> list[int]:
        return sorted(slots, key=lambda slot: (self._size(slot), self.allocation.order[slot]))

    def _size(self, slot: int) -> float:
        """What a slot asks of the resource of which it asks most."""
        need = self.allocation.need(slot)
        return max((amount / self._scale[kind] for kind, amount in need), default=0.0)
