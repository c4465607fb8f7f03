"""Conditions: what objects say of themselves, and the one table of their types.

Their reasons are rows of `reasons.condition`, which every user knows as `conditions.Reason`.

The operator writes them, people and GitOps tools read them. `Ready` is there from the first
visit and means accepted and delivered, or queued for delivery, never online. `Reconciling` and
`Stalled` exist only while they are true (kstatus). Messages hold no volatile number: a message
that changes each second is a write each second.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import pydantic
from pydantic import StringConstraints

from foreshore_api import given_fields, printable, scalars
from foreshore_api.contract import Document
from foreshore_api.reasons.condition import ConditionReason as Reason

__all__ = ["WITHOUT_HUB", "Condition", "Reason", "Status", "Type", "find", "is_true", "merge"]


class Status(StrEnum):
    """Whether a condition holds; Unknown while the evidence is missing."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Type(StrEnum):
    """Every condition type in use."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    CONNECTED = "Connected"
    PLACED = "Placed"
    BUDGET_MET = "BudgetMet"
    REDUNDANT = "Redundant"
    HELD = "Held"
    DEGRADED = "Degraded"
    ACTUATOR_SHARED = "ActuatorShared"
    IN_AGENT = "InAgent"
    UNFENCED = "Unfenced"
    MODEL_ERROR = "ModelError"


WITHOUT_HUB: Final = (
    "sites decide and command on by what they have, for as long as their grants last, and keep"
    " their records; nothing new reaches agents, no new record can be read, and the right to a"
    " device does not move"
)
"""What still works while the hub is away, for whoever says that it is."""


class Condition(Document):
    """One aspect of an object's state, as metav1.Condition."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
    """Aspect that is described. Example: `Ready`."""

    status: Status
    """Whether the aspect holds: True, False, or Unknown while evidence is missing. Example:
    `True`."""

    reason: scalars.Reason
    """Machine-readable cause of the last change, from the documented table. Example:
    `Delivered`."""

    message: Annotated[
        str, StringConstraints(max_length=1024), pydantic.AfterValidator(printable.clean)
    ] = ""
    """What a person should know, without volatile numbers. Absent: nothing to add.
    Example: `waiting for model occupancy-v1`."""

    last_transition_time: scalars.Timestamp
    """When the status last changed. Example: `2026-03-01T10:00:00Z`."""

    observed_generation: scalars.Count = 0
    """Generation of the spec that this was said about. Example: `3`."""


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of a type, if there is one."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether a condition of the type is there and True."""
    condition = find(conditions, type_)
    return condition is not None and condition.status is Status.TRUE


def merge(
    existing: Iterable[Condition], wanted: Iterable[Condition], now: datetime.datetime
) -> tuple[Condition, ...]:
    """`wanted` in order of type; the time of a condition whose status did not change is kept.

    Conditions that are not wanted go away: `Stalled` and `Reconciling` exist only while true. One
    that is as it was is the very same object: of ten thousand devices that is worth its memory.
    """
    previous = {condition.type: condition for condition in existing}
    return tuple(
        _merged(condition, previous.get(condition.type), now)
        for condition in sorted(wanted, key=lambda condition: condition.type)
    )


def _merged(condition: Condition, before: Condition | None, now: datetime.datetime) -> Condition:
    moment = scalars.timestamp(now)
    if before is not None and before.status is condition.status:
        moment = before.last_transition_time
    merged = condition.model_copy(update={"last_transition_time": moment})
    if before is not None and merged == before:
        return before
    given_fields.share_own(merged)
    return merged
