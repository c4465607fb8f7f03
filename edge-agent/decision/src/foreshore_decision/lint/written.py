"""The resources of files, asked about each other: what checks look at.

Made once from one reading, so that a reference is resolved without a search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_decision import assignment, manifests, narrowing, resources, selectors
from foreshore_decision.lint import findings
from foreshore_decision.policy import timing

_Kind = TypeVar("_Kind", bound=meta.Resource)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What files are checked for, and what of the machine the checks need."""

    clock: timing.Clock
    """Processor time, for the budget of expressions."""
    in_cluster: bool = False
    """Whether a cluster may hold what the files name: then that is a note and no error."""


@dataclass(frozen=True, slots=True)
class WrittenResources:
    """One reading, asked about its parts."""

    reading: resources.FolderReading
    documents: Sequence[manifests.Manifest]
    around: Surroundings
    by_kind: assignment.Resources
    by_identity: Mapping[resources.ObjectIdentity, meta.Resource]
    refused: frozenset[resources.ObjectIdentity]
    sites: Mapping[tuple[str, str], narrowing.DevicesByName]

    @classmethod
    def of(
        cls,
        reading: resources.FolderReading,
        around: Surroundings,
        documents: Sequence[manifests.Manifest] = (),
    ) -> "WrittenResources":
        """Look at every resource once."""
        by_kind = assignment.Resources.of(reading.resources)
        profiles = {(profile.namespace, profile.name): profile for profile in by_kind.profiles}
        return cls(
            reading=reading,
            documents=documents,
            around=around,
            by_kind=by_kind,
            sites=narrowing.by_site(by_kind.devices, profiles),
            by_identity={_identity(resource): resource for resource in reading.resources},
            refused=frozenset(
                resources.ObjectIdentity(problem.kind, problem.namespace, problem.name)
                for problem in reading.problems
            ),
        )

    def finding(
        self,
        resource: meta.Resource,
        reason: str,
        path: str,
        text: str,
        severity: findings.Severity = findings.Severity.ERROR,
    ) -> findings.Finding:
        """Return what was found of a resource, with the place where it stands."""
        kept = self.reading.kept.get(_identity(resource))
        return findings.Finding(
            severity=severity,
            place=kept.place if kept is not None else "",
            kind=resource.kind,
            namespace=resource.namespace,
            name=resource.name,
            path=path,
            reason=reason,
            message=f"{path}: {text}",
            remedy=findings.remedy(reason),
            generation=resource.metadata.generation or 0,
        )

    def bound(self, policy: v1alpha1.DecisionPolicy) -> list[v1alpha1.Device]:
        """Return the devices that a policy selects."""
        selector = policy.spec.device_selector
        return [
            device
            for device in self.by_kind.devices
            if device.namespace == policy.namespace
            and selectors.selects(selector, device.metadata.labels)
        ]

    def profile(self, device: v1alpha1.Device) -> v1alpha1.DeviceProfile | None:
        """Return the profile of a device, if it is here."""
        name = device.spec.profile_ref.name
        return self.find(v1alpha1.DeviceProfile, device.namespace, name)

    def model(self, policy: v1alpha1.DecisionPolicy) -> v1alpha1.ModelSpec | None:
        """Return the model that a policy asks, if it is here."""
        reference, namespace = policy.spec.model_ref, policy.namespace
        if reference is None or reference.version is None:
            return None
        version = self.find(v1alpha1.ModelVersion, namespace, reference.version)
        if version is None:
            return None
        model = self.find(v1alpha1.Model, namespace, version.spec.model_ref.name)
        return None if model is None else model.spec

    def find(self, kind: type[_Kind], namespace: str, name: str) -> _Kind | None:
        """Return an object of a kind, if it is here."""
        resource = self.by_identity.get(resources.ObjectIdentity(kind.kind, namespace, name))
        return resource if isinstance(resource, kind) else None


def _identity(resource: meta.Resource) -> resources.ObjectIdentity:
    return resources.ObjectIdentity(resource.kind, resource.namespace, resource.name)
