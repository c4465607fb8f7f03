"""A plan, written: rights first, then what pods need, pods, what is superseded, status.

Everything is server-side apply by a field manager of its own concern, skipped when nothing changes,
and tried once: what did not get through is planned again by the next pass. Specs of objects that
people own are never written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from foreshore_api import meta, printable, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_kube import api, apply, kinds
from foreshore_operator import defects, events, manifests, metrics, store
from foreshore_planner import plan as planning
from foreshore_planner import snapshot, succession
from foreshore_planner.placement import case

log = logging.getLogger(__name__)

PLACEMENT = "foreshore-placement"
"""Field manager of placements, pods and what they read."""
LIFECYCLE = "foreshore-lifecycle"
"""Field manager of every status but where another concern is named."""
AUTHORITY = "foreshore-authority"
"""Field manager of `Device.status.authority`, alone."""
AGAIN = {
    apply.WriteResult.MOVED_ON: 0.5,
    apply.WriteResult.SUPERSEDED: 1.0,
    apply.WriteResult.UNAVAILABLE: 1.0,
    apply.WriteResult.SETTLING: apply.SETTLING,
}
"""Seconds until the next look after a write that did not get through, whatever events come."""
FIGURES_PERIOD = 60.0
"""Seconds between two writes of measured figures of one placement."""

REFUSAL = 512
"""Characters that are kept of why a pod is refused."""

Object = tuple[str, str, str]
"""Kind, namespace and name."""

MODELS: Mapping[str, type[meta.Resource]] = {model.kind: model for model in v1alpha1.KINDS}


@dataclass(frozen=True, slots=True)
class Act:
    """Carries plans out for one leader."""

    writer: apply.Writer
    store: store.ClusterMirrors
    figures: metrics.Metrics
    serving_image: str
    recorder: events.EventRecorder
    defects: defects.Defects
    clock: Callable[[], float] = time.monotonic
    refusals: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """By (namespace, name) of a pod that is wanted: why the API server does not let it in, or what
    it reads. The next pass says it."""
    _figures_written: dict[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    """By placement: when its figures were last written."""

    async def carry_out(self, plan: planning.Plan) -> float | None:
        """Write everything that a plan asks for and that is not so yet.

        In how many seconds to look again, if something did not get through.
        """
        self.writer.tally.clear()
        refused = frozenset(self.refusals)
        device, placement = v1alpha1.Device.kind, v1alpha1.InferencePlacement.kind
        pods = [intent for planned in plan.placements for intent in planned.pods]
        self._forget_refusals(pods)
        await self._all(
            ((device, grant.namespace, grant.device), self._grant(grant)) for grant in plan.grants
        )
        await self._all(
            ((placement, planned.namespace, planned.name), self._placement(planned))
            for planned in plan.placements
        )
        await self._all(
            ((kinds.PODS.kind, intent.namespace, intent.name), self._pod(intent)) for intent in pods
        )
        await self._all(
            ((kinds.PODS.kind, removal.namespace, removal.name), self._removal(removal))
            for removal in plan.removals
        )
        await self._all(
            ((placement, removal.namespace, removal.name), self._retirement(removal))
            for removal in plan.retired
        )
        await self._all(
            ((status.kind, status.namespace or "", status.name), self._status(status))
            for status in plan.statuses
        )
        await self._all(
            ((undecodable[0], *_named(undecodable[1])), self._refusal(*undecodable))
            for undecodable in self.store.undecodable()
        )
        placed = {(planned.namespace, planned.name) for planned in plan.placements}
        for gone in self._figures_written.keys() - placed:
            del self._figures_written[gone]
        waits = [AGAIN[outcome] for outcome in self.writer.tally if outcome in AGAIN]
        if self.refusals.keys() != refused:
            waits.append(0.0)  # what the next pass says of them is news
        return min(waits, default=None)

    async def _all(self, writes: Iterable[tuple[Object, Awaitable[None]]]) -> None:
        """All at once; the writer bounds how many really are. One that fails stops no other."""
        named = tuple(writes)
        outcomes = await asyncio.gather(*(write for _, write in named), return_exceptions=True)
        for (written, _), outcome in zip(named, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self.defects.note(*written, outcome, "writing it")
            elif outcome is not None:
                raise outcome

    async def _grant(self, grant: succession.GrantUpdate) -> None:
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
            manager=PLACEMENT,
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
                manager=PLACEMENT,
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
            manager=PLACEMENT,
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

    async def _status(self, write: planning.StatusWrite) -> None:
        namespace = write.namespace or ""
        cached = self.store.document(write.kind, namespace, write.name)
        if cached is None:
            return
        is_placement = write.kind == v1alpha1.InferencePlacement.kind
        if is_placement and not self._is_worth_writing(write, cached):
            return
        metadata = {"name": write.name, **({"namespace": namespace} if namespace else {})}
        outcome = await self.writer.apply(
            kinds.of(MODELS[write.kind]),
            {"metadata": metadata, "status": _lifecycle(write.status)},
            manager=PLACEMENT if is_placement else LIFECYCLE,
            owns=_owned(write.status),
            cached=cached,
            subresource="status",
        )
        if outcome is apply.WriteResult.WRITTEN:
            uid = str(cached["metadata"].get("uid", ""))
            subject = events.EventSubject(write.kind, namespace, write.name, uid)
            for event in events.of_status(subject, cached.get("status") or {}, write.status):
                self.recorder.record(event)

    def _is_worth_writing(self, write: planning.StatusWrite, cached: api.Json) -> bool:
        """Whether more than figures changed, or figures were not written for a minute.

        Figures waver with every sample; transitions are written at once.
        """
        key, now = (write.namespace or "", write.name), self.clock()
        is_news = manifests.without_figures(write.status.document()) != (
            manifests.without_figures(cached.get("status") or {})
        )
        last = self._figures_written.get(key)
        if not is_news and last is not None and now - last < FIGURES_PERIOD:
            return False
        self._figures_written[key] = now
        return True

    async def _refusal(self, kind: str, document: api.Json, why: str) -> None:
        """Say of an object that this release does not understand it: nothing is ignored silently.

        The schema keeps such objects out; one can be left from before the schema was tightened.
        """
        status = manifests.refusal(document, why, datetime.datetime.now(datetime.UTC))
        metadata = {key: document["metadata"].get(key) for key in ("namespace", "name")}
        await self.writer.apply(
            kinds.of(MODELS[kind]),
            {
                "metadata": {key: value for key, value in metadata.items() if value},
                "status": status.document(),
            },
            manager=LIFECYCLE,
            owns=_owned(status),
            cached=document,
            subresource="status",
        )


def has_moves(plan: planning.Plan) -> bool:
    """Whether a plan takes a right away from somebody: that needs evidence of this very moment."""
    return any(grant.cause != reasons.FIRST_GRANT for grant in plan.grants)


def without_moves(plan: planning.Plan) -> planning.Plan:
    """The plan without taking a right away from anybody."""
    kept = tuple(grant for grant in plan.grants if grant.cause == reasons.FIRST_GRANT)
    return dataclasses.replace(plan, grants=kept)


def _lifecycle(status: v1alpha1.statuses.Observed) -> dict[str, Any]:
    """A status without what another field manager owns."""
    document = status.document()
    if isinstance(status, v1alpha1.DeviceStatus):
        document.pop("authority", None)
    return document


def _owned(status: v1alpha1.statuses.Observed) -> tuple[str, ...]:
    """The paths of a status that belong to its manager, whether they have a value now or not."""
    aliases = (info.alias or name for name, info in type(status).model_fields.items())
    return tuple(
        f"status.{alias}"
        for alias in aliases
        if not (isinstance(status, v1alpha1.DeviceStatus) and alias == "authority")
    )


def _named(document: api.Json) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
