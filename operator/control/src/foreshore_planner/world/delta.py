"""What changed since the last pass, and what a pass made of it: both as data.

`foreshore_operator` makes the first from its informers and its hub, and writes the second out.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import containment, hysteresis, named, snapshot, status, succession
from foreshore_planner import priors as latency_priors
from foreshore_planner.placement import case

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KINDS: Final = (
    v1alpha1.Site.kind,
    v1alpha1.DeviceProfile.kind,
    v1alpha1.Device.kind,
    v1alpha1.Model.kind,
    v1alpha1.ModelVersion.kind,
    v1alpha1.DecisionPolicy.kind,
    v1alpha1.Cluster.kind,
)
"""What people edit."""


@dataclass(frozen=True, slots=True)
class HubStatement:
    """What the hub says of its fleet, whole."""

    fleet: report.Fleet | None
    """None while it is out of reach."""
    age: float = 0.0
    """Seconds since it was received."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed. Of everything by name: what it is now, or None where it is gone.

    What is not in here is as it was, only older.
    """

    now: datetime
    monotonic: float
    objects: Mapping[str, Mapping[named.Key, meta.Resource | None]] = field(default_factory=dict)
    """By kind: what people edit, and InferencePlacements."""
    nodes: Mapping[str, snapshot.Node | None] = field(default_factory=dict)
    replicas: Mapping[named.Key, snapshot.Replica | None] = field(default_factory=dict)
    parts: Mapping[named.Key, snapshot.ProductPod | None] = field(default_factory=dict)
    refusals: Mapping[named.Key, str | None] = field(default_factory=dict)
    compiled: Mapping[named.Key, snapshot.Compiled | None] = field(default_factory=dict)
    heard: HubStatement | None = None
    """What the hub says now; None where nothing new was heard, also not that it is away."""
    serving_image: str | None = None
    """None where it is as it was."""
    stabilization: hysteresis.Stabilization | None = None
    """None where it is as it was."""
    priors: latency_priors.LatencyPriors | None = None
    """None where they are as they were. They rank nodes, so that placements see them when they are
    looked at for another reason."""
    looks_again: bool = False
    """Whether every placement is looked at again, also those for which nothing changed."""


@dataclass(frozen=True, slots=True)
class PlanDelta:
    """What should be written now: what changed of placements, and all that is due of the rest."""

    placements: Mapping[named.Key, case.PlacementPlan | None]
    """Plans that changed, by (namespace, name); None where nothing is planned any more."""
    grants: tuple[succession.GrantUpdate, ...]
    """Rights to be written, also those of passes before that are not seen yet."""
    removals: tuple[case.Removal, ...]
    retired: tuple[case.Removal, ...]
    statuses: frozenset[status.Subject]
    """Objects whose status may have changed: ask the world for each when it is to be written."""
    defects: tuple[containment.Defect, ...] = ()
    wake_after: float | None = None
    """Seconds until time alone changes something."""
    wake_unless_heard: float | None = None
    """The same of agents that report in time, for which every further answer of the hub puts it
    off by as much as it came later: it is due when the hub falls silent."""


def joined(first: PlanDelta, second: PlanDelta) -> PlanDelta:
    """Return what two passes in a row made: what changed in either, and all that is due by now."""
    return dataclasses.replace(
        second,
        placements={**first.placements, **second.placements},
        statuses=first.statuses | second.statuses,
    )


def between(before: snapshot.Snapshot | None, after: snapshot.Snapshot) -> Delta:
    """Return what leads from one snapshot to another, or from nothing to it.

    For the first pass, for tests, and for the comparison with the reference. What only became as
    much older as time passed is no change.
    """
    if before is None:
        before = dataclasses.replace(NOTHING, monotonic=after.monotonic)
    passed = after.monotonic - before.monotonic
    is_heard = after.fleet is not before.fleet or after.fleet_age != before.fleet_age + passed
    old = objects(before)
    nodes = {name: node.older(passed) for name, node in before.index.nodes.items()}
    pods = {key: pod.older(passed) for key, pod in before.index.replicas.items()}
    return Delta(
        now=after.now,
        monotonic=after.monotonic,
        objects={kind: changed(old[kind], present) for kind, present in objects(after).items()},
        nodes=changed(nodes, after.index.nodes),
        replicas=changed(pods, after.index.replicas),
        parts=changed(_parts(before), _parts(after)),
        refusals=changed(before.refusals, after.refusals),
        compiled=changed(before.compiled, after.compiled),
        heard=HubStatement(after.fleet, after.fleet_age) if is_heard else None,
        serving_image=after.serving_image,
        stabilization=after.stabilization,
        priors=after.priors if after.priors is not before.priors else None,
    )


NOTHING: Final = snapshot.Snapshot(
    now=datetime.fromtimestamp(0, UTC), monotonic=0.0, serving_image=""
)
"""The world before anything was seen."""


def objects(seen: snapshot.Snapshot) -> Mapping[str, Mapping[named.Key, meta.Resource]]:
    """Return all that is an object of ours, by kind."""
    return {**status.by_kind(seen), v1alpha1.InferencePlacement.kind: seen.index.placements}


def _parts(seen: snapshot.Snapshot) -> Mapping[named.Key, snapshot.ProductPod]:
    return {(part.namespace, part.name): part for part in seen.parts}


def changed(before: Mapping[K, V], after: Mapping[K, V]) -> dict[K, V | None]:
    """Return what is new or other than before, and None for what is gone."""
    gone: dict[K, V | None] = dict.fromkeys(before.keys() - after.keys())
    fresh = {
        key: present
        for key, present in after.items()
        if (old := before.get(key)) is not present and old != present
    }
    return gone | fresh
