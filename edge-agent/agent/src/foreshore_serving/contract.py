"""What the parent hands the child on its standard input.

Plain dataclasses, so that the child needs no pydantic (13 MB). Made by `main`, passed on by
`supervise`, read by `child`; made by the agent for a model of its own process. The values were
validated by whoever makes it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

NO_LISTENER: Final = -1
"""In place of the descriptor to listen on: try the model, and serve nobody."""


@dataclasses.dataclass(frozen=True, slots=True)
class TensorSpec:
    """One declared input or output; -1 stands for any length."""

    name: str
    data_type: str
    shape: tuple[int, ...]


class ValidatedTensor(Protocol):
    """An input or output as whoever validated it declares it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def data_type(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> Sequence[int]: ...  # noqa: D102


def specs(declared: Iterable[ValidatedTensor]) -> tuple[TensorSpec, ...]:
    """Return declared tensors as plain ones."""
    return tuple(TensorSpec(t.name, t.data_type, tuple(t.shape)) for t in declared)


@dataclasses.dataclass(frozen=True, slots=True)
class Contract:
    """The model version to serve, and the bounds to keep."""

    name: str
    version: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model_bytes: int
    memory_bytes: int
    """Memory of the child, as `limits.MemoryLimit` counts it."""
    load_seconds: float
    stall_seconds: float
    maximum_body_bytes: int
    providers: tuple[str, ...] = ("CPU",)
    """Execution providers, the most wanted first, as a ModelVersion names them."""
    is_first_required: bool = False
    """Whether another than the first may not compute the model."""

    def encode(self) -> bytes:
        """Return the contract as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def fingerprint(self) -> str:
        """Return the SHA-256 of what is declared; names, versions and bounds aside."""
        tensors = [list(map(dataclasses.astuple, specs)) for specs in (self.inputs, self.outputs)]
        runtime = [list(self.providers), self.is_first_required]
        declared = json.dumps([self.digest, *tensors, runtime])
        return hashlib.sha256(declared.encode()).hexdigest()


def decode(body: bytes) -> Contract:
    """Read what `Contract.encode` wrote."""
    return of(json.loads(body))


def of(fields: dict[str, Any]) -> Contract:
    """Return the contract of decoded JSON."""
    tensors = {
        key: tuple(TensorSpec(t["name"], t["data_type"], tuple(t["shape"])) for t in fields[key])
        for key in ("inputs", "outputs")
    }
    return Contract(**{**fields, **tensors, "providers": tuple(fields["providers"])})
