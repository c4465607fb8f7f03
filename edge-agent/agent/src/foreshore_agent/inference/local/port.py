"""What is asked of a model in this process: `runner` asks, `session` answers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from foreshore_agent.engine import effects


class RunOutputs(NamedTuple):
    """What a model answered."""

    outputs: Mapping[str, tuple[float | int | bool | str, ...]]
    """Flat data of each declared output."""
    seconds: float
    """That the model took."""
    provider: str | None = None
    """Execution provider that computed them."""


class RunFailure(NamedTuple):
    """Why a model gave no answer that can be used."""

    reason: str
    """The code that the inference server would give."""
    seconds: float
    is_request_wrong: bool = False
    """Whether every replica would say so, and none is to blame."""


class StaleEvidenceError(Exception):
    """The trial was of another declaration, by another version of the runtime, or is lost."""


class OutputsDifferError(Exception):
    """The model answers seeded inputs otherwise than in its trial."""


class NotLoadedError(Exception):
    """The runtime refuses here what it took in the trial; the text says why."""


class EndableRun(Protocol):
    """One call that another thread can end before its time."""

    def run(self) -> RunOutputs | RunFailure:
        """Run the model."""
        ...

    def end(self) -> None:
        """Have it end at its next operator; it fails then. Any thread may call this."""
        ...


class LoadedModel(Protocol):
    """A model that can be run."""

    def run(self, given: Sequence[effects.Tensor]) -> RunOutputs | RunFailure:
        """Run it here and now."""
        ...

    def endable(self, given: Sequence[effects.Tensor]) -> EndableRun:
        """Prepare a call that can be ended."""
        ...
