"""Devices as compiling looks at them: by label and by site, and what an edit of one concerns.

`compilation` calls this. Without it every policy would look at every device on every pass, which
took 31 s for a thousand nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_decision import narrowing, selectors
from foreshore_decision.policy import elsewhere

Key = TypeVar("Key", bound=Hashable)
Member = TypeVar("Member", bound=Hashable)
V = TypeVar("V")

Name = tuple[str, str]
"""Namespace and name."""
Label = tuple[str, str, str]
"""Namespace, key and value."""


@dataclass(frozen=True, slots=True)
class IndexedDevice:
    """A Device with its profile, and what of it goes into compiling, as text to compare."""

    narrowed: narrowing.NarrowedDevice
    text: str

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.narrowed.device.metadata.labels or {}


@dataclass(slots=True)
class DeviceChanges:
    """Devices that are not as they were at the last look."""

    devices: list[tuple[IndexedDevice | None, IndexedDevice | None]] = field(default_factory=list)
    """Before and after; None where there was, or is, none."""
    errors: list[tuple[str, str, str, Exception]] = field(default_factory=list)
    """Kind, namespace and name of what cannot be read, and why."""


class DeviceIndex:
    """All devices that have a profile."""

    def __init__(self) -> None:
        self._devices: dict[Name, IndexedDevice] = {}
        self._sites: dict[Name, dict[str, narrowing.NarrowedDevice]] = {}
        self._labelled: dict[Label, dict[Name, None]] = {}
        self._in_namespace: dict[str, dict[Name, None]] = {}

    def update(
        self,
        devices: Iterable[v1alpha1.Device],
        profiles: Mapping[Name, v1alpha1.DeviceProfile],
    ) -> DeviceChanges:
        """Take what is written now; return what changed for compiling."""
        changes = DeviceChanges()
        gone = dict.fromkeys(self._devices)
        for device in devices:
            name = (device.namespace, device.name)
            profile = profiles.get((device.namespace, device.spec.profile_ref.name))
            before = self._devices.get(name)
            if profile is None:
                continue
            gone.pop(name, None)
            if before is None or not _is_as_it_was(before, device, profile):
                after = _indexed(device, profile, changes)
                changes.devices.append((before, after))
        changes.devices += [(self._devices[name], None) for name in gone]
        for old, new in changes.devices:
            if old is not None:
                self._remove(old)
            if new is not None:
                self._add(new)
        return changes

    def selected(self, policy: v1alpha1.DecisionPolicy) -> Iterator[IndexedDevice]:
        """Yield the devices that a policy selects, in order of site and name."""
        namespace, selector = policy.namespace, policy.spec.device_selector
        narrowest = min(
            (
                self._labelled.get((namespace, key, value), {})
                for key, value in selector.match_labels.items()
            ),
            key=len,
            default=self._in_namespace.get(namespace, {}),
        )
        devices = (self._devices[name] for name in narrowest)
        yield from sorted(
            (device for device in devices if selectors.selects(selector, device.labels)),
            key=lambda device: (device.narrowed.device.spec.site, device.narrowed.name),
        )

    def site_of(self, device: IndexedDevice) -> narrowing.DevicesByName:
        """All devices of a device's site, itself among them."""
        narrowed = device.narrowed
        return self._sites[narrowed.namespace, narrowed.device.spec.site]

    @staticmethod
    def concerned(changes: DeviceChanges, policies: Iterable[v1alpha1.DecisionPolicy]) -> set[Name]:
        """Return the policies whose answer may change: they select a device, or read elsewhere."""
        if not changes.devices:
            return set()
        changed: dict[str, list[Mapping[str, str]]] = {}
        labels: dict[Label, list[Mapping[str, str]]] = {}
        for device in (device for pair in changes.devices for device in pair if device is not None):
            namespace = device.narrowed.namespace
            changed.setdefault(namespace, []).append(device.labels)
            for key, value in device.labels.items():
                labels.setdefault((namespace, key, value), []).append(device.labels)

        def is_concerned(policy: v1alpha1.DecisionPolicy) -> bool:
            selector = policy.spec.device_selector
            if elsewhere.is_read(policy.spec):
                return policy.namespace in changed
            narrowest = min(
                (
                    labels.get((policy.namespace, key, value), [])
                    for key, value in selector.match_labels.items()
                ),
                key=len,
                default=changed.get(policy.namespace, []),
            )
            return any(selectors.selects(selector, among) for among in narrowest)

        return {(policy.namespace, policy.name) for policy in policies if is_concerned(policy)}

    def _add(self, device: IndexedDevice) -> None:
        narrowed = device.narrowed
        name = (narrowed.namespace, narrowed.name)
        self._devices[name] = device
        site = (narrowed.namespace, narrowed.device.spec.site)
        self._sites.setdefault(site, {})[narrowed.name] = narrowed
        self._in_namespace.setdefault(narrowed.namespace, {})[name] = None
        for key, value in device.labels.items():
            self._labelled.setdefault((narrowed.namespace, key, value), {})[name] = None

    def _remove(self, device: IndexedDevice) -> None:
        narrowed = device.narrowed
        name = (narrowed.namespace, narrowed.name)
        del self._devices[name]
        _drop(self._sites, (narrowed.namespace, narrowed.device.spec.site), narrowed.name)
        _drop(self._in_namespace, narrowed.namespace, name)
        for key, value in device.labels.items():
            _drop(self._labelled, (narrowed.namespace, key, value), name)


def is_same(before: meta.Resource, after: meta.Resource) -> bool:
    """Whether two states of an object are compiled alike; a state without generation never is.

    Statuses name the generation, and it alone proves nothing: see `meta.Resource.succeeding`.
    """
    metadata, earlier = after.metadata, before.metadata
    is_numbered = bool(metadata.generation) and metadata.generation == earlier.generation
    return is_numbered and metadata.uid == earlier.uid and _spec(before) == _spec(after)


def _spec(resource: meta.Resource) -> object:
    return getattr(resource, "spec", None)


def _is_as_it_was(
    before: IndexedDevice, device: v1alpha1.Device, profile: v1alpha1.DeviceProfile
) -> bool:
    """Whether nothing of a device changed that is compiled; its status changes all the time."""
    narrowed = before.narrowed
    if narrowed.written is not profile and not is_same(narrowed.written, profile):
        return False
    if narrowed.device is device:
        return True
    return is_same(narrowed.device, device) and before.labels == (device.metadata.labels or {})


def _indexed(
    device: v1alpha1.Device, profile: v1alpha1.DeviceProfile, changes: DeviceChanges
) -> IndexedDevice:
    """Index a Device; one that cannot be written as text counts as one without a spec."""
    narrowed = narrowing.NarrowedDevice(device, profile)
    try:
        text = device.spec.model_dump_json(
            exclude={"site", "profile_ref", "reachable_from", "lock"}
        )
    except Exception as error:  # noqa: BLE001 - the device's own problem, noted by the caller
        changes.errors.append((device.kind, device.namespace, device.name, error))
        text = ""
    return IndexedDevice(narrowed, text)


def _drop(index: dict[Key, dict[Member, V]], key: Key, member: Member) -> None:
    """Take a member out of a group, and the group out of the index once it is empty."""
    group = index[key]
    del group[member]
    if not group:
        del index[key]
