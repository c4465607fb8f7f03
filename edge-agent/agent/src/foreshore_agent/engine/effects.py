"""What the engine wants done. Data only.

The runtime carries effects out in the order given and answers with events:

    Infer    ──► Inferred | InferenceLate | InferenceFailed   (same decision id)
    Journal  ──► IntentDurable | IntentFailed                 (same token, where there is one)
    Publish  ──► Published | PublishFailed                    (same command id)
"""

from dataclasses import dataclass
from typing import Final

from foreshore_agent.engine.events import Key
from foreshore_api.wire import beat

DURABLE_PREFIX: Final = "engine/"
"""Every key of `Journal.values` and `Keep` starts with this; at start the runtime hands all of them
to `durable.restore`."""


@dataclass(frozen=True, slots=True)
class Infer:
    """Ask the policy's replicas in order, for at most `timeout` seconds in all."""

    decision_id: str
    policy: Key
    device: Key
    model: str
    """Name of the model in the inference protocol's path."""
    body: bytes
    """An OIP infer request, JSON."""
    timeout: float
    digest: str = ""
    """Of the model's version: a last good policy asks its own, not the newest."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record for the journal: the fields of `journal.JournalEntry`."""

    body: bytes
    """JSON of a `wire.record.Event`, with `"sequence":""` for the journal to fill in."""
    critical: bool
    policy: str = ""
    device: str = ""
    verdict: str = ""
    keep: int = 50
    reserve: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """Append records; with a token, answer once they (and the values) are on stable storage.

    `values` go into the same transaction as the records, or before them: a value counts a command
    that may not have left, never the other way round.
    """

    records: tuple[Record, ...]
    token: str | None = None
    values: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep one value durably, without haste; empty bytes mean that it may be forgotten."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Send one command, now or never: at most once, never retained, never queued."""

    command_id: str
    device: Key
    topic: str
    payload: bytes
    expiry: int
    """MQTT 5 message expiry in whole seconds."""
    deadline: float
    """Monotonic seconds; afterwards the answer is `PublishFailed` with `TooLate`."""
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Advise:
    """Publish a recommendation; if it does not arrive, nothing is lost."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """The agent's own standing changed. For the log: a `Journal` effect beside it records it."""

    reason: str
    message: str
    device: Key | None = None
    policy: Key | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Add to a counter of `wire.metrics`; labels in the metric's order."""

    metric: str
    labels: tuple[str, ...]
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Refuse:
    """Count and log a message of another that is not looked at; `reason` is a code."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observe:
    """One latency of one stage, in seconds; `node` is the replica's for Network and Inference."""

    policy: Key
    stage: str
    seconds: float
    node: str | None = None


@dataclass(frozen=True, slots=True)
class RequestRenewal:
    """Ask the hub, or a peer that has it, whether this node may go on holding these devices."""

    number: int
    held: tuple[beat.Held, ...]


Effect = (
    Infer | Journal | Keep | Publish | Advise | Notice | Count | Refuse | Observe | RequestRenewal
)
