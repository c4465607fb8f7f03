"""The verdict on every node, kept between passes, and which sites are held.

A site is judged anew when its Site or one of its nodes or agents changed, all are when the hub
comes or goes or when the hold of the fleet begins or ends. Called by `fold`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foreshore_api import v1alpha1
from foreshore_planner import containment, health, snapshot
from foreshore_planner.world.changes import Changes
from foreshore_planner.world.seen import KeptView


@dataclass(slots=True)
class Turned:
    """What was judged otherwise than before."""

    nodes: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    """Sites that are held now, or not any more."""
    is_fleet: bool = False
    """Whether the hold of all began or ended."""
    defects: list[containment.Defect] = field(default_factory=list)


class Verdicts:
    """What every node is, as far as the evidence goes."""

    def __init__(self) -> None:
        self._nodes: dict[str, health.Assessment] = {}
        self._alone: set[str] = set()
        self._dark: set[str] = set()
        self._ended: set[str] = set()
        self._is_fleet_held = False

    def health(self, kept: KeptView) -> health.Health:
        """Return the verdicts as they stand."""
        held = frozenset(kept.nodes_of if self._is_fleet_held else self._alone)
        ended = frozenset(self._ended)
        return health.Health(self._nodes, held - ended, self._is_fleet_held, ended)

    def judge(self, kept: KeptView, seen: snapshot.Snapshot, changes: Changes) -> Turned:
        """Judge what changed."""
        turned = Turned()
        sites, strays = _touched(kept, changes)
        for site in sites:
            self._note_silence(kept, site, turned)
        was_held = self._is_fleet_held
        self._is_fleet_held = self._is_dark(kept, seen)
        turned.is_fleet = was_held != self._is_fleet_held
        if turned.is_fleet or changes.hub:
            sites = set(health.sites_of(seen))
            strays = {node.name for node in kept.nodes.values() if node.site is None}
        for site in sorted(sites):
            self._judge_site(seen, site, kept.nodes_of.get(site, ()), turned)
        lone = [kept.nodes[name] for name in sorted(strays)]
        self._judge_strays(seen, lone, turned)
        for name, node in changes.nodes.items():
            if node.new is None and self._nodes.pop(name, None) is not None:
                turned.nodes.add(name)
        return turned

    def _judge_site(
        self, seen: snapshot.Snapshot, site: str, nodes: Sequence[snapshot.Node], turned: Turned
    ) -> None:
        try:
            fresh, is_ended = health.judged_site(
                seen,
                site,
                nodes,
                is_alone=site in self._alone,
                is_fleet_held=self._is_fleet_held,
            )
        except Exception as error:  # noqa: BLE001 - what was judged stays; logged and counted
            turned.defects.append(_defect(error))
            return
        if is_ended != (site in self._ended):
            turned.sites.add(site)
        _keep(self._ended, site, is_member=is_ended)
        _take(self._nodes, fresh, turned)

    def _judge_strays(
        self, seen: snapshot.Snapshot, nodes: Sequence[snapshot.Node], turned: Turned
    ) -> None:
        try:
            fresh = health.judged(seen, nodes, is_alone=False, is_fleet_held=self._is_fleet_held)
        except Exception as error:  # noqa: BLE001 - what was judged stays; logged and counted
            turned.defects.append(_defect(error))
            return
        _take(self._nodes, fresh, turned)

    def _note_silence(self, kept: KeptView, site: str, turned: Turned) -> None:
        silences = health.silences_of(kept.nodes_of.get(site, ()))
        is_alone = site in health.held_sites({site: silences}) if silences else False
        if is_alone != (site in self._alone):
            turned.sites.add(site)
        _keep(self._alone, site, is_member=is_alone)
        _keep(self._dark, site, is_member=bool(silences) and None not in silences)

    def _is_dark(self, kept: KeptView, seen: snapshot.Snapshot) -> bool:
        """Whether all is held; ages of silence are made true where that may be.

        Below the number of sites that it takes nobody needs to know for how long any is silent.
        """
        if len(self._dark) < health.DARK_TOGETHER:
            kept.queue.put(("hold",), None)
            return False
        for site in self._dark:
            for node in kept.nodes_of[site]:
                kept.refresh_node(node.name)
        silences = {site: health.silences_of(nodes) for site, nodes in kept.nodes_of.items()}
        ages = [age for site in self._dark for age in silences[site] if age is not None]
        waits = [health.HOLD_ENDS - age for age in ages if age < health.HOLD_ENDS]
        kept.queue.put(("hold",), kept.monotonic + min(waits) if waits else None)
        is_heard = health.are_living_heard(seen, silences)
        return health.is_fleet_dark(silences.values(), is_heard=is_heard)


def _touched(kept: KeptView, changes: Changes) -> tuple[set[str], set[str]]:
    """Return the sites to judge anew, and the nodes of none."""
    nodes = [node for change in changes.nodes.values() for node in change if node is not None]
    heard = changes.agents | changes.freshness
    nodes += [kept.nodes[name] for name in heard if name in kept.nodes]
    sites = {node.site for node in nodes if node.site is not None}
    sites |= {name for _, name in changes.objects.get(v1alpha1.Site.kind, ())}
    strays = {node.name for node in nodes if node.site is None}
    return sites, {name for name in strays if name in kept.nodes and kept.nodes[name].site is None}


def _take(
    nodes: dict[str, health.Assessment], fresh: Mapping[str, health.Assessment], turned: Turned
) -> None:
    for name, assessment in fresh.items():
        if nodes.get(name) != assessment:
            nodes[name] = assessment
            turned.nodes.add(name)


def _defect(error: Exception) -> containment.Defect:
    return containment.Defect(containment.STEP, "", "judging", error)


def _keep(members: set[str], name: str, *, is_member: bool) -> None:
    if is_member:
        members.add(name)
    else:
        members.discard(name)
