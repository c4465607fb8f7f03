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

`on_change` runs in the informer's own loop right after the mirror changed; it must not block.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from foreshore_kube import api, backoff
from foreshore_kube.kinds import ResourceKind

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT = 5.0
"""Seconds between two tries; short, because a few informers are no load and a fleet waits."""


class ObjectKey(NamedTuple):
    """Which object of a kind; `namespace` is empty for a cluster-scoped kind."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ObjectChange(Generic[T]):
    """One difference of the mirror: `old` is None when it appeared, `new` when it went away.

    Both are None when an object is not understood: there is something to say, and nothing to keep.
    """

    kind: ResourceKind
    key: ObjectKey
    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class MirroredObject(Generic[T]):
    """What the mirror keeps of one object."""

    uid: str
    resource_version: str
    value: T


def stripped(document: api.Json) -> api.Json:
    """The document without what nobody reads: managedFields and kubectl's copy of the object."""
    metadata = dict(document.get("metadata") or {})
    metadata.pop("managedFields", None)
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {**document, "metadata": metadata}


class Informer(Generic[T]):
    """One kind (in one namespace, or by selector) as a mapping from key to decoded object.

    `decode` turns a stripped document into what the caller keeps. Where it raises, the object is
    kept out of the mirror, logged and listed in `undecodable`, so that one bad object stops nobody.
    With `keeps_last`, what was understood of it last stays: a node that is not understood any more
    must not look like one that is gone.
    """

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
        self.kind = kind
        self.synced = asyncio.Event()
        """Set once the first list is in the mirror; it stays set, `last_contact` tells the rest."""
        self.last_contact: float | None = None
        """When the API server last said anything on this stream, by `clock`."""
        self.undecodable: dict[ObjectKey, tuple[api.Json, str]] = {}
        """What `decode` refused: the document and why."""
        self.relists = 0
        self._kube = kube
        self._decode = decode
        self._on_change = on_change
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._keeps_last = keeps_last
        self._inactivity = inactivity
        self._clock = clock
        self._version = ""
        self._entries: dict[ObjectKey, MirroredObject[T]] = {}
        self._values: dict[ObjectKey, T] = {}
        self.store: Mapping[ObjectKey, T] = MappingProxyType(self._values)

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
        documents: dict[ObjectKey, api.Json] = {}
        version = ""
        async for page in self._kube.pages(
            self.kind,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        ):
            self.last_contact = self._clock()
            documents.update((_key(item), item) for item in page.items)
            version = page.resource_version
            await asyncio.sleep(0)  # a list of 100,000 must not hold the loop
        self._replace(documents)
        self.relists += 1
        self.synced.set()
        return version

    def _replace(self, documents: Mapping[ObjectKey, api.Json]) -> None:
        for key in [key for key in self._entries if key not in documents]:
            self._remove(key)
        for key, document in documents.items():
            self._put(key, document)

    async def _watch(self) -> None:
        """Follow the stream to its end, remembering the version to go on from."""
        async for event in self._kube.watch(
            self.kind,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            inactivity=self._inactivity,
        ):
            self.last_contact = self._clock()
            key = _key(event.object)
            if event.type == "DELETED":
                self._remove(key)
            elif event.type in ("ADDED", "MODIFIED"):
                self._put(key, event.object)
            version = event.object.get("metadata", {}).get("resourceVersion")
            self._version = version or self._version

    def _put(self, key: ObjectKey, document: api.Json) -> None:
        metadata = document.get("metadata") or {}
        uid, version = metadata.get("uid", ""), metadata.get("resourceVersion", "")
        entry = self._entries.get(key)
        if entry is not None and entry.resource_version == version and entry.uid == uid:
            return
        if entry is not None and entry.uid != uid:
            self._remove(key)  # deleted and made again: two objects, not one changed
            entry = None
        try:
            value = self._decode(stripped(document))
        except Exception as error:
            is_ours = not isinstance(error, ValueError)
            log.warning("%s %s/%s is not understood: %s", self.kind.kind, *key, error,
                        exc_info=error if is_ours else None)  # fmt: skip
            if entry is None or not self._keeps_last:
                self._remove(key)
            self.undecodable[key] = (
                stripped(document),
                f"{type(error).__name__}: {error}"[:1000] if is_ours else str(error)[:1000],
            )
            self._tell(ObjectChange(self.kind, key, None, None))
            return
        self.undecodable.pop(key, None)
        self._entries[key] = MirroredObject(uid, version, value)
        self._values[key] = value
        self._tell(ObjectChange(self.kind, key, entry.value if entry else None, value))

    def _remove(self, key: ObjectKey) -> None:
        self.undecodable.pop(key, None)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._values.pop(key, None)
            self._tell(ObjectChange(self.kind, key, entry.value, None))

    def _tell(self, change: ObjectChange[T]) -> None:
        if self._on_change is not None:
            self._on_change(change)


def _key(document: Mapping[str, Any]) -> ObjectKey:
    metadata = document.get("metadata") or {}
    return ObjectKey(metadata.get("namespace") or "", metadata.get("name") or "")
