"""Statuses wait here for their turn, so that no pass and no grant ever waits for a status.

`act` offers what a plan says; `run` writes it in the background. Only the newest status of an
object is kept, and an object has at most one write under way.

    offer ─► unjudged ─► nothing to write ─────────────────────────────► forgotten
                │  ▲
                │  └── its moment has come ── waiting ◄── too early, or did not get through
                ▼                                                        ▲
               due: what turned bad first, then the longest waiting ─► being written ─► forgotten

While urgent writes are under way (`stand_back`) no new status is begun: at most for a moment, so
that a storm of urgent writes delays statuses and does not silence them. A status of an object that
has an urgent write coming waits for that one's end: it would give the object another version, and
be overtaken (`withdraw`) by what the urgent write says. Who no longer leads drops
everything: the next leader says anew what is so.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from foreshore_api import v1alpha1
from foreshore_kube import apply
from foreshore_operator import defects, metrics

log = logging.getLogger(__name__)

CONCURRENCY = 8
"""Statuses that are being written at a time."""
SLICE = 0.002
"""Seconds of judging after which everybody else on the loop has a turn."""
GRAIN = 0.001
"""Seconds waited at least: what is left of a moment may be less than the loop's clock can tell."""
YIELD = 1.0
"""Seconds at most for which statuses stand back behind urgent writes."""
BEHIND = 0.25
"""Seconds until the next look at a status that stands back behind a write of the same object."""
LONGEST = 60.0
"""Seconds at most between two attempts at one status."""
RETRY = {
    apply.WriteResult.MOVED_ON: 0.5,
    apply.WriteResult.UNAVAILABLE: 1.0,
    apply.WriteResult.SETTLING: apply.SETTLING,
    apply.WriteResult.REJECTED: 30.0,
    apply.WriteResult.SUPERSEDED: 1.0,
}
"""Seconds until the next attempt after the first that did not get through; doubled each time."""
DEFECT = 30.0
"""Seconds until the next attempt at a status that a defect of ours keeps from being written."""

ObjectName = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class QueuedStatus:
    """The status that one object should have."""

    kind: str
    namespace: str
    name: str
    status: v1alpha1.statuses.Observed
    undecodable: dict[str, Any] | None = None
    """The object as it is written, where this release does not understand it."""

    @property
    def key(self) -> ObjectName:
        """Whose status it is."""
        return self.kind, self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Due:
    """That a status is to be written."""

    wait: float = 0.0
    """Not before so many seconds from now."""
    is_bad: bool = False
    """Whether it says that something turned bad: people wait for that most."""


class StatusWriter(Protocol):
    """Who writes one status; see `statuses`."""

    def judge(self, queued: QueuedStatus, waited: float) -> Due | None:
        """Whether it is to be written, after waiting so many seconds; None where it is so."""

    async def write(self, queued: QueuedStatus) -> apply.WriteResult:
        """Write it, once."""


class QueueStage(Enum):
    """Where an entry is; see the module."""

    UNJUDGED = auto()
    WAITING = auto()
    DUE = auto()
    WRITING = auto()


@dataclass(slots=True)
class QueueEntry:
    """The newest status of one object, on its way."""

    queued: QueuedStatus
    since: float
    """When the object came into the queue."""
    number: int
    """Tells this entry from an earlier one of the same object."""
    stage: QueueStage = QueueStage.UNJUDGED
    is_bad: bool = False
    attempts: int = 0
    not_before: float = 0.0


class StatusQueue:
    """The background lane of one operator."""

    def __init__(
        self,
        writer: StatusWriter,
        figures: metrics.Metrics,
        met: defects.Defects,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._figures = figures
        self._defects = met
        self._clock = clock
        self._numbers = itertools.count()
        self._entries: dict[ObjectName, QueueEntry] = {}
        self._unjudged: dict[ObjectName, None] = {}
        self._waiting: list[tuple[float, int, ObjectName]] = []
        self._due: list[tuple[bool, float, int, ObjectName]] = []
        self._writing: dict[asyncio.Task[None], ObjectName] = {}
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        """Set while nothing waits for its turn."""
        self._quiet.set()
        self.drops = 0
        """How often what waited was forgotten: a leader that leads again has to say it anew."""
        self._urgent = 0
        self._yield_until = 0.0
        self._overtaken: Collection[ObjectName] = frozenset()
        """Objects that urgent writes are under way or queued for."""
        figures.status_queue(self.__len__, self.oldest)

    def __len__(self) -> int:
        return len(self._entries)

    def oldest(self) -> float:
        """How long the first of those that wait has waited, in seconds."""
        since = min((entry.since for entry in self._entries.values()), default=None)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    def offer(self, statuses: Iterable[QueuedStatus]) -> None:
        """Take the newest status of objects; whether there is anything to write is judged later."""
        now = self._clock()
        for queued in statuses:
            entry = self._entries.get(queued.key)
            if entry is None:
                entry = QueueEntry(queued, now, next(self._numbers))
                self._entries[queued.key] = entry
            elif entry.queued == queued:
                continue  # the same again neither shortens a wait nor counts as a change
            entry.queued = queued
            entry.not_before = 0.0
            if entry.stage is not QueueStage.WRITING:
                entry.stage = QueueStage.UNJUDGED
                self._unjudged[queued.key] = None
        if self._unjudged:
            self._quiet.clear()
        self._news.set()

    def drop(self) -> None:
        """Forget everything that waits: it was decided as a leader that this replica is no more."""
        if self._entries:
            log.info("%d statuses dropped: the next leader says them", len(self._entries))
            self.drops += 1
        self._entries.clear()
        self._unjudged.clear()
        self._waiting.clear()
        self._due.clear()

    def withdraw(self, name: ObjectName) -> None:
        """Forget the status of an object: something newer was said of it just now."""
        self._entries.pop(name, None)
        self._unjudged.pop(name, None)

    @contextlib.contextmanager
    def stand_back(self, names: Collection[ObjectName] = frozenset()) -> Iterator[None]:
        """Begin no status while urgent writes are under way, for a moment at most.

        Of the objects named, which are written themselves, none before the end.
        """
        if self._urgent == 0:
            self._yield_until = self._clock() + YIELD
        self._urgent += 1
        self._overtaken = names
        try:
            yield
        finally:
            self._urgent -= 1
            self._overtaken = frozenset()
            self._news.set()

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                self._news.clear()
                if self._is_free():
                    await self._judge()
                    self._begin()
                if not (self._unjudged or self._due or self._writing):
                    self._quiet.set()
                await self._until_news()
        finally:
            for task in self._writing:
                task.cancel()

    async def drained(self, patience: float) -> bool:
        """Wait until nothing waits for its turn, so many seconds at most; whether that is so.

        What waits for a moment of its own, or after a failure, is not waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._quiet.wait()
        left = sum(entry.stage is not QueueStage.WAITING for entry in self._entries.values())
        if left:
            log.info("%d statuses are left for the next leader to say", left)
        return left == 0

    def _is_free(self) -> bool:
        return self._urgent == 0 or self._clock() >= self._yield_until

    async def _until_news(self) -> None:
        """Wait for an offer, a write that ends, or the next moment that somebody waits for."""
        if not self._is_free():
            moment: float | None = self._yield_until
        else:
            moment = self._waiting[0][0] if self._waiting else None
        left = None if moment is None else max(GRAIN, moment - self._clock())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._news.wait()

    async def _judge(self) -> None:
        """Judge what was offered and what has waited long enough, slice by slice."""
        now = began = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, number, key = heapq.heappop(self._waiting)
            entry = self._entries.get(key)
            if entry is not None and entry.number == number and entry.stage is QueueStage.WAITING:
                entry.stage = QueueStage.UNJUDGED
                self._unjudged[key] = None
        while self._unjudged and self._is_free():
            key = next(iter(self._unjudged))
            del self._unjudged[key]
            self._judge_entry(key)
            if self._clock() - began >= SLICE:
                self._begin()
                await asyncio.sleep(0)
                began = self._clock()

    def _judge_entry(self, key: ObjectName) -> None:
        entry, now = self._entries[key], self._clock()
        try:
            due = self._writer.judge(entry.queued, now - entry.since)
        except Exception as error:  # noqa: BLE001 - the object's own problem, noted
            self._defects.note(*key, error, "comparing its status")
            due = Due(DEFECT)
        if due is None:
            del self._entries[key]
            return
        wait = max(due.wait, entry.not_before - now)
        if wait > 0:
            self._postpone(entry, wait)
            return
        entry.stage, entry.is_bad = QueueStage.DUE, due.is_bad
        heapq.heappush(self._due, _rank(entry))
        if len(self._due) > 2 * len(self._entries) + 64:
            self._due = [
                _rank(kept) for kept in self._entries.values() if kept.stage is QueueStage.DUE
            ]
            heapq.heapify(self._due)

    def _postpone(self, entry: QueueEntry, wait: float) -> None:
        moment = self._clock() + wait
        entry.stage, entry.not_before = QueueStage.WAITING, moment
        heapq.heappush(self._waiting, (moment, entry.number, entry.queued.key))
        if len(self._waiting) > 2 * len(self._entries) + 64:
            self._waiting = [
                (kept.not_before, kept.number, kept.queued.key)
                for kept in self._entries.values()
                if kept.stage is QueueStage.WAITING
            ]
            heapq.heapify(self._waiting)

    def _begin(self) -> None:
        """Begin as many writes as there is room for."""
        while self._due and len(self._writing) < CONCURRENCY and self._is_free():
            rank = heapq.heappop(self._due)
            entry = self._entries.get(rank[-1])
            if entry is None or entry.stage is not QueueStage.DUE or _rank(entry) != rank:
                continue
            if rank[-1] in self._overtaken:
                self._postpone(entry, BEHIND)
                continue
            entry.stage = QueueStage.WRITING
            task = asyncio.create_task(self._write(entry), name="status")
            self._writing[task] = entry.queued.key
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._writing.pop(task, None)
        self._news.set()

    async def _write(self, entry: QueueEntry) -> None:
        queued = entry.queued
        entry.attempts += 1
        try:
            outcome = await self._writer.write(queued)
        except Exception as error:  # noqa: BLE001 - the object's own problem, noted
            self._defects.note(*queued.key, error, "writing its status")
            wait = DEFECT
        else:
            if outcome is apply.WriteResult.NOT_LEADING:
                self.drop()
                return
            wait = RETRY.get(outcome, 0.0)
        self._settle(entry, queued, wait)

    def _settle(self, entry: QueueEntry, queued: QueuedStatus, wait: float) -> None:
        """Decide what becomes of an entry after an attempt; `wait` is 0 where it got through."""
        if self._entries.get(queued.key) is not entry:
            return  # dropped meanwhile
        if entry.queued is not queued:
            entry.stage, entry.attempts = QueueStage.UNJUDGED, 0
            self._unjudged[queued.key] = None
        elif wait == 0.0:
            del self._entries[queued.key]
        else:
            bound = min(LONGEST, wait * 2 ** min(entry.attempts - 1, 10))
            self._figures.status_retries.inc()
            self._postpone(entry, bound * random.uniform(0.75, 1.0))  # noqa: S311 (spreads load)


def _rank(entry: QueueEntry) -> tuple[bool, float, int, ObjectName]:
    return not entry.is_bad, entry.since, entry.number, entry.queued.key
