"""InferencePlacement: where one policy infers for one site, and why; the operator writes it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, ListMap, Rule
from foreshore_api.v1alpha1.statuses import Observed

Slot = Annotated[str, StringConstraints(pattern=r"^[a-z][0-9]{1,2}$", max_length=3)]
Text = Annotated[str, StringConstraints(max_length=256)]
ProposalId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$", max_length=12)]
Endpoint = Annotated[str, StringConstraints(max_length=128)]

REPLICAS = 32
"""Nodes in use that the status of a placement has room for."""
PASSED = 8
"""Nodes that were not taken that it has room for by name."""
BUSIEST = 10_000
"""Percent of a node that a status has room for."""
Percent = Annotated[int, pydantic.Field(ge=0, le=BUSIEST)]
LARGEST_ERROR = 1000
"""Percent of a model error that a status has room for."""
AGENTS = 100
"""Agents of one placement that its status has room for."""


class Role(StrEnum):
    """What a replica is for."""

    ACTIVE = "Active"
    STANDBY = "Standby"


class ReplicaPhase(StrEnum):
    """How far a replica has come."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"
    LOST = "Lost"


class BudgetStage(StrEnum):
    """A part of the way from sample to acknowledgement."""

    UPLINK = "Uplink"
    DECIDE = "Decide"
    NETWORK = "Network"
    INFERENCE = "Inference"
    ACTUATE = "Actuate"


class StageBasis(StrEnum):
    """What the figure of a stage rests on."""

    MEASURED = "Measured"
    PROBED = "Probed"
    POOLED = "Pooled"
    RECORDED = "Recorded"
    REMEMBERED = "Remembered"
    EXPECTED = "Expected"


class CountedFrom(StrEnum):
    """Where the budget starts to count."""

    SAMPLE = "Sample"
    RECEIPT = "Receipt"


class InferencePlacementSpec(Document):
    """What is placed; it cannot change."""

    policy_ref: meta.ObjectReference
    """The DecisionPolicy that infers."""

    site: scalars.SiteName
    """Site it infers for. Example: `hq`."""

    validations = (
        Rule(
            rule="self == oldSelf",
            message="a placement never changes its policy or site",
            reason="FieldValueForbidden",
        ),
    )


class SuccessorPod(Document):
    """The Pod that is to take a replica's place once it is ready."""

    node: scalars.SubdomainName
    """Node it was put on. Example: `edge-3`."""

    version: scalars.ObjectName | None = None
    """ModelVersion that it is to serve. Absent: not known. Example: `occupancy-v2`."""

    phase: ReplicaPhase
    """Pending, Starting or Failed. Example: `Starting`."""

    reason: scalars.Reason | None = None
    """Why it is not ready. Absent: nothing is known to be wrong. Example: `ImagePull`."""

    message: Text = ""
    """What was seen of it. Absent: nothing to add. Example: `image not found`."""


class ReplicaStatus(Document):
    """One inference Pod and where it was put: the one that answers, while a successor starts."""

    slot: Slot
    """Which replica, counted from `r0`; `role` says which of them are active. Example: `r0`."""

    role: Role
    """Active serves; Standby is warm and takes over. Example: `Active`."""

    cluster: scalars.ObjectName
    """Cluster of the node. Example: `local`."""

    node: scalars.SubdomainName
    """Node the replica was put on. Example: `edge-2`."""

    endpoint: Endpoint | None = None
    """Address that agents infer at. Absent: no Pod address yet. Example: `10.244.1.7:8080`."""

    phase: ReplicaPhase
    """Pending, Starting, Ready, Failed or Lost (its node is). Example: `Ready`."""

    version: scalars.ObjectName | None = None
    """ModelVersion that it serves. Absent: not known. Example: `occupancy-v1`."""

    digest: scalars.Digest | None = None
    """Digest of the bytes that it serves. Absent: not known.
    Example: `sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`."""

    policy_generation: scalars.Count | None = None
    """Generation of the policy that it serves. Absent: not known. Example: `3`."""

    provider: scalars.Reason | None = None
    """Execution provider that computes the model, as its callers report it. Absent: nobody has
    called it yet. Example: `CUDA`."""

    successor: SuccessorPod | None = None
    """The Pod that takes its place once it is ready. Absent: nothing is to take its place."""


class AgentReplica(Document):
    """A model in the process of one agent that may hold a device of the policy: it has no Pod."""

    node: scalars.SubdomainName
    """Node of the agent. Example: `edge-1`."""

    phase: ReplicaPhase
    """Pending (the agent has not said anything of it), Starting, Ready, Failed (it cannot, and
    replicas in Pods answer) or Lost (its node is). Example: `Ready`."""

    version: scalars.ObjectName
    """ModelVersion that it runs. Example: `occupancy-v1`."""

    digest: scalars.Digest
    """Digest of the bytes that it runs.
    Example: `sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`."""

    provider: scalars.Reason | None = None
    """Execution provider that computes the model. Absent: it has not answered yet.
    Example: `CPU`."""

    reason: scalars.Reason | None = None
    """Why it does not answer. Absent: nothing is known to be wrong. Example: `NoModelMemory`."""

    message: Text = ""
    """What the agent said of it. Absent: nothing to add. Example: `128Mi asked, 64Mi left`."""


class StageShare(Document):
    """What a stage takes of the budget."""

    stage: BudgetStage
    """Uplink, Decide, Network, Inference or Actuate. Example: `Inference`."""

    p99: scalars.Duration
    """99th percentile, rounded to two digits. Example: `4.2ms`."""

    basis: StageBasis | None = None
    """Measured: with this policy on this node. Probed: by echoes of that node's agent. Pooled: as
    agents report it of this version on nodes of this class, or of the way there. Recorded: the
    same, as a Prometheus has it, while the hub is out of reach. Remembered: the same, as it was
    before both went. Expected: as the ModelVersion declares it. Absent: not stated.
    Example: `Measured`."""


class ModelError(Document):
    """How far predictions are off for the node in use."""

    percent: Annotated[int, pydantic.Field(ge=-100, le=LARGEST_ERROR)]
    """By how much the measured p99 is above what the measured stages add up to; negative: below.
    Example: `32`."""

    since: scalars.Timestamp
    """Since when it is more than 15 %. Example: `2026-03-01T10:00:00Z`."""


class Budget(Document):
    """The latency budget and what is used of it."""

    limit: scalars.Duration
    """Budget that the policy sets. Example: `200ms`."""

    from_: Annotated[CountedFrom, pydantic.Field(alias="from")] = CountedFrom.RECEIPT
    """Sample: counted from the device's time. Receipt: from the agent's receipt, because the
    device's clock is not known to be right. Example: `Receipt`."""

    predicted: scalars.Duration | None = None
    """End-to-end p99 the choice was made on. Absent: nothing to predict from. Example: `31ms`."""

    measured: scalars.Duration | None = None
    """End-to-end p99 that agents measured, rounded. Absent: too few samples. Example: `27ms`."""

    split: Annotated[tuple[StageShare, ...], pydantic.Field(max_length=8), ListMap(("stage",))] = ()
    """Measured share of each stage. Absent: too few samples."""

    margin: Annotated[int, pydantic.Field(ge=0, le=LARGEST_ERROR)] | None = None
    """Percent by which predictions are raised, because those for such nodes at this site were too
    low. Absent: they are not. Example: `20`."""

    model_error: ModelError | None = None
    """How far predictions are off. Absent: within 15 %, or not measured."""


class RejectedNodes(Document):
    """Nodes that were not chosen, by cause."""

    reason: scalars.Reason
    """Why. Example: `InsufficientMemory`."""

    count: Annotated[int, pydantic.Field(ge=1, le=scalars.LARGEST)]
    """Nodes rejected for it. Example: `2`."""

    example: Text = ""
    """One of them, with the figures. Absent: none told.
    Example: `edge-3: 128Mi asked, 40Mi free`."""


class ChosenNode(Document):
    """A node in use: what was predicted there, what it costs, and why it was taken."""

    node: scalars.SubdomainName
    """The node. Example: `edge-2`."""

    predicted: scalars.Duration | None = None
    """End-to-end p99 that is predicted there. Absent: nothing is known. Example: `31ms`."""

    busy: Percent | None = None
    """Percent of the node, without what others reserve, that its replicas are at work. Absent: not
    known. Example: `40`."""

    price: scalars.Decimal | None = None
    """What one replica costs there an hour. Absent: not known. Example: `"0.005"`."""

    why: Text = ""
    """What speaks for it beside the next best. Absent: not known.
    Example: `predicted within the budget; cheaper than cloud-1`."""


class PassedNode(Document):
    """A node that was looked at and not taken, and what would change that."""

    node: scalars.SubdomainName
    """The node. Example: `edge-3`."""

    reason: scalars.Reason
    """Why it was not taken. Example: `Dearer`."""

    message: Text = ""
    """The same with figures. Absent: nothing to add. Example: `0.05 an hour, edge-2 0.01`."""

    predicted: scalars.Duration | None = None
    """End-to-end p99 that is predicted there. Absent: nothing is known. Example: `52ms`."""

    busy: Percent | None = None
    """Percent of the node, without what others reserve, that its replicas would be at work. Absent:
    not known. Example: `72`."""

    price: scalars.Decimal | None = None
    """What one replica would cost there an hour. Absent: not known. Example: `"0.005"`."""

    change: Text = ""
    """The smallest change that would let it serve or be taken. Absent: none is known.
    Example: `a latency budget of 52ms`."""


class Candidates(Document):
    """Nodes that were looked at."""

    total: scalars.Count
    """Nodes that were looked at. Example: `4`."""

    rejected: Annotated[
        tuple[RejectedNodes, ...], pydantic.Field(max_length=32), ListMap(("reason",))
    ] = ()
    """Those that were not usable, by cause. Absent: none."""

    chosen: Annotated[
        tuple[ChosenNode, ...], pydantic.Field(max_length=REPLICAS), ListMap(("node",))
    ] = ()
    """Those in use. Absent: none."""

    passed: Annotated[
        tuple[PassedNode, ...], pydantic.Field(max_length=PASSED), ListMap(("node",))
    ] = ()
    """Those that came next, then those that could not serve, the nearest first. Absent: none."""


class Move(Document):
    """A replica that went elsewhere."""

    time: scalars.Timestamp
    """When it was decided. Example: `2026-03-01T10:00:00Z`."""

    from_: Annotated[scalars.SubdomainName | None, pydantic.Field(alias="from")] = None
    """Node it left. Absent: it was placed for the first time. Example: `edge-2`."""

    to: scalars.SubdomainName
    """Node it went to. Example: `edge-3`."""

    cause: scalars.Reason
    """Why. Example: `NodeDead`."""

    evidence: Text = ""
    """What was seen. Absent: nothing to add. Example: `lease 9s old, 2 peers miss its beats`."""

    others: Text = ""
    """Which other nodes were possible, with what was predicted there. Absent: not known.
    Example: `edge-1 (12ms), cloud-1 (52ms)`."""

    confirmed: ProposalId | None = None
    """Proposal that a person confirmed. Absent: nobody had to. Example: `3f9c0a1be2d4`."""


class ProposedMove(Document):
    """A move that waits for a person, because the policy's `failover` is Manual."""

    id: ProposalId
    """What confirms it, as annotation `foreshore.dev/confirmed-move`; what is proposed anew has
    another. Example: `3f9c0a1be2d4`."""

    slot: Slot
    """Replica that would move. Example: `r0`."""

    from_: Annotated[scalars.SubdomainName, pydantic.Field(alias="from")]
    """Node it would leave. Example: `edge-2`."""

    to: scalars.SubdomainName
    """Node it would go to. Example: `edge-3`."""

    cause: scalars.Reason
    """Why. Example: `NodeDead`."""

    evidence: Text = ""
    """What was seen. Absent: nothing to add. Example: `lease 9s old, 2 peers miss its beats`."""

    since: scalars.Timestamp
    """When it was proposed first. Example: `2026-03-01T10:00:00Z`."""


class InferencePlacementStatus(Observed):
    """Where the replicas are, what they cost of the budget, and why they are there."""

    replicas: Annotated[
        tuple[ReplicaStatus, ...], pydantic.Field(max_length=32), ListMap(("slot",))
    ] = ()
    """Replicas that were placed. Absent: none."""

    agents: Annotated[
        tuple[AgentReplica, ...], pydantic.Field(max_length=AGENTS), ListMap(("node",))
    ] = ()
    """Agents that run the model themselves (isolation Agent), those in trouble first; of more than
    there is room for the condition InAgent says so. Absent: none is to."""

    budget: Budget | None = None
    """The latency budget and what is used of it. Absent: not looked at yet."""

    candidates: Candidates | None = None
    """Nodes that were looked at. Absent: not looked at yet."""

    moves: Annotated[tuple[Move, ...], pydantic.Field(max_length=32)] = ()
    """The last moves, newest first; of many those stay that limit what moves next. Absent: none."""

    proposals: Annotated[
        tuple[ProposedMove, ...], pydantic.Field(max_length=32), ListMap(("id",))
    ] = ()
    """Moves that wait for a person (failover Manual). Absent: none."""

    confirmed: ProposalId | None = None
    """Proposal that the annotation `foreshore.dev/confirmed-move` names and that was moved, also
    when its move is none of the last any more. Absent: it names none. Example: `3f9c0a1be2d4`."""


class InferencePlacement(meta.Resource):
    """One policy at one site: replicas chosen, budget split, rejected candidates, last moves."""

    kind: ClassVar[str] = "InferencePlacement"
    plural: ClassVar[str] = "inferenceplacements"
    short_name: ClassVar[str] = "fsplace"
    longest_name: ClassVar[int] = 85
    name_pattern: ClassVar[str] = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

    spec: InferencePlacementSpec
    """What is placed."""

    status: InferencePlacementStatus = InferencePlacementStatus()
    """Observed state, written by the operator."""

    validations = (
        Rule(
            rule="self.metadata.name == self.spec.policyRef.name + '.' + self.spec.site",
            message="the name of a placement is <policy>.<site>",
        ),
    )
