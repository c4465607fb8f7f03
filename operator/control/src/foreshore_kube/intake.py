"""A mirror that somebody else's watch fills, and that its own bounded lists heal.

    events of another watch ── note ──────────────────────────────►┐
                                                                   ├─► mirror
    list of metadata ─► what differs ─► a moment's grace ─► fetch ─┘
         ▲                                                  remove what is gone
         └── every few minutes, and at once when asked

The operator's handlers feed one for each kind that people edit. A watch that is not ours may miss
things: deletions while its stream was down leave no event, and an object that it never delivered is
not there. So the list decides, at a moment that its resourceVersion names:

- nothing is removed because it is absent before a list is complete, nor if it was seen after that
  list's moment;
- an event from before that moment about an object that the list did not hold is a ghost: it came
  late through somebody's queue, and is dropped;
- an event that is older than what is kept is dropped; so is what was fetched of an object that has
  been deleted meanwhile.

Lists carry metadata alone, and what differs is fetched only when the watch does not bring it within
a moment: the first list is how it becomes known that the watch's own has arrived. A kind of which
the watch brings nothing at all is thus still filled, and still followed, only slowly.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from foreshore_kube import api, backoff, mirror
from foreshore_kube.kinds import ResourceKind
from foreshore_kube.mirror import ObjectChange, ObjectKey, ObjectVersion

log = logging.getLogger(__name__)

T = TypeVar("T")

PERIOD: Final = 300.0
"""Seconds between two lists of a kind, give or take a fifth."""
SPACING: Final = 2.0
"""Seconds between two lists at the least, however often they are asked for."""
GRACE: Final = 2.0
"""Seconds without any progress after which the watch is not waited for any more."""
LONGEST_WAIT: Final = 5.0
"""Seconds between two tries of a list that fails."""
FEW: Final = 50
"""Objects that are fetched by themselves; more are fetched by a list of whole objects."""


class Healing(StrEnum):
    """What a list mended."""

    MISSED = "Missed"
    """An object, or a state of one, that the watch had not delivered."""
    GHOST = "Ghost"
    """An object that was gone without an event."""
    SERVED = "Served"
    """The kind itself: it is served now, and was not before; a watch may not have begun."""


@dataclass(frozen=True, slots=True)
class WatchedEvent:
    """An event of another watch; `type` is None for an object of that watch's own list."""

    kind: str
    type: str | None
    document: api.Json


class FedMirror(mirror.Mirror[T]):
    """One kind, kept by events that are noted here and by lists."""

    def __init__(
        self,
        kube: api.KubeApi,
        kind: ResourceKind,
        *,
        decode: Callable[[api.Json], T],
        on_change: Callable[[ObjectChange[T]], None] | None = None,
        on_heal: Callable[[ResourceKind, Healing, int], None] | None = None,
        period: float = PERIOD,
    ) -> None:
        super().__init__(kind, decode=decode, on_change=on_change)
        self.lists = 0
        """Lists that were completed."""
        self._kube = kube
        self._on_heal = on_heal
        self._period = period
        self._due = asyncio.Event()
        self._floor = ""
        """The moment of the last complete list: what was absent then and is not kept is gone."""
        self._behind: set[ObjectKey] = set()
        """During a list: what differs from it."""
        self._listed: Mapping[ObjectKey, ObjectVersion] = {}
        self._moment = ""
        """During a list: its resourceVersion."""
        self._deleted: set[str] | None = None
        """During a list: uids of which a deletion was noted since it began."""
        self._caught_up = asyncio.Event()

    def note(self, type_: str | None, document: api.Json) -> None:
        """Take an event of the watch: `DELETED`, or any other with the state it carries.

        Without a type it is an object of the watch's own list; once this mirror is filled, that
        means that the watch had lost its place, and what was deleted meanwhile left no event.
        """
        key, version = mirror.key_of(document), mirror.version_of(document)
        if type_ == "DELETED":
            self._note_deleted(key, version.uid)
        elif not self._is_stale(key, version):
            self.put(document)
        if type_ is None and self.synced.is_set():
            self.ask()
        if key in self._behind and not self._is_behind(key):
            self._behind.discard(key)
            if not self._behind:
                self._caught_up.set()

    def _note_deleted(self, key: ObjectKey, uid: str) -> None:
        if self._deleted is not None:
            self._deleted.add(uid)
        last = self.versions.get(key)
        if last is not None and last.uid == uid:
            self.remove(key)

    def ask(self) -> None:
        """Ask for a list soon: the watch may have missed something."""
        self._due.set()

    async def run(self) -> None:
        """List now, then again and again, until cancelled."""
        waits = backoff.delays(cap=LONGEST_WAIT)
        was_absent = False
        while True:
            self._due.clear()
            try:
                await self._list()
            except api.ApiError as error:
                was_absent |= isinstance(error, api.NotFoundError)
                log.info("%s: %s; trying again", self.kind.plural, error)
                await asyncio.sleep(next(waits))
                continue
            if was_absent:
                was_absent = False
                self._mended(Healing.SERVED, 1)
            waits = backoff.delays(cap=LONGEST_WAIT)
            await asyncio.sleep(SPACING)
            await self._until_due(self._period * random.uniform(0.8, 1.2) - SPACING)  # noqa: S311

    async def _until_due(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._due.wait()
        except TimeoutError:
            return

    async def _list(self) -> None:
        """One list: compare, give the watch a moment, mend what it did not bring."""
        self._deleted = set()
        try:
            self._listed, self._moment = await self._metadata()
            self._behind = {key for key in {*self._listed, *self.versions} if self._is_behind(key)}
            await self._grace()
            missed = await self._fetch({key for key in self._behind if key in self._listed})
            ghosts = [key for key in self._behind if key not in self._listed]
            for key in ghosts:
                self.remove(key)
            self._floor = self._moment
        finally:
            self._listed, self._behind, self._deleted, self._moment = {}, set(), None, ""
        self.lists += 1
        self._count(missed, len(ghosts))
        self.synced.set()

    async def _metadata(self) -> tuple[dict[ObjectKey, ObjectVersion], str]:
        listed: dict[ObjectKey, ObjectVersion] = {}
        moment = ""
        async for page in self._kube.pages(self.kind, accept=api.METADATA):
            listed.update((mirror.key_of(item), mirror.version_of(item)) for item in page.items)
            moment = page.resource_version
            await asyncio.sleep(0)
        return listed, moment

    async def _grace(self) -> None:
        """Wait for what is on its way, for as long as something of it arrives."""
        while self._behind:
            self._caught_up.clear()
            count = len(self._behind)
            try:
                async with asyncio.timeout(GRACE):
                    await self._caught_up.wait()
            except TimeoutError:
                if len(self._behind) == count:
                    return

    async def _fetch(self, keys: set[ObjectKey]) -> int:
        """Bring what the watch did not; how many objects that changed."""
        if len(keys) <= FEW:
            fetched = 0
            for key in sorted(keys):
                document = await self._kube.find(self.kind, *key)
                if document is not None:  # else deleted since the list
                    fetched += self._mend(document)
            return fetched
        pause, fetched = mirror.Pause(), 0
        async for page in self._kube.pages(self.kind):
            for item in page.items:
                if mirror.key_of(item) in keys:
                    fetched += self._mend(item)
                    await pause.if_due()
        return fetched

    def _mend(self, document: api.Json) -> bool:
        key, version = mirror.key_of(document), mirror.version_of(document)
        last = self.versions.get(key)
        if version.uid in (self._deleted or ()):
            return False
        if last is not None and (
            last == version or mirror.is_later(last.resource_version, version.resource_version)
        ):
            return False
        self.put(document)
        return True

    def _is_behind(self, key: ObjectKey) -> bool:
        """Whether what is kept of an object is neither what the list says of it nor later."""
        listed, last = self._listed.get(key), self.versions.get(key)
        if last is None:
            return listed is not None and listed.uid not in (self._deleted or ())
        if listed is None:
            return not mirror.is_later(last.resource_version, self._moment)
        return last != listed and not mirror.is_later(
            last.resource_version, listed.resource_version
        )

    def _is_stale(self, key: ObjectKey, version: ObjectVersion) -> bool:
        """Whether an event tells less than is known already."""
        last = self.versions.get(key)
        if last is not None:
            return mirror.is_later(last.resource_version, version.resource_version)
        return bool(self._floor) and not (
            mirror.is_later(version.resource_version, self._floor)
            or not version.resource_version.isdecimal()
        )

    def _count(self, missed: int, ghosts: int) -> None:
        """Say what was mended; what the first list brings is no fault of the watch."""
        if not self.synced.is_set():
            if missed:
                log.info("%s: %d objects came by list before the watch", self.kind.plural, missed)
            return
        if missed:
            self._mended(Healing.MISSED, missed)
        if ghosts:
            self._mended(Healing.GHOST, ghosts)

    def _mended(self, healing: Healing, count: int) -> None:
        log.warning("%s: a list mended what the watch lost: %s, %d",
                    self.kind.plural, healing.value, count)  # fmt: skip
        if self._on_heal is not None:
            self._on_heal(self.kind, healing, count)
