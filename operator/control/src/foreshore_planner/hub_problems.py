"""What the hub cannot give single nodes: said by their Site, or by their Cluster if they have none.

Called by `status`, of the one object that speaks for them.
"""

from collections.abc import Iterable, Iterator

from foreshore_api import conditions, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import phrases, snapshot


def of_site(seen: snapshot.Snapshot, site: str) -> Iterator[report.Problem]:
    """Yield the problems of a Site's nodes."""
    problems = seen.fleet_index.problems
    for node in seen.index.nodes_of.get(site, ()) if problems else ():
        yield from problems.get(node.name, ())


def of_cluster(seen: snapshot.Snapshot, cluster: str) -> Iterator[report.Problem]:
    """Yield the problems of a Cluster's nodes that are of no Site."""
    for name, problems in seen.fleet_index.problems.items():
        node = seen.index.nodes.get(name)
        if node is not None and carrier(seen, node) == (v1alpha1.Cluster.kind, cluster):
            yield from problems


def carrier(seen: snapshot.Snapshot, node: snapshot.Node) -> tuple[str, str]:
    """Return the kind and name of what speaks for a node."""
    if node.site is not None and node.site in seen.named.sites_named:
        return v1alpha1.Site.kind, node.site
    return v1alpha1.Cluster.kind, node.cluster


def with_problems(
    statements: Iterable[phrases.Said], problems: Iterable[report.Problem]
) -> list[phrases.Said]:
    """Add to what is said of an object that the hub cannot give its nodes what they need."""
    every, listed = list(statements), list(problems)
    if not listed:
        return every
    degraded = conditions.Type.DEGRADED
    own = [statement for statement in every if statement[0] is degraded]
    messages = [*(statement[3] for statement in own), *_by_message(listed)]
    reason = own[0][2] if own else _reason(listed[0].reason)
    message = phrases.fitted("; ".join(messages))
    others = [statement for statement in every if statement[0] is not degraded]
    return [*others, (degraded, conditions.Status.TRUE, reason, message)]


def _by_message(problems: Iterable[report.Problem]) -> Iterator[str]:
    """Yield each message once, behind the nodes that it is true of."""
    nodes: dict[str, list[str]] = {}
    for problem in problems:
        nodes.setdefault(problem.message, []).append(problem.name)
    for message, names in nodes.items():
        yield f"{'node' if len(names) == 1 else 'nodes'} {phrases.listed(names)}: {message}"


def _reason(code: str) -> conditions.Reason:
    """Return the reason of a code; a code that this release does not know is a defect."""
    reasons = {reason.value: reason for reason in conditions.Reason}
    return reasons.get(code, conditions.Reason.INTERNAL_ERROR)
