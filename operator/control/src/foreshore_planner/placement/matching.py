"""Nodes for all slots that need one in a pass, chosen together.

The slots of all placements are one problem for `solve`: what is lost first, of it the scarcest.
Only when a slot is left over do the running replicas near it join, as some that may make room: none
of `failover` other than Automatic, none of a held site, none that is not well where it is, and of a
site no more than its minute has room for. A replica that makes room is moved as any other: its old
pod answers until the new one does, and what takes its place waits for that (`slots`). Called by
`placing`.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import placing
from foreshore_planner import snapshot
from foreshore_planner.placement import (
    candidates,
    choose,
    serving,
    slots,
    supply,
    turns,
)
from foreshore_planner.placement.solve import batch, problem

MOVABLES: Final = 512
"""Running replicas that may make room in one pass: those nearest to what is left over."""

ATTEMPTS: Final = 4
"""Times that the choice is made again because a site would move more than its minute allows."""

Slot = tuple[snapshot.At, str]
"""A placement and one of its slots."""

Chosen = dict[str, candidates.Candidate]
"""By slot."""

Find = Callable[[snapshot.At], turns.PermittedWants | None]

REMEDY: Final = "make room on a node that may serve it, or let it ask for less"
ENDED: Final = f"the search for room ended at its bound before all was tried; {REMEDY}"
CAPPED: Final = (
    f"of the running replicas near it only the first {MOVABLES} were asked to make room; {REMEDY}"
)


@dataclass(frozen=True, slots=True)
class _MatchChoice:
    """The nodes of a choice, and for which slots without one a bound ended the search."""

    places: Mapping[Slot, candidates.Candidate]
    cut_short: Mapping[Slot, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Board:
    """The rows of one problem, and what their numbers stand for."""

    stock: supply.Supply
    nodes: dict[str, int] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)
    rows: dict[str, problem.SlotRow] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    offered: dict[tuple[str, int], candidates.Candidate] = field(default_factory=dict)
    """By row and node."""

    def node(self, name: str) -> int:
        """Return the number of a node."""
        return self.nodes.setdefault(name, len(self.nodes))

    def domain(self, node: snapshot.Node, demand: candidates.Demand) -> int:
        """Return the number of a node's failure domain."""
        return self.domains.setdefault(choose.domain(node, demand), len(self.domains))

    def add(
        self,
        turn: turns.PermittedWants,
        slot: str,
        offered: Sequence[candidates.Candidate],
        held: snapshot.Node | None = None,
    ) -> None:
        """Add one slot of a placement; one that is `held` stays, or may move if it has offers."""
        demand = turn.wants.case.demand
        group = "/".join(turn.key)
        name = f"{group}/{slot[1:]:>03}"
        offers = []
        for candidate in choose.rank(offered, demand):
            number = self.node(candidate.node.name)
            self.offered[(name, number)] = candidate
            offers.append(
                problem.Offer(
                    number,
                    self.domain(candidate.node, demand),
                    choose.grade(candidate, demand),
                    candidate.price,
                )
            )
        self.slots[name] = (turn.key, slot)
        self.rows[name] = problem.SlotRow(
            name,
            (),
            tuple(offers),
            group,
            precedence=0 if _is_lost(turn, slot) else 1,
            held=problem.NOWHERE if held is None else self.node(held.name),
            held_domain=problem.NOWHERE if held is None else self.domain(held, demand),
        )

    def solve(self, asked: Mapping[snapshot.At, turns.PermittedWants]) -> _MatchChoice:
        """Return the new node of every slot that gets one, and of those that make room for it."""
        if not self.rows:
            return _MatchChoice({})
        demands = {key: turn.wants.case.demand.requests for key, turn in asked.items()}
        kinds = sorted({name for requests in demands.values() for name, _ in requests.extended})
        rows = [
            dataclasses.replace(row, demand=_columns(demands[self.slots[name][0]], kinds))
            for name, row in self.rows.items()
        ]
        index = self.stock.seen.index.nodes
        free = [_columns(self.stock.free(index[name]), kinds) for name in self.nodes]
        columns = problem.assembled(free, rows)
        solution = batch.solve(columns)
        names = sorted(self.rows)
        places = {
            names[slot]: int(node)
            for slot, node in zip(columns.requested.tolist(), solution.nodes.tolist(), strict=True)
            if node != problem.NOWHERE
        }
        places |= {
            names[slot]: int(columns.nodes[position]) for slot, position in solution.moves.items()
        }
        return _MatchChoice(
            {self.slots[name]: self.offered[(name, node)] for name, node in places.items()},
            {self.slots[names[slot]]: ENDED for slot in solution.cut_short},
        )


def _columns(room: snapshot.ComputeResources, kinds: Sequence[str]) -> tuple[int, ...]:
    return (room.cpu, room.memory, *(room.count(kind) for kind in kinds))


def _is_lost(turn: turns.PermittedWants, slot: str) -> bool:
    held = turn.wants.held.get(slot)
    return held is not None and turn.wants.case.verdicts.of(held.node).is_lost


def match(
    stock: supply.Supply, asking: Sequence[turns.PermittedWants], find: Find
) -> list[tuple[turns.PermittedWants, Chosen]]:
    """Return every placement with the nodes that its slots get, and take their room.

    Among them are those that were not asked about and make room; `find` returns such a one.
    """
    asked = {turn.key: turn for turn in asking}
    requests = {turn.key: turn.requests() for turn in asking}
    board = _board(stock, asked, requests)
    wanted = {(key, slot) for key, of in requests.items() for slot in of}
    choice = board.solve(asked)
    left = wanted - choice.places.keys()
    if left:
        near = _Neighbourhood(stock, asked, find)
        choice = near.with_room_made(choice, left)
        asked = near.asked
    return _divided(stock, asked, wanted, choice)


def _board(
    stock: supply.Supply,
    asked: Mapping[snapshot.At, turns.PermittedWants],
    requests: Mapping[snapshot.At, Mapping[str, Sequence[candidates.Candidate]]],
    movables: Mapping[Slot, Sequence[candidates.Candidate]] | None = None,
) -> _Board:
    """Return the problem of these placements: those with nothing to decide are left out."""
    board, nodes = _Board(stock), stock.seen.index.nodes
    may_move = movables or {}
    concerned = {key for key, _ in may_move} | {
        key for key, of in requests.items() if any(of.values())
    }
    for key in sorted(concerned):
        turn = asked[key]
        for slot, offered in requests.get(key, {}).items():
            if offered:
                board.add(turn, slot, offered)
        for slot, held in turn.staying.items():
            if held.node in nodes:
                board.add(turn, slot, may_move.get((key, slot), ()), nodes[held.node])
    return board


def _divided(
    stock: supply.Supply,
    asked: Mapping[snapshot.At, turns.PermittedWants],
    wanted: Collection[Slot],
    choice: _MatchChoice,
) -> list[tuple[turns.PermittedWants, Chosen]]:
    """Return what each placement gets, and take the room; who makes room says for whom."""
    chosen: dict[snapshot.At, Chosen] = {key: {} for key in asked}
    yielding: dict[snapshot.At, dict[str, slots.Force]] = {}
    places, cut_short = choice.places, {key: text for (key, _), text in choice.cut_short.items()}
    for (key, slot), candidate in sorted(places.items(), key=lambda item: item[0]):
        chosen[key][slot] = candidate
        stock.take(candidate.node.name, asked[key].wants.case.demand.requests)
        if (key, slot) not in wanted:
            left = asked[key].wants.held[slot].node
            yielding.setdefault(key, {})[slot] = (reasons.MADE_ROOM, _beneficiary(places, left))
    return [
        (_said(turn, yielding.get(key), cut_short.get(key)), chosen[key])
        for key, turn in sorted(asked.items())
    ]


def _said(
    turn: turns.PermittedWants, forces: Mapping[str, slots.Force] | None, cut_short: str | None
) -> turns.PermittedWants:
    """Return a placement with what makes room, and with what was left untried for it."""
    moved = turn if forces is None else turn.moving(forces)
    return dataclasses.replace(moved, cut_short=cut_short) if cut_short is not None else moved


def _beneficiary(places: Mapping[Slot, candidates.Candidate], node: str) -> str:
    """Say for whom room was made on a node."""
    after = sorted(slot for slot, candidate in places.items() if candidate.node.name == node)
    named = [f"{slot} of {key[1]}.{key[2]}" for key, slot in after]
    return f"room for {named[0] if named else 'another'}, which fits nowhere else"


class _Neighbourhood:
    """The running replicas that may make room for slots that found no node."""

    def __init__(
        self, stock: supply.Supply, asked: Mapping[snapshot.At, turns.PermittedWants], find: Find
    ) -> None:
        self._stock = stock
        self._find = find
        self._known: dict[snapshot.At, turns.PermittedWants | None] = dict(asked)
        self._asked = asked
        self.asked: dict[snapshot.At, turns.PermittedWants] = dict(asked)
        """The placements of the problem that was solved last."""
        self._is_capped = False

    def with_room_made(self, first: _MatchChoice, left: Collection[Slot]) -> _MatchChoice:
        """Choose again, with the replicas near `left` as some that may move.

        Where it does not give a node to more slots, the first choice stands; what was left untried
        is said of either.
        """
        requests = {key: turn.requests(is_full_too=True) for key, turn in self._asked.items()}
        movables = self._movables(requests, left)
        cut_short = {**first.cut_short, **dict.fromkeys(left, CAPPED)}
        cut_short = cut_short if self._is_capped else dict(first.cut_short)
        for _ in range(ATTEMPTS if movables else 0):
            asked = self._turns({key for key, _ in movables})
            again = _board(self._stock, asked, requests, movables).solve(asked)
            cut_short |= again.cut_short
            moved = [slot for slot in again.places if slot in movables]
            beyond = self._beyond(moved)
            if not beyond:
                is_better = len(again.places) - len(moved) > len(first.places)
                self.asked = asked if is_better else self.asked
                return _without_node(again.places if is_better else first.places, cut_short)
            kept = {slot for slot in moved if slot not in beyond}
            sites = {key[2] for key, _ in beyond}
            movables = {
                slot: offered
                for slot, offered in movables.items()
                if slot in kept or slot[0][2] not in sites
            }
        return _without_node(first.places, cut_short)

    def _turns(self, keys: Iterable[snapshot.At]) -> dict[snapshot.At, turns.PermittedWants]:
        others = {key: turn for key in keys if (turn := self._turn(key)) is not None}
        return {**others, **self._asked}

    def _turn(self, key: snapshot.At) -> turns.PermittedWants | None:
        if key not in self._known:
            self._known[key] = self._find(key)
        return self._known[key]

    def _beyond(self, moved: Sequence[Slot]) -> set[Slot]:
        """Return the moves that a site's minute has no room for."""
        by_site = snapshot.grouped(sorted(moved), lambda slot: slot[0][2])
        return {
            slot
            for site, of_site in by_site.items()
            for slot in of_site[self._stock.pace(site).moves :]
        }

    def _movables(
        self,
        requests: Mapping[snapshot.At, Mapping[str, Sequence[candidates.Candidate]]],
        left: Collection[Slot],
    ) -> dict[Slot, Sequence[candidates.Candidate]]:
        """Return replicas on nodes that `left` might take, and on nodes where those might go."""
        offers = [offered for slot in sorted(left) if (offered := requests[slot[0]].get(slot[1]))]
        first = self._on(_nodes(offers), {})
        return self._on(_nodes(first.values()), first)

    def _on(
        self, nodes: Sequence[str], movables: Mapping[Slot, Sequence[candidates.Candidate]]
    ) -> dict[Slot, Sequence[candidates.Candidate]]:
        collected = dict(movables)
        for node in nodes:
            for replica in self._stock.seen.index.replicas_on.get(node, ()):
                slot = ((replica.namespace, replica.policy, replica.site), replica.slot)
                if len(collected) >= MOVABLES:
                    self._is_capped = True
                    return collected
                if slot not in collected and (offered := self._offered(replica)):
                    collected[slot] = offered
        return collected

    def _offered(self, replica: snapshot.Replica) -> Sequence[candidates.Candidate]:
        """Return where a replica may stand, its own node among them; nothing if it must stay."""
        turn = self._turn((replica.namespace, replica.policy, replica.site))
        if turn is None or not _may_move(self._stock, turn, replica):
            return ()
        inputs = turn.wants.case
        own = inputs.view(replica.node)
        nodes = turns.offers(self._stock, inputs)
        avoided = slots.left_lately(inputs)
        able = {
            candidate.node.name: candidate
            for candidate in (*nodes.fitting, *nodes.full)
            if candidate.node.name not in avoided
        }
        if own is not None:
            able[replica.node] = candidates.candidate(own, self._stock.prices)
        return list(able.values()) if len(able) > 1 else ()


def _without_node(
    places: Mapping[Slot, candidates.Candidate], cut_short: Mapping[Slot, str]
) -> _MatchChoice:
    """Return a choice that says of those without a node what was left untried."""
    return _MatchChoice(
        places, {slot: text for slot, text in cut_short.items() if slot not in places}
    )


def _nodes(offers: Iterable[Sequence[candidates.Candidate]]) -> list[str]:
    """Return the nodes of these candidates, once each, in the order in which they come."""
    return list(dict.fromkeys(_names(offers)))


def _names(offers: Iterable[Sequence[candidates.Candidate]]) -> Iterator[str]:
    for offered in offers:
        for candidate in offered:
            yield candidate.node.name


def _may_move(stock: supply.Supply, turn: turns.PermittedWants, replica: snapshot.Replica) -> bool:
    """Whether a replica may make room for another: it is well, and nothing of it is under way."""
    inputs, held = turn.wants.case, turn.wants.held.get(replica.slot)
    is_held = stock.verdicts.is_held(inputs.site)
    is_automatic = inputs.demand.placement.failover is placing.Failover.AUTOMATIC
    is_accepted = inputs.bound.problem is None
    if is_held or not is_automatic or not is_accepted or not turn.wants.is_content:
        return False
    if stock.pace(inputs.site).moves <= 0 or held is None or held.pod is not replica:
        return False
    return serving.is_settled_in(inputs, replica)
