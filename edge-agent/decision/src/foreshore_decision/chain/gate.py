"""What a gate is, and what a chain of them is. `order` holds the rows, `gates` the functions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from foreshore_api.reasons.decision import GateName
from foreshore_decision.chain.facts import Facts, Step


class Gate(NamedTuple):
    """One row of the order: the name, which says the verdict of a No, and the function."""

    name: GateName
    ask: Callable[[GateName, Facts], Step]
    """Called with the row's name, so that no function spells it."""


@dataclass(frozen=True)
class Chain:
    """The gates before a model is asked, and those after it has answered, or has not."""

    before: tuple[Gate, ...]
    after: tuple[Gate, ...]

    @cached_property
    def names(self) -> tuple[GateName, ...]:
        """Names of all gates, in order, as records write them."""
        return tuple(gate.name for gate in (*self.before, *self.after))
