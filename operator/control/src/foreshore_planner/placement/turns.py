"""What each placement asks for in a pass, and what of it the pace of its site permits.

    wants   slots that are empty, and replicas that something forces away
    allow   of the latter as many as the site's minute has room for, and why the others wait

Called by `placing`; `matching` gives all that is asked and allowed its nodes.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import binding, snapshot
from foreshore_planner.placement import (
    candidates,
    case,
    incumbents,
    slots,
    steadiness,
    supply,
)


@dataclass(frozen=True, slots=True)
class Wants:
    """What one placement asks for, whatever the others do."""

    case: case.Case
    names: tuple[str, ...]
    """Its slots."""
    held: Mapping[str, incumbents.Incumbent]
    """Who has each slot; a slot that is not here is empty."""
    causes: Mapping[str, slots.Force]
    """What forces replicas away, by slot."""
    offers: candidates.Offers | None
    """Where new replicas may go; None where none is asked for."""

    @property
    def is_content(self) -> bool:
        """Whether it asks for nothing."""
        return self.offers is None

    @property
    def precedence(self) -> tuple[bool, int, int, int, binding.Key, str]:
        """Return what orders placements: what is lost first, of it the scarcest, then by name.

        Scarce is what few nodes can take, then what asks for most.
        """
        demand = self.case.demand
        is_lost = any(self.case.verdicts.of(held.node).is_lost for held in self.held.values())
        able = len(self.offers.fitting) if self.offers is not None else 0
        size = (-demand.requests.cpu, -demand.requests.memory)
        return (not is_lost, able, *size, self.case.bound.key, self.case.site)


def wants(stock: supply.Supply, inputs: case.Case) -> Wants:
    """Return what one placement asks for."""
    names = slots.wanted(inputs)
    held = incumbents.find(inputs.replicas, inputs.before, names, inputs.template)
    causes = slots.forced(inputs, held)
    is_content = not causes and len(held) == len(names)
    return Wants(inputs, names, held, causes, None if is_content else offers(stock, inputs))


def offers(stock: supply.Supply, inputs: case.Case) -> candidates.Offers:
    """Return the nodes that may serve a placement, and why the others may not."""
    return candidates.find(inputs.views, inputs.counted, stock.prices)


@dataclass(frozen=True, slots=True)
class PermittedWants:
    """What one placement may do in this pass."""

    wants: Wants
    allowed: Mapping[str, slots.Force]
    """Moves that the hold and the pace of its site permit, by slot."""
    waiting: tuple[str, str] | None
    """(reason, message) of the moves that wait."""
    moves_unforced: bool = False
    """Whether a replica of it moves though nothing forces it: it makes room, or returns."""
    confirmed: Mapping[str, inferenceplacement.ProposedMove] = field(default_factory=dict)
    """Moves that a person has confirmed, by slot."""
    proposals: tuple[inferenceplacement.ProposedMove, ...] = ()
    """Moves that wait for a person."""
    unheeded: str | None = None
    """Why a person's confirmation does nothing, in words."""
    cut_short: str | None = None
    """What a bound left untried for a slot without a node, and what to do, in words."""
    later: frozenset[str] = frozenset()
    """Slots whose successor is not begun yet, because others are made anew first."""
    delay: case.Delay | None = None
    """Why a replica that would be better elsewhere stays where it is."""

    @property
    def key(self) -> snapshot.At:
        """The placement."""
        return (*self.wants.case.bound.key, self.wants.case.site)

    @property
    def staying(self) -> dict[str, incumbents.Incumbent]:
        """Who stays where it is."""
        held = self.wants.held
        return {slot: held[slot] for slot in held if slot not in self.allowed}

    def moving(self, forces: Mapping[str, slots.Force]) -> "PermittedWants":
        """Return the same with replicas that move though nothing forces them, by slot."""
        causes = {**self.wants.causes, **forces}
        return dataclasses.replace(
            self,
            wants=dataclasses.replace(self.wants, causes=causes),
            allowed={**self.allowed, **forces},
            moves_unforced=True,
        )

    def requests(self, *, is_full_too: bool = False) -> dict[str, list[candidates.Candidate]]:
        """Return the slots that need a node, each with the nodes that would do.

        With `is_full_too` also those that would do if somebody left them.
        """
        offers, held = self.wants.offers, self.wants.held
        if offers is None:
            return {}
        left_behind = {held[slot].node for slot in self.allowed}
        able = (*offers.fitting, *offers.full) if is_full_too else offers.fitting
        offered = [candidate for candidate in able if candidate.node.name not in left_behind]
        first = offered or list(offers.quarantined)
        return {
            slot: self._suitable(slot, offered if slot in held else first)
            for slot in self.wants.names
            if slot not in held or slot in self.allowed
        }

    def _suitable(
        self, slot: str, able: Sequence[candidates.Candidate]
    ) -> list[candidates.Candidate]:
        steady = steadiness.offered(self.wants.case, self.lost.get(slot), able)
        suitable = slots.suitable(self.wants.case, slot, self.allowed.get(slot), steady)
        confirmed = self.confirmed.get(slot)
        return [
            candidate
            for candidate in suitable
            if confirmed is None or candidate.node.name == confirmed.to
        ]

    @property
    def lost(self) -> dict[str, incumbents.Incumbent]:
        """Who may leave a node that is lost."""
        held = self.wants.held
        return {
            slot: held[slot] for slot, force in self.allowed.items() if force[0] in slots.LOSSES
        }


Confirm = Callable[[Wants], Mapping[str, inferenceplacement.ProposedMove]]
"""Which moves of a placement a person has confirmed, by slot."""


def allow(stock: supply.Supply, asking: Wants, confirm: Confirm) -> PermittedWants:
    """Permit what the site's minute has room for, and count it.

    A move that no node has room for is none, and leaves the minute to others.
    """
    if asking.is_content:
        return PermittedWants(asking, {}, None)
    site = asking.case.site
    confirmed = confirm(asking)
    allowed, waiting = slots.permitted(
        asking.case, asking.causes, stock.pace(site), confirmed.keys()
    )
    done = {slot: confirmed[slot] for slot in confirmed if slot in allowed}
    turn = PermittedWants(asking, allowed, waiting, confirmed=done)
    if waiting is None and asking.offers is not None:
        waits = steadiness.waiting(asking.case, turn.lost, asking.offers.fitting)
        turn = dataclasses.replace(turn, waiting=waits)
    possible = [slot for slot, offered in turn.requests().items() if slot in allowed and offered]
    stock.spend(site, len(possible))
    return turn
