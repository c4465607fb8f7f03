"""What the engine wants done. Data only, in the words of the domain.

Topics, bodies, URLs and encodings are the affair of the ports that carry an effect out. The runtime
carries effects out in the order given and answers with events that name decision (or command),
policy and device again, so that the engine finds them without an index of its own:

    Infer          ──► Inferred | InferenceLate | InferenceFailed
    AppendRecords  ──► IntentDurable | IntentFailed               (where it has an intent)
    SendCommand    ──► CommandSent | CommandNotSent
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from foreshore_agent.engine.events import Key, Value
from foreshore_api.wire import beat, record
from foreshore_decision.frozen import Frozen

DURABLE_PREFIX: Final = "engine/"
"""Every key of `AppendRecords.values` and `Keep` starts with this; at start the runtime hands all
of them to `durable.restore`."""


class Tensor(NamedTuple):
    """One input of a model."""

    name: str
    data_type: str
    """`FP32`, `INT64`, …: a name of `wire.oip.DATA_TYPES`."""
    shape: tuple[int, ...]
    data: tuple[float | int | bool | str, ...]
    """The elements, flat in row-major order; all of them fit the type."""


class Infer(Frozen, frozen=True):
    """Ask the policy's replicas in order, for at most `timeout` seconds in all."""

    decision_id: str
    policy: Key
    device: Key
    model: str
    """Name of the Model."""
    digest: str
    """Of the model's version: a last good policy asks its own, not the newest."""
    tensors: tuple[Tensor, ...]
    timeout: float


class Record(Frozen, frozen=True):
    """One record for the journal: the fields of `journal.JournalEntry`."""

    body: bytes
    """JSON of a `wire.record.Event`, with `"sequence":""` for the journal to fill in."""
    critical: bool
    policy: str = ""
    device: str = ""
    verdict: str = ""
    keep: int = 50
    reserve: bool = False


class IntentKey(NamedTuple):
    """Whose intent a journal entry is; the answer repeats it."""

    decision_id: str
    policy: Key
    device: Key


class AppendRecords(Frozen, frozen=True):
    """Append records; with an intent, answer once they (and the values) are on stable storage.

    `values` go into the same transaction as the records: a value that no longer holds what a record
    is made of must not be without the record. An intent has values alone. It promises a record:
    there has to be room for one when it is taken.
    """

    records: tuple[Record, ...]
    intent: IntentKey | None = None
    values: tuple[tuple[str, bytes], ...] = ()


class Keep(Frozen, frozen=True):
    """Keep one value durably, without haste; empty bytes mean that it may be forgotten."""

    key: str
    value: bytes


class SendCommand(Frozen, frozen=True):
    """Send one command, now or never: at most once, never retained, never queued.

    It is made when its intent is, and gets its deadline when it leaves.
    """

    command_id: str
    """Decision and pass."""
    attempt: int
    policy: Key
    device: Key
    action: str
    values: Mapping[str, Value]
    """By input of the action."""
    holder: str
    """The node whose agent sends it."""
    epoch: int
    """Of the holder's grant; a device refuses one lower than the highest it has seen."""
    priority: int
    issued_at: datetime
    not_after: datetime
    """When it is stale, on the wall clock: for the device."""
    time_to_live: float
    """Seconds from `issued_at` to `not_after`."""
    deadline: float
    """Monotonic seconds; afterwards the answer is `CommandNotSent` with `TooLate`."""


class Advise(Frozen, frozen=True):
    """Recommend what would be commanded in a higher mode; if it does not arrive, nothing is lost.

    Only where the device's profile has a place for advice.
    """

    policy: Key
    device: Key
    action: str
    values: Mapping[str, Value]
    """By input of the action."""
    reason: str
    decision_id: str
    time: datetime


class Notice(Frozen, frozen=True):
    """The agent's own standing changed. For the log: an `AppendRecords` beside it records it."""

    reason: str
    message: str
    device: Key | None = None
    policy: Key | None = None
    epoch: int | None = None


class Decided(Frozen, frozen=True):
    """A decision came to its verdict: each one, also where its record is sampled away."""

    policy: Key
    device: Key
    verdict: record.Verdict
    reason: str
    rules: record.Phase
    """What the rules came to, whatever decided afterwards; Skipped where they were not asked."""
    triggered_at: datetime | None
    """When the sample came that triggered it; None where none did (a silence)."""


class Count(Frozen, frozen=True):
    """Add to a counter of `wire.metrics`; labels in the metric's order."""

    metric: str
    labels: tuple[str, ...]
    amount: int = 1


class Refuse(Frozen, frozen=True):
    """Count and log a message of another that is not looked at; `reason` is a code."""

    what: str
    reason: str


class Observe(Frozen, frozen=True):
    """One latency of one stage, in seconds; `node` is the replica's for Network and Inference."""

    policy: Key
    stage: str
    seconds: float
    node: str | None = None
    queued: float | None = None
    """Seconds of them in a queue, where somebody measured that."""


class RememberPeer(Frozen, frozen=True):
    """Remember a peer's beat for reports; only a beat that is believed gets here."""

    beat: beat.Beat
    at: float
    """When it was heard, in monotonic seconds."""


class RequestRenewal(Frozen, frozen=True):
    """Ask the hub, or a peer that has it, whether this node may go on holding these devices."""

    number: int
    held: tuple[beat.Held, ...]


Effect = (
    Infer
    | AppendRecords
    | Keep
    | SendCommand
    | Advise
    | Notice
    | Decided
    | Count
    | Refuse
    | Observe
    | RememberPeer
    | RequestRenewal
)
