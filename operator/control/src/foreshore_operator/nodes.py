"""What a pass needs of a Node and of its Lease.

A Lease's age is the time since its `renewTime` last changed here, by our own monotonic clock:
comparing clocks of two machines would turn a wrong clock into a dead node. While the API server
could not be reached nobody could renew, so ages count from the end of the outage at the earliest.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from foreshore_api import meta, scalars, v1alpha1
from foreshore_planner import snapshot
from foreshore_planner.placement import candidates

ZONE = "topology.kubernetes.io/zone"
OUTAGE = 6.0
"""Seconds without any answer of the API server that count as an outage; it is asked each second."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What the mirror keeps of a Node; two equal records need no pass."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[snapshot.Taint, ...]
    is_schedulable: bool
    is_ready: bool | None
    allocatable: snapshot.ComputeResources
    ready_changed: str | None = None
    """When Ready last changed, by the clock of whoever wrote it."""


def record(document: Mapping[str, Any]) -> NodeRecord:
    """The record of a Node document. Raises ValueError on a quantity that nobody understands."""
    spec, status = document.get("spec") or {}, document.get("status") or {}
    metadata = document["metadata"]
    keys = {taint["key"] for taint in spec.get("taints") or ()}
    return NodeRecord(
        name=metadata["name"],
        labels=dict(metadata.get("labels") or {}),
        taints=tuple(
            snapshot.Taint(taint["key"], taint.get("value") or "", taint["effect"])
            for taint in spec.get("taints") or ()
        ),
        is_schedulable=not spec.get("unschedulable", False)
        and candidates.TAINT_OF_CORDON not in keys
        and not metadata.get("deletionTimestamp"),
        is_ready=_readiness(status),
        allocatable=resources(status.get("allocatable") or {}),
        ready_changed=_ready(status).get("lastTransitionTime"),
    )


def node(
    kept: NodeRecord,
    *,
    default_tier: v1alpha1.Tier,
    lease_age: float | None,
    ready_age: float,
    silent_age: float | None,
    requested: snapshot.ComputeResources,
    flaps: tuple[float, ...] = (),
) -> snapshot.Node:
    """The node as the planner sees it."""
    site = site_of(kept)
    return snapshot.Node(
        name=kept.name,
        site=site,
        tier=_tier(kept.labels.get(meta.LABEL_TIER), site, default_tier),
        zone=kept.labels.get(ZONE) or None,
        labels=kept.labels,
        taints=kept.taints,
        is_schedulable=kept.is_schedulable,
        is_ready=kept.is_ready,
        ready_age=ready_age,
        silent_age=silent_age,
        lease_age=lease_age,
        flaps=flaps,
        allocatable=kept.allocatable,
        requested=requested,
    )


def site_of(kept: NodeRecord) -> str | None:
    """The site that a node's label names."""
    return kept.labels.get(meta.LABEL_SITE) or None


def _tier(label: str | None, site: str | None, default: v1alpha1.Tier) -> v1alpha1.Tier:
    """Return a node's tier; a label that says neither word counts as absent.

    Without one a node of a site is Edge: as Cloud it would be given replicas of other sites.
    """
    if label in tuple(v1alpha1.Tier):
        return v1alpha1.Tier(label)
    return v1alpha1.Tier.EDGE if site is not None else default


def resources(quantities: Mapping[str, Any]) -> snapshot.ComputeResources:
    """CPU, memory and extended resources of a Kubernetes resource list; what is not named is 0."""
    return snapshot.ComputeResources(
        cpu=round(scalars.quantity(quantities.get("cpu") or 0) * 1000),
        memory=round(scalars.quantity(quantities.get("memory") or 0)),
        extended=tuple(
            (name, round(scalars.quantity(quantities[name])))
            for name in sorted(quantities)
            if "/" in name  # Kubernetes' own have no domain: hugepages-2Mi, ephemeral-storage
        ),
    )


class LeaseAges:
    """When each node's Lease last changed, as seen from here."""

    def __init__(
        self,
        clock: Callable[[], float],
        changed: Mapping[str, tuple[str, float]] = MappingProxyType({}),
        counted_from: float | None = None,
    ) -> None:
        self._clock = clock
        self._changed = dict(changed)
        self._reached_at = clock()
        self._counted_from = clock() if counted_from is None else counted_from

    def reached(self) -> None:
        """The API server has just answered."""
        now = self._clock()
        if now - self._reached_at > OUTAGE:
            self._counted_from = now
        self._reached_at = now

    def note(self, name: str, renewed: str | None) -> None:
        """A Lease as listed or watched; None when it went away."""
        if renewed is None:
            self._changed.pop(name, None)
        elif self._changed.get(name, ("", 0.0))[0] != renewed:
            self._changed[name] = (renewed, self._clock())

    def older_than(self, seconds: float) -> frozenset[str]:
        """The nodes whose Lease is older."""
        limit = self._clock() - seconds
        if self._counted_from >= limit:
            return frozenset()
        return frozenset(name for name, (_, at) in self._changed.items() if at < limit)

    def is_renewed_within(self, name: str, seconds: float) -> bool:
        """Whether a node has renewed its Lease so lately; one that has no Lease is not asked."""
        change = self._changed.get(name)
        return change is None or self._clock() - change[1] <= seconds

    def frozen(self) -> LeaseAges:
        """The ages as of now, for good."""
        now = self._clock()
        return LeaseAges(lambda: now, self._changed, self._counted_from)

    def age(self, name: str) -> float | None:
        """Seconds since the Lease changed; None for a node that has none."""
        change = self._changed.get(name)
        return None if change is None else self._clock() - max(change[1], self._counted_from)


def renewed(document: Mapping[str, Any]) -> str:
    """The renewTime of a Lease document."""
    return str((document.get("spec") or {}).get("renewTime") or "")


def not_ready_for(kept: NodeRecord, now: datetime.datetime) -> float:
    """How long a node has not been Ready that was so when it was first seen; 0 if nobody says.

    The one place where two clocks are compared: one controller writes these times for all nodes,
    and what is asked later is which went silent together, where its error cancels out.
    """
    if kept.ready_changed is None:
        return 0.0
    try:
        return max(0.0, (now - scalars.instant(kept.ready_changed)).total_seconds())
    except ValueError:
        return 0.0


def _readiness(status: Mapping[str, Any]) -> bool | None:
    return {"True": True, "False": False}.get(str(_ready(status).get("status")))


def _ready(status: Mapping[str, Any]) -> Mapping[str, Any]:
    ready = (
        condition
        for condition in status.get("conditions") or ()
        if condition.get("type") == "Ready"
    )
    return next(ready, {})
