"""DecisionPolicy: which devices, which model, within which time, under which rules.

Rules that a policy can break on its own are refused at apply; what depends on other objects
(references, units, limits wider than the device's) becomes `Ready=False` with a reason, so that
the order of apply does not matter.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, NotSupported, Rule
from foreshore_api.v1alpha1 import actuation, evaluation, placing, protection, selection
from foreshore_api.v1alpha1.statuses import Observed


class Mode(StrEnum):
    """How far a policy may go, in rising order."""

    DISABLED = "Disabled"
    SHADOW = "Shadow"
    ADVISE = "Advise"
    SUPERVISED = "Supervised"
    AUTONOMOUS = "Autonomous"


class Hazard(StrEnum):
    """What a wrong action can do."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class ModelReference(Document):
    """The model that is asked: one version, or an alias of a model."""

    version: scalars.ObjectName | None = None
    """ModelVersion that is asked. Absent: the alias says which. Example: `occupancy-v1`."""

    model: Annotated[scalars.ObjectName | None, NotSupported()] = None
    """Model whose alias is followed. Absent: `version` says which. Example: `occupancy`."""

    alias: Annotated[scalars.Reason | None, NotSupported()] = None
    """Alias that is followed. Absent: `version` says which. Example: `Stable`."""

    validations = (
        Rule(
            rule="has(self.version) != has(self.model) && has(self.model) == has(self.alias)",
            message="modelRef needs either version, or model and alias",
        ),
    )


HAZARD_RULES = (
    Rule(
        rule="self.hazard != 'High' || self.mode != 'Autonomous'",
        message="hazard High allows at most mode Supervised",
        field_path=".mode",
    ),
    Rule(
        rule="self.hazard != 'High' || self.mode != 'Supervised' || (has(self.approval)"
        " && has(self.approval.quorum) && self.approval.quorum >= 2)",
        message="hazard High needs an approval quorum of at least 2",
        field_path=".approval",
    ),
    Rule(
        rule="self.hazard != 'High' || !has(self.outcomes)"
        " || self.outcomes.all(o, !has(o.holdout) || double(o.holdout) == 0.0)",
        message="hazard High allows no holdout",
        field_path=".outcomes",
    ),
    Rule(
        rule="self.mode != 'Supervised' || has(self.approval)",
        message="mode Supervised needs approval",
        field_path=".approval",
        reason="FieldValueRequired",
    ),
)

NAME_RULES = (
    Rule(
        rule="!has(self.features) || self.features.all(f, has(self.inputs)"
        " && self.inputs.exists(i, i.name == f.input))",
        message="a feature is made of an input that the policy does not have",
        field_path=".features",
    ),
    Rule(
        rule="!has(self.features) || !has(self.inputs) || self.features.all(f,"
        " !self.inputs.exists(i, i.name == f.name) || (f.input == f.name"
        " && f.aggregate == 'Last'))",
        message="a feature has the name of an input that it is not the last value of",
        field_path=".features",
    ),
    Rule(
        rule="!has(self.variables) || self.variables.all(v,"
        " !(has(self.inputs) && self.inputs.exists(i, i.name == v.name))"
        " && !(has(self.features) && self.features.exists(f, f.name == v.name)))",
        message="a variable has the name of an input or feature",
        field_path=".variables",
    ),
    Rule(
        rule="!has(self.inference.outputs) || self.inference.outputs.all(o,"
        " !(has(self.inputs) && self.inputs.exists(i, i.name == o.name))"
        " && !(has(self.features) && self.features.exists(f, f.name == o.name))"
        " && !(has(self.variables) && self.variables.exists(v, v.name == o.name)))",
        message="an output has the name of an input, feature or variable",
        field_path=".inference.outputs",
    ),
    Rule(
        rule="!has(self.action.limits) || self.action.limits.all(l, has(self.action.input)"
        " && self.action.input.exists(i, i.name == l.input))",
        message="a limit bounds an input that the action does not set",
        field_path=".action.limits",
    ),
)


class DecisionPolicySpec(Document):
    """Desired state of a DecisionPolicy."""

    mode: Annotated[Mode, NotSupported(unless=("Disabled", "Shadow", "Advise", "Autonomous"))] = (
        Mode.SHADOW
    )
    """Disabled: not evaluated. Shadow: recorded. Advise: published. Supervised: a person agrees.
    Autonomous: acts. The system may lower it, only a person raises it. Example: `Advise`."""

    hazard: Annotated[Hazard, NotSupported(unless=("Low", "Medium"))]
    """What a wrong action can do: Low, Medium or High. High is at most Supervised, with a quorum of
    two and no holdout. Example: `Low`."""

    latency_budget: Annotated[scalars.Duration, scalars.Between("1ms", "1h")]
    """End-to-end p99 from sample (or its receipt) to the device's answer: its acknowledgement, its
    reply, or the report that echoes what it was told. Example: `200ms`."""

    device_selector: selection.LabelSelector
    """Devices of the namespace that are decided for, at least one term."""

    model_ref: ModelReference | None = None
    """Model that is asked. Absent: the policy is rules only."""

    parameters: Annotated[
        tuple[evaluation.Parameter, ...], pydantic.Field(max_length=32), ListMap()
    ] = ()
    """Values that devices may set for themselves. Absent: none."""

    placement: placing.Placement = placing.Placement()
    """Where and how often the model is served."""

    trigger: evaluation.TriggerSpec = evaluation.TriggerSpec()
    """When the policy is evaluated."""

    inputs: Annotated[
        tuple[evaluation.InputSpec, ...], pydantic.Field(max_length=64), ListMap()
    ] = ()
    """Properties that the policy reads. Absent: none."""

    features: Annotated[
        tuple[evaluation.FeatureSpec, ...], pydantic.Field(max_length=64), ListMap()
    ] = ()
    """Numbers that the model takes. Absent: every input, its last value."""

    match_conditions: Annotated[
        tuple[evaluation.MatchCondition, ...], pydantic.Field(max_length=16), ListMap()
    ] = ()
    """Conditions that must hold for the policy to apply. Absent: it always applies."""

    variables: Annotated[
        tuple[evaluation.Variable, ...], pydantic.Field(max_length=32), ListMap()
    ] = ()
    """Named expressions, in order. Absent: none."""

    inference: evaluation.InferenceSpec = evaluation.InferenceSpec()
    """How the model is asked."""

    signal: Annotated[evaluation.Signal | None, NotSupported()] = None
    """Hysteresis. Absent: the gate is off, every permitted evaluation commands."""

    rules: Annotated[
        tuple[evaluation.DecisionRule, ...], pydantic.Field(min_length=1, max_length=64), ListMap()
    ]
    """Rules over the facts. Forbid overrides Permit; without a true Permit nothing happens."""

    action: actuation.PolicyAction
    """What the policy wants done."""

    rate_limit: protection.RateLimitSpec | None = None
    """How often this policy may command a device; the actuator's own limit is on the device.
    Absent: the gate is off."""

    interlocks: protection.Interlocks = ()
    """Conditions that block or trip. Absent: the devices' only."""

    approval: Annotated[actuation.Approval | None, NotSupported()] = None
    """A person's consent, for mode Supervised. Absent: the gate is off."""

    degraded: actuation.Degraded = actuation.Degraded()
    """Which mode is left when something the policy leans on is weak."""

    outcomes: Annotated[
        tuple[actuation.OutcomeSpec, ...], pydantic.Field(max_length=16), NotSupported(), ListMap()
    ] = ()
    """What happened next, joined to decisions. Absent: nothing is joined."""

    record: actuation.RecordSpec = actuation.RecordSpec()
    """What is kept of decisions."""

    validations = (
        *HAZARD_RULES,
        *NAME_RULES,
        Rule(
            rule="has(self.modelRef) || !has(self.inference.outputs)"
            " || size(self.inference.outputs) == 0",
            message="outputs need a modelRef",
            field_path=".modelRef",
            reason="FieldValueRequired",
        ),
    )


class BoundCounts(Document):
    """What the policy is bound to."""

    devices: scalars.Count = 0
    """Devices that the selector matches and that are ready. Example: `12`."""

    sites: scalars.Count = 0
    """Sites these devices stand at. Example: `1`."""


class DecisionPolicyStatus(Observed):
    """What the operator knows of a DecisionPolicy."""

    policy_digest: (
        Annotated[str, StringConstraints(pattern=r"^sha256:[a-f0-9]{64}$", max_length=71)] | None
    ) = None
    """Digest of the spec that agents were given; records name it. Absent: nothing was given yet.
    Example: `sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`."""

    effective_mode: Mode | None = None
    """Mode in force, never above the one asked for. Absent: not evaluated yet. Example:
    `Advise`."""

    bound: BoundCounts | None = None
    """What the policy is bound to. Absent: not looked at yet."""


class DecisionPolicy(meta.Resource):
    """Which devices, which model, within which latency budget, under which rules, who may act."""

    kind: ClassVar[str] = "DecisionPolicy"
    plural: ClassVar[str] = "decisionpolicies"
    short_name: ClassVar[str] = "fspol"

    spec: DecisionPolicySpec
    """Desired state."""

    status: DecisionPolicyStatus = DecisionPolicyStatus()
    """Observed state, written by the operator."""
