"""Mirrors of everything a pass looks at, and the secondary maps that spare it searching.

Informers write, passes read, all in one loop, so that nothing is locked. A change that a pass would
notice marks what is dirty; our own heartbeat-like neighbours (Lease renewals, a Node's status
refresh) do not.
"""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from foreshore_api import meta, v1alpha1
from foreshore_kube import api, informer, kinds
from foreshore_operator import dirty, nodes, pods
from foreshore_planner import snapshot

R = TypeVar("R", bound=meta.Resource)

NODE_LEASES = "kube-node-lease"
LEASES_FRESH = 11.0
"""Seconds in which any node at all renews its Lease: each does every ten."""
LEASES_QUIET = 20.0
"""Seconds without a renewal of any node after which the stream is taken for dead."""


@dataclass(frozen=True, slots=True)
class StoredResource(Generic[R]):
    """A resource of ours, decoded for the planner and as it is written, to compare writes with."""

    resource: R
    document: api.Json


class ClusterMirrors:
    """The mirrors of one cluster."""

    def __init__(
        self,
        kube: api.KubeApi,
        marks: dirty.Dirty,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marks = marks
        self._clock = clock
        self.lease_ages = nodes.LeaseAges(clock)
        self._pods_on: dict[str, set[informer.ObjectKey]] = {}
        self._replicas: set[informer.ObjectKey] = set()
        self._parts: set[informer.ObjectKey] = set()
        self._returned: dict[str, float] = {}
        """By node: when it became Ready again."""
        self._silenced: dict[str, float] = {}
        """By node that is not Ready: when it stopped being so."""
        self._phases: dict[str, tuple[snapshot.PodPhase, float]] = {}
        self._resources = {
            model.kind: informer.Informer(
                kube, kinds.of(model), decode=_decoder(model), on_change=self._resource_changed
            )
            for model in v1alpha1.KINDS
        }
        self._nodes = informer.Informer(
            kube, kinds.NODES, decode=nodes.record, on_change=self._node_changed, keeps_last=True
        )
        self._leases = informer.Informer(
            kube,
            kinds.LEASES,
            namespace=NODE_LEASES,
            decode=nodes.renewed,
            on_change=self._lease_changed,
            inactivity=LEASES_QUIET,
        )
        self._pods = informer.Informer(
            kube, kinds.PODS, decode=pods.record, on_change=self._pod_changed
        )

    def informers(self) -> tuple[informer.Informer[Any], ...]:
        """Every mirror; `main` runs one task each."""
        return (*self._resources.values(), self._nodes, self._leases, self._pods)

    @property
    def is_synced(self) -> bool:
        """Whether every mirror holds at least one whole list: before that, absent means nothing."""
        return all(mirror.synced.is_set() for mirror in self.informers())

    async def synced(self) -> None:
        """Wait until every mirror is filled."""
        for mirror in self.informers():
            await mirror.synced.wait()

    def all_of(self, model: type[R]) -> Iterator[R]:
        """The resources of a kind, in order of (namespace, name)."""
        mirror = self._resources[model.kind].store
        return (cast(R, mirror[key].resource) for key in sorted(mirror))

    def find(self, model: type[R], namespace: str, name: str) -> R | None:
        """One resource, if the mirror has it."""
        kept = self._resources[model.kind].store.get(informer.ObjectKey(namespace, name))
        return cast(R, kept.resource) if kept is not None else None

    def document(self, kind: str, namespace: str, name: str) -> api.Json | None:
        """One resource as the API server writes it."""
        kept = self._resources[kind].store.get(informer.ObjectKey(namespace, name))
        return kept.document if kept is not None else None

    def undecodable(self) -> Iterator[tuple[str, api.Json, str]]:
        """Resources that this release does not understand: kind, document, why."""
        for kind, mirror in self._resources.items():
            for document, why in mirror.undecodable.values():
                yield kind, document, why

    def observed_nodes(self, default_tier: v1alpha1.Tier) -> Iterator[snapshot.Node]:
        """Every node with its Lease's age and the room that others take, in order of name."""
        for key in sorted(self._nodes.store):
            yield nodes.node(
                self._nodes.store[key],
                default_tier=default_tier,
                lease_age=self._lease_age(key.name),
                ready_age=self._clock() - self._returned.get(key.name, -math.inf),
                silent_age=self._silent_age(key.name),
                requested=self._requested_on(key.name),
            )

    def replicas(self) -> Iterator[snapshot.Replica]:
        """Every inference pod of ours, in order of (namespace, name)."""
        for key in sorted(self._replicas):
            record = self._pods.store[key]
            inference = record.inference
            if inference is None:
                continue
            yield snapshot.Replica(
                name=record.name,
                namespace=record.namespace,
                uid=record.uid,
                resource_version=record.resource_version,
                policy=inference.policy,
                site=inference.site,
                slot=inference.slot,
                node=record.node,
                template=inference.template,
                phase=inference.phase,
                requests=record.requests,
                address=inference.address,
                phase_age=self._clock() - self._phases[record.uid][1],
                restarts=inference.restarts,
                reason=inference.reason,
                message=inference.message,
                version=inference.version,
                digest=inference.digest,
                policy_generation=inference.generation,
            )

    def parts(self) -> Iterator[snapshot.ProductPod]:
        """The pods of agents and hub, in order of (namespace, name)."""
        parts = (self._pods.store[key].part for key in sorted(self._parts))
        return (part for part in parts if part is not None)

    def pod(self, namespace: str, name: str) -> pods.PodRecord | None:
        """One pod, if the mirror has it."""
        return self._pods.store.get(informer.ObjectKey(namespace, name))

    def _lease_age(self, name: str) -> float | None:
        """The age of a Lease, or None while we ourselves hear of no Lease at all.

        A broken stream of ours must not look like dead nodes.
        """
        heard = self._leases.last_contact
        if heard is None or self._clock() - heard > LEASES_FRESH:
            return None
        return self.lease_ages.age(name)

    def _silent_age(self, name: str) -> float | None:
        since = self._silenced.get(name)
        return None if since is None else self._clock() - since

    def _requested_on(self, node: str) -> snapshot.ComputeResources:
        total = snapshot.ComputeResources()
        for key in self._pods_on.get(node, ()):
            if key not in self._replicas:
                total += self._pods.store[key].requests
        return total

    def _resource_changed(self, change: informer.ObjectChange[StoredResource[Any]]) -> None:
        self._marks.mark((change.kind.kind, change.key))

    def _node_changed(self, change: informer.ObjectChange[nodes.NodeRecord]) -> None:
        if change.old == change.new:
            return
        lost = change.new is None or (
            change.new.is_ready is not True and (change.old is None or change.old.is_ready is True)
        )
        self._note_silence(change)
        if change.new is None:
            self._returned.pop(change.key.name, None)
        elif change.new.is_ready and change.old is not None and not change.old.is_ready:
            self._returned[change.key.name] = self._clock()
        self._marks.mark(("Node", change.key), urgent=lost)

    def _note_silence(self, change: informer.ObjectChange[nodes.NodeRecord]) -> None:
        name = change.key.name
        if change.new is None or change.new.is_ready is True:
            self._silenced.pop(name, None)
        elif name not in self._silenced:
            was = datetime.datetime.now(datetime.UTC)
            before = 0.0 if change.old is not None else nodes.not_ready_for(change.new, was)
            self._silenced[name] = self._clock() - before

    def _leave(self, node: str, pod: informer.ObjectKey) -> None:
        """Drop a pod from its node, and the node once it has none: nodes come and go."""
        on = self._pods_on.get(node, set())
        on.discard(pod)
        if not on:
            self._pods_on.pop(node, None)

    def _lease_changed(self, change: informer.ObjectChange[str]) -> None:
        self.lease_ages.note(change.key.name, change.new)

    def _pod_changed(self, change: informer.ObjectChange[pods.PodRecord]) -> None:
        old, new = change.old, change.new
        if old is not None:
            self._leave(old.node, change.key)
            self._replicas.discard(change.key)
            self._parts.discard(change.key)
        if new is not None:
            self._pods_on.setdefault(new.node, set()).add(change.key)
        if new is not None and new.part is not None:
            self._parts.add(change.key)
        if new is not None and new.inference is not None:
            self._replicas.add(change.key)
            last = self._phases.get(new.uid)
            if last is None or last[0] is not new.inference.phase:
                self._phases[new.uid] = (new.inference.phase, self._clock())
        if new is None and old is not None:
            self._phases.pop(old.uid, None)
        if old is None or new is None or not pods.is_same(old, new):
            self._marks.mark(("Pod", change.key), urgent=_is_failure(new))


def _is_failure(record: pods.PodRecord | None) -> bool:
    return (
        record is not None
        and record.inference is not None
        and record.inference.phase in (snapshot.PodPhase.FAILED, snapshot.PodPhase.UNREADY)
    )


def _decoder(model: type[R]) -> Callable[[api.Json], StoredResource[R]]:
    def decode(document: api.Json) -> StoredResource[R]:
        return StoredResource(model.read(document), document)

    return decode


async def watch_lease_ages(
    store: ClusterMirrors, marks: dirty.Dirty, stale_after: float, period: float = 1.0
) -> None:
    """Mark a pass as urgent when a node's Lease becomes stale or is renewed again.

    Silence makes no event, so somebody has to look.
    """
    stale: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(period)
        now = frozenset(
            node.name
            for node in store.observed_nodes(v1alpha1.Tier.CLOUD)
            if node.lease_age is not None and node.lease_age > stale_after
        )
        for name in now ^ stale:
            marks.mark(("Lease", name), urgent=True)
        stale = now
