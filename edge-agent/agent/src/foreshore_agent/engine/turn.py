"""One turn of the engine: what a step is given beside its subject, and what it returns.

    step(state, event) ──► Turn (who, where, when) ──► Change(value, effects)

`step` makes a `Turn` for each event; every function below it takes the turn first and the value it
changes second, and returns a `Change`.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Concatenate, Final, Generic, NamedTuple, ParamSpec, TypeVar

from foreshore_agent.engine import events
from foreshore_agent.engine.effects import Effect
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import DeviceState, Identity, Recorder, State
from foreshore_api.v1alpha1 import Mode
from foreshore_decision.chain import modes
from foreshore_decision.frozen import Frozen
from foreshore_decision.policy import compiled

T = TypeVar("T")
U = TypeVar("U")
P = ParamSpec("P")

_TAIL: Final = (1 << 62) - 1


class Change(NamedTuple, Generic[T]):
    """A value as it is now, and what is to be done, in order."""

    value: T
    effects: tuple[Effect, ...] = ()

    def then(
        self,
        step: "Callable[Concatenate[Turn, T, P], Change[U]]",
        turn: "Turn",
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> "Change[U]":
        """Take the next step with the value as it is now; its effects follow those so far."""
        following = step(turn, self.value, *args, **kwargs)
        return Change(following.value, (*self.effects, *following.effects))

    def also(self, *more: Effect) -> "Change[T]":
        """Add effects; the value stays."""
        return Change(self.value, (*self.effects, *more))


class Identifiers:
    """UUIDv7s for whatever one event gives birth to: the event's own first, then counted up.

    The counter is the one thing in a turn that moves. It is made with the turn and dies with it, so
    that `step` stays a function of state and event; and it counts identifiers, not effects, so that
    an effect more does not rename the decisions after it.
    """

    __slots__ = ("_first", "_taken")

    def __init__(self, first: str) -> None:
        self._first: Final = first
        self._taken = 0

    def take(self) -> str:
        """Return the next one.

        It is counted up in the random tail: version, variant and time stay as they are, so that
        identifiers sort by time.
        """
        position, self._taken = self._taken, self._taken + 1
        if not position:
            return self._first
        number = uuid.UUID(self._first).int
        return str(uuid.UUID(int=(number & ~_TAIL) | ((number + position) & _TAIL)))


class Stopwatch:
    """What a decision presses when it begins and ends, for whoever measures; this one does not.

    The engine never reads it: what a step returns does not depend on how long it took.
    """

    __slots__ = ()

    def start(self) -> None:
        """A decision begins, or goes on."""

    def stop(self, device: Key, policy: Key) -> None:
        """A decision ends, or waits for the model."""


UNMEASURED: Final = Stopwatch()


class Turn(Frozen, frozen=True):
    """Who acts, where, when, and how its records are named."""

    identity: Identity
    site: str
    source: str
    """CloudEvents source of every record."""
    recorder: Recorder
    at: Instant
    seconds: float
    """The same moment in engine seconds."""
    identifiers: Identifiers
    devices: Mapping[Key, DeviceState]
    """As they were at the beginning: where a policy looks for what another device measures."""
    stopwatch: Stopwatch = UNMEASURED

    def mode(
        self, policy: compiled.CompiledPolicy, *, is_too_slow: bool = False
    ) -> tuple[Mode, tuple[compiled.Cap, ...]]:
        """Return the mode in which a policy may act now, and the caps that lower it.

        Asked before a verdict and again before a command leaves: between the two an intent is
        written, and meanwhile somebody may have pulled the brake. `is_too_slow`: the
        policy is disarmed on the device.
        """
        return modes.of(policy, is_recorder_full=self.recorder.full, is_too_slow=is_too_slow)


def begin(state: State, event: events.Event, stopwatch: Stopwatch = UNMEASURED) -> Turn:
    """Return the turn of one event."""
    return Turn(
        state.identity,
        state.site,
        state.source,
        state.recorder,
        event.at,
        state.identity.seconds(event.at),
        Identifiers(event.fresh),
        state.devices,
        stopwatch,
    )
