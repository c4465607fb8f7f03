"""What belongs to each site alone, beside the mirrors of all; `observe` notes each change in it.

An assignment is compiled from the devices and placements of one site and from what its namespace
shares. Picking the former out of ten thousand took several times as long as compiling them, for
each node of a fleet, whenever anything had changed anywhere.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from foreshore_api import meta, v1alpha1
from foreshore_kube import informer


class SitePlace(NamedTuple):
    """A site, as its devices and placements name it from within their namespace."""

    namespace: str
    site: str


def place(resource: meta.Resource | None) -> SitePlace | None:
    """Return the one site that a resource has an effect on; None for what more than one reads."""
    match resource:
        case v1alpha1.Device() | v1alpha1.InferencePlacement():
            return SitePlace(resource.namespace, resource.spec.site)
        case _:
            return None


class SiteContents:
    """Devices and placements by site, and how often all else changed."""

    def __init__(self, resources: Iterable[meta.Resource] = ()) -> None:
        self.shared = 0
        """Grows with each change of a resource that sites share."""
        self.agents = 0
        """Grows with each change of a node, or of an agent's pod."""
        self._at: Final[dict[SitePlace, dict[tuple[str, informer.ObjectKey], meta.Resource]]] = {}
        self._places: Final[dict[tuple[str, informer.ObjectKey], SitePlace]] = {}
        for resource in resources:
            key = informer.ObjectKey(resource.namespace, resource.name)
            self._put((resource.kind, key), resource)

    def note(self, change: informer.ObjectChange[Any]) -> None:
        """Take in one change of a mirror."""
        resource = change.new or change.old
        if not isinstance(resource, meta.Resource):
            self.agents += change.old != change.new
            return
        identity = (resource.kind, change.key)
        self._drop(identity)
        if place(resource) is None:
            self.shared += 1
        elif change.new is not None:
            self._put(identity, change.new)

    def at(self, site: SitePlace) -> tuple[meta.Resource, ...]:
        """Return the devices and placements of a site."""
        return tuple(self._at.get(site, {}).values())

    def _put(self, identity: tuple[str, informer.ObjectKey], resource: meta.Resource) -> None:
        if (site := place(resource)) is not None:
            self._places[identity] = site
            self._at.setdefault(site, {})[identity] = resource

    def _drop(self, identity: tuple[str, informer.ObjectKey]) -> None:
        if (site := self._places.pop(identity, None)) is not None:
            contents = self._at[site]
            del contents[identity]
            if not contents:
                del self._at[site]
