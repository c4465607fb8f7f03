"""The resources that assignments are compiled from, and what stands beside them."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Resources:
    """The resources of every kind, as one snapshot."""

    sites: tuple[v1alpha1.Site, ...] = ()
    profiles: tuple[v1alpha1.DeviceProfile, ...] = ()
    devices: tuple[v1alpha1.Device, ...] = ()
    models: tuple[v1alpha1.Model, ...] = ()
    versions: tuple[v1alpha1.ModelVersion, ...] = ()
    policies: tuple[v1alpha1.DecisionPolicy, ...] = ()
    placements: tuple[v1alpha1.InferencePlacement, ...] = ()

    @functools.cached_property
    def devices_at(self) -> Mapping[Name, tuple[v1alpha1.Device, ...]]:
        """Devices by (namespace, site), in order of name: one snapshot serves many nodes."""
        return _grouped(self.devices, lambda device: (device.namespace, device.spec.site))

    @functools.cached_property
    def placements_at(self) -> Mapping[tuple[str, str, str], v1alpha1.InferencePlacement]:
        """Placements by (namespace, policy, site)."""
        return {
            (placement.namespace, placement.spec.policy_ref.name, placement.spec.site): placement
            for placement in reversed(self.placements)
        }

    @classmethod
    def of(cls, resources: Iterable[meta.Resource]) -> "Resources":
        """Sort resources of any kind into a snapshot, by name; other kinds are ignored."""
        ordered = sorted(resources, key=lambda resource: (resource.namespace, resource.name))
        return cls(
            sites=_of_kind(v1alpha1.Site, ordered),
            profiles=_of_kind(v1alpha1.DeviceProfile, ordered),
            devices=_of_kind(v1alpha1.Device, ordered),
            models=_of_kind(v1alpha1.Model, ordered),
            versions=_of_kind(v1alpha1.ModelVersion, ordered),
            policies=_of_kind(v1alpha1.DecisionPolicy, ordered),
            placements=_of_kind(v1alpha1.InferencePlacement, ordered),
        )


T = TypeVar("T", bound=meta.Resource)


def _grouped(resources: Iterable[T], by: Callable[[T], Name]) -> Mapping[Name, tuple[T, ...]]:
    groups: dict[Name, list[T]] = {}
    for resource in resources:
        groups.setdefault(by(resource), []).append(resource)
    return {name: tuple(members) for name, members in groups.items()}


def _of_kind(kind: type[T], resources: Iterable[meta.Resource]) -> tuple[T, ...]:
    return tuple(resource for resource in resources if isinstance(resource, kind))


def named(resources: Iterable[T], name: Name) -> T | None:
    """Return the resource of a namespace and name."""
    return next(
        (resource for resource in resources if (resource.namespace, resource.name) == name), None
    )


def find_site(resources: Resources, name: str) -> v1alpha1.Site | None:
    """Return the site of a name; of two, the older (the younger is `Stalled/SiteConflict`)."""
    return min(
        (site for site in resources.sites if site.name == name),
        key=lambda site: (site.metadata.creation_timestamp or "", site.namespace),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """Another agent, as Kubernetes knows it; `site` is None for a node of no site."""

    node: str
    site: str | None
    url: str
    node_class: str | None = None
    """Which nodes compute as its own does."""


@dataclass(frozen=True, slots=True)
class LocalStatuses:
    """What folder mode says itself because there is no operator that would write statuses."""

    endpoints: Mapping[Name, tuple[assignment.Endpoint, ...]] = field(default_factory=dict)
    """By policy: where its model answers."""
    grants: Mapping[Name, tuple[str, int]] = field(default_factory=dict)
    """By device: holder and epoch."""
