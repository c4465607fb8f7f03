"""Kubernetes Events (events.k8s.io/v1), for people who look at `kubectl events`: transitions only.

`act` records what a write has just changed; `Recorder.run` posts it, one at a time. The same thing
about the same object again within ten minutes counts up the event's series, at most twice a minute.
Events are a courtesy: over the limits they are dropped and counted, and no write waits for one.
"""

from __future__ import annotations

import asyncio
import collections
import datetime
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiolimiter

from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.reasons import placement
from foreshore_kube import api, apply, kinds
from foreshore_planner import succession

log = logging.getLogger(__name__)

CONTROLLER = f"{meta.GROUP}/operator"
NORMAL, WARNING = "Normal", "Warning"
SERIES = 600.0
"""Seconds in which a repetition belongs to the series of the first."""
PATCH_PERIOD = 30.0
PER_SECOND = 5
QUEUE = 200
KNOWN = 2000

BUDGET = (
    "PodDisruptionBudget {} was deleted, and is made again: without it a drain takes replicas"
    " before others serve; to let a pod go at once, delete the pod"
)
FILE = (
    "ConfigMap {0} was deleted, and is made again: without it pod {0} cannot be started anew on {1}"
)


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The object that an event is about."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something that happened to an object."""

    subject: EventSubject
    type: str
    reason: str
    action: str
    note: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two events the same one again."""
        return self.subject.uid, self.type, self.reason, self.action


@dataclass(slots=True)
class Posted:
    """An event that is on the API server."""

    name: str
    began: float
    patched: float
    count: int = 1


class EventRecorder:
    """A bounded queue of events and the task that posts them."""

    def __init__(
        self,
        kube: api.KubeApi,
        leadership: apply.Leadership,
        identity: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self._kube = kube
        self._leadership = leadership
        self._identity = identity
        self._clock = clock
        self._queue: asyncio.Queue[ObjectEvent] = asyncio.Queue(QUEUE)
        self._bucket = aiolimiter.AsyncLimiter(PER_SECOND, 1)
        self._posted: collections.OrderedDict[tuple[str, ...], Posted] = collections.OrderedDict()

    def record(self, event: ObjectEvent) -> None:
        """Queue an event, or drop it when too many wait."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            event = await self._queue.get()
            await self._bucket.acquire()
            if not self._leadership.may_write():
                self.dropped += 1
                continue
            try:
                await self._post(event)
            except api.ApiError as error:
                self.dropped += 1
                log.info("event not posted: %s", error)

    async def _post(self, event: ObjectEvent) -> None:
        now = self._clock()
        posted = self._posted.get(event.key)
        if posted is None or now - posted.began > SERIES:
            await self._create(event, now)
            return
        posted.count += 1
        if now - posted.patched < PATCH_PERIOD:
            return
        posted.patched = now
        series = {"count": posted.count, "lastObservedTime": _timestamp()}
        await self._kube.write(
            "PATCH",
            kinds.EVENTS.path(_namespace(event.subject), posted.name),
            {"series": series, "note": event.note[:1024]},
            content_type="application/merge-patch+json",
        )

    async def _create(self, event: ObjectEvent, now: float) -> None:
        name = f"{event.subject.name}.{time.time_ns():x}"
        await self._kube.create(kinds.EVENTS, document(event, name, self._identity))
        self._posted[event.key] = Posted(name, now, now)
        while len(self._posted) > KNOWN:
            self._posted.popitem(last=False)


def document(event: ObjectEvent, name: str, identity: str) -> api.Json:
    """An event as the API server takes it."""
    subject = event.subject
    regarding = {"apiVersion": meta.API_VERSION, "kind": subject.kind, "name": subject.name}
    if subject.namespace:
        regarding["namespace"] = subject.namespace
    return {
        "metadata": {"namespace": _namespace(subject), "name": name},
        "eventTime": _timestamp(),
        "reportingController": CONTROLLER,
        "reportingInstance": identity[:128],
        "type": event.type,
        "reason": event.reason,
        "action": event.action,
        "note": event.note[:1024],
        "regarding": {**regarding, "uid": subject.uid},
    }


def of_status(
    subject: EventSubject, before: Mapping[str, Any], after: v1alpha1.statuses.Observed
) -> Iterator[ObjectEvent]:
    """The events of a status that was just written: readiness that turned, replicas that moved."""
    earlier = {
        condition.get("type"): (condition.get("status"), condition.get("reason"))
        for condition in before.get("conditions") or ()
    }
    ready = conditions.find(after.conditions, conditions.Type.READY)
    if ready is not None and earlier.get("Ready") != (ready.status.value, ready.reason):
        is_well = ready.status is conditions.Status.TRUE
        is_waiting = conditions.is_true(after.conditions, conditions.Type.RECONCILING)
        kind = NORMAL if is_well or is_waiting else WARNING
        yield ObjectEvent(subject, kind, ready.reason, "Reconcile", ready.message)
    if isinstance(after, v1alpha1.InferencePlacementStatus):
        seen = {(move.get("time"), move.get("to")) for move in before.get("moves") or ()}
        for move in reversed(after.moves):
            if (str(move.time), move.to) not in seen:
                note = f"{move.from_ or 'nowhere'} → {move.to}: {move.evidence}"
                kind = NORMAL if move.from_ is None else WARNING
                yield ObjectEvent(subject, kind, move.cause, "Place", note)


def of_grant(subject: EventSubject, grant: succession.GrantUpdate) -> ObjectEvent:
    """The event of a right that was just granted."""
    kind = NORMAL if grant.cause == placement.FIRST_GRANT else WARNING
    note = (
        f"{grant.authority.holder} may command with epoch {grant.authority.epoch}: {grant.evidence}"
    )
    return ObjectEvent(subject, kind, grant.cause, "Grant", note)


def of_restored(resource: meta.Resource, note: str) -> ObjectEvent:
    """The event of something of a resource's that somebody deleted and that was made again."""
    metadata = resource.metadata
    subject = EventSubject(
        resource.kind, metadata.namespace or "", metadata.name, metadata.uid or ""
    )
    return ObjectEvent(subject, WARNING, placement.RESTORED, "Restore", note)


def _namespace(subject: EventSubject) -> str:
    return subject.namespace or "default"


def _timestamp() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")
