"""What the placements of a pass draw on: room, prices, evidence, the pace of sites.

Each piece is worked out when it is first asked for, so that a pass over few placements costs little
in a large fleet; `take` counts what the pass itself has given away. Made anew for every pass by
`placing`; the snapshot's index does the looking up.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping

from foreshore_api import conditions, scalars, v1alpha1
from foreshore_planner import binding, health, latency, quarantine, snapshot
from foreshore_planner.placement import candidates, clouds, load, pace

DEFAULT_EXPECTED_INFERENCE = 0.05
"""Seconds assumed for a ModelVersion that declares nothing, until it is measured."""

NOTHING = snapshot.ComputeResources()

_Kind = tuple[object, ...]
"""What of a demand decides which cloud nodes could ever serve it."""


class Supply:
    """Lookups that all placements of one pass share."""

    def __init__(
        self, seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
    ) -> None:
        self.seen = seen
        self.verdicts = verdicts
        self.bound = bound
        self.taken: dict[str, snapshot.ComputeResources] = {}
        """What this pass gave away, by node."""
        self._used: dict[str, snapshot.ComputeResources] = {}
        self._paces: dict[str, pace.Pace] = {}
        self._reports: dict[str, latency.SiteReports] = {}
        self._loads: dict[str, load.NodeLoad] = {}
        self._templates: dict[binding.Key, str] = {}
        self._requests: dict[binding.Key, snapshot.ComputeResources] = {}
        self._shares: dict[_Kind, clouds.CloudShare] = {}

    def free(self, node: snapshot.Node) -> snapshot.ComputeResources:
        """Return what is left of a node."""
        left = node.allocatable - node.requested - self.used(node.name)
        taken = self.taken.get(node.name)
        return left if taken is None else left - taken

    def used(self, node: str) -> snapshot.ComputeResources:
        """Return what our pods take of a node that were there before the pass."""
        if node not in self._used:
            self._used[node] = used_on(self.seen, self.verdicts, node)
        return self._used[node]

    def take(self, node: str, requests: snapshot.ComputeResources) -> None:
        """Count what a new pod takes of a node."""
        self.taken[node] = self.taken.get(node, NOTHING) + requests

    def pace(self, site: str) -> pace.Pace:
        """Return how many more moves a site may see within the minute."""
        if site not in self._paces:
            self._paces[site] = pace.of_site(self.seen, self.verdicts, site)
        return self._paces[site]

    def spend(self, site: str, moves: int) -> None:
        """Count moves of this pass."""
        self._paces[site] = self.pace(site).after(moves)

    def reports(self, site: str) -> latency.SiteReports:
        """Return what the agents of a site report."""
        if site not in self._reports:
            agents = self.seen.index.reports_of.get(site, {})
            self._reports[site] = latency.SiteReports(agents.values())
        return self._reports[site]

    def load_of(self, node: snapshot.Node) -> load.NodeLoad:
        """Return how busy the replicas are that run on a node."""
        if node.name not in self._loads:
            replicas = self.seen.index.replicas_on.get(node.name, ())
            reports = {pod.site: self.reports(pod.site) for pod in replicas}
            self._loads[node.name] = load.of(node, replicas, reports)
        return self._loads[node.name]

    @functools.cached_property
    def prices(self) -> Mapping[tuple[str, v1alpha1.Tier], float]:
        """The price of a CPU hour by (cluster, tier)."""
        by_tier: dict[tuple[str, v1alpha1.Tier], float] = {}
        for cluster in self.seen.clusters:
            name = cluster.metadata.name
            by_tier[(name, v1alpha1.Tier.EDGE)] = scalars.number(cluster.spec.price.edge)
            by_tier[(name, v1alpha1.Tier.CLOUD)] = scalars.number(cluster.spec.price.cloud)
        return by_tier

    def template(self, bound: binding.BoundPolicy, version: v1alpha1.ModelVersion) -> str:
        """Hash everything a pod is made from but its node; another hash means another pod."""
        if bound.key not in self._templates:
            self._templates[bound.key] = template(self.seen, bound, version)
        return self._templates[bound.key]

    def demand(
        self, bound: binding.BoundPolicy, version: v1alpha1.ModelVersion, site: str
    ) -> candidates.Demand:
        """Return what a placement asks of a node."""
        if bound.key not in self._requests:
            self._requests[bound.key] = _requests(version)
        expected = version.spec.expected_inference
        requests = self._requests[bound.key]
        return candidates.Demand(
            namespace=bound.key[0],
            policy=bound.key[1],
            site=site,
            placement=bound.policy.spec.placement,
            model_version=(bound.key[0], version.metadata.name),
            requests=requests,
            budget=scalars.seconds(bound.policy.spec.latency_budget),
            expected_inference=(
                scalars.seconds(expected.p99)
                if expected is not None
                else DEFAULT_EXPECTED_INFERENCE
            ),
            busy=load.own((*bound.key, site), self.reports(site), requests),
        )

    def views(
        self, demand: candidates.Demand, evidence: latency.Evidence, holders: Iterable[str]
    ) -> tuple[tuple[candidates.NodeView, ...], tuple[candidates.CountedNodes, ...]]:
        """Look at the nodes that matter to a placement, by name, and count the others.

        `holders` are nodes that have a replica of it.
        """
        index = self.seen.index
        own = index.nodes_of.get(demand.site, ())
        share = self._share(demand, evidence)
        nodes = {node.name: node for node in (*own, *share.nodes)}
        others = [index.nodes[name] for name in holders if name in index.nodes]
        extra = {node.name: node for node in others if node.name not in nodes}
        nodes |= extra
        edge = sum(node.tier is v1alpha1.Tier.EDGE for node in (*own, *extra.values()))
        counted = (
            *clouds.elsewhere(index.edge, demand.site, extra.keys(), edge),
            *share.counted_without(extra.keys()),
        )
        views = (self._view(demand, evidence, nodes[name]) for name in sorted(nodes))
        return tuple(views), counted

    def _view(
        self, demand: candidates.Demand, evidence: latency.Evidence, node: snapshot.Node
    ) -> candidates.NodeView:
        verdict = self.verdicts.of(node.name)
        return candidates.NodeView(
            demand,
            node,
            verdict,
            self.free(node),
            evidence,
            quarantine.words(node, self.seen.now),
            self.load_of(node),
        )

    def _share(self, demand: candidates.Demand, evidence: latency.Evidence) -> clouds.CloudShare:
        """Return the site's share of the cloud, the same for all demands that ask the same."""
        placement = demand.placement
        kind = (
            demand.site,
            placement.tier,
            tuple(sorted(placement.node_selector.items())),
            tuple(repr(toleration) for toleration in placement.tolerations),
            demand.requests,
        )
        if kind not in self._shares:
            cloud = (node for node in self.seen.index.cloud if node.site != demand.site)
            views = [self._view(demand, evidence, node) for node in cloud]
            self._shares[kind] = clouds.share(views, demand.site)
        return self._shares[kind]


def used_on(
    seen: snapshot.Snapshot, verdicts: health.Health, node: str
) -> snapshot.ComputeResources:
    """Return what our pods take of a node: also those of policies that are not accepted now.

    A successor that found no room has none, and does not need it as long as its slot is served:
    what serves nobody comes before it.
    """
    used = NOTHING
    for replica in seen.index.replicas_on.get(node, ()):
        is_waiting = (
            replica.phase is snapshot.PodPhase.PENDING
            and replica.reason == conditions.Reason.UNSCHEDULABLE
            and _is_served(seen, verdicts, replica)
        )
        if replica.phase is not snapshot.PodPhase.FAILED and not is_waiting:
            used += replica.requests
    return used


def _is_served(seen: snapshot.Snapshot, verdicts: health.Health, waiting: snapshot.Replica) -> bool:
    """Whether another pod answers in the slot of one that waits."""
    of_placement = (waiting.namespace, waiting.policy, waiting.site)
    return any(
        replica.slot == waiting.slot
        and replica.phase is snapshot.PodPhase.READY
        and not verdicts.of(replica.node).is_lost
        for replica in seen.index.replicas_at.get(of_placement, ())
    )


def template(
    seen: snapshot.Snapshot, bound: binding.BoundPolicy, version: v1alpha1.ModelVersion
) -> str:
    """Hash everything a pod is made from but its node; another hash means another pod."""
    placement = bound.policy.spec.placement
    model = bound.model.spec.document() if bound.model is not None else {}
    parts = (
        seen.serving_image,
        version.metadata.name,
        version.spec.document(),
        model,
        [toleration.document() for toleration in placement.tolerations],
        placement.runtime_class_name,
        placement.priority_class_name,
        [reference.document() for reference in placement.image_pull_secrets],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _requests(version: v1alpha1.ModelVersion) -> snapshot.ComputeResources:
    asked = version.spec.resources
    accelerator = asked.accelerator
    return snapshot.ComputeResources(
        cpu=round(scalars.quantity(asked.cpu) * 1000),
        memory=round(scalars.quantity(asked.memory)),
        extended=() if accelerator is None else ((accelerator.name, accelerator.count),),
    )
