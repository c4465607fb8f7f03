"""Who may command each device: the first grant, and moving it without an adapter.

    no authority ──── an agent of the site is connected ───────────► granted to the lowest node name
    granted ───────── holder gave it back, some agent can record ──► granted to another, at once if
                                                                      device or adapter fences, else
                                                                      after the longest timeToLive;
                                                                      to itself if there is no other
    granted ───────── superseded by a number nobody granted,
                      and the wait is over ────────────────────────► granted anew, above that number
    granted ───────── both signs of loss, and the wait is over ────► granted to another
    granted ───────── its node may not hold the device any more,
                      has let go, and the wait is over ────────────► granted to another
    granted ───────── anything else ───────────────────────────────► stays

The two signs: the hub has renewed nothing for the holder for `leaseDuration`, and another agent of
the site that has the hub says that the holder's beats on the site's broker have stopped for as
long. The node may be silent or look healthy: an agent that crashes again and again loses its
devices too, and one whose node is silent while it goes on beating keeps them. The wait: the last
renewal the hub sent, plus `leaseDuration`, plus `CLOCK_MARGIN`, plus the longest `timeToLive` of
the device's policies, so that no command of the old holder can still be obeyed. A restarted hub
counts its start as the last renewal. Without the hub's evidence, or while the site is held, nothing
moves. Each grant takes a fresh number: max(lastIssued + 1, Unix seconds), never one that nobody can
have been granted (`wire.beat`). The fence itself is at the device or its adapter, which refuse
lower numbers; this only keeps two agents from disagreeing for long. Where nobody fences the wait is
all there is, also after a give-back: a command of the old holder may be obeyed for its timeToLive.
Source: design/decisions.md, "Authority".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from foreshore_api import conditions, scalars, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.wire import beat, report
from foreshore_decision import fencing
from foreshore_planner import health, phrases, quarantine, snapshot

CLOCK_MARGIN = 2.0
"""Seconds for clocks that run at different rates, and for a renewal on its way."""

DETECTION = 13.0
"""Seconds until a silent node is seen as such with default settings of ours.

Part of `takeoverBound` only.
"""

WITNESSING = 3.0
"""Seconds until a beat that is missing is in a peer's report. Part of `takeoverBound` only."""

REACTION = 1.0
"""Seconds for the pass that grants. Part of `takeoverBound` only."""

ROOM = "give their state directories room, or let the hub catch up"
"""What helps agents that cannot record, in words."""

FENCES = frozenset({v1alpha1.protection.Fence.DEVICE, v1alpha1.protection.Fence.ADAPTER})
"""Who refuses what an old holder still sends."""

COMMANDING = frozenset(standing for standing in fencing.Standing if standing.is_permitting)
"""Standings in which an agent may command."""


@dataclass(frozen=True, slots=True)
class GrantUpdate:
    """A right to be written, under the condition that what it rests on has not changed meanwhile.

    That is the Device with its right as it was, but for what else its status says.
    """

    namespace: str
    device: str
    decided_on: v1alpha1.Device = field(hash=False)
    authority: v1alpha1.DeviceAuthority
    cause: str
    evidence: str

    @property
    def resource_version(self) -> str:
        """The version of the Device that was decided on."""
        return self.decided_on.metadata.resource_version or ""

    def holds_for(self, device: v1alpha1.Device) -> bool:
        """Whether the same would be decided on a Device as it is now."""
        decided_on = self.decided_on
        return device is decided_on or _grounds(device) == _grounds(decided_on)


@dataclass(frozen=True, slots=True)
class Succession:
    """What becomes of one device's authority in this pass."""

    grant: GrantUpdate | None
    waiting: str | None = None
    """Why nothing is granted although something is amiss, in words."""
    waiting_reason: conditions.Reason = conditions.Reason.AUTHORITY_MOVING
    wake_after: float | None = None
    """Seconds after which a pass is due although nothing else changes."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device with all that its authority depends on."""

    now: datetime
    device: v1alpha1.Device
    lease: float
    fence: v1alpha1.protection.Fence | None
    """Who keeps the old holder's commands from taking effect after the new one's."""
    longest_time_to_live: float
    agents: Mapping[str, report.AgentEvidence]
    """Reporting agents on nodes of the device's site that `reachableFrom` allows, by node."""
    lost: frozenset[str]
    """Those of their nodes that are dead or silent, as far as anybody can tell."""
    holder: health.Assessment | None
    own: report.AgentEvidence | None
    """What the holder's agent says, wherever its node belongs now."""
    may_hold: bool
    """Whether the holder's node is one of the device's site that `reachableFrom` allows."""
    is_held: bool
    """Whether its site is."""
    is_fleet_held: bool
    fleet: report.Fleet | None
    fleet_age: float
    renewals: Sequence[report.LastRenewal] = ()
    """What the hub renewed last of this device."""
    given_back: Sequence[report.GivenBack] = ()
    """What was given back to it of this device."""
    falls: Mapping[str, int] = field(default_factory=dict)
    """How often nodes fell silent within the hour, by node; of others never."""
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Nodes that may hold the device and fell silent so often that nothing new goes there, and
    that in words."""

    @property
    def bound(self) -> str:
        """Return `takeoverBound`: from the holder's death to the next grant, in whole seconds."""
        run_out = self.lease + CLOCK_MARGIN + self.longest_time_to_live
        wait = max(DETECTION, self.lease + WITNESSING, run_out) + REACTION
        return f"{math.ceil(wait)}s"


def decide(view: DeviceView) -> Succession:
    """Decide what becomes of one device's authority."""
    authority = view.device.status.authority
    if view.fleet is None:
        message = "the hub is out of reach: nothing is granted or moved"
        return Succession(None, message, conditions.Reason.HUB_UNREACHABLE)
    if authority is None or authority.holder is None:
        return _grant(view, reasons.FIRST_GRANT, "no agent holds the device")
    if gave_back(view, authority):
        return _given_back(view, authority)
    if view.is_fleet_held:
        message = "many sites went dark together: nothing moves anywhere"
        return Succession(None, message, conditions.Reason.FLEET_SILENT)
    if view.is_held:
        message = "too much of the site is silent: nothing moves"
        return Succession(None, message, conditions.Reason.SITE_SILENT)
    grounds = lost(view, authority) or displaced(view, authority) or superseded(view, authority)
    if grounds is None:
        return Succession(None, wake_after=doubted_for(view, authority))
    cause, signs = grounds
    left = remaining_wait(view, authority)
    if left > 0:
        message = f"{signs}; waiting until its last renewal has run out"
        return Succession(None, message, wake_after=left)
    return _grant(view, cause, signs)


def gave_back(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> bool:
    """Whether the holder itself says that it stood down from this very epoch."""
    held = _own_line(view)
    return held is not None and held.gave_back and held.epoch == authority.epoch


def superseded(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> tuple[str, str] | None:
    """Return (cause, evidence) when the holder has seen a number above the one it was granted.

    It never takes up that epoch again, so only a fresh one ends the standstill. The wait keeps a
    device that makes numbers up from moving its holder with every report.
    """
    held = _own_line(view)
    if (
        held is None
        or held.epoch != authority.epoch
        or held.standing != fencing.Standing.SUPERSEDED
    ):
        return None
    if not beat.is_believable(held.highest_epoch_seen, view.now.timestamp()):
        return None
    return (
        reasons.SUPERSEDED,
        f"{authority.holder} has seen a higher number than the one it was granted",
    )


def lost(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> tuple[str, str] | None:
    """Return (cause, evidence) when both signs of loss are there, else None."""
    if view.holder is None or unrenewed_for(view, authority) < view.lease:
        return None
    witnesses = _witnesses(view, authority)
    if not witnesses:
        return None
    silent = f"{view.holder.evidence}; {min(witnesses)} has not heard it for its lease duration"
    return reasons.HOLDER_LOST, silent


def doubted_for(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> float | None:
    """Return in how many seconds the first sign of loss is there too, where the second one is."""
    if view.holder is None or not _witnesses(view, authority):
        return None
    left = view.lease - unrenewed_for(view, authority)
    return left if left > 0 else None


def displaced(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> tuple[str, str] | None:
    """Return (cause, evidence) when the holder's node may not hold the device and has let go.

    Its label or `reachableFrom` changed: its agent is not assigned the device any more. It has let
    go when it says so itself, or when the peers it left behind do not hear it.
    """
    if view.may_hold or view.holder is None:
        return None
    held = _own_line(view)
    says_so = view.own is not None and (held is None or held.standing not in COMMANDING)
    if not says_so and not _witnesses(view, authority):
        return None
    return (
        reasons.HOLDER_DISPLACED,
        f"{authority.holder} is no node any more that may hold the device",
    )


def _own_line(view: DeviceView) -> report.HeldDevice | None:
    if view.own is None:
        return None
    devices = view.own.report.devices
    return next((held for held in devices if _is_device(view, held.namespace, held.device)), None)


def _witnesses(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> list[str]:
    """Return the agents of the site that say that the holder's beats have stopped."""
    return [
        peer.node
        for peer in view.agents.values()
        if peer.node != authority.holder and _has_stopped(peer, authority.holder or "", view)
    ]


def remaining_wait(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> float:
    """Return how many seconds of the old holder's right may be left, by the hub's clock."""
    run_out = view.lease + CLOCK_MARGIN + view.longest_time_to_live
    return run_out - unrenewed_for(view, authority)


def obeyed_for(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> float:
    """Return how many seconds a command may still be obeyed of a holder that gave its right back.

    None where the device or its adapter refuses it. A hub that does not say since when the right is
    given back leaves only the wait of a holder that is lost.
    """
    if view.fence in FENCES or view.fleet is None:
        return 0.0
    ages = [
        entry.age_seconds
        for entry in view.given_back
        if (entry.holder, entry.epoch) == (authority.holder, authority.epoch)
    ]
    if not ages:
        return remaining_wait(view, authority)
    return view.longest_time_to_live - (max(ages) + view.fleet_age)


def unrenewed_for(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> float:
    """Return the seconds since the hub last renewed the holder, or may have; 0 without the hub."""
    fleet = view.fleet
    if fleet is None:
        return 0.0
    ages = [renewal.age_seconds for renewal in view.renewals if renewal.epoch >= authority.epoch]
    return min([*ages, fleet.uptime_seconds]) + view.fleet_age


def successor(view: DeviceView, previous: str | None, *, is_lost: bool = False) -> str | None:
    """Return which connected agent comes first; one that is to stop is not asked.

    Nor one whose node falls silent again and again, where the holder is lost (`is_lost`).

    Before others: one that can record, whose node is not lost, that was heard just now (a report
    stands for a while after its agent is dead), whose node is not in quarantine, that is another
    than the previous holder (at a site of one node nobody else will come), then the lowest name.
    """
    able = [node for node in _connected(view) if not is_lost or _may_succeed(view, node, previous)]
    return min(
        able,
        key=lambda node: (
            _cannot_record(view.agents[node]),
            node in view.lost,
            view.agents[node].age_seconds + view.fleet_age > health.BEAT_FRESH,
            node in view.quarantined,
            node == previous,
            node,
        ),
        default=None,
    )


def _connected(view: DeviceView) -> list[str]:
    return [
        node
        for node, agent in view.agents.items()
        if agent.report.broker_connected and not agent.report.stopping
    ]


def _may_succeed(view: DeviceView, node: str, previous: str | None) -> bool:
    lost = view.falls.get(previous, 0) if previous is not None else 0
    return quarantine.may_take_over(view.falls.get(node, 0), lost)


def _cannot_record(agent: report.AgentEvidence) -> bool:
    return agent.report.journal is not None and agent.report.journal.full


def longest_time_to_live(policies: Sequence[v1alpha1.DecisionPolicy]) -> float:
    """Return the longest timeToLive in seconds of the policies bound to a device."""
    return max(
        (scalars.seconds(policy.spec.action.time_to_live) for policy in policies), default=0.0
    )


def next_epoch(view: DeviceView) -> int:
    """Return a fresh number: above everything ever issued, renewed by the hub, or seen in use.

    And above the past of a re-created Device. What nobody can have been granted lifts nothing.
    """
    authority, now = view.device.status.authority, int(view.now.timestamp())
    issued = max(authority.last_issued, authority.epoch) if authority is not None else 0
    renewed = [renewal.epoch for renewal in view.renewals]
    seen = [
        held.highest_epoch_seen
        for agent in view.agents.values()
        for held in agent.report.devices
        if _is_device(view, held.namespace, held.device)
    ]
    believed = [epoch for epoch in (*renewed, *seen) if beat.is_believable(epoch + 1, now)]
    return max(now, 1 + max([issued, *believed]))


def _given_back(view: DeviceView, authority: v1alpha1.DeviceAuthority) -> Succession:
    """Grant what was given back; not to an agent that could record nothing: it would give it back.

    The right would go round for ever among those that are full, each time with a fresh number.
    """
    evidence = f"{authority.holder} gave the device back"
    chosen = successor(view, authority.holder)
    left = 0.0 if chosen == authority.holder else obeyed_for(view, authority)
    if left > 0:
        message = f"{evidence}, and nobody fences it: waiting until its last command has run out"
        return Succession(None, message, wake_after=left)
    if chosen is not None and _cannot_record(view.agents[chosen]):
        full = sorted(node for node in view.agents if _cannot_record(view.agents[node]))
        which = ", ".join(full[:3]) + (f" and {len(full) - 3} more" if full[3:] else "")
        message = f"{evidence}, and no agent that could take it can record (full: {which}): {ROOM}"
        return Succession(None, message, conditions.Reason.RECORDER_FULL)
    return _grant(view, reasons.GIVEN_BACK, evidence)


def _grant(view: DeviceView, cause: str, evidence: str) -> Succession:
    authority = view.device.status.authority
    previous = authority.holder if authority is not None else None
    is_lost = cause == reasons.HOLDER_LOST
    chosen = successor(view, previous, is_lost=is_lost)
    if chosen is None and is_lost and (others := sorted({*_connected(view)} - {previous})):
        return Succession(None, _unsteady(view, evidence, others), conditions.Reason.QUARANTINED)
    if chosen is not None and chosen in view.quarantined:
        evidence = f"{evidence}; nobody else can hold it than {chosen}: {view.quarantined[chosen]}"
    if chosen is None:
        message = f"{evidence}, and no other agent of the site is connected"
        return Succession(None, message, conditions.Reason.NO_AGENT)
    epoch = next_epoch(view)
    if not beat.is_believable(epoch, view.now.timestamp()):
        message = f"{evidence}, and the number above the last lies ten years ahead"
        return Succession(None, message)
    return Succession(
        GrantUpdate(
            namespace=view.device.metadata.namespace or "",
            device=view.device.metadata.name,
            decided_on=view.device,
            authority=v1alpha1.DeviceAuthority(
                holder=chosen, epoch=epoch, last_issued=epoch, takeover_bound=view.bound
            ),
            cause=cause,
            evidence=evidence,
        )
    )


def _grounds(device: v1alpha1.Device) -> tuple[object, ...]:
    """Return what a right rests on: the same object, as people wrote it, with the same right."""
    metadata = device.metadata.model_copy(update={"resource_version": None})
    return metadata, device.spec, device.status.authority


def _unsteady(view: DeviceView, evidence: str, others: Sequence[str]) -> str:
    """Say why a lost holder keeps the device although others are connected."""
    falls = (f"{node} {quarantine.times(view.falls.get(node, 0))}" for node in others)
    which = phrases.listed(falls)
    remedy = conditions.Reason.QUARANTINED.remedy
    message = f"{evidence}, and who could take over fell silent within the hour too ({which})"
    return phrases.fitted(f"{message}: it waits for its holder; {remedy}")


def _has_stopped(peer: report.AgentEvidence, holder: str, view: DeviceView) -> bool:
    return health.unheard_for(peer.report, holder) >= view.lease


def _is_device(view: DeviceView, namespace: str, device: str) -> bool:
    metadata = view.device.metadata
    return (namespace, device) == (metadata.namespace, metadata.name)


def reporting(seen: snapshot.Snapshot, nodes: Sequence[str]) -> Mapping[str, report.AgentEvidence]:
    """Return the reporting agents on the given nodes."""
    reports = health.agent_reports(seen)
    return {node: reports[node] for node in nodes if node in reports}
