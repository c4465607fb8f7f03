"""What a limited child says of a model file that nobody declared yet.

Written as plain JSON by `foreshore_serving.inspector`, which has no room for pydantic, and read by
`foreshore-agent model inspect`. A stranger's file decides what stands here, so whoever writes cuts
texts and lists to these bounds; of inputs and outputs how many there really are stands beside them.
"""

from typing import Annotated, Final

from pydantic import Field

from foreshore_api.wire import document

TENSORS: Final = 64
"""Inputs, or outputs, that are listed; as many as a Model may declare."""
LABELS: Final = 256
"""Class labels that are listed of one output."""
ENTRIES: Final = 16
"""Operators, files, loops that are listed."""
FINDINGS: Final = 32
SENTENCE: Final = 1024
"""Characters of a finding's texts."""
EXAMPLES: Final = 100
"""Rows whose answers are shown."""
ELEMENTS: Final = 16
"""Elements of one output that are shown."""

Element = bool | document.Integer | Annotated[float, Field(allow_inf_nan=False)] | document.Sentence
"""A number, a Boolean or a text that a model takes or gives."""
OutputElements = Annotated[tuple[Element, ...], Field(max_length=ELEMENTS, fail_fast=True)]
"""The first elements of an output, in row-major order."""


class OperatorSet(document.WireDocument):
    """The operators that a model was written for."""

    domain: document.Code
    """Empty: the standard's own."""
    version: document.Count


class OperatorUse(document.WireDocument):
    """An operator and how often it stands in the graph."""

    domain: document.Code
    name: document.Code
    count: document.Count


class InspectedTensor(document.WireDocument):
    """An input or output as it stands in the file."""

    name: document.Code
    type: document.Code
    """Kind and element type in ONNX's words: `tensor(float)`, `sequence(map(int64, float))`."""
    data_type: document.Code | None = None
    """Element type in the API's words. Absent: one that no Model can declare."""
    shape: tuple[document.Length | document.Code, ...] | None = Field(
        default=None, max_length=64, fail_fast=True
    )
    """Sizes of the dimensions; a free one by its name in the file, or -1 where it has none.
    Absent: the file does not say; a scalar's is empty."""
    answered: tuple[document.Length, ...] | None = Field(
        default=None, max_length=64, fail_fast=True
    )
    """Shape in which an output came for one sample, where the file states another: of `shape` the
    lengths that differ are free then. Absent: it came as stated."""
    labels: tuple[document.Integer | document.Sentence, ...] = Field(
        default=(), max_length=LABELS, fail_fast=True
    )
    """The first class labels, in the order of the last dimension, which says how many there are.
    Absent: it has none that are known."""
    is_unwrapped: bool = False
    """Whether it is a sequence of maps in the file, which serving answers as a tensor."""


class ModelFinding(document.WireDocument):
    """Why a model cannot be used as it is."""

    reason: document.Code
    """A reason of `foreshore_api.reasons.serving`."""
    message: document.Sentence
    remedy: document.Sentence = ""
    """What would change it, of this case. Empty: the remedy of the reason's row."""


class MeasuredModel(document.WireDocument):
    """What loading and running a model took here."""

    usual_seconds: document.Seconds
    """Median of one inference."""
    session_bytes: document.Count
    """Growth of the process by the model."""
    runtime_bytes: document.Count
    """Growth of the process by the runtime, which every process has once."""
    is_bounded: bool
    """Whether how long a run takes depends on nothing but the lengths of its inputs."""


class ElementSummary(document.WireDocument):
    """What one element of an output was over all rows."""

    output: document.Code
    index: document.Count
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    values: dict[document.Code, document.Count] = Field(default={}, max_length=ENTRIES)
    """How often each text, Boolean or whole number was given, the most frequent first."""
    value_count: document.Count = 0
    """How many different ones there were."""


class RowAnswer(document.WireDocument):
    """What the model answered to one row."""

    row: document.Count
    """Number of the row among those that were asked, from 0."""
    outputs: tuple[OutputElements, ...] = Field(max_length=TENSORS, fail_fast=True)
    """The first elements of each output."""


class RowAnswers(document.WireDocument):
    """What the model answered to rows of a recording."""

    asked: document.Count
    """Rows, or windows of them, to which it gave an answer."""
    failed: document.Count = 0
    """Rows to which it gave none."""
    failure: document.Sentence = ""
    """Why, of the first of these."""
    unasked: document.Count = 0
    """Rows for which there was no time."""
    outputs: tuple[document.Code, ...] = Field(max_length=TENSORS, fail_fast=True)
    """Names of the outputs, in the order of every answer."""
    examples: tuple[RowAnswer, ...] = Field(default=(), max_length=EXAMPLES, fail_fast=True)
    summaries: tuple[ElementSummary, ...] = Field(
        default=(), max_length=TENSORS * ELEMENTS, fail_fast=True
    )


class ModelInspection(document.WireDocument):
    """What a model file is, what of it works here, and what does not.

    Read as far as the child came: of bytes that are no model there are findings alone.
    """

    size: document.Count
    """Bytes."""
    digest: document.Digest
    ir_version: document.Count = 0
    """Version of ONNX's file format. 0: the file was not read so far."""
    producer: document.Code = ""
    """Program that wrote the file, with its version."""
    opsets: tuple[OperatorSet, ...] = Field(default=(), max_length=TENSORS, fail_fast=True)
    inputs: tuple[InspectedTensor, ...] = Field(default=(), max_length=TENSORS, fail_fast=True)
    input_count: document.Count = 0
    outputs: tuple[InspectedTensor, ...] = Field(default=(), max_length=TENSORS, fail_fast=True)
    output_count: document.Count = 0
    nodes: document.Count = 0
    """Operators of the graph and of all that it nests."""
    parameters: document.Count = 0
    """Numbers of all constant tensors, as the file says, and of the attributes of its operators."""
    loops: tuple[document.Code, ...] = Field(default=(), max_length=ENTRIES, fail_fast=True)
    """Operators that run as often as their inputs say."""
    foreign: tuple[OperatorUse, ...] = Field(default=(), max_length=ENTRIES, fail_fast=True)
    """Operators outside the domains that are allowed."""
    functions: tuple[document.Code, ...] = Field(default=(), max_length=ENTRIES, fail_fast=True)
    """Operators that the model defines itself."""
    external_files: tuple[document.Code, ...] = Field(
        default=(), max_length=ENTRIES, fail_fast=True
    )
    """Other files in which values of tensors lie."""
    runtime: document.Identity = ""
    """The runtime here and its version. Empty: the model was not loaded."""
    providers: tuple[document.Code, ...] = Field(default=(), max_length=ENTRIES, fail_fast=True)
    """Execution providers of the runtime here, in the API's words where it has one."""
    note: document.Sentence = ""
    """What a person should know of what a model that may be served answers. Empty: nothing."""
    findings: tuple[ModelFinding, ...] = Field(default=(), max_length=FINDINGS, fail_fast=True)
    measured: MeasuredModel | None = None
    """Absent: it did not come to a run."""
    answers: RowAnswers | None = None
    """Absent: no rows were given."""
