"""What is known of a model and of networks before a placement has measured anything itself.

A model takes about as long on every node of a class, whatever policy asks it; and a call takes
about as long from one site to every node of a class at another. So evidence is pooled by version
and class, and by site and class, and a candidate that was never tried is predicted from it. It
ranks nodes: it never says that a node lives, and no working replica is moved on its account.

The hub's evidence gives it for what runs now (`pooled`), Prometheus for what ran before, and for
everything while the hub is out of reach (`foreshore_operator.history`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foreshore_api import node_class
from foreshore_api.wire import histogram
from foreshore_planner import snapshot

Version = tuple[str, str]
"""(namespace, ModelVersion)."""


class PriorSource(StrEnum):
    """Who measured it."""

    HUB = "Hub"
    PROMETHEUS = "Prometheus"


@dataclass(frozen=True, slots=True)
class LatencyPriors:
    """Merged histograms of what is alike; what is not in here is unknown."""

    inference: Mapping[tuple[Version, str], histogram.Histogram] = field(default_factory=dict)
    """By (version, class of node): how long a replica takes, its queue included."""
    network: Mapping[tuple[str, str, str], histogram.Histogram] = field(default_factory=dict)
    """By (site of the agent that calls, site of the node or empty, class of the node)."""

    def of_inference(self, version: Version, node: snapshot.Node) -> histogram.Histogram | None:
        """Return what is known of a version on nodes like this one."""
        return self.inference.get((version, node_class.of(node.labels)))

    def of_network(self, site: str, node: snapshot.Node) -> histogram.Histogram | None:
        """Return what is known of calls from a site to nodes like this one."""
        return self.network.get((site, node.site or "", node_class.of(node.labels)))


NOTHING = LatencyPriors()


def pooled(seen: snapshot.Snapshot) -> LatencyPriors:
    """Pool what the agents report now; empty while the hub is out of reach."""
    inference: dict[tuple[Version, str], list[histogram.Histogram]] = {}
    network: dict[tuple[str, str, str], list[histogram.Histogram]] = {}
    serving = _serving(seen)
    for caller, agent in seen.index.reports.items():
        site = _site(seen, caller)
        for line in agent.report.stages:
            version = serving.get((line.namespace, line.policy, line.node or ""))
            if line.stage is histogram.Stage.INFERENCE and version is not None:
                key = ((line.namespace, version), _class(seen, line.node or ""))
                inference.setdefault(key, []).append(line.histogram)
        for probe in agent.report.probes:
            if probe.age_seconds is not None and probe.node in seen.index.nodes:
                place = (site, _site(seen, probe.node), _class(seen, probe.node))
                network.setdefault(place, []).append(probe.histogram)
    return LatencyPriors(
        inference={key: histogram.merge(parts) for key, parts in sorted(inference.items())},
        network={key: histogram.merge(parts) for key, parts in sorted(network.items())},
    )


def first(*sources: LatencyPriors | None) -> LatencyPriors:
    """Return of every figure the one of the first source that has enough samples of it."""
    present = [source for source in sources if source is not None]
    return LatencyPriors(
        inference=_first(source.inference for source in present),
        network=_first(source.network for source in present),
    )


def _first(
    sources: Iterable[Mapping[snapshot.K, histogram.Histogram]],
) -> dict[snapshot.K, histogram.Histogram]:
    chosen: dict[snapshot.K, histogram.Histogram] = {}
    for source in sources:
        for key, measured in source.items():
            if key not in chosen and measured.count >= ENOUGH:
                chosen[key] = measured
    return chosen


ENOUGH = 20
"""Samples below which a pooled figure says nothing, as with those that are measured in place."""


def _serving(seen: snapshot.Snapshot) -> Mapping[tuple[str, str, str], str]:
    """Return which version answers a policy on a node: (namespace, policy, node)."""
    serving: dict[tuple[str, str, str], str] = {}
    for placement in seen.index.placements.values():
        namespace, policy = placement.metadata.namespace or "", placement.spec.policy_ref.name
        for replica in placement.status.replicas:
            if replica.version is not None:
                serving[(namespace, policy, replica.node)] = replica.version
    return serving


def _site(seen: snapshot.Snapshot, node: str) -> str:
    of = seen.index.nodes.get(node)
    return (of.site or "") if of is not None else ""


def _class(seen: snapshot.Snapshot, node: str) -> str:
    of = seen.index.nodes.get(node)
    return node_class.of(of.labels) if of is not None else node_class.UNKNOWN
