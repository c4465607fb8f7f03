"""Everything that was seen, as one frozen snapshot with `now`; the first step of a pass."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping

from foreshore_api import v1alpha1
from foreshore_operator import compilation, compiling, measure, store
from foreshore_planner import hysteresis, snapshot


def observe(
    seen: store.ClusterMirrors,
    hub: measure.HubEvidence | None,
    compilations: compiling.Compilations,
    *,
    serving_image: str,
    stabilization: hysteresis.Stabilization,
    refusals: Mapping[tuple[str, str], str],
) -> Callable[[], snapshot.Snapshot]:
    """Take hold of this moment; `refusals` is what the last pass heard of its pods.

    What is returned makes the snapshot, which takes longer than the loop may: a thread calls it.
    """
    fleet, fleet_age = hub.evidence() if hub is not None else (None, 0.0)
    written = written_resources(seen)
    compilations.offer(written)
    nodes, replicas = seen.observed_nodes(default_tier(seen)), seen.replicas()
    whole = snapshot.Snapshot(
        now=datetime.datetime.now(datetime.UTC),
        monotonic=time.monotonic(),
        serving_image=serving_image,
        stabilization=stabilization,
        sites=tuple(seen.all_of(v1alpha1.Site)),
        profiles=written.profiles,
        devices=written.devices,
        models=written.models,
        versions=written.versions,
        policies=written.policies,
        clusters=tuple(seen.all_of(v1alpha1.Cluster)),
        placements=tuple(seen.all_of(v1alpha1.InferencePlacement)),
        parts=tuple(seen.parts()),
        refusals=dict(refusals),
        compiled=compilations.answers(written.policies),
        fleet=fleet,
        fleet_age=fleet_age,
    )
    return lambda: dataclasses.replace(whole, nodes=tuple(nodes), replicas=tuple(replicas))


def written_resources(seen: store.ClusterMirrors) -> compilation.CompilationInput:
    """What people have written, as far as it goes into compiling."""
    return compilation.CompilationInput(
        policies=tuple(seen.all_of(v1alpha1.DecisionPolicy)),
        devices=tuple(seen.all_of(v1alpha1.Device)),
        profiles=tuple(seen.all_of(v1alpha1.DeviceProfile)),
        models=tuple(seen.all_of(v1alpha1.Model)),
        versions=tuple(seen.all_of(v1alpha1.ModelVersion)),
    )


def default_tier(seen: store.ClusterMirrors) -> v1alpha1.Tier:
    """The tier of nodes of no site without a label: the Cluster's, which is Cloud if unsaid."""
    local = seen.find(v1alpha1.Cluster, "", v1alpha1.cluster.LOCAL)
    return local.spec.tier if local is not None else v1alpha1.Tier.CLOUD
