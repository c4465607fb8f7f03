"""Everything one planning pass looks at, as one frozen value.

`foreshore_operator.observe` builds it, `plan` reads it.

Ages are seconds by the observer's own monotonic clock, never differences of wall clocks of two
machines. What could not be read is None, and None is never a permit: an absent fleet moves nothing,
an unknown node holds what it has.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from foreshore_api import v1alpha1
from foreshore_api.wire import report
from foreshore_planner import hysteresis, named
from foreshore_planner import priors as latency_priors

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


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
    flaps: tuple[float, ...] = ()
    """Seconds since each time it fell silent within the hour, the newest first, at most eight.

    Whatever silenced it; not what silenced its whole site with it.
    """
    allocatable: ComputeResources = ComputeResources()
    requested: ComputeResources = ComputeResources()
    """By every pod on the node but inference replicas of ours."""

    def older(self, seconds: float) -> "Node":
        """Return the same node so much later, nothing else having changed."""
        lease, silent = self.lease_age, self.silent_age
        return dataclasses.replace(
            self,
            lease_age=lease + seconds if lease is not None else None,
            silent_age=silent + seconds if silent is not None else None,
            ready_age=self.ready_age + seconds,
            flaps=tuple(age + seconds for age in self.flaps),
        )


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

    def older(self, seconds: float) -> "Replica":
        """Return the same pod so much later, nothing else having changed."""
        return dataclasses.replace(self, phase_age=self.phase_age + seconds)


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
    is_pending: bool = False
    """Whether nothing is said of this generation yet: what runs stays as it is until then."""


Key = tuple[str, str]
"""(namespace, name)."""

At = tuple[str, str, str]
"""(namespace, policy, site): one placement."""

UNSEEN_AFTER = 15.0
"""Seconds without a report after which a node's agent counts as silent."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a pass looks up again and again, so that nothing searches a whole fleet for one object.

    Every tuple is in order of name, so that no answer depends on the order of what was seen.
    """

    nodes: Mapping[str, Node]
    nodes_of: Mapping[str, tuple[Node, ...]]
    """By site; nodes of no site are in none."""
    cloud: tuple[Node, ...]
    """Nodes of tier Cloud, of whichever site."""
    edge: tuple[Node, ...]
    """Nodes of tier Edge, of whichever site."""
    sites: Mapping[Key, v1alpha1.Site]
    placements: Mapping[Key, v1alpha1.InferencePlacement]
    placements_at: Mapping[str, tuple[v1alpha1.InferencePlacement, ...]]
    """By site."""
    replicas: Mapping[Key, Replica]
    replicas_at: Mapping[At, tuple[Replica, ...]]
    """By placement, in order of (namespace, name)."""
    replicas_on: Mapping[str, tuple[Replica, ...]]
    """By node."""
    reports: Mapping[str, report.AgentEvidence]
    """Agents that report, by node; empty while the hub is out of reach."""
    reports_of: Mapping[str, Mapping[str, report.AgentEvidence]]
    """The same by site, for nodes that are of one."""


@dataclass(frozen=True, slots=True)
class FleetIndex:
    """What the hub and the product's own pods say of single devices and nodes."""

    renewals: Mapping[Key, tuple[report.LastRenewal, ...]]
    """What the hub renewed last, by device; empty while it is out of reach."""
    given_back: Mapping[Key, tuple[report.GivenBack, ...]]
    """What was given back to it, by device."""
    problems: Mapping[str, tuple[report.Problem, ...]]
    """What the hub could not do for nodes, by node, in order of their names."""
    agents: Mapping[str, tuple[ProductPod, ...]]
    """Pods of agents by node, in order of (namespace, name)."""
    hubs: tuple[ProductPod, ...]
    """Pods of the hub, in the same order."""
    agents_seen: frozenset[str]
    """Nodes of which the hub knows an agent, however long that is silent."""


def fleet_index(
    fleet: report.Fleet | None,
    parts: Iterable[ProductPod],
    renewals: Mapping[Key, tuple[report.LastRenewal, ...]] | None = None,
) -> FleetIndex:
    """Look up evidence and pods of the product by what they are about.

    `renewals` is what was looked up of the same ones before.
    """
    pods = sorted(parts, key=lambda part: (part.namespace, part.name))
    problems = fleet.problems if fleet is not None else ()
    return FleetIndex(
        renewals=grouped(
            fleet.renewals if fleet is not None else (),
            lambda renewal: (renewal.namespace, renewal.device),
        )
        if renewals is None
        else renewals,
        given_back=grouped(
            fleet.given_back if fleet is not None else (),
            lambda given: (given.namespace, given.device),
        ),
        problems=grouped(
            sorted(problems, key=lambda problem: problem.name), lambda problem: problem.name
        ),
        agents=grouped((part for part in pods if part.component == AGENT), lambda part: part.node),
        hubs=tuple(part for part in pods if part.component == HUB),
        agents_seen=frozenset(agent.node for agent in fleet.agents) if fleet else frozenset(),
    )


def grouped(things: Iterable[T], by: Callable[[T], K]) -> Mapping[K, tuple[T, ...]]:
    """Divide things by a key; within one they keep their order."""
    groups: dict[K, list[T]] = {}
    for thing in things:
        groups.setdefault(by(thing), []).append(thing)
    return {group: tuple(members) for group, members in groups.items()}


@dataclass(frozen=True)
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
    or what it reads. By that of a policy's disruption budget (`protection`): why not that."""
    compiled: Mapping[tuple[str, str], Compiled] = field(default_factory=dict)
    """By (namespace, policy)."""
    fleet: report.Fleet | None = None
    """The hub's evidence, or None while the hub is out of reach."""
    fleet_age: float = 0.0
    """Seconds since `fleet` was received: ages inside are that much older."""
    priors: latency_priors.LatencyPriors = latency_priors.NOTHING
    """What was measured elsewhere and before."""
    stabilization: hysteresis.Stabilization = hysteresis.DEFAULT
    """How steady things have to be before a replica moves though nothing forces it."""

    @functools.cached_property
    def named(self) -> named.NamedObjects:
        """What people edit, by name, made at the first question."""
        return named.of(
            sites=self.sites,
            profiles=self.profiles,
            devices=self.devices,
            models=self.models,
            versions=self.versions,
            policies=self.policies,
            clusters=self.clusters,
        )

    @functools.cached_property
    def fleet_index(self) -> FleetIndex:
        """Lookups in what the hub says and in the product's own pods."""
        return fleet_index(self.fleet, self.parts)

    @functools.cached_property
    def index(self) -> Index:
        """Lookups over all of it, made at the first question."""
        nodes = sorted(self.nodes, key=lambda node: node.name)
        replicas = sorted(self.replicas, key=lambda replica: (replica.namespace, replica.name))
        placements = {
            (placement.metadata.namespace or "", placement.metadata.name): placement
            for placement in self.placements
        }
        reports = self._reports()
        nodes_of = grouped(
            (node for node in nodes if node.site is not None), lambda node: node.site or ""
        )
        return Index(
            nodes={node.name: node for node in nodes},
            nodes_of=nodes_of,
            cloud=tuple(node for node in nodes if node.tier is v1alpha1.Tier.CLOUD),
            edge=tuple(node for node in nodes if node.tier is v1alpha1.Tier.EDGE),
            sites={
                (site.metadata.namespace or "", site.metadata.name): site for site in self.sites
            },
            placements=placements,
            placements_at=grouped(
                (placements[key] for key in sorted(placements)),
                lambda placement: placement.spec.site,
            ),
            replicas={(replica.namespace, replica.name): replica for replica in replicas},
            replicas_at=grouped(
                replicas, lambda replica: (replica.namespace, replica.policy, replica.site)
            ),
            replicas_on=grouped(replicas, lambda replica: replica.node),
            reports=reports,
            reports_of={
                site: {node.name: reports[node.name] for node in members if node.name in reports}
                for site, members in nodes_of.items()
            },
        )

    def _reports(self) -> Mapping[str, report.AgentEvidence]:
        if self.fleet is None:
            return {}
        heard = (
            agent
            for agent in self.fleet.agents
            if agent.age_seconds + self.fleet_age <= UNSEEN_AFTER
        )
        return {agent.node: agent for agent in sorted(heard, key=lambda agent: agent.node)}
