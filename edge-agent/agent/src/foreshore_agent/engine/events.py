"""What happens to the engine: built by the shells, taken one at a time by `step`.

Every event carries the moment it happened and a fresh UUIDv7, made by the shell, for whatever this
event gives birth to: a decision, a notice. When one event starts several decisions, the engine
counts up from it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import field

from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import assignment, beat, command, record
from foreshore_decision import served
from foreshore_decision.frozen import Frozen
from foreshore_decision.instant import Instant

__all__ = [
    "Acknowledged",
    "Assigned",
    "Availability",
    "BrokerChanged",
    "CommandNotSent",
    "CommandSent",
    "Event",
    "EventStamp",
    "HubChanged",
    "InferenceFailed",
    "InferenceLate",
    "Inferred",
    "Instant",
    "IntentDurable",
    "IntentFailed",
    "Key",
    "PeerBeat",
    "PolicyTooSlow",
    "RecorderChanged",
    "Renewed",
    "Replied",
    "Sample",
    "Stopping",
    "TelemetryChanged",
    "Tick",
    "Value",
]

Value = float | int | bool | str
"""A decoded property value; floats are finite."""


class Key(NamedTuple):
    """A namespaced object: a device or a policy."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class _Event(Frozen, frozen=True):
    at: Instant
    fresh: str
    """A UUIDv7 for whatever this event starts."""


class Sample(_Event, frozen=True):
    """Telemetry of one device arrived, decoded and typed by its profile.

    It is the read-back too: a property that a command sets is measured here and nowhere else. What
    cannot be read at all (no JSON, too large, too deep) is counted by the shell and is no event;
    one bad property among good ones is named in `refused`.
    """

    device: Key
    values: Mapping[str, Value]
    """By property name."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Properties whose value was refused, with the reason code (`NonFinite`, `WrongType`): the
    property counts as invalid from now on."""
    sampled_at: Mapping[str, datetime] = field(default_factory=dict)
    """The device's own time of each value, where one could be read. It orders samples and finds
    duplicates; ages count from receipt, because clocks differ."""
    retained: bool = False
    """The broker had kept it: it is the device's last word, of unknown age, on what the device says
    only when it changes, and names nothing else."""
    redelivered: bool = False
    """MQTT's DUP flag."""
    is_followed: bool = False
    """Whether a newer sample of the device is taken in the same turn: policies wait for that one.
    """
    is_last: bool = False
    """Whether it is the one that policies waited for."""
    replaced: tuple[tuple[str, int], ...] = ()
    """Messages of the device since its last sample that were never read, by reason."""
    waited: float = 0.0
    """Seconds since it came, where it is taken so late that nothing of now is decided on it: its
    values are as old, and from before every gap since."""
    unread_times: Mapping[str, str] = field(default_factory=dict)
    """Properties whose own time could not be read, with the reason code: the value counts as of
    its receipt."""


class Inferred(_Event, frozen=True):
    """A replica answered the `Infer` effect; the shell has tried the replicas in order."""

    decision_id: str
    policy: Key
    device: Key
    outputs: Mapping[str, tuple[Value, ...]]
    """Flat data of each declared output."""
    attempts: tuple[record.Attempt, ...] = ()
    node: str = ""
    """The replica's node."""
    network: float = 0.0
    """Seconds that neither model nor server spent, failed attempts included; 0 where no network is
    between, and then there is no such stage."""
    inference: float | None = None
    """Seconds that the server says it spent."""
    model: served.Served | None = None
    """What answered, as it says; None where nobody asked."""
    provider: str | None = None
    """Execution provider that computed it, where it says so."""
    queued: float | None = None
    """Seconds of `inference` in which the model did not run, where the server says so."""


class InferenceLate(_Event, frozen=True):
    """No replica answered before the deadline."""

    decision_id: str
    policy: Key
    device: Key
    attempts: tuple[record.Attempt, ...] = ()
    reason: str = reasons.DEADLINE


class InferenceFailed(_Event, frozen=True):
    """Every replica failed, or there is none."""

    decision_id: str
    policy: Key
    device: Key
    reason: str
    attempts: tuple[record.Attempt, ...] = ()


class PolicyTooSlow(_Event, frozen=True):
    """Decisions of a policy on a device broke the budget so often that it is no chance."""

    device: Key
    policy: Key
    seconds: float
    """What the newest took of a processor."""


class IntentDurable(_Event, frozen=True):
    """The `AppendRecords` effect with this intent is on stable storage."""

    decision_id: str
    policy: Key
    device: Key


class IntentFailed(_Event, frozen=True):
    """The `AppendRecords` effect with this intent was not written: nothing is commanded on it."""

    decision_id: str
    policy: Key
    device: Key
    reason: str
    """`RecorderFull`, `DiskFailing`, …"""


class CommandSent(_Event, frozen=True):
    """The `SendCommand` effect with this id was handed to a connected socket."""

    command_id: str
    policy: Key
    device: Key


class CommandNotSent(_Event, frozen=True):
    """The `SendCommand` effect with this id surely did not leave, or was refused on the way.

    The second may come after `CommandSent`: then no device got it all the same.
    """

    command_id: str
    policy: Key
    device: Key
    reason: str
    """`NotConnected`, `TooLate`, `NoCommandTopic`, or a broker's own: `NotAuthorized`."""


class Acknowledged(_Event, frozen=True):
    """The device answered a command on its acknowledgement topic."""

    device: Key
    acknowledgement: command.Acknowledgement


class Replied(_Event, frozen=True):
    """The device answered an action on the topic that its acknowledgement names.

    It says no command's id: the engine finds the command that it matches.
    """

    device: Key
    action: str
    value: Value
    """The answer, of the declared type."""


class Assigned(_Event, frozen=True):
    """A new desired state is durable on this node and now takes effect."""

    assignment: assignment.Assignment
    is_self_granted: bool = False
    """Folder mode: the one agent grants itself."""
    too_slow: Mapping[Key, str] = field(default_factory=dict)
    """Policies whose version in this assignment takes too long on this node, with what does."""


class Renewed(_Event, frozen=True):
    """The hub's answer to a numbered `RequestRenewal`."""

    renewal: beat.Renewal
    relayed: bool = False
    """It came over the site's broker, where others may speak too."""


class PeerBeat(_Event, frozen=True):
    """Another agent of the site beat on the broker."""

    beat: beat.Beat


class BrokerChanged(_Event, frozen=True):
    """The command connection to the site's broker came up or went, or became deaf or heard."""

    connected: bool
    is_deaf: bool = False
    """The broker is known to deliver no beats of peers."""


class TelemetryChanged(_Event, frozen=True):
    """The telemetry connection to the site's broker came up or went."""

    connected: bool


class Availability(_Event, frozen=True):
    """It was said whether a device is there: by itself, or by its last will."""

    device: Key
    is_online: bool
    retained: bool = False
    """The broker had kept it: so it has been for a time that nobody knows."""


class HubChanged(_Event, frozen=True):
    """The hub began or ceased to answer this agent."""

    connected: bool
    unix: float | None = None
    """The hub's own time in its newest answer, in Unix seconds."""


class RecorderChanged(_Event, frozen=True):
    """The journal became full or failing, or works again."""

    full: bool
    reason: str | None = None


class Stopping(_Event, frozen=True):
    """The agent was told to stop: a peer should take over what it holds before it does."""


class Tick(_Event, frozen=True):
    """Time passed; due every `step.TICK_SECONDS`, harmless at any other time."""


Event = (
    Sample
    | Inferred
    | InferenceLate
    | InferenceFailed
    | PolicyTooSlow
    | IntentDurable
    | IntentFailed
    | CommandSent
    | CommandNotSent
    | Acknowledged
    | Replied
    | Assigned
    | Renewed
    | PeerBeat
    | BrokerChanged
    | TelemetryChanged
    | Availability
    | HubChanged
    | RecorderChanged
    | Stopping
    | Tick
)


class EventStamp(NamedTuple):
    """Makes what every event begins with; whoever needs one of the two asks for that alone."""

    now: Callable[[], Instant]
    fresh: Callable[[], str]
    """Makes a UUIDv7."""

    def __call__(self) -> tuple[Instant, str]:
        """Return both."""
        return self.now(), self.fresh()
