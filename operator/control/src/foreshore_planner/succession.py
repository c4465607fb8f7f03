"""Who may command each device: the first grant, and moving it without an adapter.

    no authority ──── an agent of the site is connected ───────────► granted to the lowest node name
    granted ───────── holder gave it back ─────────────────────────► granted to another, at once
    granted ───────── both signs of loss, and the wait is over ────► granted to another
    granted ───────── anything else ───────────────────────────────► stays

The two signs: the holder's node is silent (not Ready, or its Lease is stale), and another agent of
the site that has the hub says that the holder's beats on the site's broker have stopped for
`leaseDuration`. The wait: the last renewal the hub sent, plus `leaseDuration`, plus `CLOCK_MARGIN`,
plus the longest `timeToLive` of the device's policies, so that no command of the old holder can
still be obeyed. A restarted hub counts its start as the last renewal. Without the hub's evidence,
or while the site is held, nothing moves. Each grant takes a fresh number: max(lastIssued + 1, Unix
seconds). The fence itself is at the device, which refuses lower numbers; this only keeps two agents
from disagreeing for long. Source: design/decisions.md, "Authority".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from foreshore_api import conditions, scalars, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import health, snapshot

CLOCK_MARGIN = 2.0
"""Seconds for clocks that run at different rates, and for a renewal on its way."""

DETECTION = 13.0
"""Seconds until a silent node is seen as such with default settings of ours.

Part of `takeoverBound` only.
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """A right to be written, under the condition that the Device has not changed meanwhile."""

    namespace: str
    device: str
    resource_version: str
    authority: v1alpha1.DeviceAuthority
    cause: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What becomes of one device's authority in this pass."""

    grant: Grant | None
    waiting: str | None = None
    """Why nothing is granted although something is amiss, in words."""
    waiting_reason: conditions.Reason = conditions.Reason.AUTHORITY_MOVING
    wake_after: float | None = None
    """Seconds after which a pass is due although nothing else changes."""


@dataclass(frozen=True, slots=True)
class View:
    """One device with all that its authority depends on."""

    now: datetime
    device: v1alpha1.Device
    lease: float
    longest_time_to_live: float
    agents: Mapping[str, report.AgentEvidence]
    """Reporting agents on nodes of the device's site that `reachableFrom` allows, by node."""
    holder: health.Assessment | None
    is_held: bool
    fleet: report.Fleet | None
    fleet_age: float

    @property
    def bound(self) -> str:
        """Return `takeoverBound`: from the holder's death to the next grant, in whole seconds."""
        wait = max(DETECTION, self.lease) + CLOCK_MARGIN + self.longest_time_to_live
        return f"{int(wait + 0.999)}s"


def decide(view: View) -> Standing:
    """Decide what becomes of one device's authority."""
    authority = view.device.status.authority
    if view.fleet is None:
        message = "the hub is out of reach: nothing is granted or moved"
        return Standing(None, message, conditions.Reason.HUB_UNREACHABLE)
    if authority is None or authority.holder is None:
        return _grant(view, "FirstGrant", "no agent holds the device")
    if gave_back(view, authority):
        return _grant(view, "GivenBack", f"{authority.holder} gave the device back")
    if view.is_held:
        message = "too much of the site is silent: nothing moves"
        return Standing(None, message, conditions.Reason.SITE_SILENT)
    signs = lost(view, authority)
    if signs is None:
        return Standing(None)
    left = remaining_wait(view, authority)
    if left > 0:
        message = f"{signs}; waiting until its last renewal has run out"
        return Standing(None, message, wake_after=left)
    return _grant(view, "HolderLost", signs)


def gave_back(view: View, authority: v1alpha1.DeviceAuthority) -> bool:
    """Whether the holder itself says that it stood down from this very epoch."""
    own = view.agents.get(authority.holder or "")
    if own is None:
        return False
    return any(
        held.gave_back and held.epoch == authority.epoch
        for held in own.report.devices
        if _is_device(view, held.namespace, held.device)
    )


def lost(view: View, authority: v1alpha1.DeviceAuthority) -> str | None:
    """Return the evidence when both signs of loss are there, else None."""
    if view.holder is None or view.holder.is_usable:
        return None
    witnesses = [
        peer.node
        for peer in view.agents.values()
        if peer.node != authority.holder and _has_stopped(peer, authority.holder or "", view)
    ]
    if not witnesses:
        return None
    return f"{view.holder.evidence}; {min(witnesses)} has not heard it for its lease duration"


def remaining_wait(view: View, authority: v1alpha1.DeviceAuthority) -> float:
    """Return how many seconds of the old holder's right may be left, by the hub's clock."""
    fleet = view.fleet
    if fleet is None:
        return float("inf")
    ages = [
        one.age_seconds
        for one in fleet.renewals
        if _is_device(view, one.namespace, one.device) and one.epoch >= authority.epoch
    ]
    age = min([*ages, fleet.uptime_seconds]) + view.fleet_age
    return view.lease + CLOCK_MARGIN + view.longest_time_to_live - age


def successor(view: View, previous: str | None) -> str | None:
    """Return the lowest node name among connected agents other than the previous holder."""
    able = [
        node
        for node, agent in view.agents.items()
        if agent.report.broker_connected and node != previous
    ]
    return min(able) if able else None


def longest_time_to_live(policies: Sequence[v1alpha1.DecisionPolicy]) -> float:
    """Return the longest timeToLive in seconds of the policies bound to a device."""
    return max(
        (scalars.seconds(policy.spec.action.time_to_live) for policy in policies), default=0.0
    )


def next_epoch(authority: v1alpha1.DeviceAuthority | None, now: datetime) -> int:
    """Return a fresh number: above everything ever issued.

    And above the past of a re-created Device.
    """
    issued = authority.last_issued if authority is not None else 0
    return max(issued + 1, int(now.timestamp()))


def _grant(view: View, cause: str, evidence: str) -> Standing:
    authority = view.device.status.authority
    previous = authority.holder if authority is not None else None
    chosen = successor(view, previous)
    if chosen is None:
        message = f"{evidence}, and no other agent of the site is connected"
        return Standing(None, message, conditions.Reason.NO_AGENT)
    epoch = next_epoch(authority, view.now)
    return Standing(
        Grant(
            namespace=view.device.metadata.namespace or "",
            device=view.device.metadata.name,
            resource_version=view.device.metadata.resource_version or "",
            authority=v1alpha1.DeviceAuthority(
                holder=chosen, epoch=epoch, last_issued=epoch, takeover_bound=view.bound
            ),
            cause=cause,
            evidence=evidence,
        )
    )


def _has_stopped(peer: report.AgentEvidence, holder: str, view: View) -> bool:
    said = peer.report
    if not said.broker_connected or said.uptime_seconds < view.lease:
        return False
    ages = [beat.age_seconds for beat in said.peers if beat.node == holder]
    return not ages or min(ages) >= view.lease


def _is_device(view: View, namespace: str, device: str) -> bool:
    metadata = view.device.metadata
    return (namespace, device) == (metadata.namespace, metadata.name)


def reporting(seen: snapshot.Snapshot, nodes: Sequence[str]) -> Mapping[str, report.AgentEvidence]:
    """Return the reporting agents on the given nodes."""
    found = health.agent_reports(seen)
    return {node: found[node] for node in nodes if node in found}
