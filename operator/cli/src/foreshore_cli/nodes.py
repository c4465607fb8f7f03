"""`kubectl foreshore nodes`: how each node is judged, on what evidence, and what is on it.

look (Nodes, Sites, Clusters, placements, Devices) ─► a row a node ─► table | documents

Verdicts are the operator's and stand in the status of Sites and Clusters; a node that none lists is
well. Who may not read Nodes sees those that statuses name. The end of a hold is in `holds`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rich.table
import rich.text

from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import judging
from foreshore_cli import api, errors, objects, options, terminal

Json = dict[str, Any]

NODES: Final = "/api/v1/nodes"
NOTHING: Final = "-"
HEALTHY: Final = "Healthy"
UNLISTED: Final = f"not among the {judging.LISTED} that the status lists; look at one: NODE"

AGENTS: Final[Mapping[str, str]] = {HEALTHY: "reports", reasons.SUSPECT: "silent"}
"""What a verdict says of the agent; others leave open whether it could be heard."""
MARKS: Final[Mapping[str, terminal.Mark]] = {
    HEALTHY: terminal.Mark.GOOD,
    reasons.SUSPECT: terminal.Mark.ODD,
    reasons.LINK_CUT: terminal.Mark.ODD,
    reasons.SITE_CUT: terminal.Mark.ODD,
    reasons.UNKNOWN: terminal.Mark.BAD,
    reasons.NODE_DEAD: terminal.Mark.BAD,
}


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes are meant."""

    node: str | None = None
    site: str | None = None

    def takes(self, row: NodeRow) -> bool:
        """Whether a node is one of those."""
        return self.node in (None, row.name) and self.site in (None, row.site)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, with what is on it as far as it may be read."""

    name: str
    site: str | None
    tier: str | None
    verdict: str | None
    """None where nobody says."""
    evidence: str
    since: str | None
    flaps: int
    quarantined_until: str | None
    replicas: int
    devices: int

    @property
    def agent(self) -> str | None:
        """What is known of its agent."""
        return AGENTS.get(self.verdict or "")

    def document(self) -> Json:
        """The row for a program; what is not known is left out."""
        facts = {
            "name": self.name,
            "site": self.site,
            "tier": self.tier,
            "verdict": self.verdict,
            "evidence": self.evidence or None,
            "since": self.since,
            "flaps": self.flaps,
            "quarantinedUntil": self.quarantined_until,
            "replicas": self.replicas,
            "devices": self.devices,
            "agent": self.agent,
        }
        return {key: fact for key, fact in facts.items() if fact is not None}


@dataclass(frozen=True, slots=True)
class SeenStatuses:
    """What the operator says, and what is where."""

    sites: Mapping[str, v1alpha1.Site]
    clusters: tuple[v1alpha1.Cluster, ...]
    replicas: Mapping[str, int]
    """By node."""
    devices: Mapping[str, int]
    """By node of the holder."""

    def judged(self) -> Iterator[tuple[str, str | None, judging.JudgedNode]]:
        """Every node that a status lists: its name, its site, and what is said of it."""
        for name, site in self.sites.items():
            for node in site.status.verdicts:
                yield node.node, name, node
        for cluster in self.clusters:
            for node in cluster.status.verdicts:
                yield node.node, None, node


def run(target: options.Target, output: options.OutputFormat, chosen: NodeFilter) -> int:
    """Read, show, return the exit code."""
    server = api.connect(target)
    rows, holds = look(server, chosen)
    if output.is_document:
        terminal.document({"nodes": [row.document() for row in rows]}, output)
        return errors.EXIT_WELL
    for line in holds:
        terminal.say(line)
    if not rows:
        place = f"of a site in namespace {server.namespace}" if server.namespace else "at all"
        terminal.say(f"No node {place}.")
    else:
        is_wide = output is options.OutputFormat.WIDE
        terminal.show(table(rows, is_wide=is_wide), is_wide=is_wide)
    return errors.EXIT_WELL


def look(server: api.Reads, chosen: NodeFilter) -> tuple[tuple[NodeRow, ...], tuple[str, ...]]:
    """Read everything; the rows in order of site and name, and which sites are held.

    Raises:
        CommandError: what is named is not there.
    """
    seen = _statuses(server)
    try:
        documents = {str(_metadata(node).get("name")): node for node in _every_node(server)}
    except errors.ForbiddenError as error:
        terminal.say(f"only nodes that statuses name are shown: {error}")
        documents = {name: _named_only(name, site) for name, site, _ in seen.judged()}
    every = [_row(name, document, seen) for name, document in documents.items()]
    in_scope = [row for row in every if row.site in seen.sites or not server.namespace]
    rows = sorted(filter(chosen.takes, in_scope), key=lambda row: (row.site or "", row.name))
    where = f"namespace {server.namespace}" if server.namespace else "any namespace"
    if chosen.node is not None and not rows:
        raise errors.CommandError(f"no node {chosen.node!r} of a site in {where}")
    if chosen.site is not None and chosen.site not in seen.sites:
        raise errors.CommandError(f"no Site {chosen.site!r} in {where}")
    sites = {row.site for row in rows} | {chosen.site}
    held = [line for name, site in seen.sites.items() if name in sites for line in _held(site)]
    return tuple(rows), tuple(held)


def _statuses(server: api.Reads) -> SeenStatuses:
    def listed(kind: type[objects.R]) -> Sequence[objects.R]:
        readable, strange = objects.read(kind, server.list(meta.API_VERSION, kind.plural, {}))
        for unreadable in strange:
            terminal.say(f"{unreadable.name}: {unreadable.problem}")
        return readable

    clusters: Sequence[v1alpha1.Cluster] = ()
    if not server.namespace:
        try:
            clusters = listed(v1alpha1.Cluster)
        except errors.ForbiddenError as error:
            terminal.say(f"verdicts on nodes of no site are left out: {error}")
    placements, devices = listed(v1alpha1.InferencePlacement), listed(v1alpha1.Device)
    replicas: Counter[str] = Counter()
    for placement in placements:
        replicas.update(replica.node for replica in placement.status.replicas)
        replicas.update(replica.node for replica in placement.status.agents)
    rights = (device.status.authority for device in devices)
    held = Counter(right.holder for right in rights if right is not None and right.holder)
    sites = sorted(listed(v1alpha1.Site), key=_is_judging)  # of one name the accepted one speaks
    return SeenStatuses(
        sites={site.name: site for site in sites},
        clusters=tuple(clusters),
        replicas=replicas,
        devices=held,
    )


def _every_node(server: api.Reads) -> Iterator[Json]:
    """Yield all Nodes, page by page. Raises CommandError."""
    query = {"limit": str(api.CHUNK)}
    count = 0
    while True:
        answer = server.find(NODES, "v1", query)
        items = answer.get("items") or ()
        yield from items
        count += len(items)
        following = (answer.get("metadata") or {}).get("continue")
        if not following:
            return
        if count >= api.MAXIMUM_OBJECTS:
            raise errors.CommandError(f"more than {api.MAXIMUM_OBJECTS} nodes")
        query["continue"] = str(following)


def _metadata(document: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = document.get("metadata") or {}
    return metadata


def _named_only(name: str, site: str | None) -> Json:
    labels = {} if site is None else {meta.LABEL_SITE: site}
    return {"metadata": {"name": name, "labels": labels}}


def _row(name: str, document: Json, seen: SeenStatuses) -> NodeRow:
    labels = _metadata(document).get("labels") or {}
    site = labels.get(meta.LABEL_SITE) or None
    judged = next((node for other, _, node in _of(seen, site) if other == name), None)
    verdict, evidence = (
        (judged.verdict, judged.evidence) if judged is not None else _unlisted(site, document, seen)
    )
    return NodeRow(
        name=name,
        site=site,
        tier=labels.get(meta.LABEL_TIER) or None,
        verdict=verdict,
        evidence=evidence,
        since=judged.since if judged is not None else None,
        flaps=(judged.flaps or 0) if judged is not None else 0,
        quarantined_until=judged.quarantined_until if judged is not None else None,
        replicas=seen.replicas.get(name, 0),
        devices=seen.devices.get(name, 0),
    )


def _of(
    seen: SeenStatuses, site: str | None
) -> Iterable[tuple[str, str | None, judging.JudgedNode]]:
    """Yield what is said of the nodes of a site, or of those of none that there is."""
    speaker = seen.sites.get(site) if site is not None else None
    if speaker is None:
        return (entry for entry in seen.judged() if entry[1] is None)
    return ((node.node, site, node) for node in speaker.status.verdicts)


def _unlisted(site: str | None, document: Json, seen: SeenStatuses) -> tuple[str | None, str]:
    """What is known of a node that no status lists: well, unless nobody can say."""
    speaker: v1alpha1.Site | v1alpha1.Cluster | None
    speaker = seen.sites.get(site) if site is not None else next(iter(seen.clusters), None)
    if speaker is None:
        what = f"no Site named {site} is seen" if site is not None else "no Cluster speaks for it"
        return None, what
    if speaker.status.more_verdicts:
        return None, UNLISTED
    standing = objects.standing(speaker)
    if standing.reason == objects.NOT_SEEN or not _is_ready(document):
        return None, "not judged yet"
    if not _is_judging(speaker):
        return None, f"{speaker.kind} {speaker.name} is not accepted, {standing.message}"
    connected = conditions.find(speaker.status.conditions, conditions.Type.CONNECTED)
    if connected is not None and connected.status is conditions.Status.UNKNOWN:
        return None, f"Ready; {connected.message}"
    return HEALTHY, ""


def _is_judging(speaker: v1alpha1.Site | v1alpha1.Cluster) -> bool:
    """Whether an object is accepted: the status of another says nothing of its nodes."""
    state = objects.standing(speaker).state
    return state not in (objects.ObjectState.STALLED, objects.ObjectState.PROGRESSING)


def _is_ready(document: Json) -> bool:
    """Whether a Node is Ready, as far as it may be read."""
    reported = (document.get("status") or {}).get("conditions") or ()
    ready = [entry.get("status") for entry in reported if entry.get("type") == "Ready"]
    return ready == ["True"]


def _held(site: v1alpha1.Site) -> Iterator[str]:
    held = conditions.find(site.status.conditions, conditions.Type.HELD)
    if held is not None and site.status.held_since is not None:
        yield f"site {site.name}, since {site.status.held_since}: {held.reason}: {held.message}"


def table(rows: Sequence[NodeRow], *, is_wide: bool) -> rich.table.Table:
    """One line a node; the evidence alone is ever broken."""
    drawn = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("SITE", "NODE", *(("TIER",) if is_wide else ()), "VERDICT"):
        drawn.add_column(heading, no_wrap=True)
    for heading in ("FLAPS", "REPLICAS", "DEVICES"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for heading in ("AGENT", "SINCE", *(("NOTHING NEW BEFORE",) if is_wide else ())):
        drawn.add_column(heading, no_wrap=True)
    drawn.add_column("EVIDENCE", overflow="fold")
    for row in rows:
        drawn.add_row(*_cells(row, is_wide=is_wide))
    return drawn


def _cells(row: NodeRow, *, is_wide: bool) -> Iterator[rich.text.Text]:
    verdict = row.verdict or "NotJudged"
    yield _cell(row.site)
    yield terminal.text((row.name, "bold"))
    if is_wide:
        yield _cell(row.tier)
    yield MARKS.get(verdict, terminal.Mark.ODD).beside(verdict)
    for number in (row.flaps, row.replicas, row.devices):
        yield _cell(str(number))
    yield _cell(row.agent)
    yield _cell(row.since)
    if is_wide:
        yield _cell(row.quarantined_until)
    is_said = row.quarantined_until is not None and not is_wide
    more = f"; nothing new goes there before {row.quarantined_until}" if is_said else ""
    yield terminal.text(terminal.clean(f"{row.evidence}{more}"))


def _cell(fact: str | None) -> rich.text.Text:
    return terminal.text((NOTHING, "dim")) if fact is None else terminal.text(fact)
