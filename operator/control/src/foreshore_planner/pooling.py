"""Pooling what all agents report of a version by class of node, and of networks by site and class.

Called about once a minute, off the loop: it looks at every report, and what is alike changes
slowly. See `priors` for what it is used for.
"""

from collections.abc import Mapping

from foreshore_api import node_class
from foreshore_api.wire import histogram
from foreshore_planner import latency, priors, residuals, snapshot


def pooled(seen: snapshot.Snapshot) -> priors.LatencyPriors:
    """Pool what the agents report now; empty while the hub is out of reach."""
    inference: dict[tuple[priors.Version, str], list[histogram.Histogram]] = {}
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
            is_fresh = probe.age_seconds is not None and probe.age_seconds <= latency.PROBE_STALE
            if is_fresh and probe.node in seen.index.nodes:
                place = (site, _site(seen, probe.node), _class(seen, probe.node))
                network.setdefault(place, []).append(probe.histogram)
    return priors.LatencyPriors(
        inference={key: histogram.merge(parts) for key, parts in sorted(inference.items())},
        network={key: histogram.merge(parts) for key, parts in sorted(network.items())},
        residuals=residuals.observed(
            seen,
            {
                site: latency.SiteReports(agents.values())
                for site, agents in seen.index.reports_of.items()
            },
        ),
    )


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
