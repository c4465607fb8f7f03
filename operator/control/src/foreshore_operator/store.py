"""Mirrors of everything a pass looks at, and what changed in them.

    Kopf's handlers ──► intakes (what people edit) ──┐
    own watches ──────► informers (the rest) ────────┴─► dirty, changes

They write, passes read, all in one loop, so that nothing is locked. A change that a pass would
notice marks what is dirty.

Devices stay on an informer although people edit them: see `EDITED`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import pydantic_core

from foreshore_api import meta, v1alpha1
from foreshore_kube import api, informer, intake, kinds, mirror
from foreshore_operator import changes, dirty, hosts, ordered, pods
from foreshore_planner import snapshot

R = TypeVar("R", bound=meta.Resource)

EDITED: Final = (
    v1alpha1.Site,
    v1alpha1.DeviceProfile,
    v1alpha1.Model,
    v1alpha1.ModelVersion,
    v1alpha1.DecisionPolicy,
    v1alpha1.Cluster,
)
"""Kinds that Kopf watches for us: all that people edit but Devices.

`make bench ARGS="--only intake"`, 1,000 Devices at a real API server, two loaded cores: Kopf takes
1.2 to 1.3 ms of processor time an object to fill the mirror and 1.1 to 1.6 ms an event, the own
informer 0.12 to 0.13 and 0.2 ms. Ten thousand Devices are 13 s of processor time at each start,
which is 43 s of the 0.3 core that the whole operator may take, and every status that is written
comes back as an event. So Kopf does not carry Devices; hundreds of sites and policies it does.
"""

OnHeal = Callable[[kinds.ResourceKind, intake.Healing, int], None]


@dataclass(frozen=True, slots=True)
class StoredResource(Generic[R]):
    """A resource of ours, decoded for the planner and as it is written, to compare writes with."""

    resource: R
    written: bytes
    """The document as JSON: read again only where something is written, in a quarter of the memory
    that its dictionaries take."""

    @property
    def document(self) -> api.Json:
        """The resource as the API server writes it."""
        document: api.Json = pydantic_core.from_json(self.written)
        return document

    def succeeding(self, before: StoredResource[R]) -> StoredResource[R]:
        """Return this with the spec of the state before, unless somebody edited it."""
        return StoredResource(self.resource.succeeding(before.resource), self.written)


class ResourceMirror:
    """One kind of ours: its mirror, and its resources in order."""

    def __init__(self, keeper: intake.FedMirror[Any] | informer.Informer[Any]) -> None:
        self.keeper = keeper
        self.resources: dict[mirror.ObjectKey, meta.Resource] = {}
        self.ordered = ordered.OrderedObjects(self.resources)

    def note(self, change: mirror.ObjectChange[StoredResource[Any]]) -> None:
        """Keep the resource beside its document."""
        if change.new is None:
            self.resources.pop(change.key, None)
        else:
            self.resources[change.key] = change.new.resource
        self.ordered.note(change.key)


class ClusterMirrors:
    """The mirrors of one cluster."""

    def __init__(
        self,
        kube: api.KubeApi,
        marks: dirty.Dirty,
        clock: Callable[[], float] = time.monotonic,
        on_heal: OnHeal | None = None,
        *,
        counts_flaps: bool = True,
        on_forgotten: hosts.OnForgotten | None = None,
    ) -> None:
        self._kube = kube
        self._marks = marks
        self._on_heal = on_heal
        self._hosts = hosts.HostMirrors(
            kube,
            self._host_changed,
            clock,
            counts_flaps=counts_flaps,
            on_forgotten=on_forgotten,
        )
        self.lease_ages = self._hosts.lease_ages
        self._resources = {
            model.kind: ResourceMirror(self._keeper(model)) for model in v1alpha1.KINDS
        }
        self._followers: list[changes.ChangedKeys] = []

    def mirrors(self) -> tuple[intake.FedMirror[Any] | informer.Informer[Any], ...]:
        """Every mirror; `main` runs one task each."""
        kept = (mirrored.keeper for mirrored in self._resources.values())
        return (*kept, *self._hosts.informers())

    def note(self, event: intake.WatchedEvent) -> None:
        """Take an event that Kopf watched for."""
        keeper = self._resources[event.kind].keeper
        if isinstance(keeper, intake.FedMirror):
            keeper.note(event.type, event.document)

    def ask(self) -> None:
        """Ask for lists of what Kopf watches: it may have missed something."""
        for mirrored in self._resources.values():
            if isinstance(mirrored.keeper, intake.FedMirror):
                mirrored.keeper.ask()

    @property
    def is_synced(self) -> bool:
        """Whether every mirror holds at least one whole list: before that, absent means nothing."""
        return all(kept.synced.is_set() for kept in self.mirrors())

    async def synced(self) -> None:
        """Wait until every mirror is filled."""
        for kept in self.mirrors():
            await kept.synced.wait()

    def all_of(self, model: type[R]) -> tuple[R, ...]:
        """The resources of a kind, in order of (namespace, name); the same while none changes."""
        return cast(tuple[R, ...], self._resources[model.kind].ordered.values())

    def revision(self, model: type[meta.Resource]) -> int:
        """A number that grows with each change of a resource of this kind."""
        return self._resources[model.kind].ordered.revision

    def find(self, model: type[R], namespace: str, name: str) -> R | None:
        """One resource, if the mirror has it."""
        key = mirror.ObjectKey(namespace, name)
        return cast(R | None, self._resources[model.kind].resources.get(key))

    def document(self, kind: str, namespace: str, name: str) -> api.Json | None:
        """One resource as the API server writes it."""
        kept = self._resources[kind].keeper.store.get(mirror.ObjectKey(namespace, name))
        return kept.document if kept is not None else None

    def undecodable(self) -> Iterator[tuple[str, api.Json, str]]:
        """Resources that this release does not understand: kind, document, why."""
        for kind, mirrored in self._resources.items():
            for document, why in mirrored.keeper.undecodable.values():
                yield kind, document, why

    def observed_nodes(self, default_tier: v1alpha1.Tier) -> Iterator[snapshot.Node]:
        """Every node with its Lease's age and the room that others take, in order of name."""
        return self._hosts.observed_nodes(default_tier)

    def node_names(self) -> tuple[str, ...]:
        """The names of all nodes, in order."""
        return self._hosts.node_names()

    def replicas(self) -> Iterator[snapshot.Replica]:
        """Every inference pod of ours, in order of (namespace, name)."""
        return self._hosts.replicas()

    def parts(self) -> tuple[snapshot.ProductPod, ...]:
        """The pods of agents and hub, in order of (namespace, name)."""
        return self._hosts.parts()

    def pod(self, namespace: str, name: str) -> pods.PodRecord | None:
        """One pod, if the mirror has it."""
        return self._hosts.pods.store.get(mirror.ObjectKey(namespace, name))

    def stale_leases(self, after: float) -> frozenset[str]:
        """Nodes whose Lease is older than so many seconds."""
        return self._hosts.stale_leases(after)

    def turn_stale(self, name: str) -> None:
        """A node's Lease became stale, or was renewed again: that leaves no event."""
        self._hosts.note_flap(name)
        for keys in self._followers:
            keys.nodes.add(name)
        self._marks.mark(("Lease", name), urgent=True)

    def settle_flaps(self) -> None:
        """Let time decide which silences of nodes count; this leaves no event either."""
        self._hosts.settle_flaps()

    def follow(self) -> changes.ChangedKeys:
        """Begin to note changes for one more consumer; everything that is there counts as changed.

        It gives the keys back to `delta` each time it wants to know.
        """
        keys = changes.ChangedKeys(
            {(kind, key) for kind, kept in self._resources.items() for key in kept.resources},
            {key.name for key in self._hosts.nodes.store},
            set(self._hosts.pods.store),
        )
        self._followers.append(keys)
        return keys

    def forget(self, keys: changes.ChangedKeys) -> None:
        """Note no more changes for a consumer."""
        self._followers = [others for others in self._followers if others is not keys]

    def delta(self, keys: changes.ChangedKeys, default_tier: v1alpha1.Tier) -> changes.StoreDelta:
        """What changed since these keys were last taken, as it is now."""
        taken = keys.taken()
        replicas = {key: self._hosts.replica(key) for key in taken.pods}
        parts = {key: self._hosts.part(key) for key in taken.pods}
        resources = {
            (kind, key): self._resources[kind].resources.get(key) for kind, key in taken.resources
        }
        nodes_ = {name: self._hosts.node(name, default_tier) for name in taken.nodes}
        return changes.StoreDelta(resources, nodes_, replicas, parts)

    def _keeper(self, model: type[R]) -> intake.FedMirror[Any] | informer.Informer[Any]:
        def changed(change: mirror.ObjectChange[StoredResource[R]]) -> None:
            self._resource_changed(model.kind, change)

        if model in EDITED:
            return intake.FedMirror(
                self._kube,
                kinds.of(model),
                decode=_decoder(model),
                on_change=changed,
                on_heal=self._on_heal,
            )
        return informer.Informer(
            self._kube, kinds.of(model), decode=_decoder(model), on_change=changed
        )

    def _resource_changed(
        self, kind: str, change: mirror.ObjectChange[StoredResource[Any]]
    ) -> None:
        self._resources[kind].note(change)
        for keys in self._followers:
            keys.resources.add((kind, change.key))
        self._marks.mark((kind, change.key))

    def _host_changed(self, kind: str, key: mirror.ObjectKey, *, is_urgent: bool) -> None:
        for keys in self._followers:
            if kind == "Node":
                keys.nodes.add(key.name)
            else:
                keys.pods.add(key)
        self._marks.mark((kind, key), urgent=is_urgent)


def _decoder(model: type[R]) -> Callable[[api.Json], StoredResource[R]]:
    def decode(document: api.Json) -> StoredResource[R]:
        # orjson refuses integers beyond 64 bits as a whole; the model says which field is wrong
        written = pydantic_core.to_json(document)
        return StoredResource(model.parse(written), written)

    return decode


async def watch_lease_ages(store: ClusterMirrors, stale_after: float, period: float = 1.0) -> None:
    """Mark a pass as urgent when a node's Lease becomes stale or is renewed again.

    Silence makes no event, so somebody has to look.
    """
    stale: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(period)
        now = store.stale_leases(stale_after)
        for name in now ^ stale:
            store.turn_stale(name)
        store.settle_flaps()
        stale = now
