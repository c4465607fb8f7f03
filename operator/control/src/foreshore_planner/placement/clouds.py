"""Which nodes a placement looks at, and how the others are counted.

Its site's own, those that hold a replica of it, and at most `LIMIT` of the cloud. Where the cloud
has more, every node that may ever serve the demand is ranked by a hash of site and node (rendezvous
hashing, Thaler and Ravishankar 1998), so that each site has a stable share of its own and a node
that comes or goes changes little. A share without any room is left for what has room. Called by
`supply`.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from foreshore_api.reasons import placement as reasons
from foreshore_planner import snapshot
from foreshore_planner.placement import candidates

LIMIT = 64
"""Nodes of the cloud that one placement chooses among."""


@dataclass(frozen=True, slots=True)
class CloudShare:
    """The nodes of the cloud that are candidates of a site, and why each other is none."""

    nodes: tuple[snapshot.Node, ...]
    rejected: Mapping[str, candidates.Rejection]
    """By node."""
    counted: tuple[candidates.CountedNodes, ...]
    """The same by reason."""

    def counted_without(self, nodes: Collection[str]) -> tuple[candidates.CountedNodes, ...]:
        """Count the rejected ones but for some that are looked at all the same."""
        if not any(node in self.rejected for node in nodes):
            return self.counted
        return count(self.rejected[node] for node in self.rejected if node not in nodes)


def share(views: Sequence[candidates.NodeView], site: str) -> CloudShare:
    """Choose among the nodes of a cloud that are none of the site's own."""
    if len(views) <= LIMIT:
        return CloudShare(tuple(view.node for view in views), {}, ())
    rejected: dict[str, candidates.Rejection] = {}
    able: list[candidates.NodeView] = []
    for view in views:
        empty = replace(view, free=view.node.allocatable)
        objection = candidates.examine(empty, candidates.QUESTIONS)
        if objection is None:
            able.append(view)
        else:
            rejected[view.node.name] = objection
    chosen = _chosen(able, site)
    names = {view.node.name for view in chosen}
    message = f"one of {len(able)} cloud nodes that could serve; {LIMIT} are looked at"
    rejected |= {
        view.node.name: candidates.Rejection(view.node.name, reasons.NOT_EXAMINED, message)
        for view in able
        if view.node.name not in names
    }
    return CloudShare(tuple(view.node for view in chosen), rejected, count(rejected.values()))


def _chosen(able: Sequence[candidates.NodeView], site: str) -> list[candidates.NodeView]:
    """Return the site's share, else as many that have room, if the share has none at all."""
    ranked = sorted(able, key=lambda view: (_weight(site, view.node.name), view.node.name))
    first = ranked[:LIMIT]
    if any(_has_room(view) for view in first):
        return first
    return [view for view in ranked if _has_room(view)][:LIMIT] or first


def _has_room(view: candidates.NodeView) -> bool:
    return view.free.has_room_for(view.demand.requests)


def _weight(site: str, node: str) -> int:
    return zlib.crc32(f"{site}\n{node}".encode())


def elsewhere(
    edge: Sequence[snapshot.Node], site: str, viewed: Collection[str], own: int
) -> tuple[candidates.CountedNodes, ...]:
    """Count the edge nodes of other sites.

    Args:
        edge: every edge node, by name.
        site: whose placement it is.
        viewed: nodes that are looked at all the same.
        own: how many of `edge` are of the site, or viewed.
    """
    if len(edge) <= own:
        return ()
    first = next(node for node in edge if node.site != site and node.name not in viewed)
    rejection = candidates.Rejection(first.name, reasons.OTHER_SITE, "an edge node of another site")
    return (candidates.CountedNodes(rejection, len(edge) - own),)


def count(rejections: Iterable[candidates.Rejection]) -> tuple[candidates.CountedNodes, ...]:
    """Count rejections by reason, in order of the reason."""
    by_reason = snapshot.grouped(rejections, lambda rejection: rejection.reason)
    return tuple(
        candidates.CountedNodes(min(alike, key=lambda rejection: rejection.node), len(alike))
        for _, alike in sorted(by_reason.items())
    )
