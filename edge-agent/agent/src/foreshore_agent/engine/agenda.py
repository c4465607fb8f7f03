"""What to look at when: keys in slots of time, so that a look costs what is due and no more.

    slots   … │ 41: b │ 42: │ 43: a, d │ 44: │ 45: c │ …
                        ▲ reached: nothing is left before it

A calendar of slots as wide as the time between two looks, in persistent maps, because it is part of
the engine's state. What is booked is the earliest moment at which something may have to be done: a
moment that moves on, as that of a silence does with every sample, moves no booking. It is looked at
once in vain, and booked anew. A heap would be smaller, and cannot be shared between two states.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import immutables

from foreshore_agent.engine.events import Key
from foreshore_decision import instant
from foreshore_decision.frozen import Frozen

SLOT_SECONDS: Final = 0.05
EARLIER: Final = 4 * instant.RESOLUTION
"""Seconds by which a look comes earlier than a moment: time has passed to the resolution of times,
and a moment is the sum of two floats."""
AT_ONCE: Final = -math.inf
NEVER: Final = math.inf


class Agenda(Frozen, frozen=True):
    """Keys by the slot in which they are to be looked at, of one clock; each is in one at most."""

    slots: "immutables.Map[int, immutables.Map[Key, None]]" = immutables.Map()
    booked: "immutables.Map[Key, int]" = immutables.Map()
    """The slot of each key."""
    reached: int = 0
    """The slot of the newest look: what has to be looked at earlier is put here."""

    def book(self, key: Key, moment: float) -> "Agenda":
        """Look at a key no later than at a moment, in seconds, or `AT_ONCE`; `NEVER` books nothing.

        What is booked for an earlier moment stays so: a look in vain costs less than to move a
        booking with every sample.
        """
        if moment == NEVER:
            return self
        slot = self.reached
        if moment != AT_ONCE:
            slot = max(slot, _slot(moment - EARLIER))
        before = self.booked.get(key)
        if before is not None and before <= slot:
            return self
        slots = self.slots if before is None else _without(self.slots, before, key)
        return self._replace(
            slots=slots.set(slot, slots.get(slot, _NOBODY).set(key, None)),
            booked=self.booked.set(key, slot),
        )

    def look(self, now: float) -> "Look":
        """Return the keys whose moment has come, in order, and the agenda without them.

        A moment that is up to `SLOT_SECONDS` ahead counts as come: whoever looks knows better.
        """
        slot = max(self.reached, _slot(now))
        come = [number for number in self._passed(slot) if number in self.slots]
        if not come:
            return Look((), self if slot == self.reached else self._replace(reached=slot))
        keys = sorted(key for number in come for key in self.slots[number])
        slots, booked = self.slots.mutate(), self.booked.mutate()
        for number in come:
            del slots[number]
        for key in keys:
            del booked[key]
        return Look(tuple(keys), Agenda(slots.finish(), booked.finish(), slot))

    def emptied(self) -> "Agenda":
        """Return it with nothing booked, and as far on as it is."""
        return Agenda(reached=self.reached)

    def _passed(self, slot: int) -> Iterable[int]:
        """Return the slots up to one: by counting, or, after a long time, of those there are."""
        if slot - self.reached < len(self.slots):
            return range(self.reached, slot + 1)
        return (number for number in self.slots if number <= slot)


class Look(NamedTuple):
    """What a look at an agenda gives."""

    keys: tuple[Key, ...]
    agenda: Agenda


_NOBODY: Final["immutables.Map[Key, None]"] = immutables.Map()


def _slot(moment: float) -> int:
    return math.floor(moment / SLOT_SECONDS)


def _without(
    slots: "immutables.Map[int, immutables.Map[Key, None]]", slot: int, key: Key
) -> "immutables.Map[int, immutables.Map[Key, None]]":
    left = slots[slot].delete(key)
    return slots.set(slot, left) if left else slots.delete(slot)
