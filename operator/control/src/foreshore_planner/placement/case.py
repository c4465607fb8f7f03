"""One (policy, site) as placement sees it, and what placement says about it.

The values the other modules here share.
"""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshore_api import conditions, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import binding, health, latency, snapshot
from foreshore_planner.placement import callers, candidates, in_agents

RETURNING = 30.0
"""Seconds that a node has, once it is Ready again, to say how its pods are."""


@dataclass(frozen=True, slots=True)
class PodIntent:
    """One inference pod that should exist; the operator renders the manifest."""

    name: str
    namespace: str
    placement: str
    policy: str
    site: str
    slot: str
    node: str
    template: str
    model: str
    version: str
    digest: str
    generation: int
    """Of the policy that it is made for."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One inference pod that should go, gracefully, if it still is what was looked at."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    cause: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a replica from serving."""

    reason: conditions.Reason
    message: str


@dataclass(frozen=True, slots=True)
class Delay:
    """Why a replica that would be better elsewhere stays where it is."""

    message: str
    is_pending: bool
    """Whether time or another placement ends it; else its own site has to change first."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the conditions of a placement are made from."""

    wanted: int
    unplaced: int
    waiting: str | None
    """Why a forced move is not made (site held, failover Never, move limit), in words."""
    waiting_reason: str | None
    nearest: str | None
    summary: str
    is_within_budget: bool | None
    """True, False, or None while not measured."""
    shares_domain: bool
    trouble: Trouble | None
    """Of a replica that cannot serve until somebody mends something."""
    progress: Trouble | None
    """Of a successor that is waited for."""
    complaint: Trouble | None
    """Of agents whose calls are bad."""
    refusal: str | None
    """Why replicas refuse the version that is asked for, in words."""
    delay: Delay | None = None
    """Of a replica that would be better elsewhere."""
    cannot_leave: str | None = None
    """Which replica is to leave its node at a person's wish and cannot, in words."""
    unheeded: str | None = None
    """Why a person's confirmation of a move does nothing, in words."""
    unprotected: str | None = None
    """What the API server says against what makes evictions of its pods wait."""
    shortfall: str = ""
    """Which replicas another provider computes than the one that is wanted first, in words."""
    is_too_low: bool | None = None
    """Whether predictions have been too low for so long that it is said, or too high; else None."""
    cut_short: str | None = None
    """What a bound left untried for a slot without a node, and what to do, in words."""


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """What one (policy, site) should look like."""

    namespace: str
    name: str
    policy: str
    site: str
    pods: tuple[PodIntent, ...]
    replicas: tuple[inferenceplacement.ReplicaStatus, ...]
    standing_in: tuple[str, ...]
    """Names of pods that answer in a slot until the one that is wanted there does."""
    yielding: str | None
    """Of these the one that goes first, because there is no room for both."""
    budget: inferenceplacement.Budget | None
    candidates: inferenceplacement.Candidates
    moves: tuple[inferenceplacement.Move, ...]
    findings: Findings
    proposals: tuple[inferenceplacement.ProposedMove, ...] = ()
    """Moves that wait for a person."""
    is_settled: bool = False
    """Whether it has all it asks for, and nothing is in the way of any of it: then it depends on
    nothing but its own site, pods and nodes, and on time."""
    agents: in_agents.AgentReplicas | None = None
    """Those that run the model themselves; None where nobody asks it."""
    needs: in_agents.PodNeed = in_agents.PodNeed.ALL


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one placement's pods, planned or not."""

    seen: snapshot.Snapshot
    verdicts: health.Health
    before: v1alpha1.InferencePlacement | None
    replicas: tuple[snapshot.Replica, ...]

    def is_out_of_sight(self, pod: snapshot.Replica) -> bool:
        """Whether what the API server says of a pod may be stale.

        It calls every pod of a silent node unready, and goes on until the kubelet that is back has
        told otherwise. A pod that became unready since then really is: one that is just starting.
        """
        verdict = self.verdicts.of(pod.node)
        if not verdict.is_usable:
            return not verdict.is_lost
        present = self.seen.index.nodes.get(pod.node)
        if present is None:
            return False
        return present.ready_age < RETURNING and present.ready_age <= pod.phase_age


@dataclass(frozen=True, slots=True)
class Case(Sight):
    """One (policy, site) with all it depends on."""

    bound: binding.BoundPolicy
    version: v1alpha1.ModelVersion
    site: str
    demand: candidates.Demand
    evidence: latency.Evidence
    views: tuple[candidates.NodeView, ...]
    """Nodes that it looks at, by name: its site's, a share of the cloud, and those it is on."""
    counted: tuple[candidates.CountedNodes, ...]
    """The others."""
    template: str
    complaints: Mapping[callers.Where, callers.Complaint]
    """What agents hold against replicas, by (slot, node)."""
    providers: Mapping[str, str]
    """Execution providers that agents heard of, by the address of the replica."""
    agents: in_agents.AgentReplicas | None
    """Those that run the model themselves; None where nobody asks it."""
    prices: Mapping[tuple[str, v1alpha1.Tier], float] = field(default_factory=dict)
    """The price of a CPU hour by (cluster, tier)."""

    @property
    def name(self) -> str:
        """The placement's name."""
        return f"{self.demand.policy}.{self.site}"

    def view(self, node: str) -> candidates.NodeView | None:
        """Return what it sees of a node, if it looks at it."""
        place = bisect.bisect_left(self.views, node, key=lambda view: view.node.name)
        if place == len(self.views) or self.views[place].node.name != node:
            return None
        return self.views[place]
