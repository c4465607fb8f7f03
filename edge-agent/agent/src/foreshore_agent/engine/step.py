"""`step(state, event) -> (state, effects)`: what each event does, as a table.

Called by the runtime only, one event at a time, in the order in which things happened.
"""

from typing import Final

from foreshore_agent.engine.effects import Effect
from foreshore_agent.engine.events import Event
from foreshore_agent.engine.state import State

TICK_SECONDS: Final = 0.05
"""How often the runtime sends a `Tick`, in real seconds."""


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """Take one event in; return the next state and what is to be done."""
    raise NotImplementedError(type(event), state.identity)
