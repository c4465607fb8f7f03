"""What one agent knows of its right to one device, and how it begins and survives a restart."""

from enum import StrEnum
from typing import Final, NamedTuple

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
        return self in _PERMITTING


_PERMITTING: Final = frozenset({Standing.RENEWED, Standing.OFFLINE})


class AuthorityState(NamedTuple):
    """What one agent knows of its right to one device. `recall` takes it over a restart."""

    node: str
    boot_id: str
    seen_at: float
    """When the machine last ran; a step longer than three beats, or a lease, was a pause."""
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
    """The highest epoch that the hub named, to whomever; nobody else's word raises it."""
    is_superseded: bool = False
    """The hub named somebody else since; holds until it grants a higher epoch."""
    outbid_at: float | None = None
    """When somebody on the broker last claimed a higher epoch: a hint for a lease, not durable."""
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
    broker_deaf: bool = False
    """Whether the broker is connected and known to deliver no beats."""


def start(node: str, boot_id: str, at: float) -> AuthorityState:
    """Return the state of an agent that knows nothing of a device yet."""
    return AuthorityState(node=node, boot_id=boot_id, seen_at=at, broker_since=at)


def recall(kept: AuthorityState, boot_id: str, at: float) -> AuthorityState:
    """Return a kept state as a new process may use it.

    Renewals hold only in the boot in which they were received; epochs, what was given back and what
    superseded us hold for good. The broker has to be connected and listened to anew.
    """
    same_boot = kept.boot_id == boot_id
    return kept._replace(
        boot_id=boot_id,
        seen_at=at,
        pending=(),
        answered=kept.answered if same_boot else -1,
        renewed_at=kept.renewed_at if same_boot else None,
        refused_at=kept.refused_at if same_boot else None,
        fenced_at=kept.fenced_at if same_boot else None,
        outbid_at=kept.outbid_at if same_boot else None,
        claims=(),
        broker_connected=False,
        broker_deaf=False,
        broker_since=at,
    )


def keepable(state: AuthorityState) -> AuthorityState:
    """Return what of a state may be made durable: nothing that peers said on the broker."""
    return state._replace(outbid_at=None, claims=())


def next_epoch(last: int, unix_seconds: float) -> int:
    """Return the epoch of a fresh grant: above its past even when the object was restored."""
    return max(last + 1, int(unix_seconds))


def has_hub(answered_at: float | None, at: float, lease_seconds: float) -> bool:
    """Whether an agent whose hub last answered at `answered_at` may claim the hub in its beats."""
    return answered_at is not None and at < answered_at + lease_seconds * CLAIM_SHARE
