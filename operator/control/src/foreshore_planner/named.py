"""The objects that people edit, by name and in the groups in which a pass asks for them.

`Snapshot.named` makes it of everything at once; the fold (`world`) keeps one and changes it. So a
step for one object looks up what it needs and searches no fleet.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from foreshore_api import meta, v1alpha1

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=meta.Resource)

Key = tuple[str, str]
"""(namespace, name)."""

Label = tuple[str, str, str]
"""(namespace, key, value)."""


@dataclass(frozen=True, slots=True)
class NamedObjects:
    """What people edit, by (namespace, name); groups are in order of that, but `sites_named`."""

    sites: Mapping[Key, v1alpha1.Site]
    profiles: Mapping[Key, v1alpha1.DeviceProfile]
    devices: Mapping[Key, v1alpha1.Device]
    models: Mapping[Key, v1alpha1.Model]
    versions: Mapping[Key, v1alpha1.ModelVersion]
    policies: Mapping[Key, v1alpha1.DecisionPolicy]
    clusters: Mapping[Key, v1alpha1.Cluster]
    sites_named: Mapping[str, tuple[v1alpha1.Site, ...]]
    """By name alone, the oldest first: a node's label says no namespace."""
    versions_of: Mapping[Key, tuple[v1alpha1.ModelVersion, ...]]
    """By the model they name."""
    devices_in: Mapping[str, tuple[v1alpha1.Device, ...]]
    """By namespace."""
    labelled: Mapping[Label, tuple[v1alpha1.Device, ...]]
    """By each label."""


def key(resource: meta.Resource) -> Key:
    """Return the identity of an object."""
    return (resource.metadata.namespace or "", resource.metadata.name)


def age(resource: meta.Resource) -> tuple[str, Key]:
    """Return what puts the oldest first."""
    return (resource.metadata.creation_timestamp or "", key(resource))


def model_of(version: v1alpha1.ModelVersion) -> Key:
    """Return the model that a version names."""
    return (version.metadata.namespace or "", version.spec.model_ref.name)


def profile_of(device: v1alpha1.Device) -> Key:
    """Return the profile that a device names."""
    return (device.metadata.namespace or "", device.spec.profile_ref.name)


def site_of(device: v1alpha1.Device) -> Key:
    """Return the Site that a device names."""
    return (device.metadata.namespace or "", device.spec.site)


def labels_of(device: v1alpha1.Device) -> tuple[Label, ...]:
    """Return what a selector may find a device by."""
    namespace = device.metadata.namespace or ""
    return tuple((namespace, *pair) for pair in (device.metadata.labels or {}).items())


def of(
    *,
    sites: Iterable[v1alpha1.Site],
    profiles: Iterable[v1alpha1.DeviceProfile],
    devices: Iterable[v1alpha1.Device],
    models: Iterable[v1alpha1.Model],
    versions: Iterable[v1alpha1.ModelVersion],
    policies: Iterable[v1alpha1.DecisionPolicy],
    clusters: Iterable[v1alpha1.Cluster],
) -> NamedObjects:
    """Look everything over once."""
    ordered_devices, ordered_versions = _ordered(devices), _ordered(versions)
    return NamedObjects(
        sites=_by_key(sites),
        profiles=_by_key(profiles),
        devices={key(device): device for device in ordered_devices},
        models=_by_key(models),
        versions={key(version): version for version in ordered_versions},
        policies=_by_key(policies),
        clusters=_by_key(clusters),
        sites_named=grouped(sorted(sites, key=age), lambda site: (site.metadata.name,)),
        versions_of=grouped(ordered_versions, lambda version: (model_of(version),)),
        devices_in=grouped(ordered_devices, lambda device: (device.metadata.namespace or "",)),
        labelled=grouped(ordered_devices, labels_of),
    )


def _ordered(objects: Iterable[R]) -> list[R]:
    return sorted(objects, key=key)


def _by_key(objects: Iterable[R]) -> dict[Key, R]:
    return {key(resource): resource for resource in _ordered(objects)}


def grouped(things: Iterable[T], by: Callable[[T], Iterable[K]]) -> Mapping[K, tuple[T, ...]]:
    """Put things in every group they belong to; within one they keep their order."""
    groups: dict[K, list[T]] = {}
    for thing in things:
        for group in by(thing):
            groups.setdefault(group, []).append(thing)
    return {group: tuple(members) for group, members in groups.items()}
