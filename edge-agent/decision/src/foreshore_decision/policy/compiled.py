"""A policy as the gates read it: names resolved, durations in seconds, expressions compiled.

`compile` builds one for each (policy, device); the chain and the engine only read it. Plain frozen
dataclasses: this is the hot path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from foreshore_api.v1alpha1 import DataType, Mode
from foreshore_api.v1alpha1.actuation import OnLimit, RecordLevel
from foreshore_api.v1alpha1.commanding import AcknowledgementKind
from foreshore_api.v1alpha1.evaluation import Aggregate, OnInvalid
from foreshore_api.v1alpha1.protection import Fence
from foreshore_api.v1alpha1.telemetry import Payload
from foreshore_decision import expr, samples, served


class OtherProperty(NamedTuple):
    """A property of another device of the site, which a policy reads and never sets."""

    namespace: str
    device: str
    uid: str
    """Of the device."""
    property: str
    name: str
    """Under which a policy's readings, windows and records have it, as `name_elsewhere` says."""


def name_elsewhere(device: str, property_: str) -> str:
    """Return the name of another device's property; no property's own has a dot."""
    return f"{device}.{property_}"


def names_elsewhere(device: str, properties: Iterable[str]) -> frozenset[str]:
    """Return the names of several of its properties."""
    return frozenset(name_elsewhere(device, name) for name in properties)


@dataclass(frozen=True, slots=True)
class CompiledInput:
    """A property that the policy reads; bounds are the tightest of policy and profile."""

    name: str
    property: str
    """Under which readings have it: `co2`, or of another device `valve-1.position`."""
    type: DataType
    unit: str | None
    maximum_age: float
    minimum: float | None
    maximum: float | None
    maximum_rate: float | None
    on_invalid: OnInvalid
    default: expr.Value | None
    other: OtherProperty | None = None
    """What it is where it is another device's; None: the decided device's own."""

    def identity(self) -> tuple[str, str, DataType]:
        """Return what values that came for it are kept by: inputs of the same share them.

        What bounds say of whether they are believed is no part of it.
        """
        return self.name, self.property, self.type


@dataclass(frozen=True, slots=True)
class Feature:
    """A number made of an input, or its last value; `seconds` is 0 for Last."""

    name: str
    input: str
    property: str
    aggregate: Aggregate
    seconds: float
    coverage: float = 0.0
    """Least share of the window that must have been listened to."""

    def has_window_of(self, other: "Feature") -> bool:
        """Whether the values that it is made of are those of another feature."""
        return (self.name, self.input, self.property, self.seconds) == (
            other.name,
            other.input,
            other.property,
            other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Named:
    """An expression under a name: a match condition or a variable."""

    name: str
    expression: expr.Expression


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A Permit or a Forbid."""

    name: str
    expression: expr.Expression
    reason: str
    message: expr.Expression | None


@dataclass(frozen=True, slots=True)
class Bound:
    """What one input of the action may be; `property` is measured for the step."""

    name: str
    property: str | None
    type: DataType
    unit: str | None
    expression: expr.Expression
    minimum: float | None
    maximum: float | None
    maximum_step: float | None
    present_age: float
    """Oldest measurement of `property`, in seconds, that a step may be counted from."""
    tolerance: float = 0.0
    """How far a report of `property` may lie from what was told to be the same."""


class Scaling(NamedTuple):
    """The model takes (value - mean) / deviation."""

    mean: float
    deviation: float


class CategoryCodes(NamedTuple):
    """Which number stands for a value; the model takes that, or a column for each category."""

    places: Mapping[samples.Sample, int]
    """Place of each category, by the value as it is measured: a text, or a number."""
    is_one_hot: bool
    is_unknown_zero: bool
    """Whether any other value is 0 in every column; else the model is not asked with it."""

    @property
    def width(self) -> int:
        """Columns of the tensor that it fills."""
        return len(self.places) if self.is_one_hot else 1


Preparation = Scaling | CategoryCodes
"""What training did to a feature outside the model."""


class SampledInputs(NamedTuple):
    """A window of samples that a tensor takes: `steps` of each of its features, `every` seconds."""

    steps: int
    every: float
    sources: tuple[CompiledInput, ...]
    """The input of each feature, in the order of the features."""

    def has_samples_of(self, other: "SampledInputs") -> bool:
        """Whether it is filled as another one is, whatever is believed."""
        mine, theirs = (
            [source.identity() for source in window.sources] for window in (self, other)
        )
        return (self.steps, self.every, mine) == (other.steps, other.every, theirs)

    def grid(self) -> samples.SampleGrid:
        """Return the window that nothing has come for."""
        return samples.empty(self.steps, self.every, len(self.sources))


@dataclass(frozen=True, slots=True)
class InputTensor:
    """One input tensor of the model: a batch of one."""

    name: str
    data_type: str
    shape: tuple[int, ...]
    features: tuple[str, ...]
    is_integer: bool
    preparations: tuple[Preparation | None, ...] = ()
    """Of each feature; empty: the model takes all of them as they are."""
    window: SampledInputs | None = None
    """None: it takes one sample."""

    def has_window_of(self, other: "InputTensor") -> bool:
        """Whether the samples of its window are those of another tensor."""
        mine, theirs = self.window, other.window
        if mine is None or theirs is None:
            return False
        named = (self.name, self.features) == (other.name, other.features)
        return named and mine.has_samples_of(theirs)


@dataclass(frozen=True, slots=True)
class Output:
    """One element of the model's answer, under a name."""

    name: str
    tensor: str
    index: int
    type: DataType = DataType.NUMBER
    """Number, also of a Boolean (0 or 1); String where the tensor is of texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """How the model is asked; equal to itself alone, so that what is made of it is cached.

    `model` is its name in the inference protocol.
    """

    model: str
    version: str
    digest: str
    tensors: tuple[InputTensor, ...]
    outputs: tuple[Output, ...]
    timeout: float
    is_rule_only: bool
    """Whether a failed inference leaves the rules to decide."""
    asked: served.Served = field(init=False)
    """What has to answer."""
    features: tuple[str, ...] = field(init=False)
    """Every value that any tensor takes, each once."""
    sampled: tuple[tuple[InputTensor, SampledInputs], ...] = field(init=False)
    """Tensors that take a window of samples, each with it."""

    def __post_init__(self) -> None:
        """Work out what every decision asks for."""
        names = (name for tensor in self.tensors for name in tensor.features)
        object.__setattr__(self, "asked", served.Served(self.model, self.version, self.digest))
        object.__setattr__(self, "features", tuple(dict.fromkeys(names)))
        sampled = ((tensor, tensor.window) for tensor in self.tensors)
        windows = tuple((tensor, window) for tensor, window in sampled if window is not None)
        object.__setattr__(self, "sampled", windows)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A smallest distance between commands, a number of them in any window, or both; 0: neither."""

    name: str
    minimum_interval: float
    burst: int
    per: float


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a command is confirmed: `expression` over `difference`, within `timeout` seconds."""

    property: str
    input: str
    environment: expr.Environment
    expression: expr.Expression
    timeout: float


@dataclass(frozen=True, slots=True)
class CompiledMessage:
    """How one device is told one action in its own dialect."""

    payload: Payload
    template: expr.Template
    environment: expr.Environment
    parameters: Mapping[str, expr.Value]
    """Those of the device that the template names, under the names that it reads."""

    def document(self, values: Mapping[str, expr.Value]) -> expr.Document | expr.NoValue:
        """Return what the device is told, of the values by input, or why there is nothing."""
        bindings = self.environment.bind({**values, **self.parameters})
        return self.template.evaluate(bindings)


@dataclass(frozen=True, slots=True)
class CompiledEcho:
    """The device's own report of what an input set, in seconds after sending."""

    property: str
    input: str
    within: float


@dataclass(frozen=True, slots=True)
class CompiledReply:
    """An answer on a topic of its own: `expression` over it and the inputs, in seconds."""

    environment: expr.Environment
    expression: expr.Expression
    type: DataType
    within: float


@dataclass(frozen=True, slots=True)
class CompiledAcknowledgement:
    """How it is known that a command worked; of the kind None nothing tells."""

    kind: AcknowledgementKind
    echo: CompiledEcho | None = None
    reply: CompiledReply | None = None

    @property
    def within(self) -> float | None:
        """Seconds after sending in which it must come; None: the command's time to live."""
        declared = self.echo or self.reply
        return None if declared is None else declared.within


@dataclass(frozen=True, slots=True)
class Cap:
    """Why the effective mode is lower than the one asked for."""

    reason: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that expressions of one stage may read, and those that any of them does."""

    environment: expr.Environment
    used: tuple[str, ...]
    variables: tuple[Named, ...]
    """Evaluated at the beginning of the stage, in order."""


@dataclass(frozen=True, slots=True)
class CompiledAction:
    """What the policy commands."""

    name: str
    bounds: tuple[Bound, ...]
    on_limit: OnLimit
    priority: int
    time_to_live: float
    settling_time: float
    """Longest settling time of what it sets."""
    actuators: frozenset[str]
    """What it moves: two actions that set one property move one actuator."""


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    """When the policy is evaluated; `after_silence` 0 means never."""

    properties: frozenset[str]
    minimum_interval: float
    after_silence: float


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPolicy:
    """One policy, for one device; equal to itself alone, so that what is made of it is cached."""

    namespace: str
    name: str
    uid: str
    generation: int
    digest: str
    mode: Mode
    caps: tuple[Cap, ...]
    """Caps that the device itself imposes."""
    on_recorder_full: Mode
    trigger: CompiledTrigger
    inputs: tuple[CompiledInput, ...]
    features: tuple[Feature, ...]
    windowed: tuple[tuple[Feature, CompiledInput], ...]
    """Features with a window, each with the input that fills it."""
    others: tuple[OtherProperty, ...]
    """Properties of other devices that it reads, each once."""
    parameters: Mapping[str, expr.Value]
    before: Scope
    """Names before the model has answered."""
    after: Scope
    """Names after the model has answered: `before` and its outputs."""
    conditions: tuple[Named, ...]
    inference: Inference | None
    permits: tuple[CompiledRule, ...]
    forbids: tuple[CompiledRule, ...]
    action: CompiledAction
    policy_rate: RateLimit | None
    actuator_rate: RateLimit | None
    confirmation: Confirmation | None
    message: CompiledMessage | None
    """How the device is told in its own dialect; None: by the envelope."""
    acknowledgement: CompiledAcknowledgement
    """How it is known that a command worked."""
    fence: Fence | None
    """Who fences the device; None: nobody is named."""
    sample_rate: float
    keep_per_verdict: int
    record_level: RecordLevel
    identity: Mapping[str, Any]
    """The parts of a record that never change for this policy, rendered once."""

    @property
    def sampled(self) -> tuple[tuple[InputTensor, SampledInputs], ...]:
        """Tensors of its model that take a window of samples, each with it."""
        return () if self.inference is None else self.inference.sampled
