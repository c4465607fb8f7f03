"""By which labels an agent exposes its latencies to Prometheus: never a peer or replica by name.

A thousand agents that each expose a thousand peers would be a million histograms. What is asked of
them is how long a model takes on nodes that compute alike, and how far it is from a site to such
nodes: so replicas and peers are exposed by the class of their node, as the assignment gives it.
`meters` keeps latencies by node, for the hub's report, and folds them by this when it is scraped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshore_agent.engine import events
from foreshore_api import node_class
from foreshore_api.wire import assignment


@dataclass(frozen=True, slots=True)
class CalledNode:
    """What an agent knows of a node that it calls."""

    site: str = ""
    """Empty for a node of no site."""
    node_class: str = node_class.UNKNOWN


@dataclass(frozen=True, slots=True)
class SeriesLabels:
    """Where an agent is, what it works by and whom it calls, as its assignment says."""

    node: str = ""
    site: str = ""
    versions: Mapping[events.Key, str] = field(default_factory=dict)
    """ModelVersion of each assigned policy; empty for a policy of rules only."""
    replicas: Mapping[tuple[events.Key, str], str] = field(default_factory=dict)
    """ModelVersion that answers a policy on a node, of replicas that say so."""
    nodes: Mapping[str, CalledNode] = field(default_factory=dict)
    peers: frozenset[str] = frozenset()
    """Nodes whose agents are probed."""

    @classmethod
    def of(cls, taken: assignment.Assignment) -> "SeriesLabels":
        """Read an assignment."""
        nodes: dict[str, CalledNode] = {}
        replicas: dict[tuple[events.Key, str], str] = {}
        for policy in taken.policies:
            for endpoint in policy.endpoints:
                if endpoint.node_class is not None:
                    nodes[endpoint.node] = CalledNode("", endpoint.node_class)
                if endpoint.version:
                    key = events.Key(policy.namespace, policy.name)
                    replicas.setdefault((key, endpoint.node), endpoint.version)
        for target in taken.probes:
            which = target.node_class or node_class.UNKNOWN
            nodes[target.node] = CalledNode(target.site or "", which)
        return cls(
            node=taken.node,
            site=taken.site.name if taken.site is not None else "",
            versions={
                events.Key(policy.namespace, policy.name): policy.model.version
                if policy.model is not None
                else ""
                for policy in taken.policies
            },
            replicas=replicas,
            nodes=nodes,
            peers=frozenset(target.node for target in taken.probes),
        )

    def of_stage(self, policy: events.Key, stage: str, node: str | None) -> tuple[str, ...]:
        """Return the values of `metrics.STAGE_SECONDS.labels`."""
        called = self._called(node).node_class if node is not None else ""
        version = self.version(policy, node)
        return (self.site, self.node, str(policy), version, stage, called)

    def of_probe(self, peer: str) -> tuple[str, ...]:
        """Return the values of `metrics.PROBE_SECONDS.labels`."""
        called = self._called(peer)
        return (self.site, self.node, called.site, called.node_class)

    def version(self, policy: events.Key, node: str | None) -> str:
        """Return the ModelVersion that a policy's answers of a node are of."""
        assigned = self.versions.get(policy, "")
        return assigned if node is None else self.replicas.get((policy, node), assigned)

    def _called(self, node: str) -> CalledNode:
        return self.nodes.get(node, CalledNode())
