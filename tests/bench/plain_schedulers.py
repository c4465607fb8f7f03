"""Placement in the order of arrival, without looking ahead: what the engine is compared with.

`most_free` is our model of kube-scheduler's default scoring (NodeResourcesFit, LeastAllocated):
filter by room, prefer the node with most left. It knows no latency budget.
"""

from collections.abc import Callable

import numpy
from numpy import typing

from foreshore_planner.placement.solve import problem

Scores = typing.NDArray[numpy.float64]


def cheapest(asked: problem.PlacementProblem) -> problem.Integers:
    """Within the budget first, then the cheapest with room; candidate lists are in that order."""
    return _in_arrival_order(asked, lambda free, nodes, slot: numpy.arange(nodes.size, 0.0, -1.0))


def most_free(asked: problem.PlacementProblem) -> problem.Integers:
    """The node with the largest mean share of resources left."""

    def score(free: problem.Integers, nodes: problem.Indices, slot: int) -> Scores:
        left = (free[nodes] - asked.demand[slot]) / asked.free[nodes]
        scores: Scores = left.mean(axis=1)
        return scores

    return _in_arrival_order(asked, score)


def _in_arrival_order(
    asked: problem.PlacementProblem,
    score: Callable[[problem.Integers, problem.Indices, int], Scores],
) -> problem.Integers:
    free = asked.free.copy()
    chosen = numpy.full(asked.requested.size, problem.NOWHERE, numpy.int64)
    for place, slot in enumerate(asked.requested.tolist()):
        begin, end = int(asked.starts[slot]), int(asked.starts[slot + 1])
        nodes = asked.nodes[begin:end]
        has_room = (free[nodes] >= asked.demand[slot]).all(axis=1)
        if has_room.any():
            best = int(numpy.where(has_room, score(free, nodes, slot), -numpy.inf).argmax())
            chosen[place] = begin + best
            free[nodes[best]] -= asked.demand[slot]
    return chosen
