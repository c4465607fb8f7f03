"""What an agent learns that concerns its right to a device. Instants are boot seconds."""

import dataclasses

from foreshore_api.wire import beat


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
    """The hub's answer for this device; `epoch` is the newest the hub knows."""

    at: float
    boot_id: str
    number: int
    epoch: int
    standing: beat.RenewalStanding
    relayed: bool = False
    """It came over the site's broker, not straight from the hub."""


@dataclasses.dataclass(frozen=True, slots=True)
class EpochSeen:
    """A peer's beat claims this epoch: a hint."""

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
class ConnectionChanged:
    """The connection to the site's broker came up or went, or became deaf or heard."""

    at: float
    connected: bool
    is_deaf: bool = False
    """The broker is known to deliver no beats: a peer's claim would not be heard."""


@dataclasses.dataclass(frozen=True, slots=True)
class Released:
    """This agent gives its right back by its own choice: it is to stop, or cannot record."""

    at: float


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
    | ConnectionChanged
    | Released
    | Ticked
)
