"""Model: what a model is, whichever version serves: its inputs, its outputs, its features."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, ListSet, Rule
from foreshore_api.v1alpha1.statuses import Observed

TensorName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=256)]
"""The name of a tensor as the exporter wrote it, whatever it is: `onnx::Gemm_0`, `8`, `Light (lx)`.
Expressions never read it: they read the name that a policy gives to an output."""
Dimension = Annotated[int, pydantic.Field(ge=-1, le=1048576)]


class ModelFormat(StrEnum):
    """How the artefact is written."""

    ONNX = "ONNX"


class TensorType(StrEnum):
    """Element type, in the words of the Open Inference Protocol."""

    FP16 = "FP16"
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
    BYTES = "BYTES"
    """Text, which ONNX calls a string."""


class ModelTensor(Document):
    """A named tensor."""

    name: TensorName
    """Name of the tensor in the artefact. Example: `probabilities`."""

    data_type: TensorType
    """Element type. Example: `FP32`."""

    shape: Annotated[tuple[Dimension, ...], pydantic.Field(max_length=8)] = ()
    """Size of each dimension; -1: any size (the batch). Absent: a scalar. Example: `[-1, 3]`."""


class Fill(StrEnum):
    """What a window of samples does until it is full."""

    WAIT = "Wait"
    """Nothing is asked until then: the decision says FeatureNotReady."""


class SampleWindow(Document):
    """The last samples of each feature on a fixed grid of time."""

    steps: Annotated[int, pydantic.Field(ge=2, le=1024)]
    """Samples of each feature, the oldest first. Example: `30`."""

    every: scalars.PositiveDuration
    """Distance of two samples, as in training. What comes faster counts once, the newest; one that
    is missing is the one before; what is missing for longer than twice that voids the window.
    Example: `1s`."""

    fill: Fill = Fill.WAIT
    """What happens until it is full. Example: `Wait`."""


class ModelInput(ModelTensor):
    """A tensor that the model takes."""

    features: Annotated[
        tuple[scalars.CamelCase, ...], pydantic.Field(min_length=1, max_length=256), ListSet()
    ]
    """Features and inputs of the policy that fill the last dimension, in this order.
    Example: `[light, co2, temperature]`."""

    window: SampleWindow | None = None
    """Samples that fill the middle dimension of a shape [batch, steps, features]. Absent: the model
    is asked with one sample."""

    validations = (
        Rule(
            rule="!has(self.window) || has(self.shape) && self.shape.size() == 3 &&"
            " (self.shape[1] == -1 || self.shape[1] == self.window.steps)",
            message="a window fills the middle of a shape [batch, steps, features]: its steps are"
            " the middle dimension, or that is -1",
            field_path=".window",
        ),
        Rule(
            rule="!has(self.window) || self.window.steps * self.features.size() <= 8192",
            message="a window holds at most 8192 values, steps times features",
            field_path=".window",
        ),
    )


class Scale(Document):
    """How training centred and scaled a number: the model takes (value - mean) / deviation."""

    mean: scalars.Decimal
    """Mean that training took away. Example: `"412.5"`."""

    deviation: scalars.Decimal
    """Standard deviation that training divided by, above zero. Example: `"88.1"`."""

    validations = (
        Rule(
            rule="double(self.deviation) > 0.0",
            message="a deviation is above zero",
            field_path=".deviation",
        ),
    )


class Encoding(StrEnum):
    """How a category becomes numbers."""

    ONE_HOT = "OneHot"
    """A column for each category: 1 in its own, 0 in the others."""
    INDEX = "Index"
    """Its place among the categories, from 0."""


class UnknownCategory(StrEnum):
    """What a value leads to that is no category."""

    REFUSE = "Refuse"
    """The model is not asked."""
    ZEROS = "Zeros"
    """Every column is 0, as training had it; with OneHot only."""


class Categories(Document):
    """How training turned a text into numbers."""

    values: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...],
        pydantic.Field(min_length=1, max_length=256),
        ListSet(),
    ]
    """Categories in the order of training; of an Integer in digits, of a Boolean true and false.
    Example: `[idle, running, stopped]`."""

    encoding: Encoding = Encoding.ONE_HOT
    """How a category becomes numbers. Example: `OneHot`."""

    unknown: UnknownCategory = UnknownCategory.REFUSE
    """What any other value leads to. Example: `Refuse`."""

    validations = (
        Rule(
            rule="self.unknown != 'Zeros' || self.encoding == 'OneHot'",
            message="an index has no zeros for what is no category: refuse it, or encode OneHot",
            field_path=".unknown",
        ),
    )


class Preprocessing(Document):
    """What training did to a feature outside the model; exactly one of scale and categories."""

    name: scalars.CamelCase
    """Feature that an input of the model takes. Example: `co2`."""

    scale: Scale | None = None
    """How its number is scaled. Absent: not scaled."""

    categories: Categories | None = None
    """How its text becomes numbers. Absent: it is a number already, or the model takes text."""

    validations = (
        Rule(
            rule="has(self.scale) != has(self.categories)",
            message="exactly one of scale and categories is needed",
        ),
    )


class ModelSpec(Document):
    """Desired state of a Model."""

    format: ModelFormat = ModelFormat.ONNX
    """Format of the artefact; ONNX is the only one. Example: `ONNX`."""

    inputs: Annotated[
        tuple[ModelInput, ...], pydantic.Field(min_length=1, max_length=64), ListMap()
    ]
    """Tensors the model takes. Every version must take the same."""

    outputs: Annotated[
        tuple[ModelTensor, ...], pydantic.Field(min_length=1, max_length=64), ListMap()
    ]
    """Tensors that are asked of the model; it may give others. Every version must give the same. A
    sequence of maps, as scikit-learn's converter writes the probabilities of a classifier, is
    declared as the tensor [batch, classes] that it is made of, in the order of the classes."""

    preprocessing: Annotated[
        tuple[Preprocessing, ...], pydantic.Field(max_length=256), ListMap()
    ] = ()
    """What training did to features outside the model: done to each before the model is asked.
    Absent: the model takes features as they are."""


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
