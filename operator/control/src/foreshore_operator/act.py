"""What was decided, written: rights, then placements, pods and what they read, what is superseded.

These are urgent, and a pass waits for them. Everything is server-side apply by a field manager of
its own concern, skipped when nothing changes, and tried once a pass: a placement stays open until
it is seen to be there with all its pods. Specs of objects that people own are never written.
Statuses only go into the queue of `status_queue`, which writes them in the background.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import logging
import types
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from foreshore_api import meta, printable, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_kube import api, apply, kinds
from foreshore_operator import (
    defects,
    events,
    manifests,
    metrics,
    pods,
    protecting,
    rights,
    status_queue,
    statuses,
    store,
)
from foreshore_planner import protection, snapshot, status, succession
from foreshore_planner.placement import case
from foreshore_planner.world import delta

log = logging.getLogger(__name__)

AGAIN = {
    apply.WriteResult.NOT_LEADING: 1.0,
    apply.WriteResult.MOVED_ON: 0.5,
    apply.WriteResult.SUPERSEDED: 1.0,
    apply.WriteResult.UNAVAILABLE: 1.0,
    apply.WriteResult.SETTLING: apply.SETTLING,
}
"""Seconds until the next look after a write that did not get through, whatever events come.

A leader that was held up, and renews its Lease as it goes on, never ceased to lead."""
REFUSAL = 512
"""Characters that are kept of why a pod is refused."""

SLICE = 16
"""Writes begun in a row before everybody else on the loop has a turn: most find nothing to do."""
T = TypeVar("T")
Key = tuple[str, str]
"""(namespace, name)."""

NOTHING_GRANTED: Final[Mapping[Key, v1alpha1.DeviceStatus]] = types.MappingProxyType({})

Urgent = tuple[status_queue.ObjectName, Callable[[], Awaitable[None]]]
"""What a write is about, and the write."""


@dataclass(frozen=True, slots=True)
class Act:
    """Carries plans out for one leader."""

    writer: apply.Writer
    queue: status_queue.StatusQueue
    store: store.ClusterMirrors
    figures: metrics.Metrics
    serving_image: str
    recorder: events.EventRecorder
    defects: defects.Defects
    refusals: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """By (namespace, name) of a pod that is wanted: why the API server does not let it in, or what
    it reads; by that of a policy's disruption budget, why not that. The next pass says it."""
    _plans: dict[Key, case.PlacementPlan] = dataclasses.field(default_factory=dict)
    """Every placement as it should be."""
    _open: dict[Key, None] = dataclasses.field(default_factory=dict)
    """Placements that are not seen to be there with all their pods: each pass tries again."""
    _missing: set[Key] = dataclasses.field(default_factory=set)
    """Of these, what this pass did not see."""
    policies: protecting.ProtectedPolicies = dataclasses.field(
        default_factory=protecting.ProtectedPolicies
    )
    """Those whose pods no eviction takes before their successors serve."""
    _granted: set[status_queue.ObjectName] = dataclasses.field(default_factory=set)
    """Devices that this pass granted."""

    async def carry_out(
        self,
        made: delta.PlanDelta,
        granted: Mapping[Key, v1alpha1.DeviceStatus] = NOTHING_GRANTED,
    ) -> float | None:
        """Write everything urgent that changed, that is due, or that is not there yet.

        `granted` is what is said of Devices once their grants are written. In how many seconds to
        look again, if something did not get through.
        """
        self.writer.tally.clear()
        refused = frozenset(self.refusals)
        self._take(made.placements)
        self._granted.clear()
        self._missing.clear()
        self.policies.begin_pass()
        with self.queue.stand_back(rights.granting(made)):
            await self._all(self._urgent(made, granted))
        for key in self._open.keys() - self._missing:
            del self._open[key]
        waits = [AGAIN[outcome] for outcome in self.writer.tally if outcome in AGAIN]
        if self.refusals.keys() != refused:
            waits.append(0.0)  # what the next pass says of them is news
        return min(waits, default=None)

    def stand_down(self) -> None:
        """Forget what should be: another leads, and who leads next begins with everything."""
        self._plans.clear()
        self._open.clear()
        self.policies.forget()

    def offer(self, rows: Iterable[status.Row]) -> None:
        """Queue statuses, but of Devices that were granted just now.

        The grant has said what is true with it, and comes back by the watch.
        """
        queued = (
            status_queue.QueuedStatus(kind, namespace or "", name, value)
            for kind, namespace, name, value in rows
        )
        self.queue.offer(status_ for status_ in queued if status_.key not in self._granted)
        self.queue.offer(self._refused())

    def _take(self, changed: Mapping[Key, case.PlacementPlan | None]) -> None:
        """Take plans that changed; what was held against pods that nobody wants is forgotten."""
        for key, plan in sorted(changed.items()):
            self._open.pop(key, None)
            self._plans.pop(key, None)
            if plan is not None:
                self._plans[key], self._open[key] = plan, None
        if self.refusals:
            every = (pod for plan in self._plans.values() for pod in plan.pods)
            wanted = {(pod.namespace, pod.name) for pod in every}
            wanted |= {protection.key(plan.namespace, plan.policy) for plan in self._plans.values()}
            for pod in self.refusals.keys() - wanted:
                del self.refusals[pod]

    def _urgent(
        self, made: delta.PlanDelta, granted: Mapping[Key, v1alpha1.DeviceStatus]
    ) -> Iterator[Urgent]:
        """Yield the urgent writes in their order: who comes first has the writer's turn first."""
        device, placement = v1alpha1.Device.kind, v1alpha1.InferencePlacement.kind
        pod = kinds.PODS.kind
        plans = [(key, self._plans[key]) for key in self._open]
        for grant in made.grants:
            of = granted.get((grant.namespace, grant.device))
            yield (
                (device, grant.namespace, grant.device),
                functools.partial(self._grant, grant, of),
            )
        for key, planned in plans:
            name = (placement, planned.namespace, planned.name)
            yield name, functools.partial(self._until_there, key, self._placement, planned)
        for key, planned in plans:
            for intent in planned.pods:
                name = (pod, intent.namespace, intent.name)
                yield name, functools.partial(self._until_there, key, self._pod, intent)
        for policy in self.policies.unprotected(self.store):
            name = (kinds.DISRUPTION_BUDGETS.kind, policy.namespace, policy.name)
            yield name, functools.partial(self._protect, policy)
        for removal in made.removals:
            yield (pod, removal.namespace, removal.name), functools.partial(self._removal, removal)
        for removal in made.retired:
            name = (placement, removal.namespace, removal.name)
            yield name, functools.partial(self._retirement, removal)

    async def _until_there(
        self, key: Key, write: Callable[[T], Awaitable[bool]], wanted: T
    ) -> None:
        """Write something of a placement, which stays open until all of it is seen to be there."""
        is_there = False
        try:
            is_there = await write(wanted)
        finally:
            if not is_there:
                self._missing.add(key)

    async def _all(self, writes: Iterable[Urgent]) -> None:
        """All at once; the writer bounds how many really are. One that fails stops no other."""
        async with asyncio.TaskGroup() as tasks:
            for count, (name, write) in enumerate(writes, 1):
                tasks.create_task(self._guarded(name, write))
                if count % SLICE == 0:
                    await asyncio.sleep(0)

    async def _guarded(
        self, name: status_queue.ObjectName, write: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            await write()
        except Exception as error:  # noqa: BLE001 - the object's own problem, noted
            self.defects.note(*name, error, "writing it")

    def _refused(self) -> Iterator[status_queue.QueuedStatus]:
        """Yield what is said of objects that this release does not understand.

        Nothing is ignored silently. The schema keeps such objects out; one can be left from before
        the schema was tightened.
        """
        now = datetime.datetime.now(datetime.UTC)
        for kind, document, why in self.store.undecodable():
            status = manifests.refusal(document, why, now)
            yield status_queue.QueuedStatus(kind, *_named(document), status, document)

    async def _grant(
        self, grant: succession.GrantUpdate, status_: v1alpha1.DeviceStatus | None
    ) -> None:
        """Write a right and what is said with it, if what was looked at is still so.

        A status of ours may have given the Device another version since: that takes nothing away
        from the right, and must not make it late.
        """
        cached = self.store.document(v1alpha1.Device.kind, grant.namespace, grant.device)

        def renewed(live: api.Json) -> api.Json | None:
            if not grant.holds_for(v1alpha1.Device.read(live)):
                return None
            return statuses.granting(grant, status_, live, live["metadata"]["resourceVersion"])

        outcome = await self.writer.apply(
            kinds.of(v1alpha1.Device),
            statuses.granting(grant, status_, cached, self._version(grant)),
            manager=statuses.LIFECYCLE,
            owns=("status.authority",),
            cached=cached,
            subresource="status",
            renew=renewed,
        )
        if outcome is apply.WriteResult.WRITTEN:
            name = (v1alpha1.Device.kind, grant.namespace, grant.device)
            self._granted.add(name)
            if status_ is not None:
                self.queue.withdraw(name)  # the grant said what is newer
            self.figures.moves.labels("authority", grant.cause).inc()
            subject = self._device(grant)
            self.recorder.record(events.of_grant(subject, grant))
            if status_ is not None:
                before = (cached or {}).get("status") or {}
                for event in events.of_status(subject, before, status_):
                    self.recorder.record(event)
            log.info(
                "device %s/%s: granted to %s with epoch %d (%s: %s)",
                grant.namespace,
                grant.device,
                grant.authority.holder,
                grant.authority.epoch,
                grant.cause,
                grant.evidence,
            )

    def _version(self, grant: succession.GrantUpdate) -> str:
        """Return the newest version of a Device for which its right was decided."""
        device = self.store.find(v1alpha1.Device, grant.namespace, grant.device)
        if device is None or not grant.holds_for(device):
            return grant.resource_version
        return device.metadata.resource_version or ""

    def _device(self, grant: succession.GrantUpdate) -> events.EventSubject:
        device = self.store.find(v1alpha1.Device, grant.namespace, grant.device)
        uid = device.metadata.uid if device is not None else None
        return events.EventSubject(v1alpha1.Device.kind, grant.namespace, grant.device, uid or "")

    async def _placement(self, plan: case.PlacementPlan) -> bool:
        """Write a placement; whether it is there as it should be."""
        policy = self.store.find(v1alpha1.DecisionPolicy, plan.namespace, plan.policy)
        if policy is None:
            return False
        outcome = await self.writer.apply(
            kinds.of(v1alpha1.InferencePlacement),
            manifests.placement(plan, policy),
            manager=statuses.PLACEMENT,
            owns=("spec", "metadata.ownerReferences"),
            cached=self.store.document(v1alpha1.InferencePlacement.kind, plan.namespace, plan.name),
        )
        return outcome is apply.WriteResult.UNCHANGED

    async def _pod(self, intent: case.PodIntent) -> bool:
        """Create a pod, then what it reads, which goes away with it; whether both are there.

        The placement that owns the pod must have been seen. A pod that waits may wait for a file
        that was never written because this operator, or the one before, ended in between.
        """
        policy = self.store.find(v1alpha1.DecisionPolicy, intent.namespace, intent.policy)
        version = self.store.find(v1alpha1.ModelVersion, intent.namespace, intent.version)
        model = self.store.find(v1alpha1.Model, intent.namespace, intent.model)
        owner = self.store.find(v1alpha1.InferencePlacement, intent.namespace, intent.placement)
        if owner is None or policy is None or version is None or model is None:
            return False  # not seen yet: its appearance makes the next pass
        pod = self.store.pod(intent.namespace, intent.name)
        if pod is None:
            creation = await self.writer.create(
                kinds.PODS,
                manifests.pod(intent, owner, policy, version, image=self.serving_image),
                manager=statuses.PLACEMENT,
            )
            self._note_refusal((intent.namespace, intent.name), creation)
            if creation.made is None:
                return False
            self.figures.moves.labels("replica", reasons.PLACED).inc()
            log.info("pod %s/%s: created for node %s", intent.namespace, intent.name, intent.node)
            uid = str(creation.made["metadata"]["uid"])
        elif pod.inference is not None and pod.inference.phase is snapshot.PodPhase.PENDING:
            uid = pod.uid
        else:
            self.refusals.pop((intent.namespace, intent.name), None)
            if pods.may_start_anew(pod) and await self._file(intent, pod.uid, model, version):
                self._say_restored(owner, events.FILE.format(intent.name, intent.node))
            await self._protect(policy)
            return True
        await self._file(intent, uid, model, version)
        await self._protect(policy)
        return False

    async def _file(
        self,
        intent: case.PodIntent,
        pod_uid: str,
        model: v1alpha1.Model,
        version: v1alpha1.ModelVersion,
    ) -> bool:
        """Create what a pod reads; whether it was not there."""
        creation = await self.writer.create(
            kinds.CONFIG_MAPS,
            manifests.config_map(intent, pod_uid, model, version),
            manager=statuses.PLACEMENT,
        )
        self._note_refusal((intent.namespace, intent.name), creation)
        return creation.outcome is apply.WriteResult.WRITTEN

    async def _protect(self, policy: v1alpha1.DecisionPolicy) -> None:
        """See to it that an eviction of a policy's pods waits until their successors serve.

        Made once by who leads, also for pods that another release made, and again where it is gone.
        Where it cannot be written the pods run all the same, and their placements say what the API
        server said; each whole pass tries again, once a policy.
        """
        if not self.policies.needs(policy):
            return
        creation = await self.writer.create(
            kinds.DISRUPTION_BUDGETS,
            manifests.disruption_budget(policy),
            manager=statuses.PLACEMENT,
        )
        name = protection.key(policy.namespace or "", policy.name)
        self._note_refusal(name, creation)
        if self.policies.note(policy, creation.outcome):
            self._say_restored(policy, events.BUDGET.format(name[1]))

    def _say_restored(self, resource: meta.Resource, note: str) -> None:
        self.recorder.record(events.of_restored(resource, note))
        log.warning("%s %s/%s: %s", resource.kind, resource.namespace, resource.name, note)

    def _note_refusal(self, key: Key, creation: apply.Creation) -> None:
        """Remember why a pod, what it reads, or what protects it, is not let in, until it is.

        A webhook that must be asked and does not answer is an internal error of the API server.
        """
        error = creation.error
        if creation.outcome in (apply.WriteResult.WRITTEN, apply.WriteResult.MOVED_ON):
            self.refusals.pop(key, None)
        elif error is not None and (isinstance(error, api.RejectedError) or error.status == 500):
            self.refusals[key] = printable.clean(error, REFUSAL)

    async def _removal(self, removal: case.Removal) -> None:
        outcome = await self.writer.delete(
            kinds.PODS,
            removal.namespace,
            removal.name,
            uid=removal.uid,
            is_due=lambda live: manifests.is_ours(live["metadata"]),
        )
        if outcome is apply.WriteResult.WRITTEN:
            log.info("pod %s/%s: deleted (%s)", removal.namespace, removal.name, removal.cause)

    async def _retirement(self, removal: case.Removal) -> None:
        await self.writer.delete(
            kinds.of(v1alpha1.InferencePlacement),
            removal.namespace,
            removal.name,
            uid=removal.uid,
            is_due=lambda live: live["metadata"]["resourceVersion"] == removal.resource_version,
        )


def _named(document: api.Json) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
