"""Cluster: a member cluster. The one that the operator runs in is implied as `local`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, NotSupported, Rule
from foreshore_api.v1alpha1.judging import Judged

LOCAL = "local"
"""Name of the cluster that the operator runs in."""


class Tier(StrEnum):
    """Where a node stands: at a site, or in a data centre that every site may use."""

    EDGE = "Edge"
    CLOUD = "Cloud"


class ConnectionType(StrEnum):
    """How the cluster is reached."""

    IN_CLUSTER = "InCluster"
    KUBECONFIG = "Kubeconfig"


class NamespacedSecretReference(Document):
    """A Secret in a namespace."""

    namespace: Annotated[str, StringConstraints(pattern=scalars.LABEL_PATTERN, max_length=63)]
    """Namespace of the Secret. Example: `foreshore-system`."""

    name: scalars.SubdomainName
    """Name of the Secret. Example: `plant-7-kubeconfig`."""


class Connection(Document):
    """How the cluster's API server is reached."""

    type: Annotated[ConnectionType, NotSupported(unless=("InCluster",))]
    """InCluster: the cluster that the operator runs in. Kubeconfig: another one.
    Example: `InCluster`."""

    secret_ref: Annotated[NamespacedSecretReference | None, NotSupported()] = None
    """Secret with the kubeconfig, for type Kubeconfig. Absent: none, as InCluster wants."""

    validations = (
        Rule(
            rule="(self.type == 'Kubeconfig') == has(self.secretRef)",
            message="Kubeconfig needs secretRef, InCluster takes none",
            field_path=".secretRef",
        ),
    )


class Price(Document):
    """What a CPU hour costs, in any one currency for the whole fleet."""

    edge: Annotated[scalars.Decimal, scalars.Within(0)] = 0
    """Price of a CPU hour on a node of tier Edge. Example: `"0.01"`."""

    cloud: Annotated[scalars.Decimal, scalars.Within(0)] = 0
    """Price of a CPU hour on a node of tier Cloud. Example: `"0.05"`."""


class ClusterSpec(Document):
    """Desired state of a Cluster."""

    connection: Connection
    """How the cluster is reached."""

    tier: Tier = Tier.CLOUD
    """Tier of nodes without the label foreshore.dev/tier; one that carries foreshore.dev/site is
    Edge all the same. Example: `Edge`."""

    region: Annotated[
        Annotated[str, StringConstraints(pattern=scalars.LABEL_PATTERN, max_length=63)] | None,
        NotSupported(),
    ] = None
    """Region the cluster stands in, for rules on where data may go. Absent: not said.
    Example: `eu-west-1`."""

    price: Price = Price()
    """What a CPU hour costs; the cheapest feasible node is chosen."""


class ClusterStatus(Judged):
    """What the operator knows of a Cluster."""

    nodes: scalars.Count | None = None
    """Nodes of the cluster. Absent: not counted yet. Example: `4`."""


class Cluster(meta.Resource):
    """A member cluster: how it is reached, its tier, its price."""

    kind: ClassVar[str] = "Cluster"
    plural: ClassVar[str] = "clusters"
    short_name: ClassVar[str] = "fsclu"
    scope: ClassVar[str] = "Cluster"

    spec: ClusterSpec
    """Desired state."""

    status: ClusterStatus = ClusterStatus()
    """Observed state, written by the operator."""

    validations = (
        Rule(
            rule="(self.spec.connection.type == 'InCluster') == (self.metadata.name == 'local')",
            message="the InCluster connection is the one of the Cluster named local",
            field_path=".spec.connection.type",
        ),
    )
