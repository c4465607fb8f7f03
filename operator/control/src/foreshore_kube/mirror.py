"""A mirror of one kind: decoded objects by key, each difference reported once.

`informer` fills one from its own list and watch, `intake` from events that somebody else watches
for. Both keep the same promises: an object that is not understood stops no other, the same version
again is no change, and a long list does not hold the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from foreshore_kube import api
from foreshore_kube.kinds import ResourceKind

log = logging.getLogger(__name__)

T = TypeVar("T")

SLICE = 0.01
"""Seconds of decoding after which the loop is given back: others wait for it."""
LONGEST_REASON = 1000
"""Characters that are kept of why an object is not understood."""


class ObjectKey(NamedTuple):
    """Which object of a kind; `namespace` is empty for a cluster-scoped kind."""

    namespace: str
    name: str


class ObjectVersion(NamedTuple):
    """Which state of which object: a name that is used again is another object."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class ObjectChange(Generic[T]):
    """One difference of the mirror: `old` is None when it appeared, `new` when it went away.

    Both are None when an object is not understood: there is something to say, and nothing to keep.
    """

    kind: ResourceKind
    key: ObjectKey
    old: T | None
    new: T | None


class Mirror(Generic[T]):
    """One kind as a mapping from key to decoded object.

    `decode` turns a stripped document into what the caller keeps. Where it raises, the object is
    kept out of the mirror, logged and listed in `undecodable`, so that one bad object stops nobody.
    With `keeps_last`, what was understood of it last stays: a node that is not understood any more
    must not look like one that is gone.

    `on_change` runs in the mirror's own loop right after the mirror changed; it must not block.
    A value that has `succeeding` is asked what to keep after an earlier value: it may share with it
    what they have in common.
    """

    def __init__(
        self,
        kind: ResourceKind,
        *,
        decode: Callable[[api.Json], T],
        on_change: Callable[[ObjectChange[T]], None] | None = None,
        keeps_last: bool = False,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        """Set once a whole list is in the mirror, for good; before that, absent means nothing."""
        self.undecodable: dict[ObjectKey, tuple[api.Json, str]] = {}
        """What `decode` refused: the document and why."""
        self._decode = decode
        self._on_change = on_change
        self._keeps_last = keeps_last
        self._values: dict[ObjectKey, T] = {}
        self._versions: dict[ObjectKey, ObjectVersion] = {}
        self.store: Mapping[ObjectKey, T] = MappingProxyType(self._values)
        self.versions: Mapping[ObjectKey, ObjectVersion] = MappingProxyType(self._versions)
        """The last state seen of each object, understood or not."""

    def put(self, document: api.Json) -> None:
        """Keep this state of an object, unless it is kept already."""
        key, version = key_of(document), version_of(document)
        last = self._versions.get(key)
        if last == version and version.resource_version:
            return
        if last is not None and last.uid != version.uid:
            self.remove(key)  # deleted and made again: two objects, not one changed
        self._versions[key] = version
        try:
            value = self._decode(stripped(document))
        except Exception as error:  # noqa: BLE001 - the object's own problem: listed and logged
            self._refuse(key, document, error)
            return
        self.undecodable.pop(key, None)
        old = self._values.get(key)
        succeeding = getattr(value, "succeeding", None)  # a protocol's isinstance takes 7 us here
        if old is not None and succeeding is not None:
            value = succeeding(old)
        self._values[key] = value
        self._report(ObjectChange(self.kind, key, old, value))

    async def put_all(self, documents: Iterable[api.Json]) -> None:
        """Keep many, giving the loop back in between."""
        pause = Pause()
        for document in documents:
            self.put(document)
            await pause.if_due()

    def remove(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self._versions.pop(key, None)
        was_refused = self.undecodable.pop(key, None) is not None
        old = self._values.pop(key, None)
        if old is not None or was_refused:
            self._report(ObjectChange(self.kind, key, old, None))

    def _refuse(self, key: ObjectKey, document: api.Json, error: Exception) -> None:
        is_ours = not isinstance(error, ValueError)
        log.warning("%s %s/%s is not understood: %s", self.kind.kind, *key, error,
                    exc_info=error if is_ours else None)  # fmt: skip
        why = f"{type(error).__name__}: {error}" if is_ours else str(error)
        self.undecodable[key] = (stripped(document), why[:LONGEST_REASON])
        old = None if self._keeps_last else self._values.pop(key, None)
        self._report(ObjectChange(self.kind, key, old, None))

    def _report(self, change: ObjectChange[T]) -> None:
        if self._on_change is not None:
            self._on_change(change)


class Pause:
    """Gives the loop back once a slice of time is over: a buffer full of events never waits."""

    def __init__(self) -> None:
        self._until = time.monotonic() + SLICE

    @property
    def is_due(self) -> bool:
        """Whether the slice is over."""
        return time.monotonic() >= self._until

    async def if_due(self) -> None:
        """Let others run, if it is time."""
        if self.is_due:
            await asyncio.sleep(0)
            self._until = time.monotonic() + SLICE


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


def key_of(document: Mapping[str, Any]) -> ObjectKey:
    """Namespace and name of a document."""
    metadata = document.get("metadata") or {}
    return ObjectKey(metadata.get("namespace") or "", metadata.get("name") or "")


def version_of(document: Mapping[str, Any]) -> ObjectVersion:
    """Which state of which object a document is."""
    metadata = document.get("metadata") or {}
    return ObjectVersion(metadata.get("uid") or "", metadata.get("resourceVersion") or "")


def is_later(version: str, other: str) -> bool:
    """Whether one resourceVersion is surely later than another of the same kind.

    They are decimal numbers that grow, and comparable (Kubernetes says so since 1.35; etcd's always
    were). Of what is no number nothing is sure.
    """
    if not (version.isdecimal() and other.isdecimal()):
        return False
    return int(version[:40]) > int(other[:40])
