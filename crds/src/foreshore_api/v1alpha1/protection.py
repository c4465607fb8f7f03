"""What stands between a decision and an actuator, shared by DeviceProfile and Device.

A profile says it for a class of device; a Device may only narrow it. An absent block means that the
gate is off, except `authority`, which is never off.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pydantic

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap, NotSupported, Rule


class Check(StrEnum):
    """Whether the device itself checks something."""

    CHECKED = "Checked"
    IGNORED = "Ignored"


class Idempotency(StrEnum):
    """Whether doing an action twice is the same as doing it once."""

    IDEMPOTENT = "Idempotent"
    NON_IDEMPOTENT = "NonIdempotent"


def ordered(lower: str, upper: str) -> Rule:
    """The rule that two optional decimals are in order."""
    return Rule(
        rule=f"!has(self.{lower}) || !has(self.{upper})"
        f" || double(self.{lower}) <= double(self.{upper})",
        message=f"{lower} is above {upper}",
        message_expression=f"'{lower} ' + string(self.{lower}) + ' is above {upper} '"
        f" + string(self.{upper})",
        field_path=f".{lower}",
    )


class Limit(Document):
    """Bounds of one input of one action; the tightest of profile, device and policy binds."""

    action: scalars.CamelCase
    """Action that is bounded. Example: `setAirflow`."""

    input: scalars.CamelCase
    """Input of the action that is bounded. Example: `value`."""

    minimum: scalars.Decimal | None = None
    """Lowest value, in the input's unit. Absent: what the action's input says. Example: `100`."""

    maximum: scalars.Decimal | None = None
    """Highest value, in the input's unit. Absent: what the action's input says. Example: `600`."""

    maximum_step: Annotated[scalars.Decimal, scalars.Within(0)] | None = None
    """Largest distance from the measured value, in the input's unit. Absent: what the action's
    input says. Example: `"62.5"`."""

    validations = (ordered("minimum", "maximum"),)


Limits = Annotated[tuple[Limit, ...], pydantic.Field(max_length=64), ListMap(("action", "input"))]


class RateLimitSpec(Document):
    """How often commands may be issued: a smallest distance, a token bucket, or both."""

    minimum_interval: scalars.Duration | None = None
    """Smallest time between two commands. Absent: no smallest time. Example: `60s`."""

    burst: Annotated[int, pydantic.Field(ge=1, le=10000)] | None = None
    """Commands allowed in any window of `per`. Absent: no such bound. Example: `6`."""

    per: scalars.PositiveDuration | None = None
    """Length of the window that `burst` counts in. Absent: no such bound. Example: `1h`."""

    validations = (
        Rule(
            rule="has(self.burst) == has(self.per)",
            message="burst and per belong together",
            field_path=".burst",
        ),
        Rule(
            rule="has(self.minimumInterval) || has(self.burst)",
            message="a rate limit needs minimumInterval, or burst and per",
            field_path=".minimumInterval",
        ),
    )


class InterlockKind(StrEnum):
    """Permissive: true allows acting. Trip: true trips."""

    PERMISSIVE = "Permissive"
    TRIP = "Trip"


class Latch(StrEnum):
    """Whether a trip stays after its cause has gone."""

    LATCHED = "Latched"
    UNLATCHED = "Unlatched"


class Reset(StrEnum):
    """Who ends a latched trip."""

    MANUAL = "Manual"
    AUTOMATIC = "Automatic"


class OnUnknown(StrEnum):
    """What an interlock does when it cannot be evaluated."""

    TRIP = "Trip"
    LAST_KNOWN = "LastKnown"


class Interlock(Document):
    """A condition that blocks or trips, outside of what the model says."""

    name: scalars.EntryName
    """Name in records and resets. Example: `door-closed`."""

    expression: scalars.Expression
    """CEL over the device's properties. Example: `doorOpen == false`."""

    kind: InterlockKind = InterlockKind.PERMISSIVE
    """Permissive: true allows acting. Trip: true trips. Example: `Trip`."""

    latch: Latch = Latch.LATCHED
    """Latched: a trip stays until it is reset. Unlatched: it goes with its cause. Example:
    `Latched`."""

    reset: Reset = Reset.MANUAL
    """Manual: a named person resets. Automatic: the cause going away resets. Example: `Manual`."""

    on_unknown: OnUnknown = OnUnknown.TRIP
    """What a missing or failed evaluation means: Trip, or LastKnown. Example: `Trip`."""


Interlocks = Annotated[
    tuple[Interlock, ...], pydantic.Field(max_length=16), NotSupported(), ListMap()
]


class EnforcedBy(StrEnum):
    """Who applies the safe state when commands stop."""

    DEVICE = "Device"
    ADAPTER = "Adapter"


class Deadman(Document):
    """A timer that somebody must keep refreshing; when it runs out, the safe state is applied."""

    interval: scalars.PositiveDuration
    """Time between two refreshes. Example: `5s`."""

    missed: Annotated[int, pydantic.Field(ge=1, le=100)] = 3
    """Refreshes that may be missed before the safe state. Example: `3`."""

    enforced_by: EnforcedBy
    """Who holds the timer: the Device itself or its Adapter. Example: `Device`."""


class Detection(StrEnum):
    """How a human override is noticed."""

    REPORTED = "Reported"
    INFERRED = "Inferred"


class Override(Document):
    """What happens when a person takes over."""

    detection: Detection = Detection.REPORTED
    """Reported: somebody says so. Inferred: the value changed without our command.
    Example: `Reported`."""

    hold: scalars.PositiveDuration = "30m"
    """How long automation stands back after the last sign of the person. Example: `30m`."""

    maximum_hold: scalars.PositiveDuration = "8h"
    """Longest time that repeated signs keep automation back. Example: `8h`."""


class LossAction(StrEnum):
    """What a loss leads to."""

    HOLD = "Hold"
    SAFE_STATE = "SafeState"


class OnLoss(Document):
    """What the device does when something is lost: Hold keeps the value, SafeState applies it."""

    agent: LossAction = LossAction.HOLD
    """The agent is gone. Example: `SafeState`."""

    authority: LossAction = LossAction.HOLD
    """No agent holds the right to command. Example: `Hold`."""

    model: LossAction = LossAction.HOLD
    """No inference is available. Example: `Hold`."""

    input: LossAction = LossAction.HOLD
    """A required input is missing or stale. Example: `Hold`."""

    confidence: LossAction = LossAction.HOLD
    """The model's output is not to be trusted (drift, non-finite). Example: `Hold`."""


class OnFailure(StrEnum):
    """What a failed confirmation leads to."""

    ALARM = "Alarm"
    HOLD = "Hold"
    SAFE_STATE = "SafeState"


class ConfirmationSpec(Document):
    """How a command is confirmed: the device's own reading must come near what was commanded."""

    property: scalars.CamelCase
    """Property that is read back; an input of the action must set it. Example: `airflow`."""

    expression: scalars.Expression
    """CEL over `difference`, the distance of read-back and commanded value in the property's unit.
    Example: `difference <= 5`."""

    timeout: scalars.PositiveDuration
    """Time after the acknowledgement within which it must become true. Example: `10s`."""

    on_failure: Annotated[OnFailure, NotSupported(unless=("Alarm",))] = OnFailure.ALARM
    """Alarm: the decision is recorded as Unconfirmed. Hold: the actuator is held for the policy.
    SafeState: the safe state is applied. Example: `Alarm`."""


class AuthoritySpec(Document):
    """How long the one agent that may command a device goes on, with and without the hub."""

    lease_duration: Annotated[scalars.Duration, scalars.Between("5s", "10m")] = "15s"
    """How long the holder acts after its last renewal while a peer has the hub. Example: `15s`."""

    offline_grant: Annotated[scalars.Duration, scalars.Between("0s", "720h")] = "24h"
    """How long the holder goes on without the hub while no peer claims to have it; 0s: not at all.
    Example: `24h`."""


class AuthorityNarrowing(Document):
    """What a device says shorter than its profile."""

    lease_duration: Annotated[scalars.Duration, scalars.Between("5s", "10m")] | None = None
    """Shorter lease than the profile's. Absent: the profile's. Example: `10s`."""

    offline_grant: Annotated[scalars.Duration, scalars.Between("0s", "720h")] | None = None
    """Shorter offline grant than the profile's. Absent: the profile's. Example: `1h`."""


class Fence(StrEnum):
    """Who keeps a command of one agent from taking effect after another agent's."""

    DEVICE = "Device"
    ADAPTER = "Adapter"
    NONE = "None"


class DeviceClock(StrEnum):
    """Whether the timestamps of the device can be compared with ours."""

    SYNCHRONISED = "Synchronised"
    UNKNOWN = "Unknown"


class Guards(Document):
    """What the device itself refuses, and who fences. Above Advise somebody must be named."""

    fence: Annotated[Fence | None, NotSupported(unless=("Device", "None"))] = None
    """Device: it checks epoch and duplicates itself. Adapter: one process that alone can reach the
    device does. None: nobody; two agents may command it at once for as long as one can be stopped
    between its last look at its right and the socket, so that it acts only for hazard Low and
    idempotent actions. Absent: Device if epoch and duplicates are Checked, else nobody is named and
    nothing above Advise is possible. Example: `Device`."""

    epoch: Check = Check.IGNORED
    """Checked: the device refuses a command with a lower epoch than it has seen, or an equal one
    from another holder. Example: `Checked`."""

    freshness: Annotated[Check, NotSupported(unless=("Ignored",))] = Check.IGNORED
    """Checked: the device beats on mqtt.beatTopic and refuses commands that echo an old beat.
    Example: `Checked`."""

    duplicates: Check = Check.IGNORED
    """Checked: the device does a command with the same commandId once. Example: `Checked`."""

    validations = (
        Rule(
            rule="!has(self.fence) || self.fence != 'Device'"
            " || (self.epoch == 'Checked' && self.duplicates == 'Checked')",
            message="fence Device needs a device that checks both: epoch and duplicates Checked",
            field_path=".fence",
        ),
    )

    @property
    def fenced_by(self) -> Fence | None:
        """Who fences, as written or as follows from what the device checks; None: nobody is named.

        A device that ignores one of both fences nothing, whatever its profile says.
        """
        if self.fence not in (None, Fence.DEVICE):
            return self.fence
        is_checked = self.epoch is Check.CHECKED and self.duplicates is Check.CHECKED
        return Fence.DEVICE if is_checked else None


class GuardsNarrowing(Document):
    """What one device does not check although its profile does, and who fences it instead."""

    fence: Annotated[Fence | None, NotSupported()] = None
    """Adapter: an adapter fences this device. Absent: as in the profile. Example: `Adapter`."""

    epoch: Check | None = None
    """Ignored: this device does not check the epoch. Absent: the profile's. Example: `Ignored`."""

    freshness: Annotated[Check | None, NotSupported(unless=("Ignored",))] = None
    """Ignored: this device does not check freshness. Absent: the profile's. Example: `Ignored`."""

    duplicates: Check | None = None
    """Ignored: this device does not check duplicates. Absent: the profile's. Example: `Ignored`."""

    validations = (
        Rule(
            rule="!has(self.fence) || self.fence == 'Adapter'",
            message="a device may narrow the fence to Adapter only, never to less than its profile",
            field_path=".fence",
        ),
    )


class ActionValue(Document):
    """A value for one input of an action."""

    name: scalars.CamelCase
    """Input of the action. Example: `value`."""

    value: scalars.Literal
    """Value in the input's unit and type. Example: `120`."""


class ActionCall(Document):
    """An action with a value for each of its inputs."""

    action: scalars.CamelCase
    """Action of the profile. Example: `setAirflow`."""

    input: Annotated[tuple[ActionValue, ...], pydantic.Field(max_length=16), ListMap()] = ()
    """Values, one an input. Absent: the action takes none."""
