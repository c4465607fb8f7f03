"""Decision records: CloudEvents that an agent writes to its journal, ships to the hub.

And that every explanation is read from.

One decision is one event of type `DECISION`, written before anything is commanded: for a verdict of
Commanded it is the durable intent. What happens afterwards (acknowledged, confirmed, unknown, …)
are events of type `OUTCOME` with the same decision id. A routine record that was dropped leaves a
`GAP`. The chain covers the exact stored bytes: `hash = SHA-256(previous hash ‖ body)`; it lives
beside the body, so no canonical JSON is needed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from foreshore_api.wire import document
from foreshore_api.wire.command import Command, Scalar

DECISION: Final = "dev.foreshore.decision.v1"
OUTCOME: Final = "dev.foreshore.decision.outcome.v1"
GAP: Final = "dev.foreshore.gap.v1"
NOTICE: Final = "dev.foreshore.notice.v1"


class Verdict(StrEnum):
    """How a pass of the chain ended."""

    COMMANDED = "Commanded"
    ADVISED = "Advised"
    SHADOWED = "Shadowed"
    NOT_TRIGGERED = "NotTriggered"
    NOT_APPLICABLE = "NotApplicable"
    SUPPRESSED = "Suppressed"
    DENIED = "Denied"
    PENDING = "Pending"
    EXPIRED = "Expired"
    OVERRIDDEN = "Overridden"
    ERROR = "Error"


class Outcome(StrEnum):
    """What is learnt after the verdict, as later events of the same decision."""

    ACKNOWLEDGED = "Acknowledged"
    REJECTED = "Rejected"
    CONFIRMED = "Confirmed"
    UNCONFIRMED = "Unconfirmed"
    SUPERSEDED = "Superseded"
    UNKNOWN = "Unknown"
    NOT_SENT = "NotSent"
    """The command never left: policy, right or mode changed meanwhile, or there was no way."""


class Phase(StrEnum):
    """How one gate ended."""

    PASS = "Pass"
    FAIL = "Fail"
    ERROR = "Error"
    PENDING = "Pending"
    SKIPPED = "Skipped"


class PolicyReference(document.Document):
    """Which policy decided, and in which mode it was allowed to."""

    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    digest: str = ""
    mode: str
    effective_mode: str
    """The mode after the system's own caps; `cappedBy` says why it is lower."""
    capped_by: tuple[str, ...] = ()


class DeviceReference(document.Document):
    """Which device the decision is about."""

    namespace: str
    name: str
    uid: str = ""
    digest: str = ""


class ModelReference(document.Document):
    """Which bytes were asked."""

    name: str
    version: str
    digest: str


class Trigger(document.Document):
    """What made the chain run: a sample of a property, or silence."""

    kind: str
    """`Property` or `Silence`."""
    name: str | None = None
    received_at: datetime | None = None
    sampled_at: datetime | None = None


class Input(document.Document):
    """One input as the chain saw it."""

    name: str
    value: Scalar | None = None
    unit: str | None = None
    age_seconds: float | None = None
    quality: str = "Good"
    substituted: str | None = None
    """`LastGood` or `Default` when the value is not the sensor's own."""
    problem: str | None = None
    """Why the input is not valid, as a reason code; absent when it is."""


class Attempt(document.Document):
    """One call of one replica."""

    slot: str
    node: str
    result: str
    """`Answered`, `Late`, `Failed`."""
    reason: str | None = None
    seconds: float | None = None


class Inference(document.Document):
    """What the model was asked and what it said."""

    attempts: tuple[Attempt, ...] = ()
    outputs: dict[str, float | int] = Field(default_factory=dict)


class Recommendation(document.Document):
    """What the policy wants done, before limits; `limited` is after them."""

    action: str
    input: dict[str, Scalar]
    limited: dict[str, Scalar] | None = None


class GateEntry(document.Document):
    """One gate's line: why it passed or not, with the operands it looked at."""

    gate: str
    phase: Phase
    reason: str
    name: str | None = None
    """Which rule, limit or input decided."""
    expression: str | None = None
    operands: dict[str, Scalar | None] = Field(default_factory=dict)
    margin: float | None = None
    """Signed distance to the other result, in the operand's unit: how close it was."""
    message: str | None = None


class Decided(document.Document):
    """The verdict and the gate that gave it."""

    result: Verdict
    decided_by: str | None = None
    reason: str
    message: str


class Authority(document.Document):
    """Under whose right the decision was taken."""

    holder: str | None = None
    epoch: int | None = None
    standing: str = "None"
    """`Renewed`, `Offline`, `Lapsed`, `Superseded` or `None`."""


class Clock(document.Document):
    """Which clocks the record was made by."""

    boot_id: str = ""
    monotonic_seconds: float = 0.0
    virtual: bool = False
    """True in a rehearsal: times follow the recording."""


class Engine(document.Document):
    """Which engine decided; replay needs the same."""

    agent: str
    expressions: str


class Decision(document.Document):
    """The data of a `DECISION` event: all that explains it and runs it again."""

    decision_id: str
    pass_number: int = 1
    site: str
    node: str
    policy: PolicyReference
    device: DeviceReference
    model: ModelReference | None = None
    trigger: Trigger
    inputs: tuple[Input, ...] = ()
    features: dict[str, float | None] = Field(default_factory=dict)
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    variables: dict[str, Scalar] = Field(default_factory=dict)
    present: dict[str, float | None] = Field(default_factory=dict)
    """Measured value of each property that the action sets, by property."""
    state: dict[str, Scalar | None] = Field(default_factory=dict)
    """What else the gates read: lock, tokens left, seconds since the last command, held until, …"""
    inference: Inference | None = None
    recommendation: Recommendation | None = None
    gates: tuple[GateEntry, ...] = ()
    verdict: Decided
    command: Command | None = None
    authority: Authority = Authority()
    latency: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage, as far as known when the record was written."""
    clock: Clock = Clock()
    engine: Engine


class DecisionOutcome(document.Document):
    """The data of an `OUTCOME` event."""

    decision_id: str
    command_id: str
    policy: PolicyReference
    device: DeviceReference
    site: str
    node: str
    outcome: Outcome
    reason: str
    message: str = ""
    read_back: dict[str, float | None] = Field(default_factory=dict)
    latency: dict[str, float] = Field(default_factory=dict)


class Gap(document.Document):
    """The data of a `GAP` event: how many records of which verdict were not kept, and why."""

    dropped: dict[str, int]
    reason: str
    since: datetime
    until: datetime


class Notice(document.Document):
    """The data of a `NOTICE` event: a change of the agent's own standing (mode capped.

    Authority gained or lost, …).
    """

    reason: str
    message: str
    device: str | None = None
    policy: str | None = None
    epoch: int | None = None


class Event(document.Document):
    """The CloudEvents envelope; `type` says which of four documents `data` is."""

    specversion: str = "1.0"
    id: str
    source: str
    """`/sites/<site>/nodes/<node>/journals/<journal>`."""
    type: str
    subject: str | None = None
    """`<namespace>/devices/<device>`."""
    time: datetime
    datacontenttype: str = "application/json"
    sequence: str = ""
    """The journal's sequence, twenty digits, so that text order is number order."""
    sampledrate: int | None = None
    """CloudEvents sampling extension: how many similar events this one stands for."""
    data: Decision | DecisionOutcome | Gap | Notice


class ShippedRecord(document.Document):
    """One record on its way to the hub.

    The exact bytes that were journalled, and their place in the chain.
    """

    sequence: int = Field(ge=1)
    previous: str = Field(max_length=71)
    hash: str = Field(max_length=71)
    body: str = Field(max_length=65536)


class Batch(document.Document):
    """Records of one journal, in sequence, without holes."""

    journal: str = Field(min_length=1, max_length=64)
    records: tuple[ShippedRecord, ...] = Field(min_length=1, max_length=500)


class BatchAnswer(document.Document):
    """What the hub has committed: all up to and including `acknowledged` may be forgotten."""

    journal: str
    acknowledged: int = Field(ge=0)


MAXIMUM_BATCH_BYTES: Final = 1 << 20
