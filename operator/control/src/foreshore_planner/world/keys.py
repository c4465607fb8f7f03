"""Who is to be looked at because of what changed: the dependencies of the fold, in one place.

    changed                          looked at
    an InferencePlacement, its pods  that placement; those on a node that a pod comes to or leaves
    a pod, or its node's verdict     placements of its site that want to be elsewhere
    a node, or its verdict           placements on it and at its site, devices of the site or held
    what an agent says               placements, devices and Site of its site; policies, if it names
                                     problems or caps
    a device's binding               its right, its policies' placements at the site
    a policy's binding               its placements, the rights of devices that it gains or loses
    the hub comes or goes            all
    anything that a placement        every placement that is not settled
    could wait for

A status is made of all these, so that its object is marked with each. Called by `fold`.
"""

from collections.abc import Iterable

from foreshore_api import v1alpha1
from foreshore_planner import binding, outcome, protection, snapshot, status
from foreshore_planner.placement import case, proposals
from foreshore_planner.world import bonds, delta, placements, verdicts
from foreshore_planner.world.changes import Alteration, Changes
from foreshore_planner.world.seen import PLACEMENT, KeptView

Key = binding.Key

SITE, PROFILE, DEVICE = v1alpha1.Site.kind, v1alpha1.DeviceProfile.kind, v1alpha1.Device.kind
POLICY, VERSION = v1alpha1.DecisionPolicy.kind, v1alpha1.ModelVersion.kind
CLUSTER = v1alpha1.Cluster.kind


class Keys:
    """What is to be looked at in this pass, collected step by step."""

    def __init__(self, kept: KeptView, held: bonds.Bonds, planned: placements.Placements) -> None:
        self.placements: set[snapshot.At] = set()
        self.figures: set[snapshot.At] = set()
        """Those of which agents report other figures: looked at in turn."""
        self.devices: set[Key] = set()
        """Those whose right is decided."""
        self.statuses: set[status.Subject] = set()
        self.is_stirred = False
        """Whether anything changed that a placement could wait for."""
        self._kept, self._bonds, self._planned = kept, held, planned

    def status_of(self, kind: str, keys: Iterable[Key]) -> None:
        """Mark the statuses of objects of a kind."""
        self.statuses.update((kind, key) for key in keys)

    def everything(self) -> None:
        """Mark all there is."""
        for kind in delta.KINDS:
            self.status_of(kind, self._kept.objects[kind])
        self.devices.update(self._bonds.devices)
        self.all_placements()

    def all_placements(self) -> None:
        """Mark every placement."""
        for policy in self._bonds.policies.values():
            self._policy_at(policy, (*policy.sites, *policy.suspended))
        for placement in self._kept.objects[PLACEMENT].values():
            self.placements.add(at_of(placement))

    def of_changes(self, changes: Changes) -> None:
        """Mark what depends on what was seen directly."""
        self.is_stirred |= bool(changes.nodes or changes.replicas or changes.due)
        self.is_stirred |= CLUSTER in changes.objects  # prices
        for kind, objects in changes.objects.items():
            self.status_of(kind, objects)
        if any(None in (site.old, site.new) for site in changes.objects.get(SITE, {}).values()):
            self.status_of(CLUSTER, self._kept.objects[CLUSTER])  # it speaks for nodes of no Site
        for change in changes.objects.get(PLACEMENT, {}).values():
            self._of_placement(change)
        for pod in changes.replicas.values():
            self._of_pod(pod)
        for name, node in changes.nodes.items():
            self._of_node(name, node)
        self._of_agents(changes)
        self._of_product(changes)
        self._of_names(changes)
        if changes.serving_image or changes.stabilization:
            self.all_placements()
        if changes.hub:
            self.everything()

    def _of_names(self, changes: Changes) -> None:
        """Mark what is named itself: rights, compiled policies, refused pods, what is due."""
        self.devices |= {key for key in changes.rights if key in self._bonds.devices}
        self.status_of(POLICY, changes.compiled)
        for pod in changes.refusals:
            of_policy = self._planned.of_policy.get(protection.policy(pod), ())
            plans = (*self._planned.of_pod.get(pod, ()), *of_policy)
            self.placements.update(placements.at_of(plan) for plan in plans)
        for kind, *subject in changes.due:
            if kind == "right":
                self.devices.update(subject)
            elif kind == "moves":
                self.placements.update(subject)

    def of_verdicts(self, turned: verdicts.Turned) -> None:
        """Mark what depends on verdicts and holds."""
        self.is_stirred |= bool(turned.nodes or turned.sites or turned.is_fleet)
        for node in turned.nodes:
            self._on_node(node)
            self._site(self._site_of(node))
            self._cluster_of(node)
        for site in turned.sites:
            self._site(site)
        if turned.is_fleet:
            self.everything()

    def of_bonds(self, rebound: bonds.Rebound) -> None:
        """Mark what depends on what is bound to what."""
        self.is_stirred |= bool(rebound.policies)
        self.statuses |= rebound.others
        for key in rebound.sites:
            self._site(key[1])
            self.status_of(SITE, [key])
        for key, device in rebound.devices.items():
            self._of_device(key, device)
        for key, policy in rebound.policies.items():
            self._of_policy(key, policy)

    def of_plans(self, plans: dict[Key, Alteration[case.PlacementPlan]]) -> None:
        """Mark the statuses that show what became of placements."""
        for key, change in plans.items():
            self.status_of(PLACEMENT, [key])
            for plan in change:
                if plan is not None:
                    self.status_of(VERSION, outcome.versions_of(plan))
                if plan is not None and plan.agents is not None:
                    self.status_of(POLICY, [outcome.policy_of(plan)])

    def _of_placement(self, change: Alteration[v1alpha1.InferencePlacement]) -> None:
        for placement in change:
            if placement is not None:
                self.placements.add(at_of(placement))
                self.is_stirred = True
        old, new = map(proposals.asked_of, change)
        if change.new is not None and old != new:
            self.status_of(PLACEMENT, [binding.key(change.new)])

    def _of_pod(self, change: Alteration[snapshot.Replica]) -> None:
        for pod in change:
            if pod is not None:
                self.placements.add((pod.namespace, pod.policy, pod.site))
                self._delayed_by(pod)
        if _work(change.old) != _work(change.new):
            self._beside({pod.node for pod in change if pod is not None})

    def _of_node(self, name: str, change: Alteration[snapshot.Node]) -> None:
        self._on_node(name)
        for node in change:
            if node is None:
                continue
            self._site(node.site)
            self.status_of(CLUSTER, [("", node.cluster)])
        self._empty_sites()

    def _empty_sites(self) -> None:
        """Mark Sites without a node: they name nodes whose labels look as if they were meant."""
        for key in self._kept.objects[SITE]:
            if key[1] not in self._kept.nodes_of:
                self.status_of(SITE, [key])

    def _of_agents(self, changes: Changes) -> None:
        for node in changes.agents:
            self._site(self._site_of(node))
            self._held_by(node)
        for node in changes.freshness:  # nothing to a placement, as long as no verdict turns
            self._rights_at(self._site_of(node))
            self._held_by(node)
        for node in changes.words:
            self.status_of(POLICY, self._bonds.policies_at.names(self._site_of(node) or ""))
        for node in changes.figures:
            self.figures |= self._placements_at(self._site_of(node))

    def _of_product(self, changes: Changes) -> None:
        for node in changes.parts:
            self._site(self._site_of(node))
            self._held_by(node)
        if changes.hub_parts:
            self.status_of(SITE, self._kept.objects[SITE])
            self.status_of(DEVICE, self._kept.objects[DEVICE])
        for node in changes.problems:
            self.status_of(SITE, self._kept.sites_named.names(self._site_of(node) or ""))
        if changes.problems:
            self.status_of(CLUSTER, self._kept.objects[CLUSTER])

    def _of_device(self, key: Key, change: Alteration[binding.BoundDevice]) -> None:
        self.devices.add(key)
        self.status_of(DEVICE, [key])
        is_placed_alike = _reach(change.old) == _reach(change.new)
        for device in change:
            if device is None:
                continue
            self.status_of(PROFILE, [binding.key(device.profile)] if device.profile else [])
            for policy in self._bonds.bound.commanders.get(key, ()):
                self.status_of(POLICY, [policy])
                if not is_placed_alike:
                    self.placements.add((*policy, device.device.spec.site))
        self.status_of(POLICY, (idle for idle in self._bonds.idle if idle[0] == key[0]))

    def _of_policy(self, key: Key, change: Alteration[binding.BoundPolicy]) -> None:
        self.status_of(POLICY, [key])
        old, new = change
        self._right_of(_devices_of(old) ^ _devices_of(new))
        if old is None or new is None or _is_other(old, new):
            for placement in self._kept.placements_of.get(key, ()):
                self.placements.add(at_of(placement))
            for policy in filter(None, change):
                self._policy_at(policy, (*policy.sites, *policy.suspended))
                self._shared_by(policy)
        if old is not None and new is not None:
            self._of_bindings(old, new)

    def _of_bindings(self, old: binding.BoundPolicy, new: binding.BoundPolicy) -> None:
        """Mark what depends on how long commands live, and on which devices are bound."""
        if old.policy.spec.action.time_to_live != new.policy.spec.action.time_to_live:
            self._right_of(_devices_of(new))
        for site in old.sites.keys() | new.sites.keys() | old.suspended | new.suspended:
            before, after = old.sites.get(site, ()), new.sites.get(site, ())
            if before != after or (site in old.suspended) != (site in new.suspended):
                self._policy_at(new, [site])

    def _shared_by(self, policy: binding.BoundPolicy) -> None:
        """Mark the policies that command what this one does."""
        for key in _devices_of(policy):
            others = self._bonds.bound.commanders.get(key, ())
            if len(others) > 1:
                self.status_of(POLICY, others)

    def _right_of(self, devices: Iterable[Key]) -> None:
        """Mark devices whose policies changed, and the policies that share them."""
        for key in devices:
            if key in self._bonds.devices:
                self.devices.add(key)
            self.status_of(POLICY, self._bonds.bound.commanders.get(key, ()))

    def _policy_at(self, policy: binding.BoundPolicy, sites: Iterable[str]) -> None:
        self.placements.update((*policy.key, site) for site in sites)

    def _on_node(self, node: str) -> None:
        """Mark what is on a node: replicas, and rights that its agent holds."""
        self._beside([node])
        for pod in self._kept.replicas_on.get(node, ()):
            self._delayed_by(pod)
        self._held_by(node)

    def _beside(self, nodes: Iterable[str]) -> None:
        """Mark the placements that share a node."""
        for node in nodes:
            for plan in self._planned.on_node.get(node, ()):
                self.placements.add(placements.at_of(plan))
            for pod in self._kept.replicas_on.get(node, ()):
                self.placements.add((pod.namespace, pod.policy, pod.site))

    def _delayed_by(self, pod: snapshot.Replica) -> None:
        """Mark placements that want room where a pod is, or its successor."""
        for site in {pod.site, self._site_of(pod.node)} - {None}:
            plans = self._planned.delayed_at.get(site or "", ())
            self.placements.update(placements.at_of(plan) for plan in plans)

    def _held_by(self, node: str) -> None:
        for device in self._bonds.held_by.names(node):
            self.devices.add(device)
            self.status_of(DEVICE, [device])

    def _site(self, site: str | None) -> None:
        """Mark a site: its Sites, devices and placements."""
        self._rights_at(site)
        self._at_site(site)

    def _rights_at(self, site: str | None) -> None:
        """Mark a site but for its placements: its Sites, and its devices."""
        if site is None:
            return
        self.status_of(SITE, self._kept.sites_named.names(site))
        devices = self._bonds.at_site.names(site)
        self.status_of(DEVICE, devices)
        self.devices |= {key for key in devices if key in self._bonds.devices}

    def _at_site(self, site: str | None) -> None:
        self.placements |= self._placements_at(site)

    def _placements_at(self, site: str | None) -> set[snapshot.At]:
        if site is None:
            return set()
        asked = {(*policy, site) for policy in self._bonds.policies_at.names(site)}
        return asked | {at_of(placement) for placement in self._kept.placements_at.get(site, ())}

    def _cluster_of(self, node: str) -> None:
        """Mark the Cluster of a node that is of no Site."""
        present = self._kept.nodes.get(node)
        if present is not None and not self._kept.sites_named.names(present.site or ""):
            self.status_of(CLUSTER, [("", present.cluster)])

    def _site_of(self, node: str) -> str | None:
        present = self._kept.nodes.get(node)
        return present.site if present is not None else None


def at_of(placement: v1alpha1.InferencePlacement) -> snapshot.At:
    """Return which policy and site an InferencePlacement is of."""
    namespace = placement.metadata.namespace or ""
    return (namespace, placement.spec.policy_ref.name, placement.spec.site)


def _work(pod: snapshot.Replica | None) -> object:
    """Return what a pod is to the others on its node, as long as nobody has measured it."""
    return None if pod is None else (pod.node, pod.policy, pod.site, pod.requests)


def _devices_of(policy: binding.BoundPolicy | None) -> set[Key]:
    if policy is None:
        return set()
    return {key for keys in policy.sites.values() for key in keys}


def _reach(device: binding.BoundDevice | None) -> object:
    """Return all that placements read of a device; who may command it is nothing to them.

    A first grant had the placement of its device planned a second time.
    """
    if device is None:
        return None
    return (device.device.spec.site, device.reachable_from, device.problem)


def _is_other(old: binding.BoundPolicy, new: binding.BoundPolicy) -> bool:
    """Whether a policy asks something else, wherever it is bound."""
    asked = [
        (
            policy.policy.spec,
            policy.policy.metadata.generation,
            policy.problem,
            _spec(policy.version),
            _spec(policy.model),
        )
        for policy in (old, new)
    ]
    return asked[0] != asked[1]


def _spec(resource: v1alpha1.Model | v1alpha1.ModelVersion | None) -> object:
    return None if resource is None else (resource.metadata.name, resource.spec)
