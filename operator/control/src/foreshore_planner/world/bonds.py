"""What belongs to what, kept between passes: who is bound anew when something changes.

    Node, Site, DeviceProfile ─► Device ─► devices on the same endpoints
    Model ─► ModelVersion ─► DecisionPolicy ◄─ Device, by its labels

The bindings themselves are `binding`'s. Called by `fold`.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from foreshore_api import meta, v1alpha1
from foreshore_decision.policy.endpoints import CommandEndpoint
from foreshore_planner import binding, named, outcome, precedence, snapshot
from foreshore_planner.world import groups
from foreshore_planner.world.changes import Alteration, Changes
from foreshore_planner.world.seen import KeptView

Key = binding.Key


@dataclass(slots=True)
class Rebound:
    """What is bound otherwise than before."""

    devices: dict[Key, Alteration[binding.BoundDevice]] = field(default_factory=dict)
    policies: dict[Key, Alteration[binding.BoundPolicy]] = field(default_factory=dict)
    sites: set[Key] = field(default_factory=set)
    """Sites that changed for those at them."""
    others: set[tuple[str, Key]] = field(default_factory=set)
    """Objects of the other kinds whose own problem was looked at."""


class Bonds:
    """Every object with its references resolved."""

    def __init__(self) -> None:
        self._sites: dict[Key, binding.BindingProblem | None] = {}
        self._profiles: dict[Key, binding.BindingProblem | None] = {}
        self._models: dict[Key, binding.BindingProblem | None] = {}
        self._versions: dict[Key, binding.BindingProblem | None] = {}
        self._alone: dict[Key, binding.BoundDevice] = {}
        """Devices before anybody asked who else is commanded where they are."""
        self._commanders: dict[Key, tuple[Key, ...]] = {}
        self.devices: dict[Key, binding.BoundDevice] = {}
        self.policies: dict[Key, binding.BoundPolicy] = {}
        self.bound = binding.BoundSnapshot(
            self._sites,
            self._profiles,
            self.devices,
            self._models,
            self._versions,
            self.policies,
            self._commanders,
        )
        self._claims: groups.Groups[CommandEndpoint, Key, binding.BoundDevice] = groups.Groups(
            lambda device: device.endpoints, lambda device: device.key
        )
        by_key = binding.key
        self._of_profile: groups.Groups[Key, Key, v1alpha1.Device] = groups.Groups(
            lambda device: (named.profile_of(device),), by_key
        )
        self.at_site: groups.Groups[str, Key, v1alpha1.Device] = groups.Groups(
            lambda device: (device.spec.site,), by_key
        )
        self.held_by: groups.Groups[str, Key, v1alpha1.Device] = groups.Groups(_holders, by_key)
        """Devices by the node whose agent may command them."""
        self._of_version: groups.Groups[Key, Key, v1alpha1.DecisionPolicy] = groups.Groups(
            _version_of, by_key
        )
        self._of_label: groups.Groups[Any, Key, v1alpha1.DecisionPolicy] = groups.Groups(
            _hints, by_key
        )
        self.devices_of: groups.Groups[Key, Key, binding.BoundDevice] = groups.Groups(
            outcome.profiles_of, lambda device: device.key
        )
        self.policies_at: groups.Groups[str, Key, binding.BoundPolicy] = groups.Groups(
            lambda policy: (*policy.sites, *policy.suspended), lambda policy: policy.key
        )
        self.idle: set[Key] = set()
        """Policies that no accepted device is bound to."""
        self._failed: dict[str, set[Key]] = {"Device": set(), "DecisionPolicy": set()}

    def bind(self, kept: KeptView, seen: snapshot.Snapshot, changes: Changes) -> Rebound:
        """Bind anew what something changed for, kind by kind."""
        rebound = Rebound()
        for kind, group in (
            (v1alpha1.Device.kind, (self._of_profile, self.at_site, self.held_by)),
            (v1alpha1.DecisionPolicy.kind, (self._of_version, self._of_label)),
        ):
            for key, change in changes.objects.get(kind, {}).items():
                for members in group:
                    members.put(key, change.new)
        self._bind_sites(kept, seen, changes, rebound)
        profiles = self._own(v1alpha1.DeviceProfile.kind, self._profiles, changes, rebound)
        models = self._own(v1alpha1.Model.kind, self._models, changes, rebound)
        versions = self._bind_versions(seen, changes, models, rebound)
        self._bind_devices(seen, self._devices_asked(changes, rebound, profiles), rebound)
        self._bind_policies(
            seen, changes, self._policies_asked(changes, versions, rebound), rebound
        )
        return rebound

    def problems(
        self, rebound: Rebound
    ) -> Iterator[tuple[tuple[str, Key], binding.BindingProblem | None]]:
        """Yield what is wrong with the objects that were looked at, but devices and policies."""
        of_kind = {
            v1alpha1.DeviceProfile.kind: self._profiles,
            v1alpha1.Model.kind: self._models,
            v1alpha1.ModelVersion.kind: self._versions,
        }
        for kind, key in sorted(rebound.others):
            yield (kind, key), of_kind[kind].get(key)
        for key in sorted(rebound.sites):
            yield (v1alpha1.Site.kind, key), self._sites.get(key)

    def fail(self, kind: str, key: Key, problem: binding.BindingProblem) -> None:
        """Mark an object that a defect of ours keeps from being planned, until it is bound anew."""
        bound: dict[Key, Any] = self.devices if kind == v1alpha1.Device.kind else self.policies
        bound[key] = dataclasses.replace(bound[key], problem=problem)
        self._failed[kind].add(key)

    def _bind_sites(
        self, kept: KeptView, seen: snapshot.Snapshot, changes: Changes, rebound: Rebound
    ) -> None:
        """Bind Sites, and all of the same name: the oldest counts."""
        changed = changes.objects.get(v1alpha1.Site.kind, {})
        asked = set(changed)
        for key in changed:
            asked |= kept.sites_named.names(key[1])
        for key in asked:
            site = seen.named.sites.get(key)
            before = self._sites.pop(key, None)
            if site is not None:
                self._sites[key] = binding.site_problem(seen, site)
            is_other = before != self._sites.get(key)
            if is_other or (key in changed and not _is_same(changed[key])):
                rebound.sites.add(key)

    def _own(
        self,
        kind: str,
        problems: dict[Key, binding.BindingProblem | None],
        changes: Changes,
        rebound: Rebound,
    ) -> set[Key]:
        """Look at what is wrong with objects by themselves; those that others must heed."""
        heeded: set[Key] = set()
        for key, change in changes.objects.get(kind, {}).items():
            problems.pop(key, None)
            if change.new is not None:
                problems[key] = binding.own_problem(change.new)
            rebound.others.add((kind, key))
            if not _is_same(change):
                heeded.add(key)
        return heeded

    def _bind_versions(
        self, seen: snapshot.Snapshot, changes: Changes, models: set[Key], rebound: Rebound
    ) -> set[Key]:
        changed = changes.objects.get(v1alpha1.ModelVersion.kind, {})
        heeded = {key for key, change in changed.items() if not _is_same(change)}
        for model in models:
            heeded |= {named.key(version) for version in seen.named.versions_of.get(model, ())}
        for key in heeded | changed.keys():
            version = seen.named.versions.get(key)
            self._versions.pop(key, None)
            if version is not None:
                self._versions[key] = binding.version_problem(seen, version)
            rebound.others.add((v1alpha1.ModelVersion.kind, key))
        for change in changed.values():
            for version in change:
                if version is not None:
                    rebound.others.add((v1alpha1.Model.kind, named.model_of(version)))
        return heeded

    def _devices_asked(self, changes: Changes, rebound: Rebound, profiles: set[Key]) -> set[Key]:
        asked = set(changes.objects.get(v1alpha1.Device.kind, {})) | self._failed["Device"]
        for profile in profiles:
            asked |= self._of_profile.names(profile)
        for key in rebound.sites:
            asked |= self.at_site.names(key[1])
        for change in changes.nodes.values():
            if _place(change.old) != _place(change.new):
                for node in change:
                    if node is not None and node.site is not None:
                        asked |= self.at_site.names(node.site)
        self._failed["Device"].clear()
        return asked

    def _bind_devices(self, seen: snapshot.Snapshot, asked: set[Key], rebound: Rebound) -> None:
        near = set(asked)
        for key in asked:
            near |= self._sharing(key)
            device = seen.named.devices.get(key)
            bound = binding.bound_device(seen, self._sites, device) if device is not None else None
            self._alone.pop(key, None)
            if bound is not None:
                self._alone[key] = bound
            self._claims.put(key, bound)
        for key in tuple(near):
            near |= self._sharing(key)
        claims = [self._alone[key] for key in sorted(near) if key in self._alone]
        late = precedence.conflicts(
            precedence.Claim(bound.device, bound.endpoints) for bound in claims
        )
        for key in near:
            bound = self._alone.get(key)
            self._put_device(
                key,
                binding.with_conflict(bound, late.get(key)) if bound is not None else None,
                rebound,
            )

    def _put_device(self, key: Key, bound: binding.BoundDevice | None, rebound: Rebound) -> None:
        before = self.devices.pop(key, None)
        if bound is not None:
            self.devices[key] = bound
        self.devices_of.put(key, bound)
        if before != bound:
            rebound.devices[key] = Alteration(before, bound)

    def _sharing(self, key: Key) -> set[Key]:
        """Return all devices that are tied to one by endpoints, over any number of others."""
        tied, waiting = {key}, [key]
        while waiting:
            for endpoint in self._claims.groups_of(waiting.pop()):
                fresh = self._claims.names(endpoint) - tied
                tied |= fresh
                waiting += fresh
        return tied

    def _policies_asked(self, changes: Changes, versions: set[Key], rebound: Rebound) -> set[Key]:
        changed = changes.objects.get(v1alpha1.DecisionPolicy.kind, {})
        asked = {key for key, change in changed.items() if not _is_same(change)}
        asked |= self._failed["DecisionPolicy"]
        asked |= {key for key in changes.compiled if key in self.policies}
        for version in versions:
            asked |= self._of_version.names(version)
        for device in rebound.devices.values():
            if _selection(device.old) != _selection(device.new):
                for bound in device:
                    asked |= self._selecting(bound) if bound is not None else set()
        self._failed["DecisionPolicy"].clear()
        return asked

    def _selecting(self, device: binding.BoundDevice) -> set[Key]:
        """Return the policies that may select a device."""
        policies = set(self._of_label.names(device.key[0]))
        for label in named.labels_of(device.device):
            policies |= self._of_label.names(label)
        return policies

    def _bind_policies(
        self, seen: snapshot.Snapshot, changes: Changes, asked: set[Key], rebound: Rebound
    ) -> None:
        for key, change in changes.objects.get(v1alpha1.DecisionPolicy.kind, {}).items():
            if key not in asked and change.new is not None:
                self.policies[key] = dataclasses.replace(self.policies[key], policy=change.new)
        for key in asked:
            policy = seen.named.policies.get(key)
            before = self.policies.pop(key, None)
            after = binding.bound_policy(seen, self.bound, policy) if policy is not None else None
            if after is not None:
                self.policies[key] = after
            self._put_commander(key, _devices_of(before), _devices_of(after))
            self.policies_at.put(key, after)
            self.idle.discard(key)
            if after is not None and not after.sites:
                self.idle.add(key)
            rebound.policies[key] = Alteration(before, after)

    def _put_commander(self, key: Key, before: set[Key], after: set[Key]) -> None:
        for device in before ^ after:
            others = {other for other in self._commanders.get(device, ()) if other != key}
            policies = sorted(others | {key}) if device in after else sorted(others)
            if policies:
                self._commanders[device] = tuple(policies)
            else:
                self._commanders.pop(device, None)


def _holders(device: v1alpha1.Device) -> Iterable[str]:
    authority = device.status.authority
    return () if authority is None or authority.holder is None else (authority.holder,)


def _devices_of(policy: binding.BoundPolicy | None) -> set[Key]:
    if policy is None:
        return set()
    return {key for keys in policy.sites.values() for key in keys}


def _is_same(change: Alteration[Any]) -> bool:
    """Whether an object asks the same as before: all but its status and its record's version."""
    return _asked(change.old) == _asked(change.new)


def _asked(resource: meta.Resource | None) -> object:
    if resource is None:
        return None
    metadata = resource.metadata
    identity = (metadata.uid, metadata.generation, metadata.creation_timestamp, metadata.labels)
    return (*identity, resource.spec)  # type: ignore[attr-defined]


def _place(node: snapshot.Node | None) -> object:
    return None if node is None else (node.site, node.labels)


def _selection(device: binding.BoundDevice | None) -> object:
    """Return what policies select a device by, and what it is to them."""
    if device is None:
        return None
    profile = None if device.profile is None else device.profile.spec
    own = device.device
    return (own.metadata.labels, own.spec, device.problem is None, profile)


def _version_of(policy: v1alpha1.DecisionPolicy) -> Iterable[Key]:
    version = binding.version_of(policy)
    return () if version is None else ((policy.metadata.namespace or "", version),)


def _hints(policy: v1alpha1.DecisionPolicy) -> Iterable[Any]:
    """Return by which labels a policy may select; its namespace where it asks for none exactly."""
    namespace = policy.metadata.namespace or ""
    exact = tuple((namespace, *pair) for pair in policy.spec.device_selector.match_labels.items())
    return exact or (namespace,)
