"""Everything one planning pass looks at, as one frozen value.

`foreshore_operator.observe` builds it, `plan` reads it.

Ages are seconds by the observer's own monotonic clock, never differences of wall clocks of two
machines. What could not be read is None, and None is never a permit: an absent fleet moves nothing,
an unknown node holds what it has.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from foreshore_api import v1alpha1
from foreshore_api.wire import report


@dataclass(frozen=True, slots=True)
class ComputeResources:
    """CPU in thousandths of a core, memory in bytes, and what device plug-ins count."""

    cpu: int = 0
    memory: int = 0
    extended: tuple[tuple[str, int], ...] = ()
    """Extended resources, such as `nvidia.com/gpu`, by name; of one that is not here there is 0."""

    def __add__(self, other: "ComputeResources") -> "ComputeResources":
        extended = _combined(operator.add, self.extended, other.extended)
        return ComputeResources(self.cpu + other.cpu, self.memory + other.memory, extended)

    def __sub__(self, other: "ComputeResources") -> "ComputeResources":
        extended = _combined(operator.sub, self.extended, other.extended)
        return ComputeResources(self.cpu - other.cpu, self.memory - other.memory, extended)

    def at_least(self, other: "ComputeResources") -> "ComputeResources":
        """Return the larger of each."""
        extended = _combined(max, self.extended, other.extended)
        cpu, memory = max(self.cpu, other.cpu), max(self.memory, other.memory)
        return ComputeResources(cpu, memory, extended)

    def has_room_for(self, other: "ComputeResources") -> bool:
        """Whether `other` fits into what this says is free."""
        if self.cpu < other.cpu or self.memory < other.memory:
            return False
        return all(self.count(name) >= asked for name, asked in other.extended)

    def count(self, name: str) -> int:
        """Return how much there is of an extended resource."""
        return dict(self.extended).get(name, 0)


Extended = tuple[tuple[str, int], ...]


def _combined(combine: Callable[[int, int], int], ours: Extended, theirs: Extended) -> Extended:
    """Combine counts name by name, in the order of names; most nodes and pods have none."""
    if not ours and not theirs:
        return ()
    left, right = dict(ours), dict(theirs)
    names = sorted({*left, *right})
    return tuple((name, combine(left.get(name, 0), right.get(name, 0))) for name in names)


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint; effects are Kubernetes' own."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a member cluster."""

    name: str
    cluster: str = "local"
    site: str | None = None
    tier: v1alpha1.Tier = v1alpha1.Tier.CLOUD
    zone: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    is_schedulable: bool = True
    is_ready: bool | None = None
    """The Ready condition: True, False, or None for Unknown or unread."""
    ready_age: float = math.inf
    """Seconds since the observer saw it become Ready again; infinite where it always was.

    What is said of its pods is stale until its kubelet has had time to say it anew.
    """
    silent_age: float | None = None
    """Seconds since it stopped being Ready; None while it is, or where nobody saw when."""
    lease_age: float | None = None
    """Seconds since the node's Lease last changed, or None while no Lease was read."""
    allocatable: ComputeResources = ComputeResources()
    requested: ComputeResources = ComputeResources()
    """By every pod on the node but inference replicas of ours."""


class PodPhase(StrEnum):
    """A replica's pod, as far as placement cares."""

    PENDING = "Pending"
    READY = "Ready"
    UNREADY = "Unready"
    FAILED = "Failed"
    TERMINATING = "Terminating"


@dataclass(frozen=True, slots=True)
class Replica:
    """One inference pod as it is."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    policy: str
    site: str
    slot: str
    node: str
    template: str
    """Hash of everything the pod was made from (version digest, requests, image, …).

    Another hash means superseded.
    """
    phase: PodPhase
    requests: ComputeResources
    """What the pod itself asks for, whatever its policy says by now."""
    address: str | None = None
    """Pod address; the endpoint is `http://<address>:<port>`."""
    phase_age: float = 0.0
    """Seconds since the observer first saw the present phase."""
    restarts: int = 0
    reason: str | None = None
    """Why it is not ready, from the waiting or termination state."""
    message: str | None = None
    version: str | None = None
    """ModelVersion it was made for; None where the pod does not say."""
    digest: str | None = None
    """Digest of the bytes it serves; None where the pod does not say."""
    policy_generation: int | None = None
    """Generation of the policy it was made for; None where the pod does not say."""


AGENT = "foreshore-agent"
HUB = "foreshore-hub"


@dataclass(frozen=True, slots=True)
class ProductPod:
    """A pod of the product itself, to name in messages; nothing is decided by it."""

    component: str
    """`AGENT` or `HUB`: its label app.kubernetes.io/name."""
    namespace: str
    name: str
    node: str
    reason: str | None = None
    """Why it is not ready, from the waiting or termination state."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling a policy said, for one generation."""

    generation: int
    digest: str
    problem: tuple[str, str] | None = None
    """(reason, message), or None where it compiles for every bound device."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole observed world of one pass."""

    now: datetime
    monotonic: float
    serving_image: str
    sites: tuple[v1alpha1.Site, ...] = ()
    profiles: tuple[v1alpha1.DeviceProfile, ...] = ()
    devices: tuple[v1alpha1.Device, ...] = ()
    models: tuple[v1alpha1.Model, ...] = ()
    versions: tuple[v1alpha1.ModelVersion, ...] = ()
    policies: tuple[v1alpha1.DecisionPolicy, ...] = ()
    clusters: tuple[v1alpha1.Cluster, ...] = ()
    placements: tuple[v1alpha1.InferencePlacement, ...] = ()
    nodes: tuple[Node, ...] = ()
    replicas: tuple[Replica, ...] = ()
    parts: tuple[ProductPod, ...] = ()
    refusals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By (namespace, name) of a pod that was to be created: why the API server does not let it in,
    or what it reads."""
    compiled: Mapping[tuple[str, str], Compiled] = field(default_factory=dict)
    """By (namespace, policy)."""
    fleet: report.Fleet | None = None
    """The hub's evidence, or None while the hub is out of reach."""
    fleet_age: float = 0.0
    """Seconds since `fleet` was received: ages inside are that much older."""
