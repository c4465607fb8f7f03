"""Why a condition of an object is as it is.

An enumeration, and no constants as in the other tables, because fields of status are typed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api.reasons import ReasonEnum


class ConditionReason(ReasonEnum):
    """Every reason in use, with what it tells its reader and what a person can do."""

    ACCEPTED = (
        "Accepted",
        "The object is well formed, its references exist; nothing has to be delivered.",
    )
    DELIVERED = (
        "Delivered",
        "Every agent that needs it has confirmed this generation.",
    )
    AWAITING_DELIVERY = (
        "AwaitingDelivery",
        "Accepted and queued; an agent that is out of reach gets it when it is back.",
    )
    PROGRESSING = (
        "Progressing",
        "The operator is bringing the world to this generation of the spec.",
    )
    NOT_SUPPORTED = (
        "NotSupported",
        "The spec uses a field or a value that this release does not act on; the message names it.",
        "leave the field out, or set a value that this release acts on",
    )
    INVALID = (
        "Invalid",
        "The spec contradicts itself; the message names the field.",
        "correct the field that the message names",
    )
    COMPILING = (
        "Compiling",
        "The policy's expressions are being compiled; what runs for it stays as it is until then.",
    )
    COMPILE_FAILED = (
        "CompileFailed",
        "An expression or a type does not compile; the last policy that did stays in force.",
        "correct the expression or type that the message names",
    )
    EXPRESSION_TOO_SLOW = (
        "ExpressionTooSlow",
        "Expressions take longer than their budget: measured when the policy was admitted, or by an"
        " agent that decided by it and has disarmed it.",
        "simplify the expression that the message names: shorter lists, fewer loops, simpler"
        " patterns",
    )
    REFERENCE_NOT_FOUND = (
        "ReferenceNotFound",
        "An object that the spec names does not exist in the namespace; it is looked for again, "
        "and what it was resolved to last stays in force.",
        "create the object, or correct its name",
    )
    SITE_CONFLICT = (
        "SiteConflict",
        "An older Site in another namespace has this name.",
        "another name for this Site, or remove the older one",
    )
    ENDPOINT_CONFLICT = (
        "EndpointConflict",
        "An older Device listens on the same broker and command topic.",
        "another topic for this Device, or remove the older one",
    )
    WIDER_THAN_DEVICE = (
        "WiderThanDevice",
        "A limit of the policy or device is wider than what it narrows.",
        "narrow the limit that the message names",
    )
    UNIT_MISMATCH = (
        "UnitMismatch",
        "A unit of the spec differs from the unit of what it refers to.",
        "the same unit in both places",
    )
    MODE_CAPPED = (
        "ModeCapped",
        "The effective mode is lower than the one asked for; the message says why.",
        "what the message says of each cap",
    )
    ACTUATOR_SHARED = (
        "ActuatorShared",
        "Another policy commands the same actuator; the message names it, and nothing "
        "decides which of them wins.",
        "one policy for each actuator",
    )
    NO_FENCE = (
        "NoFence",
        "Nobody fences the device (guards.fence None): two agents may command it at once for as"
        " long as one can be stopped between its last look at its right and the write.",
        "a device that checks epoch and duplicates, and guards.fence Device in its DeviceProfile",
    )
    DISABLED = (
        "Disabled",
        "The policy is not evaluated, as its mode says.",
        "another mode than Disabled",
    )
    NO_DEVICES = (
        "NoDevices",
        "The selector selects no accepted device; the message says which labels devices carry.",
        "correct the selector, or label the devices",
    )
    NO_NODES = (
        "NoNodes",
        "No node carries the label of this site; the message says how to label one.",
        "label a node of the site, as the message says",
    )
    NO_AGENT = (
        "NoAgent",
        "No agent of the site can reach the device.",
    )
    AGENT_CONNECTED = (
        "AgentConnected",
        "An agent reports within its period.",
    )
    AGENT_SILENT = (
        "AgentSilent",
        "An agent has not reported for longer than its period; the message names its node and pod.",
        "look at the agent's pod and the way from it to the hub",
    )
    AGENT_MISSING = (
        "AgentMissing",
        "An agent has never reported to the hub, as far as that knows; the message names its node"
        " and says what is seen of its pod.",
        "what the message says of the pod; without one, a release of the chart foreshore-agent that"
        " covers the node",
    )
    DEVICE_ONLINE = (
        "DeviceOnline",
        "The holder hears the device.",
    )
    DEVICE_SILENT = (
        "DeviceSilent",
        "The holder is connected and has not heard the device for a while.",
        "look at the device's power and network, and at the topics of its DeviceProfile",
    )
    DEVICE_OFFLINE = (
        "DeviceOffline",
        "The device's availability says that it is gone: its last will, or who watches it.",
        "look at the device's power and network; it is read again when it says that it is back",
    )
    BROKER_UNREACHABLE = (
        "BrokerUnreachable",
        "An agent reports that it has no session with the site's broker; the message says why.",
        "mend what the message says of the broker's address, certificate or credential",
    )
    BROKER_REFUSES = (
        "BrokerRefuses",
        "The site's broker lets an agent in and does not let it publish or listen on a "
        "topic; the message names it: the broker's access list lacks it, or was not read "
        "again.",
        "write the broker's access list again (foreshore-agent broker-acl), and let it read it",
    )
    NOT_AUTHORIZED = (
        "NotAuthorized",
        "The site's broker lets no agent in: it knows them and authorises them for nothing, or"
        " answers so whoever it does not know.",
        "the user name and password of the Site's credential, or the certificate, and what the"
        " broker allows them",
    )
    BAD_USER_NAME_OR_PASSWORD = (
        "BadUserNameOrPassword",
        "The site's broker lets no agent in: it does not take their user name and password.",
        "the username and password of the Site's credential, and the broker's list of passwords",
    )
    BAD_AUTHENTICATION_METHOD = (
        "BadAuthenticationMethod",
        "The site's broker lets no agent in: it wants another way to authenticate.",
        "let the broker take user name and password, or client certificates",
    )
    CLIENT_IDENTIFIER_NOT_VALID = (
        "ClientIdentifierNotValid",
        "The site's broker lets no agent in: it does not allow their client identifier.",
        "let the broker allow any client identifier",
    )
    UNSUPPORTED_PROTOCOL_VERSION = (
        "UnsupportedProtocolVersion",
        "The site's broker lets no agent in: it does not speak the MQTT version of the Site.",
        "spec.broker.protocol of the Site: V311",
    )
    BANNED = (
        "Banned",
        "The site's broker lets no agent in: it has banned them.",
        "lift the ban at the broker",
    )
    JOURNAL_BROKEN = (
        "JournalBroken",
        "An agent found its journal of decisions not as it had left it: records were deleted, cut "
        "or changed by something other than the agent, or lost by the disk; the message names the "
        "first. The agent goes on.",
        "run foreshore-agent verify on the node: it says what that means and what to do",
    )
    OVERLOADED = (
        "Overloaded",
        "Devices of the site measure faster than an agent or its disk takes it: it decides on the "
        "newest samples; the others are counted by reason in the next record of each policy.",
        "isolation Agent for the model, fewer or slower devices for the node, a faster node, or "
        "what the message says of the disk",
    )
    AUTHORITY_MOVING = (
        "AuthorityMoving",
        "The right to command the device is on its way to another agent.",
    )
    PLACED = (
        "Placed",
        "Every replica has a node.",
    )
    NO_CANDIDATE = (
        "NoCandidate",
        "No node passes the filters; candidates.rejected counts the causes.",
        "mend the cause that rejects most nodes",
    )
    INSUFFICIENT_ROOM = (
        "InsufficientRoom",
        "Fewer nodes have room than the policy asks replicas for.",
        "free room on nodes of the site, or ask for less",
    )
    REPLICA_STARTING = (
        "ReplicaStarting",
        "A replica has a node and does not serve yet.",
    )
    REPLICA_FAILED = (
        "ReplicaFailed",
        "A replica does not serve; the message names the cause.",
    )
    AWAITING_REPLICA = (
        "AwaitingReplica",
        "No replica of the model that the newest generation asks serves at a site yet; "
        "the generation before stays in force there.",
    )
    REPLICA_LOST = (
        "ReplicaLost",
        "The node of a replica is dead or silent, and the replica is not replaced yet; "
        "the message says why.",
    )
    HOLD_ENDED = (
        "HoldEnded",
        "A person ended this hold of the site: its silent nodes are judged as if it were not held,"
        " until it is heard again.",
    )
    QUARANTINED = (
        "Quarantined",
        "The node of a replica or holder is lost once more, and every node that could take over"
        " fell silent lately too: it stays where it is, and works on when its node is back.",
        "mend what makes the nodes fall silent: power, network or kubelet",
    )
    ENDPOINT_BAD = (
        "EndpointBad",
        "Every agent that calls a replica says that its calls fail or are late; another "
        "takes over where there is one, and the replica is moved.",
    )
    RUNS_IN_AGENTS = (
        "RunsInAgents",
        "Every agent that may hold a device runs the model in its own process, as was asked.",
    )
    ISOLATION_NOT_ALLOWED = (
        "IsolationNotAllowed",
        "A ModelVersion asks isolation Agent, and its Site allows Child alone, or it wants another"
        " execution provider before CPU, or an accelerator: the model runs in limited processes of"
        " its own.",
        "isolation: Agent in the Site, by who answers for it; or a ModelVersion that asks Child,"
        " or one that wants CPU first",
    )
    AGENT_LOADING = (
        "AgentLoading",
        "An agent fetches, tries or loads a model that it is to run itself, or has not reported of "
        "it yet.",
    )
    NO_MODEL_MEMORY = (
        "NoModelMemory",
        "An agent has no room for a model that it is to run itself; replicas in pods answer.",
        "a larger modelMemory of the chart foreshore-agent (the option --model-memory), or a "
        "smaller model",
    )
    MODEL_QUARANTINED = (
        "ModelQuarantined",
        "An agent ended uncleanly twice while it ran or tried a model, and runs it no more before "
        "its node boots again; replicas in pods answer.",
        "look how it ended: the log of the agent's life before (kubectl logs --previous) if it "
        "crashed, the node's if memory ran out; then a ModelVersion of other bytes, one that asks "
        "isolation Child, or a new boot of the node",
    )
    TRIAL_FAILED = (
        "TrialFailed",
        "A model failed its trial in a limited process of an agent that is to run it; replicas in "
        "pods answer.",
        "what the message says of the model",
    )
    NOT_IN_AGENT = (
        "NotInAgent",
        "An agent does not run a model that it is to run itself; the message says why, and "
        "replicas in pods answer.",
        "what the message says",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler finds no room for a replica's successor beside what runs on its "
        "node; what runs serves on.",
        "free room, or ask for less",
    )
    IMAGE_PULL = (
        "ImagePull",
        "The serving image cannot be pulled; the message says what the registry said; "
        "what served before serves on.",
        "mend the image's name, the registry or the pull Secret",
    )
    SECRET_MISSING = (
        "SecretMissing",
        "A Secret that the replica needs is missing or lacks a key; the message names it."
        " What served before serves on.",
        "create the Secret, or add the key",
    )
    PROVIDER_MISSING = (
        "ProviderMissing",
        "The execution provider that the version requires does not compute the model where its"
        " replica is, which is tried elsewhere; what served before serves on.",
        "an image whose ONNX Runtime has the provider (value servingImage), a node with its"
        " device and driver (resources.accelerator), or a new version with require: Any and CPU"
        " among its providers",
    )
    POD_REFUSED = (
        "PodRefused",
        "The API server does not let a replica's Pod in, or the ConfigMap that it reads; "
        "the message is its own: a quota, Pod Security, a class that does not exist, a "
        "webhook. It is tried again every half minute; what served before serves on.",
        "mend what the message names: a quota, Pod Security, a class, a webhook",
    )
    EVICTIONS_UNPROTECTED = (
        "EvictionsUnprotected",
        "The API server does not let in the PodDisruptionBudget that makes an eviction of a "
        "policy's replicas wait for their successors; the message is its own. The replicas serve "
        "all the same; a drain may take them before others answer. It is tried again every half "
        "minute.",
        "mend what the message names (the operator's right to create poddisruptionbudgets, a "
        "quota, a webhook); until then let a drained node's replicas move first: cordon it, wait",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "The bytes at the version's source are not those whose digest it declares; what "
        "served before serves on.",
        "put the declared file there, or declare the digest of this one",
    )
    MODEL_REJECTED = (
        "ModelRejected",
        "The bytes are not the model that the version declares: digest, format, inputs or outputs.",
        "correct the ModelVersion or its Model as the message says",
    )
    WITHIN_BUDGET = (
        "WithinBudget",
        "The measured end-to-end p99 is within the latency budget.",
    )
    OVER_BUDGET = (
        "OverBudget",
        "The end-to-end p99 is above the latency budget; the message names the nearest candidate.",
        "a larger budget, a nearer node or a faster model",
    )
    NOT_MEASURED = (
        "NotMeasured",
        "Too few samples, or none recent enough, to say anything.",
    )
    PREDICTED_TOO_LOW = (
        "PredictedTooLow",
        "For ten minutes what is measured end to end is more than 15 % above what the stages add up"
        " to: they are slow together, or time passes that no stage counts. Predictions for such"
        " nodes at the site are raised.",
        "look for what slows the node as a whole (other programs, throttling, swapping); the error"
        " is in status.budget.modelError",
    )
    PREDICTED_TOO_HIGH = (
        "PredictedTooHigh",
        "For ten minutes what is measured end to end is more than 15 % below what the stages add up"
        " to: when one is slow, another is quick. Nothing is wrong; the budget has more room than"
        " is thought.",
    )
    SPREAD = (
        "Spread",
        "No two replicas share a failure domain.",
    )
    SHARED_DOMAIN = (
        "SharedDomain",
        "Two replicas share a failure domain because no other has room.",
        "room in another failure domain",
    )
    NO_STANDBY = (
        "NoStandby",
        "One replica only: its loss is a gap until its replacement serves.",
        "two replicas",
    )
    CANNOT_LEAVE = (
        "CannotLeave",
        "A person wants a node empty, as by a cordon, and no other node can take a replica that"
        " serves there; a drain waits for it.",
        "free room on another node, or delete the pod that the message names: nothing serves in its"
        " place then until there is room",
    )
    SITE_SILENT = (
        "SiteSilent",
        "More than half of the site's nodes are silent; nothing moves until evidence returns.",
    )
    FLEET_SILENT = (
        "FleetSilent",
        "More than a third of the sites went dark within two minutes, which is likely a "
        "fault on the operator's side; nothing moves anywhere until they are back.",
    )
    FAILOVER_NEVER = (
        "FailoverNever",
        "The policy's `failover` is Never: a person has to move what is lost.",
        "move it by hand, or set failover to Automatic",
    )
    AWAITS_CONFIRMATION = (
        "AwaitsConfirmation",
        "The policy's `failover` is Manual: what is lost moves when a person confirms the proposal"
        " that the message names.",
        "kubectl foreshore move, or set failover to Automatic",
    )
    MOVE_LIMIT = (
        "MoveLimit",
        "Moves of this site have used up their share of the minute; the rest waits.",
    )
    RECORDER_FULL = (
        "RecorderFull",
        "An agent cannot write records; its policies are capped as they ask.",
        "give the node's state directory room, or let the hub catch up",
    )
    HUB_UNREACHABLE = (
        "HubUnreachable",
        "The operator cannot read the agents' evidence; nothing moves on guesses.",
    )
    UNREACHABLE = (
        "Unreachable",
        "The cluster's API server does not answer.",
    )
    STORE_UNAVAILABLE = (
        "StoreUnavailable",
        "The hub cannot write its store (full, failing or away), so that agents go on by "
        "the assignments that they have.",
        "free room on the hub's volume, or mend its database",
    )
    INTERNAL_ERROR = (
        "InternalError",
        "A defect of this release keeps the operator from planning the object; what runs "
        "stays as it is.",
        "report what the operator's log says",
    )


TABLE: Final[Mapping[str, ConditionReason]] = MappingProxyType(
    {row.value: row for row in ConditionReason}
)
"""Every reason of a condition by its code."""
