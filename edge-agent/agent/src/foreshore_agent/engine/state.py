"""Everything the engine knows between two events. Frozen: `step` returns a new one.

    State ─ devices ─ DeviceState ─ bindings ─ Binding (policy × device) ─ Flight (one at most)
                                 └─ open ─ Intent (a command whose fate is not known yet)

Built by `durable.restore`, read by `view` for reports, beats and metrics. Devices live in a
persistent map, so that one sample costs the same at one device and at ten thousand.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import immutables

from foreshore_agent.engine import effects
from foreshore_agent.engine.agenda import Agenda
from foreshore_agent.engine.events import Instant, Key
from foreshore_api.v1alpha1.commanding import AcknowledgementKind
from foreshore_api.wire import assignment, record, report
from foreshore_decision import features, fencing, samples
from foreshore_decision.chain import evaluate, facts, limiter
from foreshore_decision.frozen import Frozen
from foreshore_decision.policy import CompiledPolicy, compiled
from foreshore_decision.record import PASS_NUMBER

EMPTY: Mapping[Any, Any] = immutables.Map()
NOTHING: Final = compiled.CompiledAcknowledgement(AcknowledgementKind.NONE)
LONGEST: Final = record.MAXIMUM_BYTES - 4096
"""Bytes of what a record is made of: the rest of a record, made of it alone, has room beside it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this engine is; never changes while the process lives."""

    node: str
    boot_id: str
    journal: str
    """The journal's UUID: records name it in their source."""
    agent_version: str
    virtual: bool = False
    """True in a rehearsal: ages, windows and rates follow `Instant.now`, not the boot clock."""

    def seconds(self, at: Instant) -> float:
        """Return engine seconds: steady, whatever happens to the wall clock."""
        return at.now.timestamp() if self.virtual else at.boot


@dataclass(frozen=True, slots=True)
class Recorder:
    """Whether decisions can be recorded."""

    full: bool = False
    reason: str | None = None
    since: float = 0.0
    """Boot seconds at which it became full."""


class Flight(Frozen, frozen=True):
    """A decision that waits for the model, or for its intent to be durable."""

    before: facts.Facts
    """What the gates before the model have come to."""
    entries: tuple[facts.Entry, ...]
    received: float
    """Monotonic, of the sample that triggered it."""
    asked: float
    """Monotonic, when the model was asked."""


class Unrecorded(NamedTuple):
    """What the record of a command is rendered from, once it has left or surely will not.

    It is durable with the intent before the command leaves: a restart renders the same from it.
    """

    document: Mapping[str, Any]
    """`record.compact`: what the gates saw."""
    made: Mapping[str, Any]
    """What the engine adds: when, by whom, and the command."""
    body: bytes
    """Both as JSON: what is durable."""
    evaluation: evaluate.Evaluation | None = None
    """What was decided; None where a process before this one decided, and it is not made again."""
    why: str = ""
    """Why it is not made again, for people."""

    @property
    def is_too_long(self) -> bool:
        """Whether not even a record of this alone would have room for it."""
        return len(self.body) > LONGEST


class CommandState(StrEnum):
    """What a command waits for; `command.table` is its life."""

    INTENT = "Intent"
    """To be durable."""
    SENDING = "Sending"
    """To leave."""
    ANSWER = "Answer"
    """For the device to answer."""
    ECHO = "Echo"
    """For the device's own report to come to be what it was told."""
    MUTE = "Mute"
    """For time to pass: by its action's own word nothing tells whether it was done."""
    CONFIRMATION = "Confirmation"
    """For the read-back to come near what was commanded."""
    UNKNOWN = "Unknown"
    """Nobody knows whether it was done: for a read-back to show it, or for time to pass."""
    OVER = "Over"
    """For nothing: its last outcome is recorded, and it is forgotten."""


def command_id(decision_id: str) -> str:
    """Return the key of a decision's command: decision and pass."""
    return f"{decision_id}/{PASS_NUMBER}"


class Intent(Frozen, frozen=True):
    """A command on its way. Moments are monotonic seconds where nothing else is said."""

    decision_id: str
    command_id: str
    """The key of the command."""
    policy: Key
    action: str
    values: Mapping[str, Any]
    """What was commanded, by input of the action."""
    properties: Mapping[str, str]
    """Property that each input sets, where there is one."""
    actuators: frozenset[str]
    """What it moves."""
    state: CommandState
    time_to_live: float
    settling: float
    """Seconds that what it sets takes to follow."""
    issued: float
    """Engine seconds: the rate limits' moment."""
    deadline: float
    """Boot seconds; never sent after this, however long the machine slept."""
    received: float
    """When the sample arrived that triggered the decision."""
    waited: float = 0.0
    """Seconds of inference, which are no part of the stage Decide."""
    due: float = math.inf
    """When waiting ends, in the present state."""
    published: float = 0.0
    sent: float = 0.0
    """Engine seconds at which it left; what was reported before then says nothing of it. 0: by a
    process that has ended, before anything that this one has heard."""
    settles: float = 0.0
    """Before this a read-back proves nothing; counted from sending, and over when the device says
    Done."""
    is_compared: bool = False
    """Whether a read-back counted and was not near."""
    command: effects.SendCommand | None = None
    """What is to be sent, until it is."""
    acknowledgement: compiled.CompiledAcknowledgement = NOTHING
    """How it is known that it worked; after a restart nothing but a read-back tells."""
    identity: Mapping[str, Any] = EMPTY
    """Policy and device as records name them."""
    unrecorded: Unrecorded | None = None
    """Until its decision is recorded."""
    fixed: bytes = b"{}"
    """What of it is durable and never changes, as a JSON object: `durable` adds the rest."""


class Binding(Frozen, frozen=True):
    """One policy on one device."""

    compiled: CompiledPolicy
    origin: tuple[str, str, assignment.AssignedModel | None, tuple[tuple[str, ...], ...]]
    """Digests of policy (with its generation) and device, the model, and what is read of other
    devices: while they are the same, so is `compiled`."""
    since: float
    """Engine seconds; silence counts from here until the first sample."""
    windows: Mapping[str, features.Window] = EMPTY
    grids: Mapping[str, samples.SampleGrid] = EMPTY
    """Windows of samples, by tensor of the model."""
    last_good: Mapping[str, facts.Good] = EMPTY
    flight: Flight | None = None
    pending: tuple[facts.Trigger, float] | None = None
    """A trigger that waits (and when it arrived, monotonic): for the flight, for its interval, or
    for a newer sample of the same turn."""
    replaced: Mapping[str, int] = facts.NONE
    """Triggers that newer ones replaced since the last record, by reason."""
    evaluated: float | None = None
    """Engine seconds of the newest evaluation."""
    would_policy_log: limiter.Log = ()
    """Commands that a lower mode kept from being issued; private to this binding."""
    would_actuator_log: limiter.Log = ()
    too_slow: str | None = None
    """Why it is disarmed, until the policy changes or the agent restarts: it broke the budget."""
    last: tuple[str, str, str | None] | None = None
    """Verdict, reason and name of the newest evaluation: a change is always recorded."""


class Stamp(NamedTuple):
    """The device's own time of a property's newest value."""

    sampled: datetime
    received: float
    """Engine seconds."""
    ahead: datetime | None = None
    """A newer one that leapt ahead: a fault, unless the next is further ahead still."""


class Presence(NamedTuple):
    """What was last said of whether a device is there."""

    is_online: bool
    since: float
    """Engine seconds at which it was said last."""


class DeviceState(Frozen, frozen=True):
    """One assigned device."""

    key: Key
    """Its name."""
    assigned: assignment.AssignedDevice
    authority: fencing.AuthorityState
    standing: fencing.Standing = fencing.Standing.NONE
    """As last noticed and recorded."""
    readings: Mapping[str, facts.Reading] = EMPTY
    stamps: Mapping[str, Stamp] = EMPTY
    bindings: Mapping[Key, Binding] = EMPTY
    """By policy, in the order of the assignment."""
    actuators: Mapping[str, limiter.Log] = EMPTY
    """Commands of every policy, by actuator: the property set, or an action that sets none."""
    policy_logs: Mapping[Key, limiter.Log] = EMPTY
    """Commands of each policy, also of one that is no longer bound: it may come back."""
    held: Mapping[Key, float] = EMPTY
    """Engine seconds until which a policy may not command."""
    logged: bytes = b""
    """The members of its durable value that say these three; empty after one of them changed."""
    open: Mapping[str, Intent] = EMPTY
    """By command id, oldest first."""
    heard: float | None = None
    """Engine seconds of the newest telemetry."""
    period: float | None = None
    """Usual seconds between two messages, smoothed."""
    kept: frozenset[str] = frozenset()
    """Properties whose last word the broker keeps."""
    voids: Mapping[str, float] = EMPTY
    """By property, the engine seconds of its newest gap: what came until then counts no more."""
    presence: Presence | None = None
    """None where nobody says it, or nobody has since the newest gap."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a device's durable value says after a restart, until the device is assigned again."""

    actuators: Mapping[str, limiter.Log]
    policies: Mapping[Key, limiter.Log]
    held: Mapping[Key, float]
    """Engine seconds until which a policy may not command."""
    open: tuple[Intent, ...]
    is_known: bool = True
    """False where the value could not be read: whatever it said, it is taken for the worst."""


class State(Frozen, frozen=True):
    """The engine between two events."""

    identity: Identity
    site: str = ""
    source: str = ""
    """CloudEvents source of every record."""
    devices: "immutables.Map[Key, DeviceState]" = immutables.Map()
    readers: Mapping[Key, tuple[Key, ...]] = EMPTY
    """By device, the others whose policies read it; most devices have none and are not here."""
    timers: Agenda = Agenda()
    """When a tick has to look at which device, in engine seconds: an interval or a silence is over.
    """
    timeouts: Agenda = Agenda()
    """The same in monotonic seconds: a command or a question has waited long enough."""
    in_force: Mapping[Key, tuple[assignment.AssignedPolicy, ...]] = EMPTY
    """Versions of each policy that devices work by, newest first: for each device the newest that
    compiled, also while the device is absent. Each has the endpoints that serve its own model."""
    absent: Mapping[Key, tuple[assignment.AssignedPolicy, ...]] = EMPTY
    """The same of policies that are not assigned, no longer or not yet since the restart, oldest
    first: nobody decides or asks by them."""
    problems: tuple[report.Problem, ...] = ()
    remembered: Mapping[Key, Remembered] = EMPTY
    authorities: Mapping[Key, fencing.AuthorityState] = EMPTY
    """Rights to devices that are not assigned: no longer, or not yet since the restart."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Durable values that were set aside at the start, and why."""
    broker_connected: bool = False
    broker_deaf: bool = False
    telemetry_lost: float | None = None
    """Engine seconds at which the telemetry connection went; None while it is up or unknown."""
    ticked: float | None = None
    """Boot seconds of the newest tick; None before the first."""
    hub_connected: bool = False
    recorder: Recorder = Recorder()
    swept: float = 0.0
    """Boot seconds of the newest look at every authority."""
    requested: float = 0.0
    """Boot seconds of the newest renewal request."""
    is_stopping: bool = False
    """Whether the agent was told to stop: it takes up no right any more."""
    asked: tuple[int, ...] = ()
    """Numbers of the newest renewal requests: no answer to any other is looked at."""
    hub_ahead: float = -math.inf
    """Unix seconds of the hub's newest answer, less the boot seconds at which it came."""


def start(identity: Identity) -> State:
    """Return the state of an engine that has seen nothing and remembers nothing."""
    return State(identity)
