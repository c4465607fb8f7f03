"""Writes: no-ops skipped, paced, only while leading, stamped with the leader's epoch.

The operator's `act` and `statuses` are the callers, each with a writer and a pace of its own. A
write is tried once; what did not get through is found and written again by the next pass, which is
the level trigger, or by the queue of statuses. Destructive writes all go through `Writer.delete`,
which reads the live object again and carries its uid and resourceVersion.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import aiolimiter
import orjson

from foreshore_kube import api, epochs
from foreshore_kube.kinds import ResourceKind

log = logging.getLogger(__name__)

TRANSITION = "lastTransitionTime"
"""Of a condition: when its status changed, as far as whoever made it could see."""

SETTLING = 5.0
"""Seconds in which our own write may not have come back through the watch yet."""


class WriteResult(StrEnum):
    """What became of a write; each is counted."""

    WRITTEN = "Written"
    UNCHANGED = "Unchanged"
    """The API server already says so."""
    SETTLING = "Settling"
    """We wrote exactly this a moment ago, and the watch has not brought it back yet."""
    NOT_LEADING = "NotLeading"
    MOVED_ON = "MovedOn"
    """The object is not the one (or not in the version) that was decided on."""
    REJECTED = "Rejected"
    """The API server refuses it: trying the same again is of no use."""
    UNAVAILABLE = "Unavailable"
    SUPERSEDED = "Superseded"
    """A leader with a higher epoch leads, or has written the object: ours is not written."""


@dataclass(frozen=True, slots=True)
class Creation:
    """What became of an attempt to create an object."""

    outcome: WriteResult
    made: api.Json | None = None
    """The object as the API server made it; None if this attempt did not make it."""
    error: api.ApiError | None = None
    """What the API server said against it."""


class Leadership(Protocol):
    """The elector, as far as a writer needs it."""

    epoch: int

    def may_write(self) -> bool:
        """Whether a write may begin now."""


@dataclass(frozen=True, slots=True)
class WritePace:
    """How fast and how many at a time; a burst of a whole site's replicas fits in at once."""

    concurrency: int = 16
    per_second: float = 50.0
    burst: float = 200.0
    timeout: float = 2.0
    """Seconds a write may take: the election's `write_timeout`, or a stale leader could land it."""


URGENT_PACE = WritePace(concurrency=16, per_second=200.0, burst=400.0)
"""Of what a pass waits for: a thousand first grants are out within five seconds."""
STATUS_PACE = WritePace(concurrency=8, per_second=150.0, burst=150.0)
"""Of statuses: a thousand within seven seconds, and never more than half of what may be urgent."""


@dataclass(slots=True)
class Writer:
    """Writes for one leader. `on_outcome(kind, outcome, message)` hears of every attempt.

    `yields_to(epoch)`, the elector's, says whether the epoch that an object bears is a reason not
    to write it.
    """

    kube: api.KubeApi
    leadership: Leadership
    yields_to: Callable[[int], bool] = lambda _epoch: False
    pace: WritePace = field(default_factory=WritePace)
    on_outcome: Callable[[ResourceKind, WriteResult, str], None] = (
        lambda _kind, _outcome, _message: None
    )
    clock: Callable[[], float] = time.monotonic
    tally: collections.Counter[WriteResult] = field(default_factory=collections.Counter)
    """What became of writes since the caller last cleared it."""
    _slots: asyncio.Semaphore = field(init=False)
    _bucket: aiolimiter.AsyncLimiter = field(init=False)
    _recent: dict[tuple[str, ...], tuple[float, bytes]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.pace.concurrency)
        self._bucket = aiolimiter.AsyncLimiter(
            self.pace.burst, self.pace.burst / self.pace.per_second
        )

    async def apply(
        self,
        kind: ResourceKind,
        document: api.Json,
        *,
        manager: str,
        owns: tuple[str, ...],
        cached: Mapping[str, Any] | None,
        subresource: str = "",
        renew: Callable[[api.Json], api.Json | None] | None = None,
    ) -> WriteResult:
        """Make the object hold this document's fields, unless the cached one does already.

        `owns` names the dotted paths that belong to `manager` alone: they are compared as a whole,
        so that a field that should go away counts as a difference. What the API server defaults or
        others write lies outside.

        Where the object is in another version than the document names, `renew` says for the object
        as it is now what to write instead, or None: then it has moved on.
        """
        if cached is not None and is_same(document, cached, owns):
            return self._tell(kind, WriteResult.UNCHANGED)
        body = _digest(document)
        key = (kind.plural, *_names(document), manager, subresource)
        at, last = self._recent.get(key, (-SETTLING, b""))
        if body == last and self.clock() - at < SETTLING:
            return self._tell(kind, WriteResult.SETTLING)
        if cached is not None and self.yields_to(later := epochs.borne(cached, subresource)):
            return self._tell(kind, WriteResult.SUPERSEDED, _superseded(document, later))

        async def send(wanted: api.Json) -> None:
            stamped = self._stamped(kind, wanted, subresource)
            await self.kube.apply(kind, stamped, manager=manager, subresource=subresource)

        async def write() -> None:
            try:
                await send(document)
            except api.ConflictError as error:
                await send(await self._renewed(kind, document, subresource, renew, error))

        outcome = await self._attempt(kind, write)
        if outcome is WriteResult.WRITTEN:
            self._remember(key, body)
        return outcome

    async def _renewed(
        self,
        kind: ResourceKind,
        document: api.Json,
        subresource: str,
        renew: Callable[[api.Json], api.Json | None] | None,
        error: api.ConflictError,
    ) -> api.Json:
        """Return what to write on the object as it is now. Raises the error where nothing is."""
        if renew is None:
            raise error
        live = await self.kube.find(kind, *_names(document))
        renewed = renew(live) if live is not None else None
        if live is None or renewed is None:
            raise error
        if self.yields_to(later := epochs.borne(live, subresource)):
            raise api.ConflictError(409, _superseded(live, later))
        if not self.leadership.may_write():
            raise api.UnavailableError(0, "no longer leading")
        return renewed

    async def create(self, kind: ResourceKind, document: api.Json, *, manager: str) -> Creation:
        """Create an object whose name says what is in it: where it exists, it is done."""
        key = (kind.plural, *_names(document), manager, "create")
        at, _ = self._recent.get(key, (-SETTLING, b""))
        if self.clock() - at < SETTLING:
            return Creation(self._tell(kind, WriteResult.SETTLING))
        made: list[api.Json] = []
        errors: list[api.ApiError] = []

        async def write() -> None:
            try:
                made.append(
                    await self.kube.create(kind, self._stamped(kind, document), manager=manager)
                )
            except api.ApiError as error:
                errors.append(error)
                raise

        outcome = await self._attempt(kind, write)
        if outcome in (WriteResult.WRITTEN, WriteResult.MOVED_ON):
            self._remember(key, b"")
        if outcome is WriteResult.SUPERSEDED:
            return Creation(outcome)  # nothing is wrong with the object
        return Creation(outcome, next(iter(made), None), next(iter(errors), None))

    async def delete(
        self,
        kind: ResourceKind,
        namespace: str,
        name: str,
        *,
        uid: str,
        is_due: Callable[[api.Json], bool],
    ) -> WriteResult:
        """Delete one object if, read again now, it is still the same one and still due.

        An object that is on its way out already, or gone, is left alone; nothing is ever
        force-deleted.
        """

        async def destroy() -> None:
            live = await self.kube.get(kind, namespace, name)
            metadata = live["metadata"]
            if metadata.get("deletionTimestamp"):
                raise api.ConflictError(409, f"{name} is being deleted", reason="Terminating")
            if metadata["uid"] != uid or not is_due(live):
                raise api.ConflictError(409, f"{name} is not what it was", reason="Conflict")
            if self.yields_to(later := epochs.of_object(live)):
                raise api.ConflictError(409, _superseded(live, later))
            if not self.leadership.may_write():
                raise api.UnavailableError(0, "no longer leading")
            await self.kube.delete(
                kind, namespace, name, uid=uid, resource_version=metadata["resourceVersion"]
            )

        return await self._attempt(kind, destroy)

    async def _attempt(self, kind: ResourceKind, write: Callable[[], Any]) -> WriteResult:
        """Wait for a turn, look once more whether we lead, write, and class what happened."""
        async with self._slots:
            await self._bucket.acquire()
            if not self.leadership.may_write():
                return self._tell(kind, WriteResult.NOT_LEADING)
            try:
                async with asyncio.timeout(self.pace.timeout):
                    await write()
            except (api.ConflictError, api.NotFoundError) as error:
                return self._tell(kind, WriteResult.MOVED_ON, str(error))
            except (api.RejectedError, api.GoneError) as error:
                is_late = epochs.is_refusal(error)
                outcome = WriteResult.SUPERSEDED if is_late else WriteResult.REJECTED
                return self._tell(kind, outcome, str(error))
            except (api.UnavailableError, TimeoutError) as error:
                return self._tell(kind, WriteResult.UNAVAILABLE, str(error) or "no answer in time")
            return self._tell(kind, WriteResult.WRITTEN)

    def _tell(self, kind: ResourceKind, outcome: WriteResult, message: str = "") -> WriteResult:
        if outcome in (WriteResult.REJECTED, WriteResult.UNAVAILABLE, WriteResult.SUPERSEDED):
            log.warning("%s: %s: %s", kind.kind, outcome, message)
        self.tally[outcome] += 1
        self.on_outcome(kind, outcome, message)
        return outcome

    def _stamped(self, kind: ResourceKind, document: api.Json, subresource: str = "") -> api.Json:
        epoch = self.leadership.epoch
        if subresource:
            return epochs.with_writer_epoch(kind, document, epoch)
        return epochs.stamped(document, epoch)

    def _remember(self, key: tuple[str, ...], body: bytes) -> None:
        """Remember a write for as long as it may not have come back by the watch."""
        now = self.clock()
        self._recent.pop(key, None)
        self._recent[key] = (now, body)
        while now - self._recent[oldest := next(iter(self._recent))][0] >= SETTLING:
            del self._recent[oldest]


def _digest(document: api.Json) -> bytes:
    """Return what tells two documents apart, in less memory than either."""
    body = orjson.dumps(_comparable(document), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).digest()


def is_same(desired: Mapping[str, Any], cached: Mapping[str, Any], owns: tuple[str, ...]) -> bool:
    """Whether the cached object holds exactly what is desired at the owned paths.

    Who wrote it last is never a difference, or a new leader would write all statuses again. Nor is
    when a condition changed: two statuses that were made before either came back by the watch would
    else replace each other for ever.
    """
    compared = (path for path in owns if path != epochs.OF_STATUS)
    return all(
        _comparable(_at(desired, path)) == _comparable(_at(cached, path)) for path in compared
    )


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _comparable(value: Any) -> Any:
    """The value without its absent parts; maps in a list have no order (they are list-maps)."""
    if isinstance(value, Mapping):
        parts = {key: _comparable(part) for key, part in value.items() if key != TRANSITION}
        return {key: part for key, part in parts.items() if part not in (None, {}, [])} or None
    if isinstance(value, list | tuple):
        items = [_comparable(item) for item in value]
        if items and all(isinstance(item, dict) for item in items):
            items.sort(key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
        return items or None
    return value


def _names(document: Mapping[str, Any]) -> tuple[str, str]:
    metadata = document["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _superseded(document: Mapping[str, Any], epoch: int) -> str:
    """Why an object is left to a later leader."""
    namespace, name = _names(document)
    return f"{namespace}/{name} bears the later epoch {epoch}".lstrip("/")
