"""What the agents of one site say to each other over the site's broker.

And how a holder's grant is renewed.

Each agent beats once a second: who it is, whether it has the hub, which epochs it holds. A holder
that cannot reach the hub publishes a numbered renewal request; any agent that has the hub passes it
on and the answer back, both unchanged.

    foreshore/v1/<site>/beat/<node>              Beat, retained never
    foreshore/v1/<site>/renew/<node>             RenewalRequest of the holder <node>
    foreshore/v1/<site>/renewed/<node>           Renewal for the holder <node>
"""

from enum import StrEnum
from typing import Final

from pydantic import Field

from foreshore_api.wire import document

PREFIX: Final = "foreshore/v1"
BEAT_PERIOD: Final = 1.0
"""Seconds between two beats of one agent."""

FARTHEST_AHEAD: Final = 10 * 365 * 86_400
"""Seconds above now up to which an epoch is believed: one is at least the time of its grant."""


def is_believable(epoch: int, now: float) -> bool:
    """Whether an epoch can have been granted by `now`, in Unix seconds.

    Numbers rise by one a grant where a clock fell back or ran ahead; one that lies ten years ahead
    was made up, and nobody may be lifted to it.
    """
    return 0 <= epoch <= now + FARTHEST_AHEAD


def beat_topic(site: str, node: str = "+") -> str:
    """Return the topic of one agent's beats, or the filter for all."""
    return f"{PREFIX}/{site}/beat/{node}"


def renew_topic(site: str, node: str = "+") -> str:
    """Return the topic on which a holder asks for renewal."""
    return f"{PREFIX}/{site}/renew/{node}"


def renewed_topic(site: str, node: str = "+") -> str:
    """Return the topic on which a relay answers a holder."""
    return f"{PREFIX}/{site}/renewed/{node}"


@document.line
class Held:
    """One device an agent holds, and under which number."""

    namespace: document.Label
    device: document.Label
    epoch: document.Count


class Beat(document.WireDocument):
    """One agent's sign of life on the site's broker."""

    node: document.Name = Field(min_length=1)
    boot_id: str = Field(max_length=64)
    sequence: document.Count
    has_hub: bool
    """Whether the hub answered this agent within the last lease duration."""
    held: tuple[Held, ...] = Field(default=(), max_length=1000, fail_fast=True)


class RenewalRequest(document.WireDocument):
    """A holder's numbered question whether it may go on; numbers rise within a boot."""

    node: document.Name = Field(min_length=1)
    boot_id: str = Field(max_length=64)
    number: document.Count
    held: tuple[Held, ...] = Field(min_length=1, max_length=1000, fail_fast=True)


class RenewalStanding(StrEnum):
    """The hub's answer for one device."""

    RENEWED = "Renewed"
    SUPERSEDED = "Superseded"
    UNKNOWN = "Unknown"


class RenewedDevice(document.WireDocument):
    """The answer for one device of a request; `epoch` is the newest the hub knows."""

    namespace: document.Label
    device: document.Label
    epoch: document.Count
    standing: RenewalStanding


class Renewal(document.WireDocument):
    """The answer to one numbered request; it counts from when the holder sent that request."""

    node: document.Name = Field(min_length=1)
    boot_id: str = Field(max_length=64)
    number: document.Count
    devices: tuple[RenewedDevice, ...] = Field(max_length=1000, fail_fast=True)
