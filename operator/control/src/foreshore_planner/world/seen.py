"""Everything that is seen, kept between passes: objects, nodes, pods, and lookups in them.

It takes a delta, notes what that changes, and gives every step a snapshot whose lookups are made
already. Ages are kept as they were when a thing was last looked at, and made true again when one
crosses a limit (`deadlines`). Called by `fold`.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from foreshore_api import meta, scalars, v1alpha1
from foreshore_api.wire import report, serving
from foreshore_planner import health, hysteresis, named, priors, quarantine, snapshot
from foreshore_planner.world import deadlines, delta, groups, hearing
from foreshore_planner.world.changes import Alteration, Changes

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Replicas = groups.Groups[Any, named.Key, snapshot.Replica]
PLACEMENT = v1alpha1.InferencePlacement.kind


def _name(resource: meta.Resource) -> named.Key:
    return named.key(resource)


def _policy_of(placement: v1alpha1.InferencePlacement) -> tuple[named.Key]:
    return ((placement.metadata.namespace or "", placement.spec.policy_ref.name),)


def _pod(pod: snapshot.Replica) -> named.Key:
    return (pod.namespace, pod.name)


class KeptView:
    """The world as it is, and how old each part of it is."""

    def __init__(self) -> None:
        self.queue = deadlines.Deadlines()
        self.hearing = hearing.Hearing(self.queue)
        self.objects: dict[str, dict[named.Key, Any]] = {
            kind: {} for kind in (*delta.KINDS, PLACEMENT)
        }
        self.nodes: dict[str, snapshot.Node] = {}
        self.replicas: dict[named.Key, snapshot.Replica] = {}
        self.parts: dict[named.Key, snapshot.ProductPod] = {}
        self.refusals: dict[named.Key, str] = {}
        self.compiled: dict[named.Key, snapshot.Compiled] = {}
        self.serving_image = ""
        self.stabilization = hysteresis.DEFAULT
        self.priors = priors.NOTHING
        self.now = datetime.fromtimestamp(0, UTC)
        self.monotonic = 0.0
        self._aged: dict[Hashable, float] = {}
        self._returned: set[str] = set()
        """Nodes that became Ready lately."""
        self._reports_of: dict[str, dict[str, report.AgentEvidence]] = {}
        self._reports: dict[str, report.AgentEvidence] = {}
        self._tiers: dict[v1alpha1.Tier, tuple[snapshot.Node, ...]] = {}
        by_name = _name
        self.nodes_of: groups.Groups[str, str, snapshot.Node] = groups.Groups(
            lambda node: () if node.site is None else (node.site,), lambda node: node.name
        )
        self.placements_at: groups.Groups[str, named.Key, v1alpha1.InferencePlacement] = (
            groups.Groups(lambda placement: (placement.spec.site,), by_name)
        )
        self.placements_of: groups.Groups[named.Key, named.Key, v1alpha1.InferencePlacement] = (
            groups.Groups(_policy_of, by_name)
        )
        self.replicas_at: Replicas = groups.Groups(
            lambda pod: ((pod.namespace, pod.policy, pod.site),), _pod
        )
        self.replicas_on: Replicas = groups.Groups(lambda pod: (pod.node,), _pod)
        self.sites_named: groups.Groups[str, named.Key, v1alpha1.Site] = groups.Groups(
            lambda site: (site.metadata.name,), named.age
        )
        self.versions_of: groups.Groups[named.Key, named.Key, v1alpha1.ModelVersion] = (
            groups.Groups(lambda version: (named.model_of(version),), by_name)
        )
        self.devices_in: groups.Groups[str, named.Key, v1alpha1.Device] = groups.Groups(
            lambda device: (device.metadata.namespace or "",), by_name
        )
        self.labelled: groups.Groups[named.Label, named.Key, v1alpha1.Device] = groups.Groups(
            named.labels_of, by_name
        )
        self._groups_of_kind: dict[str, tuple[groups.Groups[Any, named.Key, Any], ...]] = {
            v1alpha1.Site.kind: (self.sites_named,),
            v1alpha1.ModelVersion.kind: (self.versions_of,),
            v1alpha1.Device.kind: (self.devices_in, self.labelled),
            PLACEMENT: (self.placements_at, self.placements_of),
        }

    def take(self, change: delta.Delta) -> Changes:
        """Take a delta; what it and the time since the last one changed."""
        changes = Changes()
        self.now, self.monotonic = change.now, change.monotonic
        self._put_settings(change, changes)
        for kind, objects in change.objects.items():
            for key, resource in objects.items():
                self._put_object(kind, key, resource, changes)
        for name, node in change.nodes.items():
            self._put_node(name, node, changes)
        for key, pod in change.replicas.items():
            self._put_replica(key, pod, changes)
        self._put_parts(change, changes)
        _merge(self.refusals, change.refusals, changes.refusals)
        _merge(self.compiled, change.compiled, changes.compiled)
        if change.priors is not None:
            self.priors = change.priors
        if change.heard is not None:
            heard = change.heard
            self.hearing.receive(heard.fleet, heard.age, self.monotonic, changes)
        self._age(changes)
        self._reindex(change, changes)
        return changes

    def present(self) -> snapshot.Snapshot:
        """Return what is seen, with every lookup made already."""
        objects = self.objects
        seen = snapshot.Snapshot(
            now=self.now,
            monotonic=self.monotonic,
            serving_image=self.serving_image,
            stabilization=self.stabilization,
            sites=tuple(objects[v1alpha1.Site.kind].values()),
            clusters=tuple(objects[v1alpha1.Cluster.kind].values()),
            placements=tuple(objects[PLACEMENT].values()),
            nodes=tuple(self.nodes.values()),
            replicas=tuple(self.replicas.values()),
            refusals=self.refusals,
            compiled=self.compiled,
            fleet=self.hearing.fleet,
            fleet_age=self.hearing.age(self.monotonic),
            priors=self.priors,
        )
        # Lookups are cached properties: what is kept between passes takes their place.
        vars(seen).update(index=self._index(), named=self._named(), fleet_index=self.hearing.index)
        return seen

    def age_of(self, time: str) -> float | None:
        """Return how long ago something was, by its written time; None where that is unreadable."""
        try:
            then = scalars.instant(time)
        except ValueError:
            return None
        return (self.now - then).total_seconds()

    def refresh(self, at: snapshot.At) -> None:
        """Make the ages of a placement's pods true, before it is looked at."""
        for pod in self.replicas_at.get(at, ()):
            self._refresh_replica(_pod(pod))

    def _index(self) -> snapshot.Index:
        return snapshot.Index(
            nodes=self.nodes,
            nodes_of=self.nodes_of,
            cloud=self._tiers.get(v1alpha1.Tier.CLOUD, ()),
            edge=self._tiers.get(v1alpha1.Tier.EDGE, ()),
            sites=self.objects[v1alpha1.Site.kind],
            placements=self.objects[PLACEMENT],
            placements_at=self.placements_at,
            replicas=self.replicas,
            replicas_at=self.replicas_at,
            replicas_on=self.replicas_on,
            reports=self._reports,
            reports_of=self._reports_of,
        )

    def _named(self) -> named.NamedObjects:
        return named.NamedObjects(
            sites=self.objects[v1alpha1.Site.kind],
            profiles=self.objects[v1alpha1.DeviceProfile.kind],
            devices=self.objects[v1alpha1.Device.kind],
            models=self.objects[v1alpha1.Model.kind],
            versions=self.objects[v1alpha1.ModelVersion.kind],
            policies=self.objects[v1alpha1.DecisionPolicy.kind],
            clusters=self.objects[v1alpha1.Cluster.kind],
            sites_named=self.sites_named,
            versions_of=self.versions_of,
            devices_in=self.devices_in,
            labelled=self.labelled,
        )

    def _put_settings(self, change: delta.Delta, changes: Changes) -> None:
        if change.serving_image is not None:
            changes.serving_image = change.serving_image != self.serving_image
            self.serving_image = change.serving_image
        if change.stabilization is not None and change.stabilization != self.stabilization:
            self.stabilization, changes.stabilization = change.stabilization, True
            for name in self.nodes:
                self._await_node(name)

    def _put_object(
        self, kind: str, key: named.Key, resource: meta.Resource | None, changes: Changes
    ) -> None:
        kept = self.objects[kind]
        old = kept.pop(key, None)
        if resource is not None:
            kept[key] = resource
        for group in self._groups_of_kind.get(kind, ()):
            group.put(key, resource)
        changes.objects.setdefault(kind, {})[key] = Alteration(old, resource)

    def _put_node(self, name: str, node: snapshot.Node | None, changes: Changes) -> None:
        old = self.nodes.get(name)
        if node is None:
            self.nodes.pop(name, None)
        else:
            self.nodes[name] = node
        self.nodes_of.put(name, node)
        aged = self._aged.get(("node", name), self.monotonic)
        self._aged[("node", name)] = self.monotonic
        if node is not None and node.ready_age < deadlines.READY[-1]:
            self._returned.add(name)
        else:
            self._returned.discard(name)
        if (
            old is None
            or node is None
            or _without_ages(old) != _without_ages(node)
            or self._levels(old) != self._levels(node)
            or _flaps(old, aged) != _flaps(node, self.monotonic)
        ):
            changes.nodes[name] = Alteration(old, node)
        self._await_node(name)

    def _levels(self, node: snapshot.Node) -> tuple[object, ...]:
        """Return what a node's ages decide."""
        steps = sum(node.ready_age >= limit for limit in deadlines.ready(self.stabilization))
        return (health.silence(node), steps, quarantine.count(node))

    def _await_node(self, name: str) -> None:
        node = self.nodes.get(name)
        waits = []
        if node is not None:
            lease = node.lease_age
            stale = deadlines.crossing(lease, deadlines.LEASE) if lease is not None else None
            flaps = [deadlines.crossing(age, deadlines.FLAP) for age in node.flaps]
            waits = [
                stale,
                deadlines.crossing(node.ready_age, deadlines.ready(self.stabilization)),
                *flaps,
            ]
        wait = min((wait for wait in waits if wait is not None), default=None)
        aged = self._aged[("node", name)]
        self.queue.put(("node", name), aged + wait if wait is not None else None)

    def _put_replica(self, key: named.Key, pod: snapshot.Replica | None, changes: Changes) -> None:
        old = self.replicas.pop(key, None)
        self._set_replica(key, pod)
        changes.replicas[key] = Alteration(old, pod)

    def _set_replica(self, key: named.Key, pod: snapshot.Replica | None) -> None:
        if pod is not None:
            self.replicas[key] = pod
        self.replicas_at.put(key, pod)
        self.replicas_on.put(key, pod)
        self._aged[("replica", key)] = self.monotonic
        wait = deadlines.crossing(pod.phase_age, self._limits(pod)) if pod is not None else None
        self.queue.put(("replica", key), self.monotonic + wait if wait is not None else None)

    def _limits(self, pod: snapshot.Replica) -> Iterable[float]:
        """Return the limits of a pod's age: some models are compiled first, and that takes time."""
        version = self.objects[v1alpha1.ModelVersion.kind].get((pod.namespace, pod.version or ""))
        longer = (
            serving.compile_seconds(version.spec.runtime.providers) if version is not None else 0.0
        )
        return (*deadlines.PHASE, *(limit + longer for limit in deadlines.PATIENCE))

    def _refresh_replica(self, key: named.Key) -> None:
        pod, aged = self.replicas[key], self._aged[("replica", key)]
        if aged < self.monotonic:
            self._set_replica(key, pod.older(self.monotonic - aged))

    def refresh_node(self, name: str) -> None:
        """Make the ages of a node true; that alone is no change."""
        if self._aged[("node", name)] < self.monotonic:
            self._refresh_node(name, Changes())

    def refresh_returned(self) -> None:
        """Make the ages of the nodes true that became Ready lately: replicas wait for them."""
        for name in tuple(self._returned):
            self.refresh_node(name)

    def refresh_fallen(self, subjects: Iterable[tuple[str, named.Key]]) -> None:
        """Make the ages true of nodes that fell silent, of which statuses say until when they rest.

        Of the sites and clusters among these subjects alone: the others keep what they say.
        """
        for kind, (_, name) in subjects:
            nodes: Iterable[snapshot.Node] = ()
            if kind == v1alpha1.Site.kind:
                nodes = self.nodes_of.get(name, ())
            elif kind == v1alpha1.Cluster.kind:
                nodes = [node for node in self.nodes.values() if node.cluster == name]
            for node in nodes:
                if node.flaps:
                    self.refresh_node(node.name)

    def _refresh_node(self, name: str, changes: Changes) -> None:
        passed = self.monotonic - self._aged[("node", name)]
        aged = self.nodes[name].older(passed)
        self._put_node(name, aged, changes)

    def _put_parts(self, change: delta.Delta, changes: Changes) -> None:
        for key, part in change.parts.items():
            old = self.parts.pop(key, None)
            if part is not None:
                self.parts[key] = part
            for pod in (old, part):
                if pod is not None and pod.component == snapshot.HUB:
                    changes.hub_parts = True
                elif pod is not None:
                    changes.parts.add(pod.node)

    def _age(self, changes: Changes) -> None:
        """Make true the age of everything that crossed a limit."""
        fresh_until = self.hearing.fresh_until
        if fresh_until is not None and fresh_until <= self.monotonic:
            self.hearing.look_at_all(self.monotonic, changes)
        for key in self.queue.due(self.monotonic):
            match key:
                case ("node", str(name)):
                    self._refresh_node(name, changes)
                case ("replica", tuple(pod)):
                    replica = self.replicas[pod]
                    self._refresh_replica(pod)
                    changes.replicas.setdefault(pod, Alteration(replica, self.replicas[pod]))
                case ("agent", str(node)):
                    self.hearing.look(node, self.monotonic, changes)
                case ("hub",):
                    self.hearing.look_at_hub(self.monotonic, changes)
                case _:
                    changes.due.add(key)

    def _reindex(self, change: delta.Delta, changes: Changes) -> None:
        if change.heard is not None or changes.parts or changes.hub_parts:
            self.hearing.reindex(self.parts)
        if any(node.old is None for node in changes.nodes.values()):
            self.nodes = dict(sorted(self.nodes.items()))
        if changes.nodes or change.nodes:
            self._tiers = dict(snapshot.grouped(self.nodes.values(), lambda node: node.tier))
        if change.heard is not None or changes.agents or changes.nodes:
            heard = sorted(node for node in self.hearing.nodes() if self.hearing.is_heard(node))
            self._reports = {node: self.hearing.agent(node) for node in heard}
            self._reports_of = {}
            for node, agent in self._reports.items():
                place = self.nodes.get(node)
                if place is not None and place.site is not None:
                    self._reports_of.setdefault(place.site, {})[node] = agent


def _without_ages(node: snapshot.Node) -> snapshot.Node:
    return dataclasses.replace(node, ready_age=0.0, silent_age=None, lease_age=None, flaps=())


def _flaps(node: snapshot.Node, at: float) -> list[int]:
    """Return the moments at which a node fell silent, of which texts say when they count no more.

    To the second: ages are as old as the look at them.
    """
    return [round(at - age) for age in node.flaps if age < quarantine.WINDOW]


def _merge(kept: dict[K, V], changed: Mapping[K, V | None], keys: set[K]) -> None:
    for key, value in changed.items():
        keys.add(key)
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
