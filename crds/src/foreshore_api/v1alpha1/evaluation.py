"""How a DecisionPolicy evaluates: trigger, inputs, features, inference, signal, rules."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import pydantic

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap, ListSet, NotSupported, Rule
from foreshore_api.v1alpha1.datatype import DataType
from foreshore_api.v1alpha1.model import TensorName
from foreshore_api.v1alpha1.protection import ordered


class Parameter(Document):
    """A value that devices may set for themselves; CEL reads `parameters.<name>`."""

    name: scalars.Identifier
    """Name that expressions and devices use. Example: `setpoint`."""

    type: DataType = DataType.NUMBER
    """Number, Integer, Boolean or String. Example: `Number`."""

    unit: scalars.Unit | None = None
    """UCUM code of the unit, for people: a device sets a bare value and expressions calculate
    without units, so nothing compares it. Absent: a pure number or no number. Example: `Cel`."""

    default: scalars.Literal | None = None
    """Value for devices that set none. Absent: every device must set one. Example: `-22`."""

    minimum: scalars.Decimal | None = None
    """Lowest value a device may set, in the unit. Absent: no bound. Example: `-30`."""

    maximum: scalars.Decimal | None = None
    """Highest value a device may set, in the unit. Absent: no bound. Example: `-10`."""

    validations = (ordered("minimum", "maximum"),)


class TriggerSpec(Document):
    """When the policy is evaluated."""

    properties: Annotated[
        tuple[scalars.CamelCase, ...], pydantic.Field(max_length=16), ListSet()
    ] = ()
    """Properties of the decided Device whose samples evaluate the policy. Absent: those of every
    input, also of other Devices. Example: `[co2]`."""

    minimum_interval: scalars.Duration = "0s"
    """Smallest time between two evaluations; samples in between are coalesced to the newest.
    Example: `1s`."""

    after_silence: scalars.PositiveDuration | None = None
    """Evaluate when no sample came for so long. Absent: never. Example: `30s`."""


class Quality(StrEnum):
    """How far a value can be trusted."""

    GOOD = "Good"
    UNCERTAIN = "Uncertain"


class OnInvalid(StrEnum):
    """What takes the place of an invalid input."""

    SKIP = "Skip"
    LAST_GOOD = "LastGood"
    DEFAULT = "Default"


class Range(Document):
    """Values that are believed."""

    minimum: scalars.Decimal | None = None
    """Lowest value, in the input's unit. Absent: the property's. Example: `-40`."""

    maximum: scalars.Decimal | None = None
    """Highest value, in the input's unit. Absent: the property's. Example: `150`."""

    validations = (ordered("minimum", "maximum"),)


class DeviceSource(Document):
    """Another device of the same site whose property is read; reading gives no right to command."""

    name: scalars.ObjectName | None = None
    """Name of the Device. Absent: `parameter` says it. Example: `valve-1`."""

    parameter: scalars.CamelCase | None = None
    """Parameter of the decided Device whose value is the other Device's name; where the Device sets
    none, the policy's default. Absent: `name` says it. Example: `valve`."""

    validations = (
        Rule(
            rule="has(self.name) != has(self.parameter)",
            message="a deviceRef says name or parameter",
            field_path=".name",
        ),
    )


class InputSpec(Document):
    """A property that the policy reads."""

    name: scalars.Identifier
    """Name that expressions and features use. Example: `co2`."""

    property: scalars.CamelCase
    """Property of the profile of the Device that is read. Example: `co2`."""

    device_ref: DeviceSource | None = None
    """The other Device of the site whose property it is; nothing is decided while there is none.
    Absent: the decided Device itself."""

    type: DataType = DataType.NUMBER
    """Type; it must be the property's. Example: `Number`."""

    unit: scalars.Unit | None = None
    """Unit that expressions expect; it must be the property's. Absent: the property's.
    Example: `[ppm]`."""

    maximum_age: scalars.PositiveDuration
    """Oldest value that is used; an older one is invalid. Example: `90s`."""

    range: Range | None = None
    """Values that are believed, narrower than the property's. Absent: the property's bounds."""

    maximum_rate: scalars.Decimal | None = None
    """Fastest change that is believed, in the unit per second: by the device's own times, or where
    these tell nothing by receipt. Samples that come at once without a time have none. Absent: any.
    Example: `50`."""

    minimum_quality: Annotated[Quality, NotSupported(unless=("Good",))] = Quality.GOOD
    """Lowest quality that is used: Good or Uncertain. Example: `Good`."""

    on_invalid: OnInvalid = OnInvalid.SKIP
    """Skip: do not decide. LastGood: use the last valid value. Default: use `default`.
    Example: `Skip`."""

    default: scalars.Literal | None = None
    """Value for onInvalid Default. Absent: none, as Skip and LastGood want. Example: `400`."""

    validations = (
        Rule(
            rule="(self.onInvalid == 'Default') == has(self.default)",
            message="onInvalid Default needs default, and only it takes one",
            message_expression="self.name"
            " + ': onInvalid Default needs default, and only it takes one'",
            field_path=".default",
        ),
        Rule(
            rule="!has(self.maximumRate) || double(self.maximumRate) > 0.0",
            message="maximumRate is not above zero",
            field_path=".maximumRate",
        ),
    )


class Aggregate(StrEnum):
    """How a window becomes one number."""

    LAST = "Last"
    MEAN = "Mean"
    MINIMUM = "Minimum"
    MAXIMUM = "Maximum"
    STANDARD_DEVIATION = "StandardDeviation"
    SLOPE = "Slope"
    COUNT = "Count"


USUAL_COVERAGE: Final = "0.5"
"""Coverage of a window that a feature needs where its policy does not say."""


class FeatureSpec(Document):
    """A number made of the recent values of an input, or its last value; the model takes these."""

    name: scalars.Identifier
    """Name that models and expressions use. Example: `co2Slope`."""

    input: scalars.CamelCase
    """Input it is made of: a Number, an Integer or a Boolean, which is 0 or 1; Last may be of a
    String too, and is that. Example: `co2`."""

    window: Annotated[scalars.Duration, scalars.Between("1ms", "24h")] | None = None
    """How far back it looks. Absent: not at all, as Last allows. Example: `10m`."""

    aggregate: Aggregate = Aggregate.LAST
    """Last, Mean, Minimum, Maximum, StandardDeviation (of the sample), Slope (unit per second,
    least squares) or Count. Example: `Slope`."""

    minimum_coverage: Annotated[scalars.Decimal, scalars.Within(0, 1)] | None = None
    """Share of the window that must have been listened to, below it the policy is not applicable
    (FeatureNotReady). Listening begins with the first value, and with the next one after a start of
    the agent, a lost broker connection or a pause of the agent. Last and Count need none and take
    none. Absent: half of the window. Example: `"0.5"`."""

    validations = (
        Rule(
            rule="(self.aggregate == 'Last') != has(self.window)",
            message="an aggregate other than Last needs a window, and Last takes none",
            message_expression="self.name + ': an aggregate other than Last needs a window,"
            " and Last takes none'",
            field_path=".window",
        ),
        Rule(
            rule="!has(self.minimumCoverage) || !(self.aggregate in ['Last', 'Count'])",
            message="Last and Count need no minimumCoverage: leave it out",
            message_expression="self.name + ': Last and Count need no minimumCoverage: leave it"
            " out'",
            field_path=".minimumCoverage",
        ),
    )


class MatchCondition(Document):
    """A condition that must hold for the policy to apply at all."""

    name: scalars.EntryName
    """Name in records. Example: `working-hours`."""

    expression: scalars.Expression
    """CEL, true when the policy applies; an error is an Error and no act. Example: `light >
    0.0`."""


class Variable(Document):
    """A named expression that later ones read."""

    name: scalars.Identifier
    """Name that expressions use. Example: `excess`."""

    expression: scalars.Expression
    """CEL over inputs, features, parameters, outputs and earlier variables. A quotient belongs
    into one of its own, which is checked; what compares it comes after. Example: `co2 - 400.0`."""


class OutputSpec(Document):
    """A number or text of the model's answer, under a name."""

    name: scalars.Identifier
    """Name that expressions use: of a String where the Model's tensor is BYTES, of a Number
    otherwise (a BOOL is 0 or 1). Example: `score`."""

    output: TensorName
    """Output tensor of the Model. Example: `probabilities`."""

    index: Annotated[int, pydantic.Field(ge=0, le=1048575)] = 0
    """Which element, counted through the dimensions after the batch, the last one first.
    Example: `1`."""


class OnError(StrEnum):
    """What a failed inference leads to."""

    SKIP = "Skip"
    RULE_ONLY = "RuleOnly"


class InferenceSpec(Document):
    """How the model is asked."""

    timeout: Annotated[scalars.Duration, scalars.Between("1ms", "1m")] = "100ms"
    """Time for all endpoints together; a later answer is not used. Example: `100ms`."""

    outputs: Annotated[tuple[OutputSpec, ...], pydantic.Field(max_length=32), ListMap()] = ()
    """Numbers of the answer that expressions read. Absent: none."""

    on_error: OnError = OnError.SKIP
    """Skip: do not decide. RuleOnly: go on without outputs, refused if a rule reads one.
    Example: `Skip`."""


class Direction(StrEnum):
    """Which side of the threshold raises."""

    ABOVE = "Above"
    BELOW = "Below"


class Signal(Document):
    """Hysteresis: the level that rules read as `raised`."""

    of: scalars.CamelCase
    """Output, feature or variable that is compared. Example: `score`."""

    raise_at: scalars.Decimal
    """Value that raises. Example: `"0.8"`."""

    clear_at: scalars.Decimal
    """Value that clears. Example: `"0.6"`."""

    raise_delay: scalars.Duration = "0s"
    """How long the value must stay beyond raiseAt. Example: `5s`."""

    clear_delay: scalars.Duration = "0s"
    """How long the value must stay beyond clearAt. Example: `5s`."""

    minimum_raised: scalars.Duration = "0s"
    """Shortest time raised. Example: `1m`."""

    minimum_clear: scalars.Duration = "0s"
    """Shortest time clear. Example: `1m`."""

    direction: Direction = Direction.ABOVE
    """Above: raised when high. Below: raised when low. Example: `Above`."""

    validations = (
        Rule(
            rule="has(self.direction) && self.direction == 'Below' ?"
            " double(self.raiseAt) <= double(self.clearAt)"
            " : double(self.raiseAt) >= double(self.clearAt)",
            message="raiseAt and clearAt are the wrong way round for the direction",
            field_path=".clearAt",
        ),
    )


class Effect(StrEnum):
    """What a rule that is true does. Forbid overrides Permit."""

    PERMIT = "Permit"
    FORBID = "Forbid"


class DecisionRule(Document):
    """A rule over the facts: deny overrides, and without a true Permit nothing happens."""

    name: scalars.EntryName
    """Name in records. Example: `occupied`."""

    effect: Effect = Effect.PERMIT
    """Permit allows the action, Forbid denies it whatever is permitted. Example: `Permit`."""

    expression: scalars.Expression
    """CEL; an error never permits and always forbids. Example: `score >= 0.8`."""

    reason: scalars.Reason
    """Cause in records when the rule decides. Example: `RoomOccupied`."""

    message_expression: scalars.Expression | None = None
    """CEL that renders a message for people. Absent: reason and operands are shown.
    Example: `"co2 at " + string(co2)`."""
