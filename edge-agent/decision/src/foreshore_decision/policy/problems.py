"""Why a policy does not compile: every problem at once, as reason, path and message."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from foreshore_api import conditions


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One thing that keeps a policy from compiling; `reason` is one of `conditions.Reason`."""

    reason: conditions.Reason
    path: str
    """Where, in the words of the resource: `spec.rules[occupied].expression`."""
    message: str


class ModelFault(NamedTuple):
    """What is wrong with a Model by itself, whichever policy asks it."""

    path: str
    """Where in the Model: `spec.inputs[window].shape`."""
    part: str
    """The same in a word, for who asks it: `input window`."""
    message: str
    reason: conditions.Reason = conditions.Reason.INVALID

    @property
    def problem(self) -> PolicyProblem:
        """The same, as a problem of a policy that asks the model."""
        return PolicyProblem(self.reason, f"spec.modelRef: {self.part}", self.message)


class PolicyError(ValueError):
    """A policy that does not compile for a device; `problems` has everything that is wrong."""

    def __init__(self, problems: Iterable[PolicyProblem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__(
            "; ".join(f"{problem.path}: {problem.message}" for problem in self.problems)
        )

    @property
    def reason(self) -> conditions.Reason:
        """The reason of the first problem."""
        return self.problems[0].reason


def unexpected(error: Exception) -> PolicyProblem:
    """Return the problem of a policy whose compiling failed as nobody foresaw.

    It is a defect of ours, and must cost nobody but that policy anything.
    """
    why = f"cannot be compiled ({type(error).__name__}: {error}); change what was edited last"
    return PolicyProblem(conditions.Reason.COMPILE_FAILED, "spec", why)


class Problems:
    """Collects problems while a policy is being compiled."""

    def __init__(self) -> None:
        self.noted: Final[list[PolicyProblem]] = []

    def add(self, reason: conditions.Reason, path: str, message: str) -> None:
        """Note a problem."""
        self.noted.append(PolicyProblem(reason, path, message))

    def raise_any(self) -> None:
        """Raise PolicyError if anything was noted."""
        if self.noted:
            raise PolicyError(self.noted)
