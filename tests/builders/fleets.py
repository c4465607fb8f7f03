"""Fleets to place on: sites of three node classes, cloud regions, placements with budgets.

`fleet` draws what a placement engine meets (skewed sites, tight budgets for some, pairs that keep
apart), `crowded` small instances that fill their nodes. Seeds make them reproducible. A candidate
list is a site's own nodes and at most 64 of the cloud, as the planner gives it.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy
from numpy import typing

from foreshore_planner.placement.solve import problem

GIB: Final = 1 << 30
CLOUD_CANDIDATES: Final = 64
CLASS_OF_SITE: Final = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)
"""The node classes of ten nodes: five small, three medium, two large; the cloud is class 3."""
CPU: Final = numpy.array([4000, 8000, 16000, 32000])
MEMORY: Final = numpy.array([8, 16, 64, 128]) * GIB
SERVICE_MS: Final = numpy.array([14.0, 8.0, 4.0, 5.0])
PRICE: Final = numpy.array([1.0, 1.1, 1.25])
"""A core for an hour, by class at the edge."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a fleet is and what it is asked."""

    sites: int = 200
    nodes: int = 10
    """A site."""
    regions: int = 3
    region_nodes: int = 40
    placements: int = 10_000
    pairs: float = 0.1
    """Share of the placements with a second replica."""
    tight: float = 0.2
    """Share of the placements with a budget of 8–20 ms."""
    skew: float = 0.4
    """How unlike each other the sites are (of a log-normal)."""
    cpu: tuple[int, int] = (200, 1500)
    """Millicores a replica asks, evenly drawn."""
    cloud_price: float = 0.8
    """A core in the cloud: cheaper than the edge, so that all who may go there want to."""
    load: float | None = None
    """Where given, all nodes are scaled so that this share of their CPU is asked."""


def fleet(seed: int, shape: Shape = Shape()) -> problem.PlacementProblem:
    """Return the problem of placing everything on an empty fleet."""
    random = numpy.random.default_rng(seed)
    kind, site_of_node, free = _nodes(random, shape)
    edge = shape.sites * shape.nodes
    popularity = random.lognormal(0, shape.skew, shape.sites)
    site = random.choice(shape.sites, shape.placements, p=popularity / popularity.sum())
    paired = random.random(shape.placements) < shape.pairs
    group = numpy.concatenate((numpy.arange(shape.placements), numpy.flatnonzero(paired)))
    cpu = random.integers(*shape.cpu, shape.placements, endpoint=True)
    memory = (cpu * random.uniform(0.5, 2.5, shape.placements)).astype(numpy.int64) * (GIB // 1000)
    is_tight = random.random(shape.placements) < shape.tight
    budget = numpy.where(
        is_tight,
        random.uniform(8, 20, shape.placements),
        random.uniform(50, 200, shape.placements),
    )
    demand = numpy.stack((cpu, memory), axis=1)[group]
    if shape.load is not None:
        free = _scaled(free, demand, shape.load)
    offered = _offered(random, shape, edge)
    distance = _distances(random, shape)
    nodes = offered[site[group]]
    near = numpy.where(site_of_node[nodes] >= 0, 1.0, 0.0)
    region = numpy.maximum(nodes - edge, 0) // max(1, shape.region_nodes)
    rtt = numpy.where(
        near > 0, 1.0, distance[site[group]][numpy.arange(group.size)[:, None], region]
    )
    bound = rtt + SERVICE_MS[kind[nodes]]
    price = numpy.append(PRICE, shape.cloud_price)[kind[nodes]]
    return _columns(free, demand, group, nodes, bound, budget[group], price)


CROWDED: Final = (
    Shape(4, 10, 1, 4, skew=0.1, cpu=(250, 3000)),
    Shape(4, 10, 1, 3, skew=0.25, cpu=(500, 3000)),
    Shape(4, 10, 1, 3, skew=0.1, cpu=(1500, 4000)),
    Shape(4, 10, 1, 3, skew=0.1, cpu=(500, 3000), tight=0.45),
)
"""Four sites and a small cloud: small demands, unlike sites, large demands, many tight budgets."""
CROWDED_LOADS: Final = (0.74, 0.8, 0.85, 0.9, 0.93, 0.95)


def crowded(
    seed: int, placements: int = 330, *, has_hard_budgets: bool = True
) -> problem.PlacementProblem:
    """Return a small instance that asks for 74-95 % of all CPU; shapes and loads take turns.

    Where budgets are hard, nodes beyond them are no candidates.
    """
    shape = CROWDED[seed // len(CROWDED_LOADS) % len(CROWDED)]
    load = CROWDED_LOADS[seed % len(CROWDED_LOADS)]
    shape = dataclasses.replace(shape, placements=placements, pairs=0.2, load=load)
    asked = fleet(seed, shape)
    return within_budget(asked) if has_hard_budgets else asked


def within_budget(asked: problem.PlacementProblem) -> problem.PlacementProblem:
    """Return a problem without the candidates beyond the budget."""
    kept = asked.grades == problem.Grade.WITHIN
    slots = len(asked.order)
    owner = numpy.repeat(numpy.arange(slots), numpy.diff(asked.starts))[kept]
    lengths = numpy.bincount(owner, minlength=slots)
    return dataclasses.replace(
        asked,
        starts=numpy.concatenate(([0], numpy.cumsum(lengths))),
        nodes=asked.nodes[kept],
        grades=asked.grades[kept],
        domains=asked.domains[kept],
        costs=asked.costs[kept],
    )


def _nodes(
    random: numpy.random.Generator, shape: Shape
) -> tuple[problem.Integers, problem.Integers, problem.Integers]:
    classes = numpy.resize(numpy.array(CLASS_OF_SITE), shape.nodes)
    cloud = shape.regions * shape.region_nodes
    kind = numpy.concatenate((numpy.tile(classes, shape.sites), numpy.full(cloud, 3)))
    site = numpy.concatenate(
        (numpy.repeat(numpy.arange(shape.sites), shape.nodes), numpy.full(cloud, -1))
    )
    left = random.uniform(0.8, 0.95, kind.size)
    free = (numpy.stack((CPU[kind], MEMORY[kind]), axis=1) * left[:, None]).astype(numpy.int64)
    return kind, site, free


def _scaled(free: problem.Integers, demand: problem.Integers, load: float) -> problem.Integers:
    """All nodes larger or smaller, so that the scarcer resource is asked for to `load`."""
    share = (demand.sum(axis=0) / free.sum(axis=0)).max()
    scaled: problem.Integers = (free * (share / load)).astype(numpy.int64)
    return scaled


def _offered(random: numpy.random.Generator, shape: Shape, edge: int) -> problem.Integers:
    """The nodes offered to each site: its own, and up to 64 of the cloud."""
    cloud = shape.regions * shape.region_nodes
    width = min(cloud, CLOUD_CANDIDATES)
    rows = [
        numpy.concatenate(
            (
                numpy.arange(site * shape.nodes, (site + 1) * shape.nodes),
                numpy.sort(random.choice(cloud, width, replace=False)) + edge,
            )
        )
        for site in range(shape.sites)
    ]
    return numpy.array(rows, numpy.int64)


def _distances(random: numpy.random.Generator, shape: Shape) -> typing.NDArray[numpy.float64]:
    """Milliseconds from each site to each region: one is near, the others are not."""
    distance = random.uniform(40, 90, (shape.sites, max(1, shape.regions)))
    nearest = random.integers(0, max(1, shape.regions), shape.sites)
    distance[numpy.arange(shape.sites), nearest] = random.uniform(12, 35, shape.sites)
    return distance


def _columns(
    free: problem.Integers,
    demand: problem.Integers,
    group: problem.Integers,
    nodes: problem.Integers,
    bound: typing.NDArray[numpy.float64],
    budget: typing.NDArray[numpy.float64],
    price: typing.NDArray[numpy.float64],
) -> problem.PlacementProblem:
    slots, width = nodes.shape
    grades = (bound > budget[:, None]).astype(numpy.int8)
    costs = price * demand[:, :1] / 1000 * (1 + bound / 10_000)
    ranked = numpy.lexsort((nodes, numpy.where(grades > 0, bound, costs), grades), axis=1)
    nodes = numpy.take_along_axis(nodes, ranked, axis=1)
    grades = numpy.take_along_axis(grades, ranked, axis=1)
    costs = numpy.take_along_axis(costs, ranked, axis=1)
    nowhere = numpy.full(slots, problem.NOWHERE, numpy.int32)
    return problem.PlacementProblem(
        free=free,
        demand=demand,
        held=nowhere,
        held_domain=nowhere,
        group=group.astype(numpy.int32),
        precedence=numpy.zeros(slots, numpy.int32),
        order=numpy.arange(slots, dtype=numpy.int64),
        starts=numpy.arange(0, slots * width + 1, width, dtype=numpy.int64),
        nodes=nodes.ravel().astype(numpy.int32),
        grades=grades.ravel(),
        domains=nodes.ravel().astype(numpy.int32),
        costs=costs.ravel(),
        requested=numpy.arange(slots, dtype=numpy.int32),
    )


def pooled(asked: problem.PlacementProblem, shape: Shape) -> problem.PlacementProblem:
    """Return a problem whose alike nodes are one large node: what it costs bounds the original.

    Alike are the nodes of a site and class, and all of a region.
    """
    edge = shape.sites * shape.nodes
    classes = numpy.resize(numpy.array(CLASS_OF_SITE), shape.nodes)
    at_edge = numpy.arange(shape.sites)[:, None] * 3 + classes[None, :]
    regions = shape.sites * 3 + numpy.arange(len(asked.free) - edge) // shape.region_nodes
    pool = numpy.concatenate((at_edge.ravel(), regions))
    free = numpy.zeros((int(pool.max()) + 1, asked.free.shape[1]), numpy.int64)
    numpy.add.at(free, pool, asked.free)
    slots = len(asked.order)
    owner = numpy.repeat(numpy.arange(slots), numpy.diff(asked.starts))
    keys = owner * len(free) + pool[asked.nodes]
    ranked = numpy.lexsort((asked.costs, asked.grades, keys))
    kept = ranked[numpy.flatnonzero(numpy.diff(keys[ranked], prepend=-1))]
    lengths = numpy.bincount(owner[kept], minlength=slots)
    return dataclasses.replace(
        asked,
        free=free,
        starts=numpy.concatenate(([0], numpy.cumsum(lengths))),
        nodes=pool[asked.nodes[kept]].astype(numpy.int32),
        grades=asked.grades[kept],
        domains=pool[asked.nodes[kept]].astype(numpy.int32),
        costs=asked.costs[kept],
    )


def settled(
    asked: problem.PlacementProblem, solution: problem.PlacementSolution
) -> problem.PlacementProblem:
    """Return the fleet as it is once a solution of all its slots is in force."""
    held = asked.held.copy()
    held[asked.requested] = solution.nodes
    free = asked.free.copy()
    placed = numpy.flatnonzero(held != problem.NOWHERE)
    numpy.subtract.at(free, held[placed], asked.demand[placed])
    return dataclasses.replace(
        asked,
        free=free,
        held=held,
        held_domain=held.copy(),
        requested=numpy.flatnonzero(held == problem.NOWHERE).astype(numpy.int32),
        occupants=problem.occupancy(held),
        members=problem.membership(asked.group, held),
    )
