"""What a batch of choices is asked and what it answers, in columns.

A pass collects every slot that needs a node and calls `batch.solve` with a `PlacementProblem`.
Columns are read by index and never copied, so a lost node's few slots may be asked in a problem
that holds the whole fleet: what is not touched costs nothing. `assembled` makes the columns from
rows, for callers whose batch is small and for tests.

All orders end in `order`, a number of each slot that no other has (its rank by name), and in the
position of a candidate in its list, so that the order of rows changes nothing.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy
from numpy import typing

Integers = typing.NDArray[numpy.int64]
Indices = typing.NDArray[numpy.int32]
Grades = typing.NDArray[numpy.int8]
Costs = typing.NDArray[numpy.float64]

NOWHERE: Final = -1
"""The node of a slot that has none."""
UNLIMITED: Final = 1 << 31


class Grade(enum.IntEnum):
    """What the latency model says of a candidate; a better grade always wins."""

    WITHIN = 0
    OVER = 1
    UNKNOWN = 2
    SATURATED = 3


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Slots, what they ask, where they may go, and what is free there.

    A slot with a node (`held`) is a running replica: it stays, or makes room for a slot that finds
    none. A held slot without candidates stays for certain; it is there for its failure domain.
    """

    free: Integers
    """[nodes, resources]: what is left on each node beside all held slots."""
    demand: Integers
    """[slots, resources]."""
    held: Indices
    """[slots]: the node that a slot has, or NOWHERE."""
    held_domain: Indices
    """[slots]: the failure domain of that node."""
    group: Indices
    """[slots]: slots of one group share no failure domain while another has room."""
    precedence: Indices
    """[slots]: lower numbers come first, whatever becomes of higher ones."""
    order: Integers
    """[slots]: a number that no other slot has; the end of every order."""
    starts: Integers
    """[slots + 1]: where the candidates of a slot begin in the four columns below."""
    nodes: Indices
    """[candidates]: best first within a slot, and never a better grade after a worse."""
    grades: Grades
    domains: Indices
    costs: Costs
    """What each candidate costs: for totals, and for whom to move at the smallest loss."""
    requested: Indices
    """The slots without a node that are to be given one."""
    occupants: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """The slots that hold a node, by node: those that may be asked to move. See `occupancy`."""
    members: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """The slots of a group that hold a node, by group. See `membership`."""
    overfull: tuple[int, ...] = ()
    """Nodes whose held slots ask for more than there is (`free` is negative): the fewest leave."""
    move_limit: int = UNLIMITED
    """How many held slots may move in this batch."""


@dataclass(frozen=True, slots=True)
class PlacementSolution:
    """Where the requested slots go, and which held slots move for them."""

    nodes: Indices
    """[requested]: a node each, or NOWHERE, in the order of `requested`."""
    candidates: Integers
    """[requested]: the position of that node in the problem's candidate columns, or NOWHERE."""
    moves: Mapping[int, int]
    """Held slots that move, by slot: the position of their new candidate."""
    rounds: int
    """How often unplaced slots were tried again before the others."""
    overfull: tuple[int, ...]
    """Nodes that stay too full, because nobody there has another node or no more may move."""
    cut_short: tuple[int, ...]
    """Unplaced slots for which a bound ended the search: with more time they might be placed."""

    @property
    def unplaced(self) -> int:
        """How many slots found no node."""
        return int(numpy.count_nonzero(self.nodes == NOWHERE))


@dataclass(frozen=True, slots=True)
class Offer:
    """One candidate of a slot."""

    node: int
    domain: int
    grade: Grade = Grade.WITHIN
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One slot of a problem, as a row."""

    name: str
    """Unique; ties end in it."""
    demand: tuple[int, ...]
    offers: tuple[Offer, ...] = ()
    """Best first; grades are put in order, and offers of one grade stay as they stand."""
    group: str = ""
    """Slots of one group keep apart; an empty one stands for the slot's name."""
    precedence: int = 0
    held: int = NOWHERE
    held_domain: int = NOWHERE


def assembled(
    free: Sequence[Sequence[int]], rows: Sequence[SlotRow], move_limit: int = UNLIMITED
) -> PlacementProblem:
    """Return the problem of these rows; slots stand in the order of their names."""
    slots = sorted(rows, key=lambda row: row.name)
    offers = [sorted(row.offers, key=lambda offer: offer.grade) for row in slots]
    flat = [offer for listed in offers for offer in listed]
    names = sorted({row.group or row.name for row in slots})
    numbers = {name: number for number, name in enumerate(names)}
    width = len(free[0]) if free else 0
    held = numpy.array([row.held for row in slots], numpy.int32)
    group = numpy.array([numbers[row.group or row.name] for row in slots], numpy.int32)
    lengths = [len(listed) for listed in offers]
    return PlacementProblem(
        free=numpy.array(free, numpy.int64).reshape(len(free), width),
        demand=numpy.array([row.demand for row in slots], numpy.int64).reshape(len(slots), width),
        held=held,
        held_domain=numpy.array([row.held_domain for row in slots], numpy.int32),
        group=group,
        precedence=numpy.array([row.precedence for row in slots], numpy.int32),
        order=numpy.arange(len(slots), dtype=numpy.int64),
        starts=numpy.concatenate(([0], numpy.cumsum(lengths, dtype=numpy.int64))),
        nodes=numpy.array([offer.node for offer in flat], numpy.int32),
        grades=numpy.array([offer.grade for offer in flat], numpy.int8),
        domains=numpy.array([offer.domain for offer in flat], numpy.int32),
        costs=numpy.array([offer.cost for offer in flat], numpy.float64),
        requested=numpy.flatnonzero(held == NOWHERE).astype(numpy.int32),
        occupants=occupancy(held),
        members=membership(group, held),
        move_limit=move_limit,
    )


def occupancy(held: Indices) -> dict[int, list[int]]:
    """Return the slots that hold a node, by node."""
    return _by_key(held, held)


def membership(group: Indices, held: Indices) -> dict[int, list[int]]:
    """Return the slots of each group that hold a node."""
    return _by_key(group, held)


def _by_key(keys: Indices, held: Indices) -> dict[int, list[int]]:
    lists: dict[int, list[int]] = {}
    slots = numpy.flatnonzero(held != NOWHERE)
    for key, slot in zip(keys[slots].tolist(), slots.tolist(), strict=True):
        lists.setdefault(key, []).append(slot)
    return lists
