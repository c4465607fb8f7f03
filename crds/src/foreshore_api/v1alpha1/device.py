"""Device: one device at one site, what is narrower than its profile, and who may command it.

`status.authority` is the one place that says who holds the right. Its epoch never falls and never
vanishes: a rule at the root of the object sees to it, because a rule on the field alone is bypassed
by dropping its parent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, NotSupported, Rule
from foreshore_api.v1alpha1 import protection, selection
from foreshore_api.v1alpha1.statuses import Observed


class Lock(StrEnum):
    """Whether automation may command the device."""

    UNLOCKED = "Unlocked"
    LOCKED = "Locked"


class DeviceParameter(Document):
    """A value of this device: for a parameter that policies declare, for topics and for actions."""

    name: scalars.CamelCase
    """Parameter, as the policy declares it, or as topics and actions of the profile name it.
    Example: `setpoint`."""

    value: scalars.Literal
    """Value in the parameter's unit and type, within its bounds; in a topic a text without `+`, `#`
    and a leading `$`. Example: `Hall Motion 2`."""


class ReachableFrom(Document):
    """Which agents of the site can reach the device."""

    node_selector: Annotated[selection.Labels, pydantic.Field(min_length=1)]
    """Labels that the agent's node must have. Example: `{fieldbus: east}`."""


class AdapterReference(Document):
    """The process that alone holds the device's write credential."""

    node: scalars.SubdomainName
    """Node the adapter is pinned to. Example: `edge-1`."""


class DeviceSpec(Document):
    """Desired state of a Device."""

    profile_ref: meta.ObjectReference
    """The DeviceProfile that describes the device."""

    site: scalars.SiteName
    """Site the device stands at; it cannot change. Example: `hq`."""

    parameters: Annotated[
        tuple[DeviceParameter, ...], pydantic.Field(max_length=32), ListMap()
    ] = ()
    """Values for parameters of policies, topics and actions. Absent: the policies' defaults."""

    lock: Lock = Lock.UNLOCKED
    """Locked: no policy arms on this device; it is only listened to. Example: `Unlocked`."""

    reachable_from: ReachableFrom | None = None
    """Which agents of the site can reach the device. Absent: every one."""

    adapter: Annotated[AdapterReference | None, NotSupported()] = None
    """The adapter before the device. Absent: none, the agent commands the device itself."""

    limits: protection.Limits = ()
    """Bounds tighter than the profile's. Absent: the profile's."""

    interlocks: protection.Interlocks = ()
    """Interlocks beside the profile's. Absent: the profile's only."""

    deadman: Annotated[protection.Deadman | None, NotSupported()] = None
    """Deadman of this device. Absent: the profile's."""

    relinquish_default: Annotated[protection.ActionCall | None, NotSupported()] = None
    """What the actuator does when nobody commands it. Absent: what the profile says."""

    actuator_rate_limit: protection.RateLimitSpec | None = None
    """Rate limit that holds beside the profile's. Absent: the profile's only."""

    override: Annotated[protection.Override | None, NotSupported()] = None
    """Override rules of this device. Absent: the profile's."""

    on_loss: Annotated[protection.OnLoss | None, NotSupported()] = None
    """What a loss leads to. Absent: what the profile says."""

    confirmation: protection.ConfirmationSpec | None = None
    """Confirmation of this device. Absent: the profile's."""

    authority: protection.AuthorityNarrowing | None = None
    """Shorter times than the profile's. Absent: the profile's."""

    guards: protection.GuardsNarrowing | None = None
    """What this device does not check although its profile does. Absent: what the profile says."""

    clock: Annotated[protection.DeviceClock | None, NotSupported(unless=("Unknown",))] = None
    """Clock of this device. Absent: the profile's. Example: `Unknown`."""

    validations = (
        Rule(
            rule="self.site == oldSelf.site",
            message="site cannot change: delete the Device and create it at the other site",
            field_path=".site",
            reason="FieldValueForbidden",
        ),
    )


class Successor(Document):
    """An agent that may take over behind an adapter, with an epoch of its own."""

    node: scalars.SubdomainName
    """Node of the agent. Example: `edge-2`."""

    epoch: scalars.Count
    """Epoch the agent commands with once it has taken over. Example: `1767225601`."""


class DeviceAuthority(Document):
    """Who may command the device. One holder, numbered by an epoch that only rises."""

    holder: scalars.SubdomainName | None = None
    """Node whose agent may command. Absent: none may, the right was given back. Example:
    `edge-1`."""

    epoch: scalars.Count
    """Number of this grant; a device that checks epochs refuses lower ones. Example:
    `1767225600`."""

    last_issued: scalars.Count
    """Highest epoch ever issued, successors included; the next grant lies above.
    Example: `1767225600`."""

    takeover_bound: scalars.Duration | None = None
    """Longest time after both signs of loss until another agent may be granted the right.
    Absent: not known yet. Example: `22s`."""

    succession: Annotated[tuple[Successor, ...], pydantic.Field(max_length=8)] = ()
    """Agents that may take over behind an adapter, in order. Absent: none."""

    validations = (
        Rule(
            rule="self.lastIssued >= self.epoch",
            message="lastIssued is below epoch",
            field_path=".lastIssued",
        ),
    )


class DeviceStatus(Observed):
    """What the operator knows of a Device."""

    authority: DeviceAuthority | None = None
    """Who may command the device. Absent: never granted."""

    fence: protection.Fence | None = None
    """Who keeps two agents from commanding the device at once: itself, its adapter, or None: only
    time does. Absent: nobody was named, and nothing above Advise is possible. Example: `Device`."""


class Device(meta.Resource):
    """One device: its profile, its site, and what is narrower than the profile."""

    kind: ClassVar[str] = "Device"
    plural: ClassVar[str] = "devices"
    short_name: ClassVar[str] = "fsdev"

    spec: DeviceSpec
    """Desired state."""

    status: DeviceStatus = DeviceStatus()
    """Observed state, written by the operator."""

    validations = (
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.authority) || (has(self.status)"
            " && has(self.status.authority)"
            " && self.status.authority.epoch >= oldSelf.status.authority.epoch)",
            message="status.authority.epoch never falls and never vanishes",
            field_path=".status.authority.epoch",
            reason="FieldValueForbidden",
        ),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.authority)"
            " || !has(self.status) || !has(self.status.authority)"
            " || self.status.authority.lastIssued >= oldSelf.status.authority.lastIssued",
            message="status.authority.lastIssued never falls",
            field_path=".status.authority.lastIssued",
            reason="FieldValueForbidden",
        ),
        Rule(
            rule="!has(oldSelf.status) || !has(oldSelf.status.authority)"
            " || !has(self.status) || !has(self.status.authority)"
            " || !has(self.status.authority.holder) || (has(oldSelf.status.authority.holder)"
            " && self.status.authority.holder == oldSelf.status.authority.holder)"
            " || self.status.authority.epoch > oldSelf.status.authority.epoch",
            message="a grant needs a higher epoch",
            field_path=".status.authority.holder",
            reason="FieldValueForbidden",
        ),
    )
