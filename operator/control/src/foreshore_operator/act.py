"""A plan, written: rights first, then placements, pods and what they read, what is superseded.

These are urgent, and a pass waits for them. Everything is server-side apply by a field manager of
its own concern, skipped when nothing changes, and tried once: what did not get through is planned
again by the next pass. Specs of objects that people own are never written. Statuses only go into
the queue of `status_queue`, which writes them in the background.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from dataclasses import dataclass

from foreshore_api import printable, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_kube import api, apply, kinds
from foreshore_operator import (
    defects,
    events,
    manifests,
    metrics,
    status_queue,
    statuses,
    store,
)
from foreshore_planner import plan as planning
from foreshore_planner import snapshot, succession
from foreshore_planner.placement import case

log = logging.getLogger(__name__)

AUTHORITY = "foreshore-authority"
"""Field manager of `Device.status.authority`, alone."""
AGAIN = {
    apply.WriteResult.MOVED_ON: 0.5,
    apply.WriteResult.SUPERSEDED: 1.0,
    apply.WriteResult.UNAVAILABLE: 1.0,
    apply.WriteResult.SETTLING: apply.SETTLING,
}
"""Seconds until the next look after a write that did not get through, whatever events come."""
REFUSAL = 512
"""Characters that are kept of why a pod is refused."""

SLICE = 16
"""Writes begun in a row before everybody else on the loop has a turn: most find nothing to do."""
OFFERED = 500
"""Statuses offered in a row."""

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
    it reads. The next pass says it."""

    async def carry_out(self, plan: planning.Plan) -> float | None:
        """Write everything urgent that a plan asks for and that is not so yet; queue the statuses.

        In how many seconds to look again, if something did not get through.
        """
        self.writer.tally.clear()
        refused = frozenset(self.refusals)
        self._forget_refusals(intent for planned in plan.placements for intent in planned.pods)
        granted: set[status_queue.ObjectName] = set()
        with self.queue.stand_back():
            await self._all(self._urgent(plan, granted))
        await self._offer(plan, granted)
        waits = [AGAIN[outcome] for outcome in self.writer.tally if outcome in AGAIN]
        if self.refusals.keys() != refused:
            waits.append(0.0)  # what the next pass says of them is news
        return min(waits, default=None)

    def _urgent(
        self, plan: planning.Plan, granted: set[status_queue.ObjectName]
    ) -> Iterator[Urgent]:
        """Yield the urgent writes in their order: the writer gives turns first come, first served.

        What really was granted is added to `granted`.
        """
        device, placement = v1alpha1.Device.kind, v1alpha1.InferencePlacement.kind
        pod = kinds.PODS.kind
        for grant in plan.grants:
            name = (device, grant.namespace, grant.device)
            yield name, functools.partial(self._grant, grant, granted)
        for planned in plan.placements:
            name = (placement, planned.namespace, planned.name)
            yield name, functools.partial(self._placement, planned)
        for intent in (intent for planned in plan.placements for intent in planned.pods):
            yield (pod, intent.namespace, intent.name), functools.partial(self._pod, intent)
        for removal in plan.removals:
            yield (pod, removal.namespace, removal.name), functools.partial(self._removal, removal)
        for removal in plan.retired:
            name = (placement, removal.namespace, removal.name)
            yield name, functools.partial(self._retirement, removal)

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

    async def _offer(self, plan: planning.Plan, granted: Set[status_queue.ObjectName]) -> None:
        """Queue the statuses, but of Devices that were granted just now.

        The grant comes back by the watch, and the next pass says what is true with it.
        """
        rows = itertools.chain(self._planned(plan, granted), self._refused())
        while part := tuple(itertools.islice(rows, OFFERED)):
            self.queue.offer(part)
            await asyncio.sleep(0)

    @staticmethod
    def _planned(
        plan: planning.Plan, granted: Set[status_queue.ObjectName]
    ) -> Iterator[status_queue.QueuedStatus]:
        for write in plan.statuses:
            queued = status_queue.QueuedStatus(
                write.kind, write.namespace or "", write.name, write.status
            )
            if queued.key not in granted:
                yield queued

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
        self, grant: succession.GrantUpdate, granted: set[status_queue.ObjectName]
    ) -> None:
        """Write a right, if the Device has not changed since it was looked at."""
        outcome = await self.writer.apply(
            kinds.of(v1alpha1.Device),
            {
                "metadata": {
                    "namespace": grant.namespace,
                    "name": grant.device,
                    "resourceVersion": grant.resource_version,
                },
                "status": {"authority": grant.authority.document()},
            },
            manager=AUTHORITY,
            owns=("status.authority",),
            cached=self.store.document(v1alpha1.Device.kind, grant.namespace, grant.device),
            subresource="status",
        )
        if outcome is apply.WriteResult.WRITTEN:
            granted.add((v1alpha1.Device.kind, grant.namespace, grant.device))
            self.figures.moves.labels("authority", grant.cause).inc()
            self.recorder.record(events.of_grant(self._device(grant), grant))
            log.info(
                "device %s/%s: granted to %s with epoch %d (%s: %s)",
                grant.namespace,
                grant.device,
                grant.authority.holder,
                grant.authority.epoch,
                grant.cause,
                grant.evidence,
            )

    def _device(self, grant: succession.GrantUpdate) -> events.EventSubject:
        device = self.store.find(v1alpha1.Device, grant.namespace, grant.device)
        uid = device.metadata.uid if device is not None else None
        return events.EventSubject(v1alpha1.Device.kind, grant.namespace, grant.device, uid or "")

    async def _placement(self, plan: case.PlacementPlan) -> None:
        policy = self.store.find(v1alpha1.DecisionPolicy, plan.namespace, plan.policy)
        if policy is None:
            return
        await self.writer.apply(
            kinds.of(v1alpha1.InferencePlacement),
            manifests.placement(plan, policy),
            manager=statuses.PLACEMENT,
            owns=("spec", "metadata.ownerReferences"),
            cached=self.store.document(v1alpha1.InferencePlacement.kind, plan.namespace, plan.name),
        )

    async def _pod(self, intent: case.PodIntent) -> None:
        """Create a pod, then what it reads, which goes away with it.

        The placement that owns the pod must have been seen. A pod that waits may wait for a file
        that was never written because this operator, or the one before, ended in between.
        """
        policy = self.store.find(v1alpha1.DecisionPolicy, intent.namespace, intent.policy)
        version = self.store.find(v1alpha1.ModelVersion, intent.namespace, intent.version)
        model = self.store.find(v1alpha1.Model, intent.namespace, intent.model)
        owner = self.store.find(v1alpha1.InferencePlacement, intent.namespace, intent.placement)
        if owner is None or policy is None or version is None or model is None:
            return  # not seen yet: its appearance makes the next pass
        pod = self.store.pod(intent.namespace, intent.name)
        if pod is None:
            creation = await self.writer.create(
                kinds.PODS,
                manifests.pod(intent, owner, policy, version, image=self.serving_image),
                manager=statuses.PLACEMENT,
            )
            self._note_refusal(intent, creation)
            if creation.made is None:
                return
            self.figures.moves.labels("replica", reasons.PLACED).inc()
            log.info("pod %s/%s: created for node %s", intent.namespace, intent.name, intent.node)
            uid = str(creation.made["metadata"]["uid"])
        elif pod.inference is not None and pod.inference.phase is snapshot.PodPhase.PENDING:
            uid = pod.uid
        else:
            self.refusals.pop((intent.namespace, intent.name), None)
            return
        creation = await self.writer.create(
            kinds.CONFIG_MAPS,
            manifests.config_map(intent, uid, model, version),
            manager=statuses.PLACEMENT,
        )
        self._note_refusal(intent, creation)

    def _note_refusal(self, intent: case.PodIntent, creation: apply.Creation) -> None:
        """Remember why a pod, or what it reads, is not let in, until it is.

        A webhook that must be asked and does not answer is an internal error of the API server.
        """
        key, error = (intent.namespace, intent.name), creation.error
        if creation.outcome in (apply.WriteResult.WRITTEN, apply.WriteResult.MOVED_ON):
            self.refusals.pop(key, None)
        elif error is not None and (isinstance(error, api.RejectedError) or error.status == 500):
            self.refusals[key] = printable.clean(error, REFUSAL)

    def _forget_refusals(self, pods: Iterable[case.PodIntent]) -> None:
        wanted = {(intent.namespace, intent.name) for intent in pods}
        for key in self.refusals.keys() - wanted:
            del self.refusals[key]

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


def has_moves(plan: planning.Plan) -> bool:
    """Whether a plan takes a right away from somebody: that needs evidence of this very moment."""
    return any(grant.cause != reasons.FIRST_GRANT for grant in plan.grants)


def without_moves(plan: planning.Plan) -> planning.Plan:
    """The plan without taking a right away from anybody."""
    kept = tuple(grant for grant in plan.grants if grant.cause == reasons.FIRST_GRANT)
    return dataclasses.replace(plan, grants=kept)


def _named(document: api.Json) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
