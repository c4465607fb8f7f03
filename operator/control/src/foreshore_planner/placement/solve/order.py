"""In which order slots choose: what comes first, then the scarcest, then the largest.

Called by `batch`, once a precedence. Scarce is a slot with few candidates that have room at the
start, of the best grade that has any; large is a slot that asks much of the room it may choose
from. Columns are worked through in blocks, so that memory stays bounded however many slots ask.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy
from numpy import typing

from foreshore_planner.placement.solve.problem import Costs, Grade, Integers, PlacementProblem

BLOCK: Final = 1 << 17
"""Candidates looked at in one step."""


@dataclass(frozen=True, slots=True)
class Scarcity:
    """How scarce and how large slots were when it was measured: at the start of a batch."""

    asked: Integers
    choices: Integers
    """[asked]: candidates with room, of the best grade that has any."""
    size: Costs
    """[asked]: what is asked, as a share of the mean room, of the resource with the largest."""
    order: Integers
    """[asked]: a number that no other slot has."""

    @classmethod
    def measured(cls, problem: PlacementProblem, slots: Sequence[int]) -> Self:
        """Measure slots, block by block."""
        asked = numpy.asarray(slots, numpy.int64)
        choices = numpy.empty(asked.size, numpy.int64)
        size = numpy.empty(asked.size, numpy.float64)
        for block in _blocks(problem, asked):
            choices[block], size[block] = _measured(problem, asked[block])
        return cls(asked, choices, size, problem.order[asked])

    def first(self, failures: Mapping[int, int], losses: Costs | None = None) -> list[int]:
        """Return the slots in the order in which they choose.

        Those that found no node before come first (`failures` counts how often), then the scarcest,
        then who lost most by choosing late before (`losses`, [asked]), then the largest, then by
        `order`.
        """
        failed = numpy.array([failures.get(slot, 0) for slot in self.asked.tolist()], numpy.int64)
        lost = numpy.zeros(self.asked.size) if losses is None else losses
        ranked = numpy.lexsort((self.order, -self.size, -lost, self.choices, -failed))
        result: list[int] = self.asked[ranked].tolist()
        return result


def _blocks(problem: PlacementProblem, asked: Integers) -> Iterator[slice]:
    """Runs of slots with at most BLOCK candidates together, or a single slot."""
    ends = numpy.cumsum(problem.starts[asked + 1] - problem.starts[asked])
    begin, passed = 0, 0
    while begin < asked.size:
        end = int(numpy.searchsorted(ends, passed + BLOCK, side="right"))
        end = max(end, begin + 1)
        yield slice(begin, end)
        begin, passed = end, int(ends[end - 1])


def _measured(problem: PlacementProblem, asked: Integers) -> tuple[Integers, Costs]:
    """How many candidates of its best grade have room for each slot, and how large it is there."""
    lengths = problem.starts[asked + 1] - problem.starts[asked]
    owner = numpy.repeat(numpy.arange(asked.size), lengths)
    before = numpy.cumsum(lengths) - lengths
    positions = numpy.arange(owner.size) - before[owner] + problem.starts[asked][owner]
    room = problem.free[problem.nodes[positions]]
    demand = problem.demand[asked]
    has_room = ((demand[owner] <= room) | (demand[owner] == 0)).all(axis=1)
    scarcity = _of_the_best_grade(problem, owner, positions, has_room, asked.size)
    relative = numpy.zeros(asked.size)
    for kind in range(problem.free.shape[1]):
        total = numpy.bincount(owner, numpy.maximum(room[:, kind], 0), minlength=asked.size)
        mean = total / numpy.maximum(lengths, 1)
        relative = numpy.maximum(relative, demand[:, kind] / numpy.maximum(mean, 1.0))
    return scarcity, relative


def _of_the_best_grade(
    problem: PlacementProblem,
    owner: typing.NDArray[numpy.intp],
    positions: Integers,
    has_room: typing.NDArray[numpy.bool_],
    count: int,
) -> Integers:
    grades = problem.grades[positions[has_room]].astype(numpy.int64)
    counted = numpy.bincount(owner[has_room] * len(Grade) + grades, minlength=count * len(Grade))
    table = counted.reshape(count, len(Grade))
    best: Integers = table[numpy.arange(count), numpy.argmax(table > 0, axis=1)]
    return best
