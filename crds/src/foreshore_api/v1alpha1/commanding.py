"""How an action is told in a device's own dialect, and how it is known to have worked."""

from __future__ import annotations

from enum import StrEnum

from foreshore_api import scalars
from foreshore_api.contract import Document, Rule
from foreshore_api.v1alpha1.datatype import DataType
from foreshore_api.v1alpha1.telemetry import Member, Payload


class Delivery(StrEnum):
    """What becomes of a message while the device is away."""

    LIVE = "Live"
    STORED = "Stored"


class AcknowledgementKind(StrEnum):
    """How it is known that a device did what it was told."""

    ENVELOPE = "Envelope"
    ECHO = "Echo"
    REPLY = "Reply"
    NONE = "None"


class ActionMessage(Document):
    """What is published to tell a device an action."""

    topic: scalars.Topic | None = None
    """Topic of the message. Absent: mqtt.commandTopic. Example:
    `zigbee2mqtt/{parameters.friendlyName}/set`."""

    payload: Payload = Payload.JSON
    """JSON: the expression's value as a document. Text: as a bare value. Example: `JSON`."""

    expression: scalars.Expression
    """CEL over the action's inputs, and over the device's parameters as texts
    (`parameters.NAME`). It yields a text, a number or a Boolean, or a map or list of these that is
    written out; a whole number is sent without decimals. Example:
    `{"state": value ? "ON" : "OFF"}`."""

    delivery: Delivery = Delivery.LIVE
    """Live: a device that is away never gets it. Stored: the message is kept for a device that is
    away and arrives late, so that nothing above Advise is possible. Example: `Live`."""


class EchoSpec(Document):
    """The device's own report of what it was told, after it was told."""

    property: scalars.CamelCase
    """Property that comes to be what was told; an input of the action sets it. Numbers may differ
    by the property's `tolerance`. Example: `state`."""

    within: scalars.PositiveDuration
    """Time after sending within which it must come. Until it comes, a policy without `rateLimit`
    commands again with each evaluation that permits. Example: `3s`."""


class ReplySpec(Document):
    """The device's answer on a topic of its own."""

    topic: scalars.Topic
    """Topic of the answer. Example: `stat/{parameters.topic}/RESULT`."""

    payload: Payload = Payload.JSON
    """JSON: `path` says where the answer stands. Text: the message is the answer. Example:
    `JSON`."""

    path: Member | None = None
    """Place of the answer in the document. Absent: the message is the answer. Example: `POWER`."""

    type: DataType = DataType.STRING
    """Type of the answer: Number, Integer, Boolean or String. Example: `String`."""

    match: scalars.Expression
    """CEL over `reply` and the action's inputs that is true of the answer to this command. Example:
    `reply == (value ? "ON" : "OFF")`."""

    within: scalars.PositiveDuration
    """Time after sending within which it must come. Example: `3s`."""

    validations = (
        Rule(
            rule="self.payload != 'JSON' || has(self.path)",
            message="a JSON reply needs the path of the answer",
            field_path=".path",
            reason="FieldValueRequired",
        ),
    )


class AcknowledgementSpec(Document):
    """How it is known that an action worked."""

    type: AcknowledgementKind
    """Envelope: the device answers on mqtt.acknowledgementTopic with the command's id. Echo: its
    own report comes to be what it was told. Reply: it answers on a topic of its own. None: nothing
    tells; it acts only where fence None may. Example: `Echo`."""

    echo: EchoSpec | None = None
    """The report that type Echo waits for. Absent: the type is another."""

    reply: ReplySpec | None = None
    """The answer that type Reply waits for. Absent: the type is another."""

    validations = (
        Rule(
            rule="(self.type == 'Echo') == has(self.echo)",
            message="type Echo and echo belong together",
            field_path=".echo",
        ),
        Rule(
            rule="(self.type == 'Reply') == has(self.reply)",
            message="type Reply and reply belong together",
            field_path=".reply",
        ),
    )
