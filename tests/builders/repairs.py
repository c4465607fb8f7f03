"""What changes in a settled fleet: nodes that are lost, demands that grow and shrink."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy

from builders import exact, fleets
from foreshore_planner.placement.solve import problem

SECONDS: Final = 10.0
"""For a site's mixed-integer program; its bound counts whether or not it ends in time."""


def lost(settled: problem.PlacementProblem, nodes: Sequence[int]) -> problem.PlacementProblem:
    """Return the problem of placing again what ran on nodes that are gone.

    What a planner keeps between passes (who holds what) is changed here and not measured.
    """
    gone = frozenset(nodes)
    slots = [slot for node in nodes for slot in settled.occupants.get(node, ())]
    free, held = settled.free.copy(), settled.held.copy()
    free[list(nodes)] = 0
    held[slots] = problem.NOWHERE
    occupants = {
        node: slots_there for node, slots_there in settled.occupants.items() if node not in gone
    }
    return dataclasses.replace(
        settled,
        free=free,
        held=held,
        requested=numpy.array(slots, numpy.int32),
        occupants=occupants,
        members=problem.membership(settled.group, held),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class DemandChange:
    """A fleet some of whose demands have changed, and the moves that this forces."""

    asked: problem.PlacementProblem
    fewest_moves: int
    """No plan has fewer: so many slots have to leave the nodes that are too full."""


def changed(
    settled: problem.PlacementProblem, share: float, seed: int, shape: fleets.Shape
) -> DemandChange:
    """Return a fleet in which a share of the demands changed by -30 to +40 %."""
    random = numpy.random.default_rng(seed)
    placed = numpy.flatnonzero(settled.held != problem.NOWHERE)
    slots = random.choice(placed, int(share * placed.size), replace=False)
    factors = random.uniform(0.7, 1.4, slots.size)
    demand = settled.demand.copy()
    demand[slots] = (demand[slots] * factors[:, None]).astype(numpy.int64)
    free = settled.free.copy()
    numpy.subtract.at(free, settled.held[slots], demand[slots] - settled.demand[slots])
    overfull = tuple(numpy.flatnonzero((free < 0).any(axis=1)).tolist())
    asked = dataclasses.replace(settled, free=free, demand=demand, overfull=overfull)
    return DemandChange(asked, _forced(asked, shape))


def _forced(asked: problem.PlacementProblem, shape: fleets.Shape) -> int:
    """The moves that no plan can spare, by site: each may use all of the cloud for itself."""
    forced, width, edge = 0, shape.nodes, shape.sites * shape.nodes
    for site in sorted({node // width for node in asked.overfull if node < edge}):
        nodes = range(site * width, (site + 1) * width)
        forced += exact.fewest_moves(asked, nodes, SECONDS)
    for node in asked.overfull:
        if node >= edge:
            demands = asked.demand[list(asked.occupants[node])]
            forced += _fewest_leaving(demands, -asked.free[node])
    return forced


def _fewest_leaving(demands: problem.Integers, short: problem.Integers) -> int:
    """How many must leave for the resource that is shortest; a bound for both together."""
    counts = [0]
    for kind, missing in enumerate(short.tolist()):
        if missing > 0:
            freed = numpy.cumsum(numpy.sort(demands[:, kind])[::-1])
            counts.append(int(numpy.searchsorted(freed, missing)) + 1)
    return max(counts)
