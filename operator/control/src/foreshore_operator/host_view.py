"""Nodes and pods as the planner sees them, made of what `hosts` keeps.

    hosts ──► HostView (live) ──► one node or pod that changed, for a pass
                    └── frozen ──► all of one moment, in a thread beside the loop

Ages are counted when a node or pod is made; in a frozen view as of the moment it was frozen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foreshore_api import v1alpha1
from foreshore_operator import flaps, nodes, pods
from foreshore_planner import snapshot


@dataclass(frozen=True, slots=True)
class HostView:
    """What is known of nodes and pods beside their records; all moments are of `clock`."""

    clock: Callable[[], float]
    hears_leases: Callable[[], bool]
    lease_ages: nodes.LeaseAges
    flap_ages: Callable[[str], tuple[float, ...]]
    returned: Mapping[str, float]
    """By node: when it became Ready again."""
    silenced: Mapping[str, float]
    """By node that is not Ready: when it stopped being so."""
    phases: Mapping[str, tuple[snapshot.PodPhase, float]]
    """By uid of a replica: its phase, and since when."""

    def frozen(self, kept: flaps.NodeFlaps | None) -> HostView:
        """Return it as of now: later changes are not seen; `kept` are the flaps that count."""
        now, hears = self.clock(), self.hears_leases()
        ages = kept.all_ages() if kept is not None else {}
        return dataclasses.replace(
            self,
            clock=lambda: now,
            hears_leases=lambda: hears,
            lease_ages=self.lease_ages.frozen(),
            flap_ages=lambda name: ages.get(name, ()),
            returned=dict(self.returned),
            silenced=dict(self.silenced),
            phases=dict(self.phases),
        )

    def node(
        self,
        record: nodes.NodeRecord,
        default_tier: v1alpha1.Tier,
        requested: snapshot.ComputeResources,
    ) -> snapshot.Node:
        """Return a node; `requested` is what pods that are not ours take of it."""
        name, now = record.name, self.clock()
        silenced = self.silenced.get(name)
        return nodes.node(
            record,
            default_tier=default_tier,
            lease_age=self.lease_ages.age(name) if self.hears_leases() else None,
            ready_age=now - self.returned.get(name, -math.inf),
            silent_age=None if silenced is None else now - silenced,
            flaps=self.flap_ages(name),
            requested=requested,
        )

    def replica(self, record: pods.PodRecord) -> snapshot.Replica | None:
        """Return an inference pod of ours; None for any other pod."""
        inference = record.inference
        if inference is None:
            return None
        return snapshot.Replica(
            name=record.name,
            namespace=record.namespace,
            uid=record.uid,
            resource_version=record.resource_version,
            policy=inference.policy,
            site=inference.site,
            slot=inference.slot,
            node=record.node,
            template=inference.template,
            phase=inference.phase,
            requests=record.requests,
            address=inference.address,
            phase_age=self.clock() - self.phases[record.uid][1],
            restarts=inference.restarts,
            reason=inference.reason,
            message=inference.message,
            version=inference.version,
            digest=inference.digest,
            policy_generation=inference.generation,
        )
