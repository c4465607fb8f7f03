"""The holder's side of authority: whether this agent may command one device, now.

The agent's engine keeps one `State` per device, feeds it what happens and asks `standing` before
every command. It is not the fence: the fence is at the device, which refuses lower epochs and
repeated commands. This keeps two agents from disagreeing for long.

    None ──grant──► Lapsed ──renewal answered──► Renewed ──lease runs out──► Offline | Lapsed
                      ▲                             ▲                           │
                      │                             └──── renewal answered ─────┤
                      └── a peer claims the hub, grant too old, broker lost ────┘
    Renewed, Offline ──the device refuses us──► Lapsed ──a later request is renewed──► Renewed
    any ──a higher epoch, or the hub says so──► Superseded ──grant with a higher epoch──► Lapsed
    Renewed ──broker lost for a lease──► given back (Lapsed until a higher epoch is granted)

- A grant alone permits nothing: a renewal answered in this boot does, and it counts from when its
  request was *sent*.
- Every instant is seconds on the boot clock, which counts suspended time and knows no wall clock:
  no jump of a wall clock can change a standing.
- Unrenewed, the holder goes on (Offline) only while it listens on the broker and no peer there
  claims to have the hub, and at most `offline_seconds` after the last renewal. After a gap in the
  connection or a pause of its own it listens for three beats first.
- A holder that the hub still renews but that has lost the broker for a whole lease gives its right
  back: it cannot command, and the operator may move the right at once. Without the hub it gives
  nothing back: nobody could hear it.
- In folder mode the one agent grants itself (`self_granted`), and nothing renews it.
"""

import dataclasses
from collections.abc import Callable
from enum import StrEnum
from typing import Final, assert_never

from foreshore_api.wire import beat

LISTEN_SECONDS: Final = 3 * beat.BEAT_PERIOD
"""How long a beat speaks for its sender, and how long a holder listens after a gap: three beats."""
RENEWALS_PER_LEASE: Final = 5
"""A holder asks this many times a lease."""
CLAIM_SHARE: Final = 0.5
"""An agent claims to have the hub for this share of a lease after the hub's last answer: shorter
than what is left of any lease when the hub vanishes (four fifths), so that a site cut off together
goes from Renewed to Offline without a gap."""
MAXIMUM_PENDING: Final = 16
MAXIMUM_PEERS: Final = 1000


class Standing(StrEnum):
    """Whether this agent may command the device; only Renewed and Offline permit."""

    NONE = "None"
    RENEWED = "Renewed"
    OFFLINE = "Offline"
    LAPSED = "Lapsed"
    SUPERSEDED = "Superseded"

    @property
    def is_permitting(self) -> bool:
        """Whether a command may leave."""
        return self in (Standing.RENEWED, Standing.OFFLINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Granted:
    """The assignment names the device's holder; `offline_seconds` is its `offlineGrant`."""

    at: float
    holder: str
    epoch: int
    lease_seconds: float
    offline_seconds: float
    self_granted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Withdrawn:
    """The assignment no longer names a holder for the device."""

    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Requested:
    """A renewal request with this number leaves now; numbers rise within a boot."""

    at: float
    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """The hub's answer for this device, direct or relayed; `epoch` is the newest the hub knows."""

    at: float
    boot_id: str
    number: int
    epoch: int
    standing: beat.Standing


@dataclasses.dataclass(frozen=True, slots=True)
class EpochSeen:
    """An epoch was seen somewhere: in a beat, an acknowledgement, the device's state."""

    at: float
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Fenced:
    """The device itself refused a command: it knows a higher epoch, or another holder."""

    at: float


@dataclasses.dataclass(frozen=True, slots=True)
class PeerHeard:
    """A peer of the site beat on the broker."""

    at: float
    node: str
    has_hub: bool


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerChanged:
    """The connection to the site's broker came up or went."""

    at: float
    connected: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed; due at `next_due`, harmless at any other time."""

    at: float


Event = (
    Granted
    | Withdrawn
    | Requested
    | Answered
    | EpochSeen
    | Fenced
    | PeerHeard
    | BrokerChanged
    | Ticked
)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one agent knows of its right to one device. `recall` takes it over a restart."""

    node: str
    boot_id: str
    seen_at: float
    """When the machine last ran; a step longer than a lease was a pause."""
    is_named: bool = False
    """Whether the assignment names this agent as holder or did until somebody else superseded
    it."""
    epoch: int | None = None
    """The newest epoch this agent was granted; kept when the grant is withdrawn, so that it cannot
    be revived by it."""
    lease_seconds: float = 0.0
    offline_seconds: float = 0.0
    self_granted: bool = False
    given_back: bool = False
    highest_seen: int = 0
    is_superseded: bool = False
    pending: tuple[tuple[int, float], ...] = ()
    """Renewal requests under this epoch that wait for an answer: number, sent at."""
    answered: int = -1
    """Highest number that was answered under this epoch."""
    renewed_at: float | None = None
    """When the newest renewed request was *sent*."""
    refused_at: float | None = None
    """When the newest request that the hub answered without renewing was sent."""
    fenced_at: float | None = None
    """When the device refused us; until a request sent later is renewed, we command nothing."""
    claims: tuple[tuple[str, float], ...] = ()
    """Peers whose last beat claimed the hub, and when it was heard."""
    broker_connected: bool = False
    broker_since: float = 0.0
    """Since when the broker is connected or gone; while connected, since when we listen without a
    gap."""


def start(node: str, boot_id: str, at: float) -> State:
    """Return the state of an agent that knows nothing of a device yet."""
    return State(node=node, boot_id=boot_id, seen_at=at, broker_since=at)


def recall(kept: State, boot_id: str, at: float) -> State:
    """Return a kept state as a new process may use it.

    Renewals hold only in the boot in which they were received; epochs, what was given back and what
    superseded us hold for good. The broker has to be connected and listened to anew.
    """
    same_boot = kept.boot_id == boot_id
    return dataclasses.replace(
        kept,
        boot_id=boot_id,
        seen_at=at,
        pending=(),
        answered=kept.answered if same_boot else -1,
        renewed_at=kept.renewed_at if same_boot else None,
        refused_at=kept.refused_at if same_boot else None,
        fenced_at=kept.fenced_at if same_boot else None,
        claims=(),
        broker_connected=False,
        broker_since=at,
    )


def next_epoch(last: int, unix_seconds: float) -> int:
    """Return the epoch of a fresh grant: above its past even when the object was restored."""
    return max(last + 1, int(unix_seconds))


def has_hub(answered_at: float | None, at: float, lease_seconds: float) -> bool:
    """Whether an agent whose hub last answered at `answered_at` may claim the hub in its beats."""
    return answered_at is not None and at < answered_at + lease_seconds * CLAIM_SHARE


def step(state: State, event: Event) -> State:  # noqa: C901 - one line an event, exhaustive
    """Take one event into account."""
    state = _passed(state, event.at)
    match event:
        case Granted():
            return _granted(state, event)
        case Withdrawn():
            return dataclasses.replace(state, is_named=False)
        case Requested():
            pending = (*state.pending, (event.number, event.at))[-MAXIMUM_PENDING:]
            return dataclasses.replace(state, pending=pending)
        case Answered():
            return _answered(state, event)
        case EpochSeen():
            return _seen(state, event.epoch)
        case Fenced():
            return dataclasses.replace(state, fenced_at=event.at)
        case PeerHeard():
            return _heard(state, event)
        case BrokerChanged():
            return _broker(state, event)
        case Ticked():
            return state
        case _:
            assert_never(event)


def standing(state: State, at: float) -> Standing:
    """Return the standing at an instant, maybe after the last event: the first rule decides."""
    passed = _passed(state, at)
    for rule, result in RULES:
        if rule(passed):
            return result
    return Standing.LAPSED


def next_due(state: State) -> float | None:
    """Return the next instant at which the standing may change by itself; None without a grant.

    While a grant is held it is never further away than a third of a lease: a step longer than a
    lease must mean a pause.
    """
    if not state.is_named or state.self_granted:
        return None
    instants = [state.seen_at + state.lease_seconds / 3]
    instants += [heard + LISTEN_SECONDS for _, heard in state.claims]
    if state.renewed_at is not None:
        instants += [
            state.renewed_at + state.lease_seconds,
            state.renewed_at + state.offline_seconds,
        ]
    wait = LISTEN_SECONDS if state.broker_connected else state.lease_seconds
    instants.append(state.broker_since + wait)
    return min(instant for instant in instants if instant > state.seen_at)


# The rules of `standing`, in order.


def _is_without_grant(state: State) -> bool:
    return not state.is_named


def _is_superseded(state: State) -> bool:
    return state.is_superseded


def _is_given_back(state: State) -> bool:
    return state.given_back


def _is_fenced(state: State) -> bool:
    """Whether the device refuses us; who grants himself has nobody to renew him, and goes on."""
    return state.fenced_at is not None and not state.self_granted


def _is_self_granted(state: State) -> bool:
    return state.self_granted


def _is_renewed(state: State) -> bool:
    return state.renewed_at is not None and state.seen_at < state.renewed_at + state.lease_seconds


def _is_offline(state: State) -> bool:
    return (
        state.renewed_at is not None
        and state.seen_at < state.renewed_at + state.offline_seconds
        and state.broker_connected
        and state.seen_at >= state.broker_since + LISTEN_SECONDS
        and not _is_refused(state)
        and not any(state.seen_at < heard + LISTEN_SECONDS for _, heard in state.claims)
    )


RULES: Final[tuple[tuple[Callable[[State], bool], Standing], ...]] = (
    (_is_without_grant, Standing.NONE),  # nobody named this agent
    (_is_superseded, Standing.SUPERSEDED),  # somebody else was named since
    (_is_given_back, Standing.LAPSED),  # it stood down by its own choice
    (_is_fenced, Standing.LAPSED),  # the device knows of somebody else
    (_is_self_granted, Standing.RENEWED),  # folder mode: there is nobody else
    (_is_renewed, Standing.RENEWED),  # the hub says so, and said so lately
    (_is_offline, Standing.OFFLINE),  # nobody within earshot could have been named instead
)


# What each event changes.


def _passed(state: State, at: float) -> State:
    """Let time pass: notice a pause of our own, give back what the broker keeps us from using."""
    if at <= state.seen_at:
        return state
    paused = state.lease_seconds > 0 and at - state.seen_at > state.lease_seconds
    if paused and state.broker_connected:
        state = dataclasses.replace(state, broker_since=at)
    state = dataclasses.replace(state, seen_at=at)
    return dataclasses.replace(state, given_back=True) if _must_give_back(state) else state


def _must_give_back(state: State) -> bool:
    return (
        state.is_named
        and not state.self_granted
        and not state.broker_connected
        and state.seen_at >= state.broker_since + state.lease_seconds
        and _is_renewed(state)
    )


def _granted(state: State, event: Granted) -> State:
    if event.holder != state.node:
        return _named_another(state, event.epoch)
    if event.epoch < max(state.highest_seen, state.epoch or 0):
        return state
    if event.epoch == state.epoch:
        return dataclasses.replace(
            state,
            is_named=True,
            lease_seconds=event.lease_seconds,
            offline_seconds=event.offline_seconds,
        )
    return dataclasses.replace(
        state,
        is_named=True,
        epoch=event.epoch,
        lease_seconds=event.lease_seconds,
        offline_seconds=event.offline_seconds,
        self_granted=event.self_granted,
        given_back=False,
        highest_seen=event.epoch,
        is_superseded=False,
        pending=(),
        answered=-1,
        renewed_at=None,
        refused_at=None,
        fenced_at=None,
    )


def _named_another(state: State, epoch: int) -> State:
    superseded = state.epoch is not None and epoch >= state.epoch
    return dataclasses.replace(
        state,
        highest_seen=max(state.highest_seen, epoch),
        is_superseded=state.is_superseded or superseded,
    )


def _seen(state: State, epoch: int) -> State:
    superseded = state.epoch is not None and epoch > state.epoch
    return dataclasses.replace(
        state,
        highest_seen=max(state.highest_seen, epoch),
        is_superseded=state.is_superseded or superseded,
    )


def _answered(state: State, event: Answered) -> State:
    """Count an answer from when its request was sent; believe a higher epoch from anywhere."""
    state = _seen(state, event.epoch)
    sent = dict(state.pending).get(event.number)
    if sent is None or event.boot_id != state.boot_id or event.number <= state.answered:
        return state
    state = dataclasses.replace(
        state,
        answered=event.number,
        pending=tuple(entry for entry in state.pending if entry[0] > event.number),
    )
    if event.standing is beat.Standing.SUPERSEDED:
        return dataclasses.replace(state, is_superseded=True)
    if event.standing is beat.Standing.RENEWED and event.epoch == state.epoch:
        fenced = state.fenced_at if sent <= (state.fenced_at or -1.0) else None
        return dataclasses.replace(state, renewed_at=sent, refused_at=None, fenced_at=fenced)
    return dataclasses.replace(state, refused_at=sent)


def _is_refused(state: State) -> bool:
    """Whether this agent has the hub itself, and the hub did not renew it."""
    return state.refused_at is not None and state.seen_at < state.refused_at + state.lease_seconds


def _heard(state: State, event: PeerHeard) -> State:
    others = tuple(
        (node, heard)
        for node, heard in state.claims
        if node != event.node and event.at < heard + LISTEN_SECONDS
    )
    claims = (*others, (event.node, event.at)) if event.has_hub else others
    return dataclasses.replace(state, claims=claims[-MAXIMUM_PEERS:])


def _broker(state: State, event: BrokerChanged) -> State:
    if event.connected == state.broker_connected:
        return state
    return dataclasses.replace(
        state, broker_connected=event.connected, broker_since=event.at, claims=()
    )
