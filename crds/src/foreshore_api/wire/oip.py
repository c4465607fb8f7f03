"""The messages of the Open Inference Protocol, version 2, that agent and serving exchange as JSON.

The protocol's own names are snake_case, so these models carry no aliases. Tensors travel as flat
lists in row-major order. Source: the Open Inference Protocol specification, REST,
`v2/models/{name}/infer`.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from foreshore_api.wire import document

DATA_TYPES: Final = (
    "BOOL",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
)
"""Tensor element types that a Model may declare, in the protocol's spelling."""

SERVER_TIMING: Final = "server-timing"
"""Response header: `queue;dur=<ms>, infer;dur=<ms>`.

What is left of the round trip is the network's.
"""


class _OipDocument(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


ELEMENTS: Final = 1 << 20
"""Elements of one tensor at most."""

TEXT: Final = 1024
"""Characters of one element of text at most."""

Element = (
    Annotated[float, Field(allow_inf_nan=False)]
    | document.Integer
    | bool
    | Annotated[str, Field(max_length=TEXT)]
)
"""One element of a tensor, text in a tensor of BYTES; what is not finite is refused."""


class TensorData(_OipDocument):
    """One named tensor; `data` holds the elements of `shape`, flattened."""

    name: str = Field(min_length=1, max_length=256)
    datatype: str = Field(max_length=8)
    shape: tuple[document.Length, ...] = Field(max_length=8, fail_fast=True)
    data: tuple[Element, ...] = Field(max_length=ELEMENTS, fail_fast=True)


class RequestedOutput(_OipDocument):
    """One output that the caller wants back; asking for none means all."""

    name: str = Field(min_length=1, max_length=256)


class InferRequest(_OipDocument):
    """The body of an inference call."""

    id: str | None = Field(default=None, max_length=64)
    inputs: tuple[TensorData, ...] = Field(min_length=1, max_length=64, fail_fast=True)
    outputs: tuple[RequestedOutput, ...] = Field(default=(), max_length=64, fail_fast=True)


class ResponseParameters(_OipDocument):
    """What an answer says beyond the protocol, in the place that it leaves for that."""

    digest: document.Digest | None = None
    """The SHA-256 of the bytes that answered, as `sha256:…`."""
    provider: document.Code | None = None
    """The execution provider that computed it, as a ModelVersion names it."""


class InferResponse(_OipDocument):
    """The answer to an inference call; name, version and digest say what answered."""

    model_name: document.Name
    model_version: document.Name | None = None
    id: document.Identity | None = None
    parameters: ResponseParameters | None = None
    outputs: tuple[TensorData, ...] = Field(max_length=64, fail_fast=True)


class TensorMetadata(_OipDocument):
    """Name, type and shape of a declared tensor; -1 stands for any length."""

    name: str = Field(min_length=1, max_length=256)
    datatype: str = Field(max_length=8)
    shape: tuple[document.Length, ...] = Field(max_length=8, fail_fast=True)


class ModelMetadata(_OipDocument):
    """What `GET v2/models/{name}` answers.

    `digest` is ours: the SHA-256 of the bytes that were loaded.
    """

    name: document.Name
    versions: tuple[document.Name, ...] = Field(default=(), max_length=64, fail_fast=True)
    platform: document.Code = "onnx_onnxruntime"
    inputs: tuple[TensorMetadata, ...] = Field(max_length=64, fail_fast=True)
    outputs: tuple[TensorMetadata, ...] = Field(max_length=64, fail_fast=True)
    digest: document.Digest | None = None
    provider: document.Code | None = None
    """The execution provider that computes it, as a ModelVersion names it."""


class ModelReady(_OipDocument):
    """What `GET v2/models/{name}/ready` answers; others than ours may answer nothing."""

    name: document.Name
    ready: bool
    parameters: ResponseParameters | None = None


class ServerMetadata(_OipDocument):
    """What `GET v2` answers."""

    name: document.Name
    version: document.Name
    extensions: tuple[document.Code, ...] = Field(default=(), max_length=64, fail_fast=True)


class Failure(_OipDocument):
    """The body of every answer that is not a success."""

    error: document.Prose
