"""Decision records: CloudEvents that an agent writes to its journal, ships to the hub.

And that every explanation is read from.

One decision is one event of type `DECISION`. For a verdict of Commanded it is written once the
command has left: what it is made of is durable before, with the intent, and a restart writes the
same record from that. What happens afterwards (acknowledged, confirmed, unknown, …) are events of
type `OUTCOME` with the same decision id. What a journal drops or forgets is named by a `GAP`. The
chain covers the exact stored bytes: `hash = SHA-256(previous hash ‖ body)`; it lives beside the
body, so no canonical JSON is needed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

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
    UNACKNOWLEDGED = "Unacknowledged"
    """It left, and by the action's own word nothing tells whether it was done."""
    NOT_SENT = "NotSent"
    """The command never left: policy, right or mode changed meanwhile, or there was no way."""


class Phase(StrEnum):
    """How one gate ended."""

    PASS = "Pass"
    FAIL = "Fail"
    ERROR = "Error"
    PENDING = "Pending"
    SKIPPED = "Skipped"


ITEMS: Final = 1024
"""Entries of one list or map of a record at most."""
MAXIMUM_BYTES: Final = 65536
"""Bytes of one record, as the hub takes it."""

Fact = Scalar | None
FactRow = Annotated[tuple[Fact, ...], Field(max_length=ITEMS, fail_fast=True)]
FactEntry = Annotated[dict[document.Code, Fact], Field(max_length=ITEMS)]
"""One of a list of things with names, such as a time for which a window was listened to."""
FactRows = Annotated[
    tuple[Fact | FactRow | FactEntry, ...], Field(max_length=ITEMS, fail_fast=True)
]
FactMap = Annotated[dict[document.Code, Fact | FactRows], Field(max_length=ITEMS)]
Facts = Annotated[
    dict[
        document.Code,
        Fact
        | FactRows
        | Annotated[
            dict[
                document.Code,
                Fact
                | FactRows
                | Annotated[
                    dict[document.Code, Fact | FactRows | FactMap], Field(max_length=ITEMS)
                ],
            ],
            Field(max_length=ITEMS),
        ],
    ],
    Field(max_length=ITEMS),
]
"""What the gates saw, exactly, for the replay: `foreshore_decision.record.facts` writes and reads
it, under the names of what the engine gathers. Non-finite numbers are the words `NaN`, `Infinity`
and `-Infinity`."""


class PolicyReference(document.WireDocument):
    """Which policy decided, and in which mode it was allowed to."""

    namespace: document.Label
    name: document.Name
    uid: document.Identity = ""
    generation: document.Count = 0
    digest: document.Digest = ""
    mode: document.Code
    effective_mode: document.Code
    """The mode after the system's own caps; `cappedBy` says why it is lower."""
    capped_by: tuple[document.Code, ...] = Field(default=(), max_length=ITEMS, fail_fast=True)


class DeviceReference(document.WireDocument):
    """Which device the decision is about."""

    namespace: document.Label
    name: document.Label
    uid: document.Identity = ""
    digest: document.Digest = ""
    fence: document.Code | None = None
    """Who keeps an old holder's commands from taking effect: `Device` or `None`, as the profile
    says. Absent: nobody is named."""


class RecordedModel(document.WireDocument):
    """Which bytes answered, as the answer itself says; where none came, which were asked.

    What a server does not say of itself is empty.
    """

    name: document.Name
    version: document.Name
    digest: document.Digest


class RecordedTrigger(document.WireDocument):
    """What made the chain run: a sample of a property, or silence."""

    kind: document.Code
    """`Property` or `Silence`."""
    name: document.Code | None = None
    received_at: datetime | None = None
    sampled_at: datetime | None = None


class ReadProperty(document.WireDocument):
    """A property of another device than the one that the decision is about."""

    namespace: document.Label
    device: document.Label
    uid: document.Identity = ""
    """Of that device."""
    property: document.Code


class RecordedInput(document.WireDocument):
    """One input as the chain saw it."""

    name: document.Name
    read_from: ReadProperty | None = None
    """Where it is another device's; absent: it is one of the decided device's own."""
    value: Scalar | None = None
    unit: document.Code | None = None
    age_seconds: float | None = None
    quality: document.Code = "Good"
    substituted: document.Code | None = None
    """`LastGood` or `Default` when the value is not the sensor's own."""
    problem: document.Code | None = None
    """Why the input is not valid, as a reason code; absent when it is."""
    refusal: document.Code | None = None
    """Of InputRefused: why, as a code of what became of a message or a value in it."""


class Attempt(document.WireDocument):
    """One call of one replica."""

    slot: document.Code
    node: document.Name
    result: document.Code
    """`Answered`, `Late`, `Failed`, or `Unused`: answered, but not as what is in force."""
    reason: document.Code | None = None
    seconds: float | None = None
    answered: RecordedModel | None = None
    """What answered, where it was not what is in force; such an answer decides nothing."""


class RecordedInference(document.WireDocument):
    """What the model was asked and what it said."""

    attempts: tuple[Attempt, ...] = Field(default=(), max_length=ITEMS, fail_fast=True)
    outputs: dict[document.Code, Scalar] = Field(default_factory=dict, max_length=ITEMS)
    provider: document.Code | None = None
    """The execution provider that computed the answer, where it says so."""


class Recommendation(document.WireDocument):
    """What the policy wants done, before limits; `limited` is after them."""

    action: document.Code
    input: dict[document.Code, Scalar] = Field(max_length=ITEMS)
    limited: Annotated[dict[document.Code, Scalar], Field(max_length=ITEMS)] | None = None


class GateEntry(document.WireDocument):
    """One gate's line: why it passed or not, with the operands it looked at."""

    gate: document.Code
    phase: Phase
    reason: document.Code
    name: document.Code | None = None
    """Which rule, limit or input decided."""
    expression: document.Prose | None = None
    operands: dict[document.Code, Scalar | None] = Field(default_factory=dict, max_length=ITEMS)
    margin: float | None = None
    """Signed distance to the other result, in the operand's unit: how close it was."""
    message: document.Prose | None = None


class RecordedVerdict(document.WireDocument):
    """The verdict and the gate that gave it."""

    result: Verdict
    decided_by: document.Code | None = None
    reason: document.Code
    message: document.Prose


class Authority(document.WireDocument):
    """Under whose right the decision was taken."""

    holder: document.Code | None = None
    epoch: document.Count | None = None
    standing: document.Code = "None"
    """`Renewed`, `Offline`, `Lapsed`, `Superseded` or `None`."""


class RecordedClocks(document.WireDocument):
    """Which clocks the record was made by."""

    boot_id: document.Identity = ""
    monotonic_seconds: document.Seconds = 0.0
    virtual: bool = False
    """True in a rehearsal: times follow the recording."""


class Engine(document.WireDocument):
    """Which engine decided; replay needs the same."""

    agent: document.Code
    expressions: document.Code


class Decision(document.WireDocument):
    """The data of a `DECISION` event: all that explains it and runs it again."""

    decision_id: document.Identity
    pass_number: document.Count = 1
    site: document.Name
    node: document.Name
    policy: PolicyReference
    device: DeviceReference
    model: RecordedModel | None = None
    trigger: RecordedTrigger
    inputs: tuple[RecordedInput, ...] = Field(default=(), max_length=ITEMS, fail_fast=True)
    features: dict[document.Code, Scalar | None] = Field(default_factory=dict, max_length=ITEMS)
    """Every feature, and every input that the model takes, as measured: before preprocessing."""
    parameters: dict[document.Code, Scalar] = Field(default_factory=dict, max_length=ITEMS)
    variables: dict[document.Code, Scalar] = Field(default_factory=dict, max_length=ITEMS)
    present: dict[document.Code, float | None] = Field(default_factory=dict, max_length=ITEMS)
    """Measured value of each property that the action sets, by property."""
    state: dict[document.Code, Scalar | None] = Field(default_factory=dict, max_length=ITEMS)
    """What else the gates read: lock, tokens left, seconds since the last command, held until, …"""
    inference: RecordedInference | None = None
    recommendation: Recommendation | None = None
    gates: tuple[GateEntry, ...] = Field(default=(), max_length=ITEMS, fail_fast=True)
    verdict: RecordedVerdict
    command: Command | None = None
    replaced: Annotated[dict[document.Code, document.Count], Field(max_length=ITEMS)] | None = None
    """Samples since the record before of this policy on this device that nobody decided on, because
    newer ones took their place: how many, by reason (`NewerOnTopic`, `NewerInTurn`, `Dropped`, …).
    Absent: none.
    """
    authority: Authority = Authority()
    latency: dict[document.Code, float] = Field(default_factory=dict, max_length=ITEMS)
    """Seconds by stage, as far as known when the record was written."""
    clock: RecordedClocks = RecordedClocks()
    engine: Engine
    facts: Facts | None = None
    """What the gates saw, exactly: readings, windows, rate limits, the model's answer. For the
    replay; `format` says how it is written. Absent: an agent before this field made the record."""


class DecisionOutcome(document.WireDocument):
    """The data of an `OUTCOME` event."""

    decision_id: document.Identity
    command_id: document.Identity
    policy: PolicyReference
    device: DeviceReference
    site: document.Name
    node: document.Name
    outcome: Outcome
    reason: document.Code
    message: document.Prose = ""
    read_back: dict[document.Code, Scalar | None] = Field(default_factory=dict, max_length=ITEMS)
    latency: dict[document.Code, float] = Field(default_factory=dict, max_length=ITEMS)


Range = Annotated[tuple[document.Ordinal, ...], Field(min_length=2, max_length=2, fail_fast=True)]
"""First and last number."""


class Gap(document.WireDocument):
    """The data of a `GAP` event: what a journal does not hold any more, and why.

    `dropped` counts records that nobody has; what the hub has and the journal forgot is in `ranges`
    alone.
    """

    dropped: dict[document.Code, document.Count] = Field(max_length=ITEMS)
    reason: document.Code
    """`Acknowledged`, `RoutineQuota`, `CriticalQuota`, `DiskFull`, `JournalCut`, …"""
    since: datetime | None = None
    """Time of the first dropped record; absent where none was dropped."""
    until: datetime | None = None
    ranges: dict[
        document.Code, Annotated[tuple[Range, ...], Field(max_length=ITEMS, fail_fast=True)]
    ] = Field(default_factory=dict, max_length=ITEMS)
    """First and last numbers that this change made holes of, by kind: `Removed`, `Emptied`, `Cut`
    (lost behind the journal's back) or `Doubted` (there, but not as they were written).
    """
    holes: document.Digest = ""
    """Digest over all holes of the journal with their hashes, after this change: the newest one
    vouches for every hole.
    """


class RecordedNotice(document.WireDocument):
    """The data of a `NOTICE` event: a change of the agent's own standing (mode capped.

    Authority gained or lost, …).
    """

    reason: document.Code
    message: document.Prose
    device: document.Code | None = None
    policy: document.Code | None = None
    epoch: document.Count | None = None


class Event(document.WireDocument):
    """The CloudEvents envelope; `type` says which of four documents `data` is."""

    specversion: document.Code = "1.0"
    id: document.Identity
    source: document.Sentence
    """`/sites/<site>/nodes/<node>/journals/<journal>`."""
    type: document.Code
    subject: document.Sentence | None = None
    """`<namespace>/devices/<device>`."""
    time: datetime
    datacontenttype: document.Code = "application/json"
    sequence: document.Code = ""
    """The journal's sequence, twenty digits, so that text order is number order."""
    sampledrate: document.Count | None = None
    """CloudEvents sampling extension: how many similar events this one stands for."""
    data: Decision | DecisionOutcome | Gap | RecordedNotice


class ShippedRecord(document.WireDocument):
    """One record on its way to the hub.

    The exact bytes that were journalled, and their place in the chain.
    """

    sequence: document.Ordinal
    previous: document.Digest
    hash: document.Digest
    body: document.Prose


class Batch(document.WireDocument):
    """Records of one journal, in sequence, without holes."""

    journal: str = Field(min_length=1, max_length=64)
    records: tuple[ShippedRecord, ...] = Field(min_length=1, max_length=500, fail_fast=True)
    last: document.Count = 0
    """Newest number of the journal after these records were read: whatever is missing in them is
    stated up to there. 0 where the agent does not say.
    """


class BatchAnswer(document.WireDocument):
    """What the hub has committed: all up to and including `acknowledged` may be forgotten."""

    journal: document.Identity
    acknowledged: document.Count


MAXIMUM_BATCH_BYTES: Final = 1 << 20
