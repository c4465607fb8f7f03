"""What the agent says to a device and what the device answers, over MQTT, as JSON.

Commands are never retained. `commandId` is the decision's id and pass (`<decision id>/<pass>`); the
attempt is a field of its own, so that a receiver can drop what it has already seen. `notAfter`
decides freshness; the broker's expiry is only a help.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from foreshore_api.wire import document

Scalar = bool | document.Integer | float | document.Prose
"""A value that an action takes; non-finite numbers are refused."""


class Command(document.WireDocument):
    """One command to one device."""

    command_id: str = Field(min_length=1, max_length=64)
    attempt: document.Ordinal = 1
    action: str = Field(min_length=1, max_length=63)
    input: dict[document.Code, Scalar] = Field(max_length=16)
    holder: document.Name = Field(min_length=1)
    """The node whose agent sends it."""
    epoch: document.Count
    """The holder's authority number; a device refuses one lower than the highest it has seen."""
    priority: int = Field(ge=1, le=16)
    issued_at: datetime
    not_after: datetime
    boot_nonce: str | None = Field(default=None, max_length=64)
    tick: document.Count | None = None


class Result(StrEnum):
    """What became of a command, in the device's words."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    DONE = "Done"


class Acknowledgement(document.WireDocument):
    """A device's answer to a command."""

    command_id: str = Field(min_length=1, max_length=64)
    result: Result
    reason: document.Code | None = None
    time: datetime | None = None


class Advice(document.WireDocument):
    """A recommendation that nobody obeys by itself.

    Published below Supervised to `mqtt.adviceTopic`.
    """

    decision_id: document.Identity
    policy: document.Name
    action: document.Code
    input: dict[document.Code, Scalar] = Field(max_length=16)
    reason: document.Code
    time: datetime
