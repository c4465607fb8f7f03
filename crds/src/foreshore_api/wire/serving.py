"""What the one who starts `foreshore-serving` tells it (`model.json`).

And what it leaves behind when it cannot serve.

The operator writes `model.json` into a ConfigMap, the agent in folder mode into its state
directory; the operator reads the `Ending` back from the container's termination message.
"""

from collections.abc import Iterable
from typing import Final

from pydantic import Field, model_validator

from foreshore_api.wire import document

_COMPILING: Final = frozenset({"TensorRT", "MIGraphX"})
_COMPILE_SECONDS: Final = 540.0


def compile_seconds(providers: Iterable[str]) -> float:
    """Return how much longer loading may take: execution providers that compile need minutes."""
    return 0.0 if _COMPILING.isdisjoint(providers) else _COMPILE_SECONDS


class HttpsSource(document.WireDocument):
    """An artefact behind https; `ca_file` verifies the server, not the system's trust store."""

    url: str = Field(max_length=2048, pattern="^https://")
    ca_file: str | None = Field(default=None, max_length=4096)


class FileSource(document.WireDocument):
    """An artefact on this machine."""

    path: str = Field(min_length=1, max_length=4096)


class Source(document.WireDocument):
    """Where the bytes come from: exactly one of the fields. Only a hint: the digest decides."""

    https: HttpsSource | None = None
    file: FileSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        if (self.https is None) == (self.file is None):
            message = "exactly one of https and file must be given"
            raise ValueError(message)
        return self


class DeclaredTensor(document.WireDocument):
    """One input or output as the Model declares it; -1 stands for any length."""

    name: str = Field(min_length=1, max_length=256)
    data_type: str = Field(max_length=8)
    shape: tuple[document.Length, ...] = Field(max_length=8, fail_fast=True)


class ModelConfig(document.WireDocument):
    """One model version to serve."""

    name: str = Field(min_length=1, max_length=253)
    """Name of the Model: the protocol's model name."""
    version: str = Field(min_length=1, max_length=253)
    """Name of the ModelVersion: the protocol's model version."""
    digest: document.Digest = Field(pattern="^sha256:[0-9a-f]{64}$")
    source: Source
    inputs: tuple[DeclaredTensor, ...] = Field(min_length=1, max_length=64, fail_fast=True)
    outputs: tuple[DeclaredTensor, ...] = Field(min_length=1, max_length=64, fail_fast=True)
    providers: tuple[document.Code, ...] = Field(
        default=("CPU",), min_length=1, max_length=16, fail_fast=True
    )
    """Execution providers, the most wanted first; the names are those of ModelVersion."""
    is_first_required: bool = False
    """Whether a fall-back to another provider than the first is refused."""
    maximum_bytes: document.Ordinal = 256 * 1024 * 1024
    """Larger artefacts are refused before they are read to the end."""


class Ending(document.WireDocument):
    """Why a serving process ended before or while serving: its container's termination message."""

    reason: str = Field(max_length=64)
    """CamelCase, for a condition."""
    message: str = Field(max_length=3000)
