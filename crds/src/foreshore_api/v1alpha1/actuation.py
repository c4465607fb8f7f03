"""What a DecisionPolicy does about a decision: action, approval, degradation, outcomes, record."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pydantic

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap, ListSet, NotSupported, Rule
from foreshore_api.v1alpha1.protection import ordered


class ActionInputExpression(Document):
    """How an input of the action is computed."""

    name: scalars.CamelCase
    """Input of the action. Example: `value`."""

    expression: scalars.Expression
    """CEL of the input's type. Example: `co2 > 1000 ? 600 : 300`."""

    unit: scalars.Unit | None = None
    """Unit of the result; it must be the input's. Absent: the input's. Example: `m3/h`."""


class ActionLimit(Document):
    """Bounds of an input, never wider than the device's."""

    input: scalars.CamelCase
    """Input of the action. Example: `value`."""

    minimum: scalars.Decimal | None = None
    """Lowest value, in the input's unit. Absent: the device's. Example: `100`."""

    maximum: scalars.Decimal | None = None
    """Highest value, in the input's unit. Absent: the device's. Example: `600`."""

    maximum_step: Annotated[scalars.Decimal, scalars.Within(0)] | None = None
    """Largest distance from the measured value. Absent: the device's. Example: `300`."""

    validations = (ordered("minimum", "maximum"),)


class OnLimit(StrEnum):
    """What a value outside its bounds leads to."""

    DENY = "Deny"
    CLAMP = "Clamp"


class OnClear(StrEnum):
    """What the end of a reason to act leads to."""

    HOLD = "Hold"
    RELINQUISH = "Relinquish"
    SAFE_STATE = "SafeState"


class PolicyAction(Document):
    """What the policy wants done."""

    name: scalars.CamelCase
    """Action of the devices' profile. Example: `setAirflow`."""

    input: Annotated[
        tuple[ActionInputExpression, ...], pydantic.Field(max_length=16), ListMap()
    ] = ()
    """How each input is computed. Absent: the action takes none."""

    limits: Annotated[
        tuple[ActionLimit, ...], pydantic.Field(max_length=16), ListMap(("input",))
    ] = ()
    """Bounds narrower than the device's. Absent: the device's."""

    on_limit: OnLimit = OnLimit.DENY
    """Deny: a value outside is not sent. Clamp: the nearest allowed value is sent, and recorded as
    clamped. Example: `Deny`."""

    priority: Annotated[int, pydantic.Field(ge=9, le=16), NotSupported(unless=(12,))] = 12
    """BACnet priority, lowest number wins; 1 to 8 are not for automation. Example: `12`."""

    time_to_live: Annotated[scalars.Duration, scalars.Between("100ms", "5m")]
    """How long a command may be obeyed after it was issued. Example: `5s`."""

    on_clear: Annotated[OnClear, NotSupported(unless=("Hold",))] = OnClear.HOLD
    """Hold: nothing is sent when the reason to act is gone. Relinquish: the priority is given back.
    SafeState: the safe state is applied. Example: `Hold`."""

    def find_limit(self, name: str) -> ActionLimit | None:
        """The limit of an input, if the policy sets one."""
        return next((limit for limit in self.limits if limit.input == name), None)


class Require(StrEnum):
    """Which actions need a person."""

    ALWAYS = "Always"
    WHEN = "When"


class Approval(Document):
    """A person's consent to each action, in mode Supervised."""

    require: Require = Require.ALWAYS
    """Always, or When the expression is true. Example: `Always`."""

    when: scalars.Expression | None = None
    """CEL for When; an error means approval is needed. Absent: none, as Always wants.
    Example: `score < 0.95`."""

    quorum: Annotated[int, pydantic.Field(ge=1, le=8)] = 1
    """Distinct approvers that are needed. Example: `2`."""

    timeout: scalars.PositiveDuration = "5m"
    """How long a request waits. Example: `5m`."""

    valid_for: scalars.PositiveDuration = "30s"
    """How long an approval can be used. Example: `30s`."""

    maximum_pending: Annotated[int, pydantic.Field(ge=1, le=1000)] = 20
    """Requests of the policy that may wait at once; more are suppressed. Example: `20`."""

    validations = (
        Rule(
            rule="(has(self.require) && self.require == 'When') == has(self.when)",
            message="require When needs the expression when, and only it takes one",
            field_path=".when",
        ),
    )


class ModeCap(StrEnum):
    """A mode that a policy is lowered to."""

    DISABLED = "Disabled"
    SHADOW = "Shadow"
    ADVISE = "Advise"


class DegradedCap(StrEnum):
    """A mode that a policy is lowered to, or none."""

    IGNORE = "Ignore"
    DISABLED = "Disabled"
    SHADOW = "Shadow"
    ADVISE = "Advise"
    SUPERVISED = "Supervised"


class Degraded(Document):
    """Which mode is left when something the policy leans on is weak."""

    on_recorder_full: ModeCap = ModeCap.ADVISE
    """Mode when records cannot be written: Advise, Shadow or Disabled; nothing unrecorded acts.
    Example: `Advise`."""

    on_clock_unsynchronised: Annotated[DegradedCap, NotSupported(unless=("Ignore",))] = (
        DegradedCap.IGNORE
    )
    """Mode when the node's clock is not synchronised; Ignore: none is lowered. Example:
    `Ignore`."""

    model_stale_after: Annotated[scalars.PositiveDuration | None, NotSupported()] = None
    """Age at which the model counts as stale. Absent: never. Example: `720h`."""

    on_model_stale: Annotated[DegradedCap | None, NotSupported()] = None
    """Mode when the model is stale. Absent: none is lowered. Example: `Advise`."""


class OutcomeKind(StrEnum):
    """Whether the outcome was expected beforehand or reported afterwards."""

    EXPECTATION = "Expectation"
    FEEDBACK = "Feedback"


class OutcomeSource(StrEnum):
    """Who says what came of it."""

    PROPERTY = "Property"
    EVENT = "Event"
    HUMAN = "Human"
    EXTERNAL = "External"


class Treatment(StrEnum):
    """Whether acting changes the outcome."""

    SENSITIVE = "Sensitive"
    INDEPENDENT = "Independent"


class OutcomeWindow(Document):
    """When an outcome may be seen, counted from the decision."""

    open: scalars.Duration = "0s"
    """First moment. Example: `0s`."""

    close: scalars.PositiveDuration = "24h"
    """Last moment. Example: `24h`."""


class OutcomeSpec(Document):
    """What happened next, joined to the decision."""

    name: scalars.CamelCase
    """Name of the label. Example: `failedWithinDay`."""

    kind: OutcomeKind = OutcomeKind.EXPECTATION
    """Expectation or Feedback. Example: `Expectation`."""

    source: OutcomeSource
    """Property, Event, Human or External. Example: `Property`."""

    expression: scalars.Expression | None = None
    """CEL that makes the label. Absent: the source gives it. Example: `co2 > 1500`."""

    window: OutcomeWindow = OutcomeWindow()
    """When it may be seen. Absent: its defaults."""

    maturity: scalars.PositiveDuration = "48h"
    """How long after the decision a label counts as final. Example: `48h`."""

    treatment: Treatment = Treatment.SENSITIVE
    """Sensitive: acting changes the outcome, so acted rows are no labels. Independent: it does not.
    Example: `Sensitive`."""

    holdout: Annotated[scalars.Decimal, scalars.Within(0, 1)] = 0
    """Share of decisions that do not act, to learn what would have happened. Example: `"0.05"`."""


class Attribution(StrEnum):
    """How a decision is attributed to its inputs."""

    NONE = "None"
    OCCLUSION = "Occlusion"


class RecordLevel(StrEnum):
    """How much a record holds of what a decision was made from."""

    FACTS = "Facts"
    FULL = "Full"


class RecordSpec(Document):
    """What is kept of decisions."""

    level: RecordLevel = RecordLevel.FACTS
    """Facts: everything that the gates looked at, so that the decision can be made again. Full:
    also the values in the windows of the features, so that it can be made again with another
    aggregate or a shorter window; records grow by up to 48 KiB. Example: `Full`."""

    routine_sample_rate: Annotated[scalars.Decimal, scalars.Within(0, 1)] = "0.01"
    """Share of routine decisions (nothing was to be done) that are kept. Example: `"0.01"`."""

    keep_per_verdict: Annotated[int, pydantic.Field(ge=0, le=10000)] = 50
    """Newest decisions of each verdict that the agent keeps whatever is sampled, per device.
    Example: `50`."""

    attribution: Annotated[Attribution, NotSupported(unless=("None",))] = Attribution.NONE
    """None, or Occlusion: how much each feature moved the score. Example: `None`."""

    mask: Annotated[
        tuple[scalars.JsonPointer, ...], pydantic.Field(max_length=32), NotSupported(), ListSet()
    ] = ()
    """Places of the record that are blanked before it leaves the node. Absent: none.
    Example: `[/inputs/badge]`."""
