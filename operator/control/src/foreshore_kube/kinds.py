"""Which resource a document belongs to, and the paths it is served at.

Informers, writers and tests name kinds by these constants; the kinds of `foreshore.dev` come from
their models by `of`.
"""

from __future__ import annotations

from dataclasses import dataclass

from foreshore_api import meta


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One served resource. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`, as documents write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection (in all namespaces if none is named) or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


NODES = ResourceKind("", "v1", "nodes", "Node", namespaced=False)
PODS = ResourceKind("", "v1", "pods", "Pod")
CONFIG_MAPS = ResourceKind("", "v1", "configmaps", "ConfigMap")
NAMESPACES = ResourceKind("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES = ResourceKind("coordination.k8s.io", "v1", "leases", "Lease")
DISRUPTION_BUDGETS = ResourceKind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
EVENTS = ResourceKind("events.k8s.io", "v1", "events", "Event")
TOKEN_REVIEWS = ResourceKind(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)


def of(resource: type[meta.Resource]) -> ResourceKind:
    """The kind of a model of the contract: `of(v1alpha1.Device)`."""
    return ResourceKind(
        meta.GROUP,
        meta.VERSION,
        resource.plural,
        resource.kind,
        namespaced=resource.scope == "Namespaced",
    )
