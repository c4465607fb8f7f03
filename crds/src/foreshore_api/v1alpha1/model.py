"""Model: what a model is, whichever version serves: its inputs, its outputs, its features."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, ListSet
from foreshore_api.v1alpha1.statuses import Observed

TensorName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][-A-Za-z0-9_.:/]*$", max_length=128)
]
Dimension = Annotated[int, pydantic.Field(ge=-1, le=1048576)]


class ModelFormat(StrEnum):
    """How the artefact is written."""

    ONNX = "ONNX"


class TensorType(StrEnum):
    """Element type, in the words of the Open Inference Protocol."""

    FP32 = "FP32"
    FP64 = "FP64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    BOOL = "BOOL"


class ModelTensor(Document):
    """A named tensor."""

    name: TensorName
    """Name of the tensor in the artefact. Example: `probabilities`."""

    data_type: TensorType
    """Element type. Example: `FP32`."""

    shape: Annotated[tuple[Dimension, ...], pydantic.Field(min_length=1, max_length=8)]
    """Size of each dimension; -1: any size (the batch). Example: `[-1, 3]`."""


class ModelInput(ModelTensor):
    """A tensor that the model takes."""

    features: Annotated[
        tuple[scalars.CamelCase, ...], pydantic.Field(min_length=1, max_length=256), ListSet()
    ]
    """Features of the policy that fill the last dimension, in this order.
    Example: `[light, co2, temperature]`."""


class ModelSpec(Document):
    """Desired state of a Model."""

    format: ModelFormat = ModelFormat.ONNX
    """Format of the artefact; ONNX is the only one. Example: `ONNX`."""

    inputs: Annotated[
        tuple[ModelInput, ...], pydantic.Field(min_length=1, max_length=16), ListMap()
    ]
    """Tensors the model takes. Every version must take the same."""

    outputs: Annotated[
        tuple[ModelTensor, ...], pydantic.Field(min_length=1, max_length=16), ListMap()
    ]
    """Tensors the model gives. Every version must give the same."""


class KnownVersion(Document):
    """A version of the model."""

    name: scalars.ObjectName
    """Name of the ModelVersion. Example: `occupancy-v1`."""

    digest: scalars.Digest
    """Digest of its bytes.
    Example: `sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`."""


class Alias(Document):
    """A name that points to a version."""

    name: scalars.Reason
    """Name of the alias. Example: `Stable`."""

    version: scalars.ObjectName
    """ModelVersion it points to. Example: `occupancy-v1`."""


class ModelStatus(Observed):
    """What the operator knows of a Model."""

    version_count: scalars.Count | None = None
    """Versions that name this model. Absent: not counted yet. Example: `2`."""

    versions: Annotated[tuple[KnownVersion, ...], pydantic.Field(max_length=100), ListMap()] = ()
    """The newest hundred versions, by name. Absent: none."""

    aliases: Annotated[tuple[Alias, ...], pydantic.Field(max_length=16), ListMap()] = ()
    """Where each alias points. Absent: none."""


class Model(meta.Resource):
    """What a model is: its inputs, its outputs, its features."""

    kind: ClassVar[str] = "Model"
    plural: ClassVar[str] = "models"
    short_name: ClassVar[str] = "fsmod"

    spec: ModelSpec
    """Desired state."""

    status: ModelStatus = ModelStatus()
    """Observed state, written by the operator."""
