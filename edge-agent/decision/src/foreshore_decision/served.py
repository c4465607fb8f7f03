"""What answered for a model: its name, the version and the bytes, against what was asked.

The agent compares every answer before it counts as one, the Inference gate compares it again before
anything is decided on it, and the record names what answered.
"""

from typing import NamedTuple

from foreshore_api.v1alpha1 import modelversion
from foreshore_api.wire import assignment


class Served(NamedTuple):
    """One version of a model; what nobody said is empty."""

    name: str
    version: str
    digest: str

    @property
    def is_whole(self) -> bool:
        """Whether everything was said."""
        return all(self)

    def __str__(self) -> str:
        return f"{self.version or 'an unnamed version'} ({self.digest[:19] or 'no digest'})"


def of(model: assignment.AssignedModel) -> Served:
    """Return what a policy's model version has to be served as."""
    return Served(model.name, model.version, model.artefact.digest)


def is_first_required(runtime: modelversion.ModelRuntime) -> bool:
    """Whether another execution provider than the first may not compute a version."""
    return runtime.require is modelversion.RequiredProvider.FIRST


def contradicts(asked: Served, answered: Served) -> bool:
    """Whether something else answered; what it does not say of itself contradicts nothing."""
    return answered != asked and any(
        reported and reported != wanted for wanted, reported in zip(asked, answered, strict=True)
    )
