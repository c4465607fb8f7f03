"""A mirror of one kind, kept by list and watch; the operator's and the hub's eyes.

        ┌──────────── list in chunks ◄──────────────── 410, ERROR in the stream
        │                  │                                    ▲
     backoff               ▼ replace with difference            │
        ▲           watch from the list's version ──────────────┤
        │                  │ stream ended, 70 s of silence      │
        └──────────────────┴──► watch again from the last version seen

Nothing ends an informer but cancellation: refused connections, 5xx, 403 and errors inside the
stream are waited out. Every list replaces the mirror and reports what the list no longer holds as
deleted, because deletions during a gap leave no event.

Of who watches by other means, `intake` keeps a mirror.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from foreshore_kube import api, backoff, mirror
from foreshore_kube.kinds import ResourceKind
from foreshore_kube.mirror import ObjectChange, ObjectKey, stripped

__all__ = ["Informer", "ObjectChange", "ObjectKey", "stripped"]

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT = 5.0
"""Seconds between two tries; short, because a few informers are no load and a fleet waits."""


class Informer(mirror.Mirror[T]):
    """One kind (in one namespace, or by selector), kept by its own list and watch."""

    def __init__(
        self,
        kube: api.KubeApi,
        kind: ResourceKind,
        *,
        decode: Callable[[api.Json], T],
        on_change: Callable[[ObjectChange[T]], None] | None = None,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        keeps_last: bool = False,
        inactivity: float = api.INACTIVITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(kind, decode=decode, on_change=on_change, keeps_last=keeps_last)
        self.last_contact: float | None = None
        """When the API server last said anything on this stream, by `clock`."""
        self.relists = 0
        self._kube = kube
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._inactivity = inactivity
        self._clock = clock
        self._version = ""

    async def run(self) -> None:
        """Keep the mirror until cancelled."""
        waits = backoff.delays(cap=LONGEST_WAIT)
        while True:
            before = self.last_contact
            try:
                if not self._version:
                    self._version = await self._list()
                await self._watch()
            except api.GoneError:
                self._version = ""
            except api.ApiError as error:
                if error.status:  # an ERROR event does not say what was missed; a lost line does
                    self._version = ""
                log.info("%s: %s; trying again", self.kind.plural, error)
                if self.last_contact != before:
                    waits = backoff.delays(cap=LONGEST_WAIT)
                await asyncio.sleep(next(waits))

    async def _list(self) -> str:
        listed: set[ObjectKey] = set()
        version = ""
        async for page in self._kube.pages(
            self.kind,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        ):
            self.last_contact = self._clock()
            await self.put_all(page.items)  # page by page: 100,000 documents are not held at once
            listed.update(mirror.key_of(item) for item in page.items)
            version = page.resource_version
        for key in [key for key in self._versions if key not in listed]:
            self.remove(key)
        self.relists += 1
        self.synced.set()
        return version

    async def _watch(self) -> None:
        """Follow the stream to its end, remembering the version to go on from."""
        pause = mirror.Pause()
        async for event in self._kube.watch(
            self.kind,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            inactivity=self._inactivity,
        ):
            self.last_contact = self._clock()
            if event.type == "DELETED":
                self.remove(mirror.key_of(event.object))
            elif event.type in ("ADDED", "MODIFIED"):
                self.put(event.object)
            version = event.object.get("metadata", {}).get("resourceVersion")
            self._version = version or self._version
            await pause.if_due()
