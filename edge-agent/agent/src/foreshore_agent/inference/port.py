"""What the runtime needs of inference, whatever protocol and however many replicas answer.

    engine ──Infer──► InferencePort ──► replicas
    engine ◄──Inferred | InferenceLate | InferenceFailed── then(ModelAnswer | Unanswered)

`runtime.core` asks through it, `runtime.facts` reports how the replicas do; `runtime.life` picks
who it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from foreshore_agent.engine import effects
from foreshore_api.wire import assignment, record, report
from foreshore_decision import served
from foreshore_decision.frozen import Frozen


class ModelAnswer(Frozen, frozen=True):
    """What answered, and its outputs by name, flat."""

    model: served.Served
    outputs: Mapping[str, tuple[float | int | bool | str, ...]]
    attempts: tuple[record.Attempt, ...]
    node: str
    """The replica's node."""
    network: float
    """Seconds that no server spent, failed attempts included; 0 where no network is between."""
    inference: float | None
    """Seconds that the server says it spent."""
    provider: str | None = None
    """Execution provider that computed it, where it says so."""
    queued: float | None = None
    """Seconds of `inference` in which the model did not run, where the server says so."""


class Unanswered(Frozen, frozen=True):
    """No replica answered in time; `is_late` if one of them had merely not answered yet."""

    reason: str
    attempts: tuple[record.Attempt, ...]
    is_late: bool


Then = Callable[[ModelAnswer | Unanswered], None]


class ModelsPort(Protocol):
    """Who answers for models: all that the engine's host asks of inference."""

    def ask(self, asked: effects.Infer, then: Then) -> None:
        """Ask the model of a policy's version that is in force on a device.

        For at most the question's timeout; `then` is called exactly once, in the event loop: before
        this returns where the model runs in this process and is quick, else later.
        """
        ...


class InferencePort(ModelsPort, Protocol):
    """Every replica that this agent may ask."""

    def assign(self, policies: Sequence[assignment.AssignedPolicy]) -> None:
        """Take every version in force, with the endpoints that answer for it."""
        ...

    def reports(self) -> tuple[report.EndpointReport, ...]:
        """Return how the calls of every replica went lately."""
        ...

    async def watch(self) -> None:
        """Look after the replicas until cancelled."""
        ...

    def close(self) -> None:
        """Ask nobody any more."""
        ...
