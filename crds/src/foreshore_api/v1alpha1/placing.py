"""Where a DecisionPolicy wants its inference, as far as people say it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pydantic

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap, NotSupported
from foreshore_api.v1alpha1 import selection


class TierPreference(StrEnum):
    """Which tier of nodes is used."""

    EDGE_FIRST = "EdgeFirst"
    EDGE_ONLY = "EdgeOnly"
    CLOUD_ONLY = "CloudOnly"
    CHEAPEST = "Cheapest"


class Failover(StrEnum):
    """Who moves a replica whose node is lost."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"
    NEVER = "Never"


class Failback(StrEnum):
    """Whether a replica returns to the node it left."""

    WHEN_STABLE = "WhenStable"
    NEVER = "Never"


class Spread(StrEnum):
    """The domain that no two replicas share while another has room."""

    NODE = "Node"
    ZONE = "Zone"
    SITE = "Site"


class Placement(Document):
    """Where and how often the model is served, for each site."""

    replicas: Annotated[int, pydantic.Field(ge=1, le=16)] = 1
    """Replicas that serve at once. Example: `1`."""

    standby: Annotated[int, pydantic.Field(ge=0, le=16)] = 0
    """Warm replicas that take over without a start. Example: `1`."""

    tier: TierPreference = TierPreference.EDGE_FIRST
    """EdgeFirst: the cloud only when the edge is full and the budget allows. EdgeOnly, CloudOnly.
    Cheapest: by price alone. Example: `EdgeFirst`."""

    failover: Failover = Failover.AUTOMATIC
    """Automatic: the operator moves replicas off lost nodes. Manual: it proposes and a person
    confirms (kubectl foreshore move). Never: they wait. Example: `Automatic`."""

    failback: Failback | None = None
    """WhenStable: a replica returns to a better node that it had to leave and that has been well
    for an hour, at most once an hour. Never: it stays, in the cloud too. Absent: it returns from
    the cloud alone, when an edge node of its site has room. Example: `WhenStable`."""

    spread: Spread = Spread.NODE
    """Domain that no two replicas share while another has room: Node, Zone or Site. Example:
    `Node`."""

    node_selector: selection.Labels = pydantic.Field(default_factory=dict)
    """Labels that the serving node must have. Absent: any node. Example: `{accelerator: none}`."""

    tolerations: Annotated[tuple[selection.Toleration, ...], pydantic.Field(max_length=16)] = ()
    """Taints that the serving Pods accept. Absent: none beside not-ready and unreachable."""

    runtime_class_name: scalars.SubdomainName | None = None
    """RuntimeClass of the serving Pods. Absent: the node's default. Example: `nvidia`."""

    image_pull_secrets: Annotated[
        tuple[selection.ImagePullSecret, ...], pydantic.Field(max_length=8), ListMap()
    ] = ()
    """Secrets that the serving image is pulled with. Absent: none."""

    priority_class_name: scalars.SubdomainName | None = None
    """PriorityClass of the serving Pods. Absent: the cluster's default. Example: `decisions`."""

    cluster_selector: Annotated[selection.LabelSelector | None, NotSupported()] = None
    """Member clusters that may serve. Absent: every one that is ready."""
