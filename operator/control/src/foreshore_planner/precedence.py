"""Which device has a command endpoint when several name it: the oldest that is sound by itself.

One that finds an endpoint of its own taken takes none of the others either: what it would command
there belongs to whoever comes next. Called by `binding`, for all at once, and by the fold for those
that share endpoints with a device that changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foreshore_api import v1alpha1
from foreshore_decision.policy.endpoints import CommandEndpoint
from foreshore_planner import named


@dataclass(frozen=True, slots=True)
class Claim:
    """Where one device would be commanded."""

    device: v1alpha1.Device
    endpoints: tuple[CommandEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """The first endpoint of a device that an older one has."""

    endpoint: CommandEndpoint
    first: v1alpha1.Device


def conflicts(claims: Iterable[Claim]) -> Mapping[named.Key, Conflict]:
    """Return who comes too late, by device."""
    taken: dict[CommandEndpoint, v1alpha1.Device] = {}
    late: dict[named.Key, Conflict] = {}
    for claim in sorted(claims, key=lambda claim: named.age(claim.device)):
        busy = next((endpoint for endpoint in claim.endpoints if endpoint in taken), None)
        if busy is not None:
            late[named.key(claim.device)] = Conflict(busy, taken[busy])
        else:
            taken.update(dict.fromkeys(claim.endpoints, claim.device))
    return late
