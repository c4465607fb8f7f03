"""Conditions: what objects say of themselves, and the one table of their types and reasons.

The operator writes them, people and GitOps tools read them. `Ready` is there from the first
visit and means accepted and delivered, or queued for delivery, never online. `Reconciling` and
`Stalled` exist only while they are true (kstatus). Messages hold no volatile number: a message
that changes each second is a write each second.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

import pydantic
from pydantic import StringConstraints

from foreshore_api import printable, scalars
from foreshore_api.contract import Document


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


class Reason(StrEnum):
    """Every reason in use; `MEANING` says what each tells its reader."""

    ACCEPTED = "Accepted"
    DELIVERED = "Delivered"
    AWAITING_DELIVERY = "AwaitingDelivery"
    PROGRESSING = "Progressing"
    NOT_SUPPORTED = "NotSupported"
    INVALID = "Invalid"
    COMPILE_FAILED = "CompileFailed"
    REFERENCE_NOT_FOUND = "ReferenceNotFound"
    SITE_CONFLICT = "SiteConflict"
    ENDPOINT_CONFLICT = "EndpointConflict"
    WIDER_THAN_DEVICE = "WiderThanDevice"
    UNIT_MISMATCH = "UnitMismatch"
    MODE_CAPPED = "ModeCapped"
    ACTUATOR_SHARED = "ActuatorShared"
    DISABLED = "Disabled"
    NO_DEVICES = "NoDevices"
    NO_NODES = "NoNodes"
    NO_AGENT = "NoAgent"
    AGENT_CONNECTED = "AgentConnected"
    AGENT_SILENT = "AgentSilent"
    DEVICE_ONLINE = "DeviceOnline"
    DEVICE_SILENT = "DeviceSilent"
    BROKER_UNREACHABLE = "BrokerUnreachable"
    BROKER_REFUSES = "BrokerRefuses"
    AUTHORITY_MOVING = "AuthorityMoving"
    PLACED = "Placed"
    NO_CANDIDATE = "NoCandidate"
    INSUFFICIENT_ROOM = "InsufficientRoom"
    REPLICA_STARTING = "ReplicaStarting"
    REPLICA_FAILED = "ReplicaFailed"
    AWAITING_REPLICA = "AwaitingReplica"
    REPLICA_LOST = "ReplicaLost"
    ENDPOINT_BAD = "EndpointBad"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    SECRET_MISSING = "SecretMissing"
    POD_REFUSED = "PodRefused"
    DIGEST_MISMATCH = "DigestMismatch"
    MODEL_REJECTED = "ModelRejected"
    WITHIN_BUDGET = "WithinBudget"
    OVER_BUDGET = "OverBudget"
    NOT_MEASURED = "NotMeasured"
    SPREAD = "Spread"
    SHARED_DOMAIN = "SharedDomain"
    NO_STANDBY = "NoStandby"
    SITE_SILENT = "SiteSilent"
    FLEET_SILENT = "FleetSilent"
    FAILOVER_NEVER = "FailoverNever"
    MOVE_LIMIT = "MoveLimit"
    RECORDER_FULL = "RecorderFull"
    HUB_UNREACHABLE = "HubUnreachable"
    UNREACHABLE = "Unreachable"
    STORE_UNAVAILABLE = "StoreUnavailable"
    INTERNAL_ERROR = "InternalError"


MEANING: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.ACCEPTED: (
            "The object is well formed, its references exist; nothing has to be delivered."
        ),
        Reason.DELIVERED: "Every agent that needs it has confirmed this generation.",
        Reason.AWAITING_DELIVERY: (
            "Accepted and queued; an agent that is out of reach gets it when it is back."
        ),
        Reason.PROGRESSING: "The operator is bringing the world to this generation of the spec.",
        Reason.NOT_SUPPORTED: (
            "The spec uses a field or a value that this release does not act on; the message names "
            "it."
        ),
        Reason.INVALID: "The spec contradicts itself; the message names the field.",
        Reason.COMPILE_FAILED: (
            "An expression or a type does not compile; the last policy that did stays in force."
        ),
        Reason.REFERENCE_NOT_FOUND: (
            "An object that the spec names does not exist in the namespace; it is looked for again."
        ),
        Reason.SITE_CONFLICT: "An older Site in another namespace has this name.",
        Reason.ENDPOINT_CONFLICT: "An older Device listens on the same broker and command topic.",
        Reason.WIDER_THAN_DEVICE: "A limit of the policy or device is wider than what it narrows.",
        Reason.UNIT_MISMATCH: "A unit of the spec differs from the unit of what it refers to.",
        Reason.MODE_CAPPED: (
            "The effective mode is lower than the one asked for; the message says why."
        ),
        Reason.ACTUATOR_SHARED: (
            "Another policy commands the same actuator; the message names it, and nothing decides "
            "which of them wins."
        ),
        Reason.DISABLED: "The policy is not evaluated, as its mode says.",
        Reason.NO_DEVICES: (
            "The selector selects no accepted device; the message says which labels devices carry."
        ),
        Reason.NO_NODES: (
            "No node carries the label of this site; the message says how to label one."
        ),
        Reason.NO_AGENT: "No agent of the site can reach the device.",
        Reason.AGENT_CONNECTED: "An agent reports within its period.",
        Reason.AGENT_SILENT: (
            "An agent has not reported for longer than its period; the message names its node and "
            "pod."
        ),
        Reason.DEVICE_ONLINE: "The holder hears the device.",
        Reason.DEVICE_SILENT: "The holder is connected and has not heard the device for a while.",
        Reason.BROKER_UNREACHABLE: (
            "An agent reports that it has no session with the site's broker; the message says why."
        ),
        Reason.BROKER_REFUSES: (
            "The site's broker lets an agent in and does not let it publish or listen on a topic; "
            "the message names it: the broker's access list lacks it, or was not read again."
        ),
        Reason.AUTHORITY_MOVING: "The right to command the device is on its way to another agent.",
        Reason.PLACED: "Every replica has a node.",
        Reason.NO_CANDIDATE: "No node passes the filters; candidates.rejected counts the causes.",
        Reason.INSUFFICIENT_ROOM: "Fewer nodes have room than the policy asks replicas for.",
        Reason.REPLICA_STARTING: "A replica has a node and does not serve yet.",
        Reason.REPLICA_FAILED: "A replica does not serve; the message names the cause.",
        Reason.AWAITING_REPLICA: (
            "No replica of the model that the newest generation asks serves at a site yet; the "
            "generation before stays in force there."
        ),
        Reason.REPLICA_LOST: (
            "The node of a replica is dead or silent, and the replica is not replaced yet; the "
            "message says why."
        ),
        Reason.ENDPOINT_BAD: (
            "Every agent that calls a replica says that its calls fail or are late; another takes "
            "over where there is one, and the replica is moved."
        ),
        Reason.UNSCHEDULABLE: (
            "The scheduler finds no room for a replica's successor beside what runs on its node; "
            "what runs serves on. Free room, or ask for less."
        ),
        Reason.IMAGE_PULL: (
            "The serving image cannot be pulled; the message says what the registry said. Mend the "
            "image's name, the registry or the pull Secret; what served before serves on."
        ),
        Reason.SECRET_MISSING: (
            "A Secret that the replica needs is missing or lacks a key; the message names it. What "
            "served before serves on."
        ),
        Reason.POD_REFUSED: (
            "The API server does not let a replica's Pod in, or the ConfigMap that it reads; the "
            "message is its own: a quota, Pod Security, a class that does not exist, a webhook. It "
            "is tried again every half minute; what served before serves on."
        ),
        Reason.DIGEST_MISMATCH: (
            "The bytes at the version's source are not those whose digest it declares; what served "
            "before serves on."
        ),
        Reason.MODEL_REJECTED: (
            "The bytes are not the model that the version declares: digest, format, inputs or "
            "outputs."
        ),
        Reason.WITHIN_BUDGET: "The measured end-to-end p99 is within the latency budget.",
        Reason.OVER_BUDGET: (
            "The end-to-end p99 is above the latency budget; the message names the nearest "
            "candidate."
        ),
        Reason.NOT_MEASURED: "Too few samples, or none recent enough, to say anything.",
        Reason.SPREAD: "No two replicas share a failure domain.",
        Reason.SHARED_DOMAIN: "Two replicas share a failure domain because no other has room.",
        Reason.NO_STANDBY: "One replica only: its loss is a gap until its replacement serves.",
        Reason.SITE_SILENT: (
            "More than half of the site's nodes are silent; nothing moves until evidence returns."
        ),
        Reason.FLEET_SILENT: (
            "More than a third of the sites went dark within two minutes, which is likely a fault "
            "on the operator's side; nothing moves anywhere until they are back."
        ),
        Reason.FAILOVER_NEVER: (
            "The policy's `failover` is Never: a person has to move what is lost."
        ),
        Reason.MOVE_LIMIT: (
            "Moves of this site have used up their share of the minute; the rest waits."
        ),
        Reason.RECORDER_FULL: "An agent cannot write records; its policies are capped as they ask.",
        Reason.HUB_UNREACHABLE: (
            "The operator cannot read the agents' evidence; nothing moves on guesses."
        ),
        Reason.UNREACHABLE: "The cluster's API server does not answer.",
        Reason.STORE_UNAVAILABLE: (
            "The hub cannot write its store (full, failing or away), so that agents go on by the "
            "assignments that they have. Free room on its volume, or mend its database."
        ),
        Reason.INTERNAL_ERROR: (
            "A defect of this release keeps the operator from planning the object; what runs stays "
            "as it is. The operator's log has the details: please report them."
        ),
    }
)

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

    Conditions that are not wanted go away: `Stalled` and `Reconciling` exist only while true.
    """
    known = {condition.type: condition for condition in existing}
    merged = []
    for condition in sorted(wanted, key=lambda each: each.type):
        before = known.get(condition.type)
        moment = (
            before.last_transition_time
            if before is not None and before.status is condition.status
            else scalars.timestamp(now)
        )
        merged.append(condition.model_copy(update={"last_transition_time": moment}))
    return tuple(merged)
