"""A verdict on each node, with its evidence.

And which sites are held still because too much of them is silent, or too many went dark together.

A silent node (not Ready, or its Lease is stale) may be dead, or only cut off; the control plane
cannot tell. Its neighbours can: an agent of the same site that has the hub and still hears the
node's beats says that only the link is cut.

    not silent ─────────────────────────────► Healthy   (Suspect while its agent has not reported)
    silent, beats heard by a peer ──────────► LinkCut   nothing moves: it works on
    silent, a peer says the beats stopped ──► NodeDead  replicas and authority move
    silent, its peers speak but cannot say,
    or the hub is out of reach ─────────────► Unknown   replicas move, authority does not
    silent with more than half of its site,
    or while many sites are dark together ──► SiteCut   nothing moves
    one of these two, and a person has ended
    that hold ──────────────────────────────► Unknown   as the evidence says without it
    silent, and the hub has just now heard
    no other agent of its site ─────────────► SiteCut   nothing moves: a site that is cut off goes
                                                        dark node by node, and comes back so, its
                                                        agents last (Unknown, where its own agent
                                                        has been the only one to speak)

Sources: Kubernetes' zone state of the node life-cycle controller (stop on mass silence),
design/placement.md.
"""

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from foreshore_api import meta
from foreshore_api.reasons import placement
from foreshore_api.wire import report
from foreshore_planner import snapshot

LEASE_STALE = 12.0
"""Seconds without a change of a node's Lease after which the node counts as silent.

One missed renewal of Kubernetes' default (10 s) and some.
"""

AGENT_SILENT = snapshot.UNSEEN_AFTER
"""Seconds without a report after which a node's agent counts as silent."""

BEAT_FRESH = 6.0
"""Seconds: a beat heard this recently says that the node lives.

And a report this recent, of which an agent makes one every two seconds, that its site can be heard.
"""

DARK_WITHIN = 120.0
"""Seconds within which sites that go dark count as one fault."""

DARK_TOGETHER = 3
"""Fewer sites than this that go dark are theirs, not ours."""

HOLD_ENDS = 600.0
"""Seconds since the last of them went dark, after which the fault is theirs all the same.

If the others report meanwhile: shops that close together, sites that were switched off for good.
"""


class NodeVerdict(StrEnum):
    """What a node is, as far as the evidence goes."""

    HEALTHY = "Healthy"
    SUSPECT = placement.SUSPECT
    NODE_DEAD = placement.NODE_DEAD
    LINK_CUT = placement.LINK_CUT
    SITE_CUT = placement.SITE_CUT
    UNKNOWN = placement.UNKNOWN


@dataclass(frozen=True, slots=True)
class Assessment:
    """One node's verdict and what it rests on, in words."""

    node: str
    verdict: NodeVerdict
    evidence: str

    @property
    def is_usable(self) -> bool:
        """Whether new work may go there."""
        return self.verdict in (NodeVerdict.HEALTHY, NodeVerdict.SUSPECT)

    @property
    def is_lost(self) -> bool:
        """Whether replicas there should be replaced."""
        return self.verdict in (NodeVerdict.NODE_DEAD, NodeVerdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict on every node, and the sites where nothing moves."""

    nodes: Mapping[str, Assessment]
    held_sites: frozenset[str]
    is_fleet_held: bool = False
    """Whether all are, because many went dark together; but for those in `ended_holds`."""
    ended_holds: frozenset[str] = frozenset()
    """Sites that would be held, had no person ended that."""

    def is_held(self, site: str) -> bool:
        """Whether nothing moves at a site, be it its own doing or that all are held.

        A site without nodes is in no list, and held with the others.
        """
        is_with_others = self.is_fleet_held and site not in self.ended_holds
        return is_with_others or site in self.held_sites

    def is_quiet(self, site: str, nodes: Iterable[str]) -> bool:
        """Whether too little is heard of a site, or of all, to move anything there."""
        cut = any(self.of(node).verdict is NodeVerdict.SITE_CUT for node in nodes)
        return cut or self.is_held(site)

    def of(self, node: str) -> Assessment:
        """Return the verdict on a node; one that is not in the API any more is dead."""
        gone = Assessment(node, NodeVerdict.NODE_DEAD, "the node is no longer registered")
        return self.nodes.get(node, gone)


def assess(seen: snapshot.Snapshot) -> Health:
    """Judge every node of the snapshot: what is held first, then site by site."""
    silences = {site: silences_of(nodes) for site, nodes in seen.index.nodes_of.items()}
    alone = held_sites(silences)
    is_heard = are_living_heard(seen, silences)
    is_fleet_held = is_fleet_dark(silences.values(), is_heard=is_heard)
    nodes: dict[str, Assessment] = {}
    ended: set[str] = set()
    for site in sites_of(seen):
        members = seen.index.nodes_of.get(site, ())
        of_site, is_ended = judged_site(
            seen, site, members, is_alone=site in alone, is_fleet_held=is_fleet_held
        )
        nodes |= of_site
        ended |= {site} if is_ended else set()
    strays = [node for node in seen.index.nodes.values() if node.site is None]
    nodes |= judged(seen, strays, is_alone=False, is_fleet_held=is_fleet_held)
    held = frozenset(silences) if is_fleet_held else alone
    return Health(nodes, held - ended, is_fleet_held, frozenset(ended))


def sites_of(seen: snapshot.Snapshot) -> Iterable[str]:
    """Return the sites that nodes name, and those that have none: with all, they are held too."""
    return sorted({*seen.index.nodes_of, *seen.named.sites_named})


def judged_site(
    seen: snapshot.Snapshot,
    site: str,
    members: Sequence[snapshot.Node],
    *,
    is_alone: bool,
    is_fleet_held: bool,
) -> tuple[dict[str, Assessment], bool]:
    """Judge the nodes of one site; whether a person has ended the hold that it would be under."""
    nodes = judged(seen, members, is_alone=is_alone, is_fleet_held=is_fleet_held)
    is_cut = any(node.verdict is NodeVerdict.SITE_CUT for node in nodes.values())
    if not (is_cut or is_fleet_held) or not is_hold_ended(seen, site):
        return nodes, False
    return judged(seen, members, is_alone=False, is_fleet_held=False, is_hold_ended=True), True


def is_hold_ended(seen: snapshot.Snapshot, site: str) -> bool:
    """Whether a person has ended the hold that a Site's status speaks of, and no other."""
    sites = seen.named.sites_named.get(site, ())
    if not sites or sites[0].status.held_since is None:
        return False
    annotations = sites[0].metadata.annotations
    return annotations.get(meta.ANNOTATION_HOLD_ENDED) == sites[0].status.held_since


def judged(
    seen: snapshot.Snapshot,
    nodes: Iterable[snapshot.Node],
    *,
    is_alone: bool,
    is_fleet_held: bool,
    is_hold_ended: bool = False,
) -> dict[str, Assessment]:
    """Judge nodes of one site, or of none; `is_alone` says that the site is held for itself."""
    return {
        node.name: _judged(
            seen,
            node,
            is_alone=is_alone,
            is_fleet_held=is_fleet_held,
            is_hold_ended=is_hold_ended,
        )
        for node in nodes
    }


def _judged(
    seen: snapshot.Snapshot,
    node: snapshot.Node,
    *,
    is_alone: bool,
    is_fleet_held: bool,
    is_hold_ended: bool,
) -> Assessment:
    why = silence(node)
    if why is None:
        return _alive(node, reports=node.name in seen.index.reports)
    if is_alone:
        return Assessment(node.name, NodeVerdict.SITE_CUT, f"{why}, with most of its site")
    if is_fleet_held:
        together = f"{why}, while many sites are dark together"
        return Assessment(node.name, NodeVerdict.SITE_CUT, together)
    agents = seen.index.reports_of.get(node.site or "", {})
    return _silent(node, why, agents, seen, is_hold_ended=is_hold_ended)


Silences = Sequence[float | None]
"""For each node of a site: how many seconds it has been silent, or None where it is not."""


def held_sites(sites: Mapping[str, Silences]) -> frozenset[str]:
    """Return the sites of which more than half is silent: nothing may move there.

    A site of one node is held when that node is silent: its devices are out of reach with it, and
    nothing else of the site could take over.
    """
    return frozenset(
        site for site, ages in sites.items() if sum(age is not None for age in ages) * 2 > len(ages)
    )


def is_fleet_dark(sites: Iterable[Silences], *, is_heard: bool = False) -> bool:
    """Whether so many sites went dark together that the fault is likely on our side.

    At least three, and more than a third of those that were alive until then, within two minutes. A
    site went dark when its last node fell silent; one of which nobody saw when was dark before.
    Those that are back do not count, so that the hold ends with the fault. It also ends where the
    others are heard (`is_heard`) and the last went dark long ago: those that are dark stay held, as
    sites, and the others need not wait for them.
    """
    every = list(sites)
    whole = [[age for age in ages if age is not None] for ages in every]
    dark = sorted(
        min(ages) for ages, of in zip(whole, every, strict=True) if of and len(ages) == len(of)
    )
    for first in dark:
        if math.isinf(first):
            break
        until = bisect.bisect_right(dark, first)
        last = bisect.bisect_left(dark, first - DARK_WITHIN)
        together, alive = until - last, len(every) - (len(dark) - until)
        is_over = is_heard and dark[last] >= HOLD_ENDS
        if together >= DARK_TOGETHER and together * 3 > alive and not is_over:
            return True
    return False


def are_living_heard(seen: snapshot.Snapshot, silences: Mapping[str, Silences]) -> bool:
    """Whether agents of more than half of the sites that are not dark report to the hub.

    And the hub has been up for as long as a hold lasts: it is on our side too.
    """
    if seen.fleet is None or seen.fleet.uptime_seconds < HOLD_ENDS:
        return False
    living = [site for site, ages in silences.items() if None in ages]
    return sum(bool(seen.index.reports_of.get(site)) for site in living) * 2 > len(living)


def silences_of(nodes: Iterable[snapshot.Node]) -> Silences:
    """Return for how long each node of a site has been silent."""
    return tuple(_silent_for(node) for node in nodes)


def _silent_for(node: snapshot.Node) -> float | None:
    """Return how long a node has been silent, by the sign that came first."""
    if silence(node) is None:
        return None
    is_stale = node.lease_age is not None and node.lease_age > LEASE_STALE
    stale = node.lease_age - LEASE_STALE if is_stale and node.lease_age is not None else None
    ages = [age for age in (node.silent_age, stale) if age is not None]
    return max(ages, default=math.inf)


def agent_reports(seen: snapshot.Snapshot) -> Mapping[str, report.AgentEvidence]:
    """Return the agents that report, by node; empty while the hub is out of reach."""
    return seen.index.reports


def silence(node: snapshot.Node) -> str | None:
    """Return the sign of a node's silence; None where it is not silent."""
    if node.is_ready is not True:
        return "the node is not Ready" if node.is_ready is False else "the node's Ready is Unknown"
    if node.lease_age is not None and node.lease_age > LEASE_STALE:
        return "the node's Lease is stale"
    return None


def _alive(node: snapshot.Node, *, reports: bool) -> Assessment:
    if reports:
        return Assessment(node.name, NodeVerdict.HEALTHY, "Ready, and its agent reports")
    return Assessment(node.name, NodeVerdict.SUSPECT, "Ready, but its agent does not report")


def _silent(
    node: snapshot.Node,
    silence: str,
    agents: Mapping[str, report.AgentEvidence],
    seen: snapshot.Snapshot,
    *,
    is_hold_ended: bool,
) -> Assessment:
    """Judge a silent node that is not held; `agents` are those of its site that report."""

    def judged(verdict: NodeVerdict, evidence: str) -> Assessment:
        return Assessment(node.name, verdict, f"{silence}, {evidence}")

    others = [peer for name, peer in agents.items() if name != node.name]
    is_heard = any(_is_fresh(peer, seen.fleet_age) for peer in others)
    own = agents.get(node.name)
    if own is not None and not others:  # the others fell silent long before: no uplink was cut,
        # unless it hears them: then they are about to be back too, and it is only the first
        is_heard = _is_fresh(own, seen.fleet_age) and not _hears_any(own)
    # An uplink that is cut silences a site node by node, as each one's Lease runs out. Peers that
    # live speak again within seconds, so nothing is lost by waiting for what they say.
    is_waited_for = node.site is not None and not is_hold_ended
    if is_waited_for and seen.fleet is not None and not is_heard:
        return judged(NodeVerdict.SITE_CUT, "and no other agent of its site reports just now")
    match is_beating(node.name, node.site, agents, seen.fleet_age):
        case True:
            return judged(NodeVerdict.LINK_CUT, "but a peer of its site hears its beats")
        case False:
            return judged(NodeVerdict.NODE_DEAD, "and its beats have stopped at its site")
        case None:
            return judged(NodeVerdict.UNKNOWN, f"and {_unsaid(others, node.name)}")


def _unsaid(others: Iterable[report.AgentEvidence], node: str) -> str:
    """Say why nobody of a site can tell whether a silent node lives."""
    if any(peer.report.broker_connected and not _hears(peer, node) for peer in others):
        return f"no peer has listened for {BEAT_FRESH:.0f} seconds to say more about it"
    return "nobody can say more about it"


def _hears_any(agent: report.AgentEvidence) -> bool:
    return any(beat.age_seconds <= BEAT_FRESH for beat in agent.report.peers)


def _hears(agent: report.AgentEvidence, node: str) -> bool:
    beats = agent.report.peers
    return any(beat.age_seconds <= BEAT_FRESH for beat in beats if beat.node == node)


def _is_fresh(peer: report.AgentEvidence, fleet_age: float) -> bool:
    return peer.age_seconds + fleet_age <= BEAT_FRESH


def is_beating(
    node: str,
    site: str | None,
    reports: Mapping[str, report.AgentEvidence],
    fleet_age: float = 0.0,
) -> bool | None:
    """Whether peers hear a node's beats on the site's broker.

    True, False, or None where no peer can tell.

    A peer that has listened for longer than `BEAT_FRESH` and did not hear the node says that it is
    silent: one that has only just connected lists old beats, or none, whoever lives. A report that
    heard the node, but is old itself, says neither.
    """
    heard: list[bool] = []
    for peer in reports.values():
        if peer.node == node or site is None or not peer.report.broker_connected:
            continue
        if _hears(peer, node):
            heard += [True] if _is_fresh(peer, fleet_age) else []
        elif unheard_for(peer.report, node) > BEAT_FRESH:
            heard.append(False)
    if not heard:
        return None
    return any(heard)


def listened_for(peer: report.Report) -> float:
    """Return for how many seconds beats of its site have reached an agent without a break.

    One of a release that does not say has listened since it started, as far as anybody can tell.
    """
    if not peer.broker_connected:
        return 0.0
    since = peer.uptime_seconds if peer.listening_seconds is None else peer.listening_seconds
    return min(since, peer.uptime_seconds)


def unheard_for(peer: report.Report, node: str) -> float:
    """Return for how many seconds an agent has listened and not heard a node."""
    ages = [beat.age_seconds for beat in peer.peers if beat.node == node]
    return min([listened_for(peer), *ages])
