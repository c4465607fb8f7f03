"""The resources as last observed, and what follows from them for one node or one device.

`observe` feeds it from informers, `assigning` asks it for assignments, the door for who is named
holder. What one node is told of another (that it is there, and where its agent answers) comes from
its Node and its agent's Pod, never from the node itself. Nothing here talks to anybody.
"""

import dataclasses
import functools
import ipaddress
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_api import addresses, meta, node_class, scalars, v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_decision import assignment, narrowing
from foreshore_hub import by_site, packed, renewals
from foreshore_kube import informer

log = logging.getLogger(__name__)

KINDS: Final[tuple[type[meta.Resource], ...]] = (
    v1alpha1.Site,
    v1alpha1.DeviceProfile,
    v1alpha1.Device,
    v1alpha1.Model,
    v1alpha1.ModelVersion,
    v1alpha1.DecisionPolicy,
    v1alpha1.InferencePlacement,
)
"""What assignments are compiled from."""
OF_ONE_SITE: Final = (v1alpha1.Device, v1alpha1.InferencePlacement)
"""Of these, what has an effect at the site that it names and nowhere else."""
SHARED: Final = tuple(kind for kind in KINDS[1:] if kind not in OF_ONE_SITE)
"""What all sites of a namespace share."""


@dataclass(frozen=True, slots=True)
class LabelledNode:
    """What the hub reads of a node."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def site(self) -> str | None:
        """The site it is labelled with."""
        return self.labels.get(meta.LABEL_SITE)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "LabelledNode":
        """Return the node of a document from the API server."""
        metadata = document.get("metadata") or {}
        labels = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
        return cls(name=str(metadata["name"]), labels=labels)


@dataclass(frozen=True, slots=True)
class AgentPod:
    """What the hub reads of an agent's pod: where the peers of its node find its echo."""

    node: str
    account: str
    url: str | None
    """None while it has no address, and once it is about to go."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "AgentPod":
        """Return the pod of a document from the API server."""
        spec, status = document.get("spec") or {}, document.get("status") or {}
        is_running = status.get("phase") == "Running"
        is_going = bool((document.get("metadata") or {}).get("deletionTimestamp"))
        return cls(
            node=str(spec.get("nodeName") or ""),
            account=str(spec.get("serviceAccountName") or ""),
            url=_echo(spec, status) if is_running and not is_going else None,
        )


def _echo(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str | None:
    """Return the address of the port that a pod's container calls `http`."""
    ports = [
        int(port["containerPort"])
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name") == ECHO_PORT
    ]
    if not ports or not status.get("podIP"):
        return None
    return addresses.http(str(ipaddress.ip_address(str(status["podIP"]))), ports[0])


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change can have an effect on: namespaces, sites, single nodes, or everything."""

    namespaces: frozenset[str] = frozenset()
    sites: frozenset[by_site.SitePlace] = frozenset()
    nodes: frozenset[str] = frozenset()


ECHO_PORT: Final = "http"
"""Name of the port of an agent's container, as the agents' chart gives it."""
NOTHING: Final = Touched()
EVERYTHING: Final = Touched(nodes=frozenset({"*"}))


class World:
    """Mirrors by kind, kept by somebody else, read here."""

    def __init__(
        self,
        nodes: Mapping[informer.ObjectKey, LabelledNode],
        mirrors: Mapping[type[meta.Resource], Mapping[informer.ObjectKey, meta.Resource]],
        pods: Mapping[informer.ObjectKey, AgentPod],
        agent_account: str,
        contents: by_site.SiteContents | None = None,
    ) -> None:
        """Look at mirrors.

        `contents` has what is in them by site; without it that is looked for at each question.
        """
        self._nodes: Final = nodes
        self._pods: Final = pods
        self._agent_account: Final = agent_account
        self._mirrors: Final = mirrors
        self._contents: Final = contents
        self._shared: dict[str, assignment.Resources] = {}
        """By namespace: the resources that its sites share, as of `_shared_at`."""
        self._namespaces: dict[str, str | None] = {}
        """By site: its namespace, as of the same moment."""
        self._shared_at = -1
        self._kept_peers: tuple[assignment.Peer, ...] = ()
        self._peers_at = -1
        self.is_synced = False
        """Whether every mirror was filled at least once; set by `observe`."""

    def node(self, name: str) -> LabelledNode | None:
        """Return a node by name."""
        return self._nodes.get(informer.ObjectKey("", name))

    def resources(self, site: by_site.SitePlace) -> assignment.Resources:
        """Return the resources of a site, and the sites of all: site names are unique."""
        contents = self._contents or by_site.SiteContents(
            resource for kind in OF_ONE_SITE for resource in self._mirrors[kind].values()
        )
        own = assignment.Resources.of(contents.at(site))
        shared = self._shared_resources(site.namespace)
        return dataclasses.replace(shared, devices=own.devices, placements=own.placements)

    def _shared_resources(self, namespace: str) -> assignment.Resources:
        """Return what the sites of a namespace share: made once while nothing of it changes."""
        self._forget_shared()
        if namespace not in self._shared:
            resources: list[meta.Resource] = list(self._mirrors[v1alpha1.Site].values())
            for kind in SHARED:
                mirror = self._mirrors[kind]
                resources += [value for key, value in mirror.items() if key.namespace == namespace]
            self._shared[namespace] = assignment.Resources.of(resources)
        return self._shared[namespace]

    def _forget_shared(self) -> None:
        """Forget what was made of resources that sites share, if any of them has changed."""
        if self._contents is None or self._contents.shared != self._shared_at:
            self._shared, self._namespaces = {}, {}
            self._shared_at = -1 if self._contents is None else self._contents.shared

    def site_namespace(self, site: str) -> str | None:
        """Return the namespace of the site that has this name."""
        self._forget_shared()
        if site not in self._namespaces:
            sites = assignment.Resources(sites=self._sites())
            resource = assignment.find_site(sites, site)
            self._namespaces[site] = resource.namespace if resource is not None else None
        return self._namespaces[site]

    def question(
        self, name: str, last: Iterable[packed.PackedAssignment] = ()
    ) -> Callable[[], assignment.Compilation] | None:
        """Return what compiles a node's assignment, on a copy that another thread may read.

        `last` is what was assigned last, the node's own first, for references that dangle. None for
        a node that the API server does not know.
        """
        node = self.node(name)
        if node is None:
            return None
        namespace = self.site_namespace(node.site) if node.site is not None else None
        return functools.partial(
            _compiled,
            tuple(last),
            self.resources(by_site.SitePlace(namespace, node.site))
            if namespace is not None and node.site is not None
            else assignment.Resources(),
            name,
            site=node.site,
            labels=node.labels,
            peers=self.peers(),
        )

    def has_device(self, device: renewals.Device) -> bool:
        """Whether there is such a device, or nobody can say yet."""
        return not self.is_synced or informer.ObjectKey(*device) in self._mirrors[v1alpha1.Device]

    def named(
        self, device: renewals.Device, last: renewals.RenewedHolder | None = None
    ) -> renewals.NamedHolder | None:
        """Return whom the API server names as holder of a device.

        The lease comes from its profile; while that is gone, from the `last` renewal: a profile
        that is deleted must not stop a holder that works by what it was assigned.
        """
        mirrored = self._mirrors[v1alpha1.Device].get(informer.ObjectKey(*device))
        if not isinstance(mirrored, v1alpha1.Device) or mirrored.status.authority is None:
            return None
        key = informer.ObjectKey(mirrored.namespace, mirrored.spec.profile_ref.name)
        profile = self._mirrors[v1alpha1.DeviceProfile].get(key)
        if isinstance(profile, v1alpha1.DeviceProfile):
            times = narrowing.narrowed(profile.spec, mirrored.spec).authority
            lease_seconds = scalars.seconds(times.lease_duration)
        elif last is not None:
            lease_seconds = last.lease_seconds
        else:
            return None
        return renewals.NamedHolder(
            holder=mirrored.status.authority.holder,
            epoch=mirrored.status.authority.epoch,
            lease_seconds=lease_seconds,
        )

    def _sites(self) -> tuple[v1alpha1.Site, ...]:
        mirrored = self._mirrors[v1alpha1.Site].values()
        return tuple(site for site in mirrored if isinstance(site, v1alpha1.Site))

    def peers(self) -> tuple[assignment.Peer, ...]:
        """Return the agents as Kubernetes knows them, one a node: what agents say is not asked.

        Those whose node is unknown are left out: they must not look like those of a cloud node.
        """
        if self._contents is None:
            return tuple(self._peers())
        if self._contents.agents != self._peers_at:
            self._kept_peers, self._peers_at = tuple(self._peers()), self._contents.agents
        return self._kept_peers

    def _peers(self) -> Iterable[assignment.Peer]:
        peers: dict[str, assignment.Peer] = {}
        for _, pod in sorted(self._pods.items()):
            node = self.node(pod.node)
            if node is not None and pod.url is not None and pod.account == self._agent_account:
                peer = assignment.Peer(
                    node.name, node.site, pod.url, node_class=node_class.of(node.labels)
                )
                peers.setdefault(node.name, peer)
        return peers.values()


def _compiled(
    last: tuple[packed.PackedAssignment, ...],
    resources: assignment.Resources,
    node: str,
    **facts: Any,
) -> assignment.Compilation:
    """Compile in the thread that asks; what was assigned last is decoded there, if it must be."""
    return assignment.compile(resources, node, last=_decoded(last), **facts)


def _decoded(last: tuple[packed.PackedAssignment, ...]) -> Iterator[wire.Assignment]:
    """Yield what can be read of what was assigned last; what cannot stops no other."""
    for kept in last:
        try:
            document = kept.document()
        except ValueError as error:
            log.warning("what %s was assigned last is not read again, a defect of ours: %s",
                      kept.node, str(error)[:500])  # fmt: skip
        else:
            yield document


def touched(change: informer.ObjectChange[Any]) -> Touched:
    """Return what a change of a mirror can have an effect on; conditions and counts have none."""
    if isinstance(change.old or change.new, AgentPod):
        return NOTHING if change.old == change.new else EVERYTHING
    if isinstance(change.old or change.new, LabelledNode):
        return _touched_by_node(change)
    if _substance(change.old) == _substance(change.new):
        return NOTHING
    if change.kind.kind == v1alpha1.Site.kind:
        return Touched(namespaces=frozenset({change.key.namespace}), nodes=frozenset({"*"}))
    sites = {by_site.place(change.old), by_site.place(change.new)} - {None}
    if sites:
        return Touched(sites=frozenset(site for site in sites if site is not None))
    return Touched(namespaces=frozenset({change.key.namespace}))


def _touched_by_node(change: informer.ObjectChange[LabelledNode]) -> Touched:
    """Return what follows from a node: its peers, of the site before and after, are told of it."""
    old, new = change.old, change.new
    if old == new:
        return NOTHING
    if old is None or new is None or _role(old) != _role(new):
        return EVERYTHING
    return Touched(nodes=frozenset({change.key.name}))


def _role(node: LabelledNode) -> tuple[str | None, str]:
    """Return what other nodes are told of a node."""
    return node.site, node_class.of(node.labels)


def _substance(resource: meta.Resource | None) -> tuple[Any, ...] | None:
    """Return the part of a resource that assignments are made of."""
    match resource:
        case None:
            return None
        case v1alpha1.Device():
            return resource.spec, resource.metadata.labels, resource.status.authority
        case v1alpha1.InferencePlacement():
            return resource.spec, resource.status.replicas
        case _:
            return getattr(resource, "spec", None), resource.metadata.labels
