"""A verdict on each node, with its evidence.

And which sites are held still because too much of them is silent.

A silent node (not Ready, or its Lease is stale) may be dead, or only cut off; the control plane
cannot tell. Its neighbours can: an agent of the same site that has the hub and still hears the
node's beats says that only the link is cut.

    not silent ─────────────────────────────► Healthy   (Suspect while its agent has not reported)
    silent, beats heard by a peer ──────────► LinkCut   nothing moves: it works on
    silent, a peer says the beats stopped ──► NodeDead  replicas and authority move
    silent, nobody can say ─────────────────► Unknown   replicas move, authority does not
    silent with more than half of its site ─► SiteCut   nothing moves
    silent, and the hub hears no agent of
    its site ───────────────────────────────► SiteCut   nothing moves: a site that was cut off comes
                                                        back node by node, its agents last

Sources: Kubernetes' zone state of the node life-cycle controller (stop on mass silence),
design/placement.md.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from foreshore_api.wire import report
from foreshore_planner import snapshot

LEASE_STALE = 12.0
"""Seconds without a change of a node's Lease after which the node counts as silent.

One missed renewal of Kubernetes' default (10 s) and some.
"""

AGENT_SILENT = 15.0
"""Seconds without a report after which a node's agent counts as silent."""

BEAT_FRESH = 6.0
"""Seconds: a beat heard this recently says that the node lives."""


class Verdict(StrEnum):
    """What a node is, as far as the evidence goes."""

    HEALTHY = "Healthy"
    SUSPECT = "Suspect"
    NODE_DEAD = "NodeDead"
    LINK_CUT = "LinkCut"
    SITE_CUT = "SiteCut"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Assessment:
    """One node's verdict and what it rests on, in words."""

    node: str
    verdict: Verdict
    evidence: str

    @property
    def is_usable(self) -> bool:
        """Whether new work may go there."""
        return self.verdict in (Verdict.HEALTHY, Verdict.SUSPECT)

    @property
    def is_lost(self) -> bool:
        """Whether replicas there should be replaced."""
        return self.verdict in (Verdict.NODE_DEAD, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict on every node, and the sites where nothing moves."""

    nodes: Mapping[str, Assessment]
    held_sites: frozenset[str]

    def is_quiet(self, site: str, nodes: Iterable[str]) -> bool:
        """Whether too little is heard of a site to move anything off its silent nodes."""
        cut = any(self.of(node).verdict is Verdict.SITE_CUT for node in nodes)
        return cut or site in self.held_sites

    def of(self, node: str) -> Assessment:
        """Return the verdict on a node; one that is not in the API any more is dead."""
        gone = Assessment(node, Verdict.NODE_DEAD, "the node is no longer registered")
        return self.nodes.get(node, gone)


def assess(seen: snapshot.Snapshot) -> Health:
    """Judge every node of the snapshot."""
    silence = {node.name: _silence(node) for node in seen.nodes}
    held = held_sites(seen.nodes, {name for name, why in silence.items() if why})
    reports = agent_reports(seen)
    spoken_for = {node.site for node in seen.nodes if node.name in reports}
    mute = {node.site for node in seen.nodes} - spoken_for - {None} if seen.fleet else set()
    nodes = {
        node.name: _assess(node, silence[node.name], (held, mute), reports, seen.fleet_age)
        for node in seen.nodes
    }
    return Health(nodes=nodes, held_sites=held)


def held_sites(nodes: Iterable[snapshot.Node], silent: set[str]) -> frozenset[str]:
    """Return the sites where nothing may move.

    More than half of a site is silent, or all of several sites.

    A site of one node is held when that node is silent: its devices are out of reach with it, and
    nothing else of the site could take over.
    """
    sites: dict[str, list[bool]] = {}
    for node in nodes:
        if node.site is not None:
            sites.setdefault(node.site, []).append(node.name in silent)
    dark = [site for site, states in sites.items() if all(states)]
    if len(dark) > 1:
        return frozenset(sites)
    return frozenset(site for site, states in sites.items() if sum(states) * 2 > len(states))


def agent_reports(seen: snapshot.Snapshot) -> Mapping[str, report.AgentEvidence]:
    """Return the agents that report, by node; empty while the hub is out of reach."""
    if seen.fleet is None:
        return {}
    return {
        agent.node: agent
        for agent in seen.fleet.agents
        if agent.age_seconds + seen.fleet_age <= AGENT_SILENT
    }


def _silence(node: snapshot.Node) -> str | None:
    if node.is_ready is not True:
        return "the node is not Ready" if node.is_ready is False else "the node's Ready is Unknown"
    if node.lease_age is not None and node.lease_age > LEASE_STALE:
        return "the node's Lease is stale"
    return None


def _assess(
    node: snapshot.Node,
    silence: str | None,
    quiet: tuple[Collection[str], Collection[str | None]],
    reports: Mapping[str, report.AgentEvidence],
    fleet_age: float,
) -> Assessment:
    """Judge one node; `quiet` are the held sites, and those of which the hub hears no agent."""
    held, mute = quiet
    if silence is None:
        if node.name in reports:
            return Assessment(node.name, Verdict.HEALTHY, "Ready, and its agent reports")
        return Assessment(node.name, Verdict.SUSPECT, "Ready, but its agent does not report")
    if node.site in held:
        return Assessment(node.name, Verdict.SITE_CUT, f"{silence}, with most of its site")
    if node.site in mute:
        return Assessment(
            node.name, Verdict.SITE_CUT, f"{silence}, and no agent of its site reports"
        )
    match is_beating(node.name, node.site, reports, fleet_age):
        case True:
            return Assessment(
                node.name, Verdict.LINK_CUT, f"{silence}, but a peer of its site hears its beats"
            )
        case False:
            return Assessment(
                node.name, Verdict.NODE_DEAD, f"{silence}, and its beats have stopped at its site"
            )
        case None:
            return Assessment(
                node.name, Verdict.UNKNOWN, f"{silence}, and nobody can say more about it"
            )


def is_beating(
    node: str,
    site: str | None,
    reports: Mapping[str, report.AgentEvidence],
    fleet_age: float = 0.0,
) -> bool | None:
    """Whether peers hear a node's beats on the site's broker.

    True, False, or None where no peer can tell.

    A peer that has been up and connected to the broker for longer than `BEAT_FRESH` and does not
    list the node says that it is silent. A report that heard the node, but is old itself, says
    neither.
    """
    heard: list[bool] = []
    for peer in reports.values():
        if peer.node == node or site is None or not peer.report.broker_connected:
            continue
        if peer.report.uptime_seconds < BEAT_FRESH:
            continue
        ages = [beat.age_seconds for beat in peer.report.peers if beat.node == node]
        if not ages or min(ages) > BEAT_FRESH:
            heard.append(False)
        elif min(ages) + peer.age_seconds + fleet_age <= BEAT_FRESH:
            heard.append(True)
    if not heard:
        return None
    return any(heard)
