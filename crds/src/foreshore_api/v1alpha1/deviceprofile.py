"""DeviceProfile: everything physical that sixty devices share, in the words of W3C WoT.

Properties are what the device says, actions what it can be told, and the rest is what protects it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, NotSupported, Rule
from foreshore_api.v1alpha1 import commanding, protection, telemetry
from foreshore_api.v1alpha1.datatype import DataType as DataType
from foreshore_api.v1alpha1.statuses import Observed


class Access(StrEnum):
    """What a property allows."""

    READ = "Read"
    WRITE = "Write"
    READ_WRITE = "ReadWrite"


class Property(Document):
    """Something the device measures or is set to."""

    name: scalars.Identifier
    """Name that policies and expressions use. Example: `co2`."""

    type: DataType = DataType.NUMBER
    """Number, Integer, Boolean or String. Example: `Number`."""

    unit: scalars.Unit | None = None
    """UCUM code of the unit. Absent: a pure number or no number. Example: `[ppm]`."""

    minimum: scalars.Decimal | None = None
    """Lowest value that is believed, in the unit; lower ones are invalid. Absent: no bound.
    Example: `0`."""

    maximum: scalars.Decimal | None = None
    """Highest value that is believed, in the unit; higher ones are invalid. Absent: no bound.
    Example: `10000`."""

    access: Access = Access.READ
    """Read, Write or ReadWrite. Example: `Read`."""

    topic: scalars.Topic | None = None
    """Topic the value comes on. Absent: mqtt.telemetryTopic. Example:
    `tele/{parameters.topic}/STATE`."""

    payload: telemetry.Payload = telemetry.Payload.JSON
    """JSON: the message is a document. Text: it is the bare value, or, with `path` or `pick`, a
    document in which the value is written as text. Example: `JSON`."""

    path: scalars.JsonPointer | None = None
    """Place of the value in the document (JSON Pointer). Absent: `/<name>`, of a document that is
    no object the whole. Example: `/values/co2`."""

    position: telemetry.Position = telemetry.Position.REFUSED
    """Refused: a number in `path` names a member and never counts the elements of an array, whose
    order devices change; use `pick`. Fixed: it does, because this device never changes it. Example:
    `Fixed`."""

    pick: telemetry.Pick | None = None
    """The element of an array that holds the value. Absent: `path` says where it is."""

    batch: scalars.JsonPointer | None = None
    """Place of an array of samples in the document; each counts, in order, and `path` and `pick`
    start in each. Absent: a document that is an array is one. Example: `/samples`."""

    values: telemetry.ValueMappings = ()
    """What the device's values mean; one that is not listed is invalid. Absent: what they say."""

    scale: scalars.Decimal | None = None
    """Factor from what the device says to the property's unit. Absent: 1. Example: `"0.1"`."""

    offset: scalars.Decimal | None = None
    """What is added after scaling, in the property's unit. Absent: 0. Example: `"-273.15"`."""

    decimal: telemetry.DecimalMark = telemetry.DecimalMark.POINT
    """What stands before the decimals of a number in a text: Point or Comma. Example: `Comma`."""

    suffix: telemetry.Text | None = None
    """What may follow a number in a text. Absent: nothing may. Example: `°C`."""

    quality: telemetry.QualitySpec | None = None
    """Where the device says whether the value can be trusted. Absent: it always can."""

    time: telemetry.DeviceTime | None = None
    """Where the device says when it measured. Absent: what mqtt.time says."""

    timestamp_path: scalars.JsonPointer | None = None
    """Short for `time {path}`: place of the device's own time of the value. Absent: `time` says.
    Example: `/time`."""

    retained: telemetry.Retained = telemetry.Retained.IGNORE
    """What a message means that the broker had kept. Ignore: nothing, as of what is measured again
    and again. State: it is the device's last word, for what it says only when it changes; after a
    gap in the connection the value is void until that word has come again. Example: `State`."""

    tolerance: Annotated[scalars.Decimal, scalars.Within(0)] | None = None
    """How far an echo may lie from what was told, in the unit; what is reported within it already
    is not told. Absent: it is the same number. Example: `"0.5"`."""

    settling_time: scalars.Duration = "0s"
    """How long the property takes to follow a command; before that a read-back proves nothing.
    Example: `2s`."""

    validations = (
        protection.ordered("minimum", "maximum"),
        Rule(
            rule="!has(self.pick) || !has(self.path)",
            message="path and pick both say where the value is",
            field_path=".pick",
        ),
        Rule(
            rule="!has(self.time) || !has(self.timestampPath)",
            message="time and timestampPath both say where the device's time is",
            field_path=".timestampPath",
        ),
        Rule(
            rule="!has(self.tolerance) || !(self.type in ['Boolean', 'String'])",
            message="only a number has a tolerance",
            field_path=".tolerance",
        ),
        Rule(
            rule="(!has(self.scale) && !has(self.offset)) || !(self.type in ['Boolean', 'String'])",
            message="only a number has scale and offset",
            field_path=".scale",
        ),
    )


class ActionInput(Document):
    """A value that an action takes."""

    name: scalars.CamelCase
    """Name of the input in the command. Example: `value`."""

    property: scalars.CamelCase | None = None
    """Property that this input sets: read-back and maximumStep use its measured value.
    Absent: it sets nothing that can be read. Example: `airflow`."""

    type: DataType = DataType.NUMBER
    """Number, Integer, Boolean or String. Example: `Number`."""

    unit: scalars.Unit | None = None
    """UCUM code of the unit. Absent: a pure number or no number. Example: `m3/h`."""

    minimum: scalars.Decimal | None = None
    """Lowest value the device may be told, in the unit. Absent: no bound. Example: `0`."""

    maximum: scalars.Decimal | None = None
    """Highest value the device may be told, in the unit. Absent: no bound. Example: `800`."""

    maximum_step: Annotated[scalars.Decimal, scalars.Within(0)] | None = None
    """Largest distance from the measured value of `property`, in the unit. Absent: no bound.
    Example: `500`."""

    validations = (
        protection.ordered("minimum", "maximum"),
        Rule(
            rule="!has(self.maximumStep) || has(self.property)",
            message="maximumStep needs the property that is measured",
            field_path=".maximumStep",
        ),
    )


class Action(Document):
    """Something the device can be told to do."""

    name: scalars.CamelCase
    """Name that policies and commands use. Example: `setAirflow`."""

    idempotency: protection.Idempotency
    """Idempotent: doing it twice is the same as once. NonIdempotent: it is not (a pulse, a step, a
    toggle), so that nothing above Advise is possible. Example: `Idempotent`."""

    input: Annotated[tuple[ActionInput, ...], pydantic.Field(max_length=16), ListMap()] = ()
    """Values that the action takes. Absent: none."""

    mqtt: commanding.ActionMessage | None = None
    """How the device is told in its own dialect. Absent: by the envelope, on mqtt.commandTopic."""

    acknowledgement: commanding.AcknowledgementSpec | None = None
    """How it is known that the action worked. Absent: by the envelope's answer."""

    validations = (
        Rule(
            rule="!has(self.mqtt) || has(self.acknowledgement)",
            message="an action in the device's own dialect needs an acknowledgement:"
            " Echo, Reply or None",
            field_path=".acknowledgement",
            reason="FieldValueRequired",
        ),
        Rule(
            rule="!has(self.mqtt) || !has(self.acknowledgement)"
            " || self.acknowledgement.type != 'Envelope'",
            message="a message in the device's own dialect carries no command id that an answer"
            " could name: use Echo, Reply or None",
            field_path=".acknowledgement.type",
        ),
        Rule(
            rule="!has(self.acknowledgement) || !has(self.acknowledgement.echo)"
            " || (has(self.input) && self.input.exists(i, has(i.property)"
            " && i.property == self.acknowledgement.echo.property))",
            message="acknowledgement.echo reads a property that no input of the action sets",
            message_expression="'acknowledgement.echo reads '"
            " + self.acknowledgement.echo.property + ', which no input of the action sets'",
            field_path=".acknowledgement.echo.property",
        ),
    )

    def find_input(self, name: str) -> ActionInput | None:
        """The input of a name, if the action has it."""
        return next((value for value in self.input if value.name == name), None)


def _of_the_device(field: str) -> Rule:
    """A device's topic is not one on which agents speak (`wire.beat`)."""
    return Rule(
        rule=f"!has(self.{field}) || !self.{field}.startsWith('foreshore/')",
        message="topics below foreshore/ are those on which agents speak to each other",
        field_path=f".{field}",
    )


class Mqtt(Document):
    """Topics, where `{site}`, `{device}` and `{parameters.NAME}` stand for names and parameters."""

    telemetry_topic: scalars.Topic | None = None
    """Topic the device publishes properties on that name no topic of their own. Absent: each names
    one. Example: `{site}/{device}/telemetry`."""

    time: telemetry.DeviceTime | None = None
    """Where the device says when it measured, for properties that do not say so themselves.
    Absent: the time of receipt counts."""

    availability: telemetry.AvailabilitySpec | None = None
    """Where it is said whether the device is there. Absent: its telemetry tells."""

    command_topic: scalars.Topic | None = None
    """Topic the device listens for commands on. Absent: the device takes none.
    Example: `{site}/{device}/command`."""

    acknowledgement_topic: scalars.Topic | None = None
    """Topic the device answers commands on. Absent: it does not answer, and nothing above Advise
    is possible. Example: `{site}/{device}/ack`."""

    advice_topic: scalars.Topic | None = None
    """Topic that advice is published on in mode Advise. Absent: advice is recorded only.
    Example: `{site}/{device}/advice`."""

    beat_topic: Annotated[scalars.Topic | None, NotSupported()] = None
    """Topic the device beats on with its boot nonce and tick (guards.freshness).
    Absent: it does not beat. Example: `{site}/{device}/beat`."""

    validations = (
        Rule(
            rule="!has(self.acknowledgementTopic) || has(self.commandTopic)",
            message="acknowledgementTopic needs commandTopic",
            field_path=".commandTopic",
            reason="FieldValueRequired",
        ),
        _of_the_device("telemetryTopic"),
        _of_the_device("commandTopic"),
        _of_the_device("acknowledgementTopic"),
        _of_the_device("adviceTopic"),
    )


class DeviceProfileSpec(Document):
    """Desired state of a DeviceProfile."""

    mqtt: Mqtt
    """How the device speaks MQTT."""

    properties: Annotated[
        tuple[Property, ...], pydantic.Field(min_length=1, max_length=64), ListMap()
    ]
    """What the device measures or is set to."""

    actions: Annotated[tuple[Action, ...], pydantic.Field(max_length=32), ListMap()] = ()
    """What the device can be told to do. Absent: nothing; it is only watched."""

    safe_state: protection.ActionCall | None = None
    """Action and values that bring the device into its safe state. It is checked against the
    actions; nothing applies it yet. Absent: none is known."""

    limits: protection.Limits = ()
    """Bounds tighter than those of the actions' inputs. Absent: none beyond the inputs' own."""

    interlocks: protection.Interlocks = ()
    """Conditions that block or trip whatever the model says. Absent: the gate is off."""

    deadman: Annotated[protection.Deadman | None, NotSupported()] = None
    """Timer that brings the safe state when commands stop. Absent: the gate is off."""

    relinquish_default: Annotated[protection.ActionCall | None, NotSupported()] = None
    """What the actuator does when nobody commands it. Absent: it keeps its value."""

    actuator_rate_limit: protection.RateLimitSpec | None = None
    """How often each action of a device may be commanded, over all policies. Absent: the gate is
    off."""

    override: Annotated[protection.Override | None, NotSupported()] = None
    """How a person taking over is noticed and respected. Absent: the gate is off."""

    on_loss: Annotated[protection.OnLoss | None, NotSupported()] = None
    """What a loss of agent, authority, model, input or confidence leads to. Absent: the value
    stays."""

    confirmation: protection.ConfirmationSpec | None = None
    """How a command is confirmed by reading back. Absent: the acknowledgement is the last word."""

    authority: protection.AuthoritySpec = protection.AuthoritySpec()
    """How long the one agent that may command goes on, with and without the hub."""

    guards: protection.Guards = protection.Guards()
    """What the device itself refuses."""

    clock: Annotated[protection.DeviceClock, NotSupported(unless=("Unknown",))] = (
        protection.DeviceClock.UNKNOWN
    )
    """Synchronised: the device's timestamps can be compared with ours, so the budget counts from
    the sample. Unknown: it counts from receipt. Example: `Unknown`."""

    validations = (
        Rule(
            rule="has(self.mqtt.telemetryTopic)"
            " || self.properties.all(p, has(p.topic) || p.access == 'Write')",
            message="a property that names no topic needs mqtt.telemetryTopic",
            field_path=".mqtt.telemetryTopic",
            reason="FieldValueRequired",
        ),
        Rule(
            rule="!has(self.actions) || has(self.mqtt.commandTopic)"
            " || self.actions.all(a, has(a.mqtt) && has(a.mqtt.topic))",
            message="an action that names no topic needs mqtt.commandTopic",
            field_path=".mqtt.commandTopic",
            reason="FieldValueRequired",
        ),
        Rule(
            rule="!has(self.confirmation) || !has(self.actions) || self.actions.all(a,"
            " !has(a.acknowledgement) || a.acknowledgement.type != 'Echo')",
            message="an echo confirms already: leave confirmation out",
            field_path=".confirmation",
        ),
        Rule(
            rule="!has(self.actions) || self.actions.all(a, !has(a.input) || a.input.all(i,"
            " !has(i.property) || self.properties.exists(p, p.name == i.property)))",
            message="an action's input sets a property that the profile does not have",
            field_path=".actions",
        ),
        Rule(
            rule="!has(self.safeState) || (has(self.actions)"
            " && self.actions.exists(a, a.name == self.safeState.action))",
            message="safeState names an action that the profile does not have",
            message_expression="'safeState names ' + self.safeState.action"
            " + ', which is not among the actions'",
            field_path=".safeState.action",
        ),
        Rule(
            rule="!has(self.confirmation)"
            " || self.properties.exists(p, p.name == self.confirmation.property)",
            message="confirmation reads a property that the profile does not have",
            message_expression="'confirmation reads ' + self.confirmation.property"
            " + ', which is not among the properties'",
            field_path=".confirmation.property",
        ),
        Rule(
            rule="!has(self.limits) || self.limits.all(l,"
            " has(self.actions) && self.actions.exists(a, a.name == l.action))",
            message="limits name an action that the profile does not have",
            field_path=".limits",
        ),
        Rule(
            rule="self.guards.freshness != 'Checked' || has(self.mqtt.beatTopic)",
            message="guards.freshness Checked needs mqtt.beatTopic",
            field_path=".mqtt.beatTopic",
            reason="FieldValueRequired",
        ),
    )

    def find_property(self, name: str) -> Property | None:
        """The property of a name, if the profile has it."""
        return next((prop for prop in self.properties if prop.name == name), None)

    def find_action(self, name: str) -> Action | None:
        """The action of a name, if the profile has it."""
        return next((action for action in self.actions if action.name == name), None)


class DeviceProfileStatus(Observed):
    """What the operator knows of a DeviceProfile."""

    devices: scalars.Count | None = None
    """Devices that use the profile. Absent: not counted yet. Example: `60`."""


class DeviceProfile(meta.Resource):
    """A class of device: properties, actions, units, limits, safe state, topics."""

    kind: ClassVar[str] = "DeviceProfile"
    plural: ClassVar[str] = "deviceprofiles"
    short_name: ClassVar[str] = "fsprof"

    spec: DeviceProfileSpec
    """Desired state."""

    status: DeviceProfileStatus = DeviceProfileStatus()
    """Observed state, written by the operator."""
