"""Writes one status at a time for `status_queue`: whether it is worth a write, and the write.

A status is worth a write when the API server does not say it yet; one that differs in figures only
waits for its minute, and the first one of a Device waits for its grant, so that a Device that is
applied and granted is written once.

A Device's status is always written whole, by its grants too, so that a grant carries what is said
with it. What a status repeats of the right is as the API server has it, under the condition that
the Device has not changed since.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_api import conditions, meta, v1alpha1
from foreshore_kube import api, apply, epochs, kinds
from foreshore_operator import events, manifests, status_queue, store
from foreshore_planner import succession

PLACEMENT: Final = "foreshore-placement"
"""Field manager of placements, pods and what they read."""
LIFECYCLE: Final = "foreshore-lifecycle"
"""Field manager of every status but those of placements."""
FIGURES_PERIOD: Final = 60.0
"""Seconds between two writes of measured figures of one placement, in a fleet of few."""
FIGURES_A_PLACEMENT: Final = 5.0
"""Seconds by which each further placement lengthens that: so few writes a second are no load."""
FIGURES_SETTLED: Final = 360.0
"""Seconds to which that lengthens it: agents measure over five minutes, and a figure of those
before says as much."""
FIGURES_A_SECOND: Final = 10.0
"""Writes of figures a second at most, of all placements: in a large fleet each waits longer."""
FIGURES_LONGEST: Final = 3600.0
"""Seconds that figures wait at most, in however large a fleet."""
FIRST_WAITS: Final = 3.0
"""Seconds for which a Device's first status waits for a grant: what it names may still be on its
way to the API server, and the grant would make the first status a wrong one at once."""
FIGURES_MORE: Final = 1_000
"""Placements that are gone of which the moment of the last figures is kept at most."""

MODELS: Final[Mapping[str, type[meta.Resource]]] = {model.kind: model for model in v1alpha1.KINDS}


@dataclass(slots=True)
class Statuses:
    """Compares statuses with what the API server says, and writes them; `begin` is for each term.

    When the figures were written that a term finds, nobody knows. They take their first turns one
    after the other within a period: all at once they would be a write of every placement.
    """

    writer: apply.Writer
    store: store.ClusterMirrors
    recorder: events.EventRecorder
    clock: Callable[[], float] = time.monotonic
    _figures_written: dict[status_queue.ObjectName, float] = field(default_factory=dict)
    """By placement: when its figures were last written in this term."""
    _leading_since: float = 0.0

    def begin(self) -> None:
        """Begin a term as the leader."""
        self._figures_written.clear()
        self._leading_since = self.clock()

    def judge(self, queued: status_queue.QueuedStatus, waited: float) -> status_queue.Due | None:
        """Whether the status is to be written, and when; None where the API server says it."""
        cached = self._cached(queued)
        if cached is None:
            return None
        document = _lifecycle(queued.status)
        if apply.is_same({"status": document}, cached, _owned(queued.status)):
            return None
        before = cached.get("status") or {}
        is_bad = _turned_bad(before.get("conditions") or (), queued.status)
        return status_queue.Due(self._wait(queued, cached, waited), is_bad)

    async def write(self, queued: status_queue.QueuedStatus) -> apply.WriteResult:
        """Write the status if it still differs, and record the events of what it changed."""
        cached = self._cached(queued)
        if cached is None:
            return apply.WriteResult.UNCHANGED
        is_placement = queued.kind == v1alpha1.InferencePlacement.kind
        outcome = await self.writer.apply(
            kinds.of(MODELS[queued.kind]),
            {"metadata": _metadata(queued, cached), "status": _repeating(queued, cached)},
            manager=PLACEMENT if is_placement else LIFECYCLE,
            owns=_owned(queued.status),
            cached=cached,
            subresource="status",
        )
        if outcome is apply.WriteResult.WRITTEN:
            if is_placement:
                self._note_figures(queued.key)
            self._record(queued, cached)
        return outcome

    def _cached(self, queued: status_queue.QueuedStatus) -> api.Json | None:
        if queued.undecodable is not None:
            return queued.undecodable
        return self.store.document(queued.kind, queued.namespace, queued.name)

    def _wait(self, queued: status_queue.QueuedStatus, cached: api.Json, waited: float) -> float:
        """How long it has to wait yet: for the minute of its figures, or for the first grant."""
        before = cached.get("status") or {}
        if queued.kind == v1alpha1.Device.kind and queued.undecodable is None:
            is_granted = (before.get("authority") or {}).get("holder") is not None
            is_stalled = conditions.is_true(queued.status.conditions, conditions.Type.STALLED)
            is_final = bool(before.get("conditions")) or is_granted or is_stalled
            return 0.0 if is_final else max(0.0, FIRST_WAITS - waited)
        if queued.kind != v1alpha1.InferencePlacement.kind:
            return 0.0
        document = queued.status.document()
        if manifests.without_figures(document) != manifests.without_figures(before):
            return 0.0
        last = self._figures_written.get(queued.key)
        if last is None:
            first = self._leading_since + self._share(queued.key) * self.period
            return max(0.0, first - self.clock())
        return max(0.0, last + self.period - self.clock())

    def _share(self, key: status_queue.ObjectName) -> float:
        """Return after what part of a period a placement's turn comes first, in each term anew."""
        return zlib.crc32(f"{self._leading_since}/{'/'.join(key)}".encode()) / (1 << 32)

    @property
    def period(self) -> float:
        """Seconds between two writes of figures of one placement."""
        count = len(self.store.all_of(v1alpha1.InferencePlacement))
        lengthened = min(count * FIGURES_A_PLACEMENT, FIGURES_SETTLED)
        spread = count / FIGURES_A_SECOND
        return min(max(FIGURES_PERIOD, lengthened, spread), FIGURES_LONGEST)

    def _note_figures(self, key: status_queue.ObjectName) -> None:
        """Remember when figures were written; of what is gone only for so long."""
        self._figures_written[key] = self.clock()
        present = len(self.store.all_of(v1alpha1.InferencePlacement))
        if len(self._figures_written) > present + FIGURES_MORE:
            gone = [at for at in self._figures_written if self.store.document(*at) is None]
            for placement in gone:
                del self._figures_written[placement]

    def _record(self, queued: status_queue.QueuedStatus, cached: api.Json) -> None:
        if queued.undecodable is not None:
            return
        uid = str(cached["metadata"].get("uid", ""))
        subject = events.EventSubject(queued.kind, queued.namespace, queued.name, uid)
        for event in events.of_status(subject, cached.get("status") or {}, queued.status):
            self.recorder.record(event)


def granting(
    grant: succession.GrantUpdate,
    status: v1alpha1.DeviceStatus | None,
    current: api.Json | None,
    version: str,
) -> api.Json:
    """Return a Device's whole status with a right, as the document that writes it.

    `status` is what is so once the right is written; what the Device says now (`current`) stays
    where nothing else is known. `version` is the Device's that the right is for.
    """
    before = (current or {}).get("status") or {}
    kept = {key: value for key, value in before.items() if key != epochs.WRITER}
    stated = _lifecycle(status) if status is not None else kept
    metadata = {
        "namespace": grant.namespace,
        "name": grant.device,
        "resourceVersion": version,
    }
    return {"metadata": metadata, "status": {**stated, "authority": grant.authority.document()}}


def _metadata(queued: status_queue.QueuedStatus, cached: api.Json) -> api.Json:
    namespace = {"namespace": queued.namespace} if queued.namespace else {}
    metadata = {"name": queued.name, **namespace}
    if queued.kind == v1alpha1.Device.kind:
        metadata["resourceVersion"] = cached["metadata"]["resourceVersion"]
    return metadata


def _repeating(queued: status_queue.QueuedStatus, cached: api.Json) -> dict[str, Any]:
    """A status with the right of a Device as it is: what is left out of an apply goes away."""
    document = _lifecycle(queued.status)
    authority = (cached.get("status") or {}).get("authority")
    if queued.kind == v1alpha1.Device.kind and authority is not None:
        document["authority"] = authority
    return document


def _turned_bad(before: Any, status: v1alpha1.statuses.Observed) -> bool:
    """Whether the object was not known to be unready, and is said to be."""
    ready = conditions.find(status.conditions, conditions.Type.READY)
    if ready is None or ready.status is not conditions.Status.FALSE:
        return False
    earlier = {condition.get("type"): condition.get("status") for condition in before}
    return earlier.get(conditions.Type.READY.value) != conditions.Status.FALSE.value


def _lifecycle(status: v1alpha1.statuses.Observed) -> dict[str, Any]:
    """A status without the right of a Device, which grants decide."""
    document = status.document()
    if isinstance(status, v1alpha1.DeviceStatus):
        document.pop("authority", None)
    return document


def _owned(status: v1alpha1.statuses.Observed) -> tuple[str, ...]:
    """The paths of a status that are compared, whether they have a value now or not."""
    aliases = (info.alias or name for name, info in type(status).model_fields.items())
    return tuple(
        f"status.{alias}"
        for alias in aliases
        if not (isinstance(status, v1alpha1.DeviceStatus) and alias == "authority")
    )
