"""What a decision is made from: frozen, complete, and everything a record needs to run it again.

The engine gathers `Given`; the gates add what they find to `Facts`, one at a time, by replacement.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import record
from foreshore_decision import expr, features, fencing, samples, served
from foreshore_decision.chain import limiter
from foreshore_decision.frozen import Frozen
from foreshore_decision.policy.compiled import Cap, CompiledPolicy

NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Reading(NamedTuple):
    """The newest telemetry of one property."""

    value: expr.Value | None
    received: float | None
    """Engine seconds; None where nobody knows how old a word is that the broker had kept."""
    problem: str | None = None
    """Why the value was refused at the door, or is void since; it is None then."""
    rate: float | None = None
    """Units per second since the value before, if both are numbers."""
    is_live: bool = True
    """Whether the device said it just then; False of its last word that the broker had kept."""


class Good(NamedTuple):
    """The last valid value of an input."""

    value: expr.Value
    received: float


class Input(Frozen, frozen=True):
    """One input as the chain saw it."""

    name: str
    value: expr.Value | None
    unit: str | None
    received: float | None
    age: float | None
    problem: GateReason | None = None
    substituted: str | None = None
    """`LastGood` or `Default` when the value is not the sensor's own."""
    refusal: str | None = None
    """Of InputRefused: why, by the code of `reasons.telemetry`."""


class Trigger(NamedTuple):
    """What made the chain run."""

    kind: str
    """`Property` or `Silence`."""
    name: str | None
    received: datetime | None
    sampled: datetime | None = None


class Holder(NamedTuple):
    """Under whose right the decision is taken."""

    node: str | None
    epoch: int | None
    standing: fencing.Standing


class Answer(NamedTuple):
    """What came of asking the model: outputs, or why there are none."""

    outputs: Mapping[str, Sequence[expr.Value]]
    attempts: tuple[record.Attempt, ...] = ()
    problem: GateReason | None = None
    """`InferenceLate`, `InferenceFailed` or `OtherVersion`."""
    detail: str | None = None
    model: served.Served | None = None
    """What answered; None where nothing did, or nobody said."""
    provider: str | None = None
    """Execution provider that computed it, where the replica says so."""


class MeasuredFeature(NamedTuple):
    """What was measured of a feature's window whose values are not at hand."""

    number: float | None
    values: int
    """Values in the window."""


class Given(Frozen, frozen=True):
    """Everything the engine knows at the moment of a pass."""

    decision_id: str
    seconds: float
    """Engine seconds: ages, windows and rates count in these."""
    policy: CompiledPolicy
    mode: Mode
    """The effective mode, after every cap."""
    caps: tuple[Cap, ...]
    is_locked: bool
    trigger: Trigger
    readings: Mapping[str, Reading]
    """By property."""
    windows: Mapping[str, features.Window]
    """By feature; a feature that is a last value has none."""
    last_good: Mapping[str, Good]
    """By input, for inputs with onInvalid LastGood."""
    policy_spent: limiter.Spent
    """Of the commands of this policy; below Supervised of what it would have commanded."""
    actuator_spent: limiter.Spent
    """Of the commands of every policy to this actuator; below Supervised with the would-have
    ones."""
    outstanding: int
    """Commands of this actuator that wait for an answer."""
    held_until: float | None
    """Engine seconds until which the actuator is held for this policy."""
    holder: Holder
    is_recorder_full: bool = False
    """Whether the recorder takes no routine records: what lowers the mode beside the policy."""
    is_too_slow: bool = False
    """Whether the policy is disarmed on the device: its decisions took too long."""
    replaced: tuple[tuple[str, int], ...] = ()
    """Samples that newer ones replaced since the policy's last record on the device, by reason. No
    gate looks at it: it is for whoever asks later what became of them."""
    grids: Mapping[str, samples.SampleGrid] = NONE
    """By tensor of the model, of those that take a window of samples."""
    sampled: Mapping[str, samples.SampledWindow] = NONE
    """Windows of samples of which a record holds this alone. An engine has every grid and gives
    none."""
    measured: Mapping[str, MeasuredFeature] = NONE
    """Features of which a record holds this alone: their windows' values are not asked. An engine
    has every window and gives none."""


class Facts(Frozen, frozen=True):
    """What was given and what the gates have found so far."""

    given: Given
    before: Given | None = None
    """What was given before the model was asked; None where it was not gathered anew since."""
    inputs: tuple[Input, ...] = ()
    features: Mapping[str, samples.Sample | None] = NONE
    """As measured, before any preprocessing."""
    sampled: Mapping[str, samples.SampledWindow] = NONE
    """The windows of samples that the model takes, by tensor."""
    values: Mapping[str, expr.Value] = NONE
    """Every name that has a value, for expressions."""
    variables: Mapping[str, expr.Value] = NONE
    answer: Answer | None = None
    outputs: Mapping[str, expr.Value] = NONE
    bindings: expr.Bindings | None = None
    """The values, bound for the expressions after inference."""
    present: Mapping[str, float | None] = NONE
    recommendation: Mapping[str, expr.Value] | None = None
    limited: Mapping[str, expr.Value] | None = None
    reason: str = ""
    """Reason of the rule that permits."""
    message: str = ""
    """What that rule's messageExpression says."""


class Entry(Frozen, frozen=True):
    """One gate's line of a record."""

    gate: GateName
    phase: record.Phase
    reason: str
    """A row of the table, or what the author of a rule wrote."""
    name: str | None = None
    expression: str | None = None
    operands: Mapping[str, expr.Value | None] = NONE
    margin: float | None = None


class Step(Frozen, frozen=True):
    """What a gate returns."""

    facts: Facts
    entry: Entry
