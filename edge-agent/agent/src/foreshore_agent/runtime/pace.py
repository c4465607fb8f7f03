"""How long decisions take: a stopwatch that the engine presses, and who breaks the budget.

    decision over budget ──5 in a row of one policy on one device──► PolicyTooSlow ──► disarmed
    decision within it   ──► the count begins anew

One slow decision is no fault of a policy: a machine throttles, a page is read from disk. Time is
that of this thread on a processor, so that waiting for one, or being suspended, does not count.
Called by `core`; the engine never reads it, so that it stays a function of state and event.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from foreshore_agent.engine import turn
from foreshore_agent.engine.events import Key

DECISION_SECONDS: Final = 0.020
"""Budget of one decision, without the model: twice what all expressions of a policy may take where
they are admitted. Longer, and telemetry of every other device waits too long."""
IN_A_ROW: Final = 5


class SlowPolicy(NamedTuple):
    """A policy that broke the budget on a device, so often that it is no chance."""

    device: Key
    policy: Key
    seconds: float
    """Of the newest decision."""


class DecisionPace(turn.Stopwatch):
    """The stopwatch of one engine."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._started = 0.0
        self._broken: Final[dict[tuple[Key, Key], int]] = {}
        """Breaks in a row, by device and policy; who keeps the budget is not in it."""
        self._slow: Final[list[SlowPolicy]] = []

    def start(self) -> None:
        """A decision begins, or goes on."""
        self._started = self._clock()

    def stop(self, device: Key, policy: Key) -> None:
        """A decision ends, or waits for the model."""
        seconds = self._clock() - self._started
        pair = (device, policy)
        if seconds <= DECISION_SECONDS:
            if self._broken:
                self._broken.pop(pair, None)
            return
        count = self._broken[pair] = self._broken.get(pair, 0) + 1
        if count >= IN_A_ROW:
            del self._broken[pair]
            self._slow.append(SlowPolicy(device, policy, seconds))

    def take_slow(self) -> tuple[SlowPolicy, ...]:
        """Return who has broken the budget for good since the last call."""
        if not self._slow:
            return ()
        slow = tuple(self._slow)
        self._slow.clear()
        return slow

    def forget(self) -> None:
        """Begin anew with every count: what is assigned has changed."""
        self._broken.clear()
