"""Nodes, their Leases and the pods on them: three mirrors, and what is counted from them.

`store` holds one; informers write, passes read, in one loop. A change that a pass would notice is
reported to `on_change`; Lease renewals and a Node's status refresh are not. What others take of a
node's room is added up when a pod on it changes, not when a pass asks.
"""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from foreshore_api import v1alpha1
from foreshore_kube import api, informer, kinds
from foreshore_operator import flaps, host_view, nodes, ordered, pods
from foreshore_planner import health, snapshot

log = logging.getLogger(__name__)

NODE_LEASES = "kube-node-lease"
LEASES_FRESH = 11.0
"""Seconds in which any node at all renews its Lease: each does every ten."""
LEASES_QUIET = 20.0
"""Seconds without a renewal of any node after which the stream is taken for dead."""


OnForgotten = Callable[[int], object]
"""Takes how many nodes that are gone were forgotten early."""

FORGOTTEN_SAID_EVERY = 60.0
"""Seconds between two log lines of that: they come by the thousand or not at all."""


class OnHostChange(Protocol):
    """Takes what changed; of a Node also when the room on it did."""

    def __call__(self, kind: str, key: informer.ObjectKey, *, is_urgent: bool) -> None:
        """Note it."""


class HostMirrors:
    """The mirrors of Nodes, Leases and Pods of one cluster."""

    def __init__(
        self,
        kube: api.KubeApi,
        on_change: OnHostChange,
        clock: Callable[[], float],
        *,
        counts_flaps: bool = True,
        on_forgotten: OnForgotten | None = None,
    ) -> None:
        self._on_change = on_change
        self._on_forgotten = on_forgotten
        self._clock = clock
        self.lease_ages = nodes.LeaseAges(clock)
        self._pods_on: dict[str, set[informer.ObjectKey]] = {}
        self._requested: dict[str, snapshot.ComputeResources] = {}
        """By node: what pods that are not ours take of it, where nothing changed since."""
        self._replicas: dict[informer.ObjectKey, pods.PodRecord] = {}
        self._parts: dict[informer.ObjectKey, snapshot.ProductPod] = {}
        self._returned: dict[str, float] = {}
        """By node: when it became Ready again."""
        self._flaps = flaps.NodeFlaps(clock)
        self._counted_flaps = self._flaps if counts_flaps else None
        self._forgotten_said_at = -math.inf
        self._silenced: dict[str, float] = {}
        """By node that is not Ready: when it stopped being so."""
        self._phases: dict[str, tuple[snapshot.PodPhase, float]] = {}
        self.nodes = informer.Informer(
            kube, kinds.NODES, decode=nodes.record, on_change=self._node_changed, keeps_last=True
        )
        self.leases = informer.Informer(
            kube,
            kinds.LEASES,
            namespace=NODE_LEASES,
            decode=nodes.renewed,
            on_change=self._lease_changed,
            inactivity=LEASES_QUIET,
        )
        self.pods = informer.Informer(
            kube, kinds.PODS, decode=pods.record, on_change=self._pod_changed
        )
        self._view = host_view.HostView(
            clock,
            self._hears_leases,
            self.lease_ages,
            self._flaps.ages if counts_flaps else lambda _name: (),
            self._returned,
            self._silenced,
            self._phases,
        )
        self._ordered_nodes = ordered.OrderedObjects(self.nodes.store)
        self._ordered_replicas = ordered.OrderedObjects(self._replicas)
        self._ordered_parts = ordered.OrderedObjects(self._parts)

    def informers(self) -> tuple[informer.Informer[Any], ...]:
        """The three mirrors."""
        return (self.nodes, self.leases, self.pods)

    def observed_nodes(self, default_tier: v1alpha1.Tier) -> Iterator[snapshot.Node]:
        """Every node with its Lease's age and the room that others take, in order of name.

        As of now, and made only when they are asked for: a thread may do that.
        """
        records, view = self._ordered_nodes.values(), self._view.frozen(self._counted_flaps)
        requested = [self._requested_on(record.name) for record in records]
        return (
            view.node(record, default_tier, taken)
            for record, taken in zip(records, requested, strict=True)
        )

    def node_names(self) -> tuple[str, ...]:
        """The names of all nodes, in order."""
        return tuple(record.name for record in self._ordered_nodes.values())

    def node(self, name: str, default_tier: v1alpha1.Tier) -> snapshot.Node | None:
        """One node, if the mirror has it."""
        record = self.nodes.store.get(informer.ObjectKey("", name))
        if record is None:
            return None
        return self._view.node(record, default_tier, self._requested_on(name))

    def replicas(self) -> Iterator[snapshot.Replica]:
        """Every inference pod of ours, in order of (namespace, name); see `observed_nodes`."""
        view = self._view.frozen(None)
        built = (view.replica(record) for record in self._ordered_replicas.values())
        return (replica for replica in built if replica is not None)

    def replica(self, key: informer.ObjectKey) -> snapshot.Replica | None:
        """One inference pod of ours, if the mirror has it."""
        record = self._replicas.get(key)
        return self._view.replica(record) if record is not None else None

    def parts(self) -> tuple[snapshot.ProductPod, ...]:
        """The pods of agents and hub, in order of (namespace, name)."""
        return self._ordered_parts.values()

    def part(self, key: informer.ObjectKey) -> snapshot.ProductPod | None:
        """One pod of an agent or the hub, if the mirror has it."""
        return self._parts.get(key)

    def stale_leases(self, after: float) -> frozenset[str]:
        """Nodes whose Lease is older; none while we ourselves hear of no Lease at all."""
        return self.lease_ages.older_than(after) if self._hears_leases() else frozenset()

    def _hears_leases(self) -> bool:
        """Whether the stream of Leases is fresh: a broken one must not look like dead nodes."""
        heard = self.leases.last_contact
        return heard is not None and self._clock() - heard <= LEASES_FRESH

    def _requested_on(self, node: str) -> snapshot.ComputeResources:
        total = self._requested.get(node)
        if total is None:
            total = snapshot.ComputeResources()
            for key in self._pods_on.get(node, ()):
                if key not in self._replicas:
                    total += self.pods.store[key].requests
            if node in self._pods_on:
                self._requested[node] = total
        return total

    def _node_changed(self, change: informer.ObjectChange[nodes.NodeRecord]) -> None:
        self._ordered_nodes.note(change.key)
        if change.old == change.new:
            return
        lost = change.new is None or (
            change.new.is_ready is not True and (change.old is None or change.old.is_ready is True)
        )
        self._note_silence(change)
        self.note_flap(change.key.name)
        if change.new is None:
            self._returned.pop(change.key.name, None)
        elif change.new.is_ready and change.old is not None and not change.old.is_ready:
            self._returned[change.key.name] = self._clock()
        self._on_change("Node", change.key, is_urgent=lost)

    def _note_silence(self, change: informer.ObjectChange[nodes.NodeRecord]) -> None:
        name = change.key.name
        if change.new is None or change.new.is_ready is True:
            self._silenced.pop(name, None)
        elif name not in self._silenced:
            was = datetime.datetime.now(datetime.UTC)
            before = 0.0 if change.old is not None else nodes.not_ready_for(change.new, was)
            self._silenced[name] = self._clock() - before

    def _lease_changed(self, change: informer.ObjectChange[str]) -> None:
        self.lease_ages.note(change.key.name, change.new)
        if self._flaps.is_silent(change.key.name):
            self.note_flap(change.key.name)

    def note_flap(self, name: str) -> None:
        """Note whether a node is heard; where its Lease cannot be known, it is as it was."""
        record = self.nodes.store.get(informer.ObjectKey("", name))
        if record is None:
            self._flaps.gone(name)
        elif record.is_ready is not True or self._has_stale_lease(name):
            self._flaps.fell(name, nodes.site_of(record))
        elif self.lease_ages.is_renewed_within(name, health.LEASE_STALE):
            self._flaps.heard(name, nodes.site_of(record))

    def _has_stale_lease(self, name: str) -> bool:
        age = self.lease_ages.age(name) if self._hears_leases() else None
        return age is not None and age > health.LEASE_STALE

    def settle_flaps(self) -> None:
        """Report nodes of which time has decided that a silence counts, or does not."""
        for name in sorted(self._flaps.settle()):
            self._on_change("Node", informer.ObjectKey("", name), is_urgent=False)
        if self._clock() - self._forgotten_said_at >= FORGOTTEN_SAID_EVERY:
            self._say_forgotten(self._flaps.take_forgotten())

    def _say_forgotten(self, count: int) -> None:
        if not count:
            return
        self._forgotten_said_at = self._clock()
        if self._on_forgotten is not None:
            self._on_forgotten(count)
        log.warning(
            "%d nodes that are gone were forgotten before their hour was over, because more than %d"
            " went within it: one that comes back under its name is not in quarantine for having"
            " been gone; see who registers and deletes so many nodes",
            *(count, flaps.GONE_KEPT),
        )

    def _pod_changed(self, change: informer.ObjectChange[pods.PodRecord]) -> None:
        old, new = change.old, change.new
        if old is not None:
            self._leave(old.node, change.key)
            self._replicas.pop(change.key, None)
            self._parts.pop(change.key, None)
        if new is not None:
            self._enter(change.key, new)
        if new is None and old is not None:
            self._phases.pop(old.uid, None)
        self._ordered_replicas.note(change.key)
        self._ordered_parts.note(change.key)
        if old is None or new is None or not pods.is_same(old, new):
            self._on_change("Pod", change.key, is_urgent=_is_failure(new))
            for record in (old, new):
                if record is not None and record.inference is None and record.node:
                    node = informer.ObjectKey("", record.node)
                    self._on_change("Node", node, is_urgent=False)

    def _enter(self, key: informer.ObjectKey, record: pods.PodRecord) -> None:
        self._pods_on.setdefault(record.node, set()).add(key)
        self._requested.pop(record.node, None)
        if record.part is not None:
            self._parts[key] = record.part
        if record.inference is not None:
            self._replicas[key] = record
            last = self._phases.get(record.uid)
            if last is None or last[0] is not record.inference.phase:
                self._phases[record.uid] = (record.inference.phase, self._clock())

    def _leave(self, node: str, pod: informer.ObjectKey) -> None:
        """Drop a pod from its node, and the node once it has none: nodes come and go."""
        self._requested.pop(node, None)
        on = self._pods_on.get(node, set())
        on.discard(pod)
        if not on:
            self._pods_on.pop(node, None)


def _is_failure(record: pods.PodRecord | None) -> bool:
    return (
        record is not None
        and record.inference is not None
        and record.inference.phase in (snapshot.PodPhase.FAILED, snapshot.PodPhase.UNREADY)
    )
