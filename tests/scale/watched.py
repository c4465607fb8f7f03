"""Which devices and placements are Ready, kept by a watch, with the moment of the last change.

Of a placement it also tells writes of figures alone from others: the operator may write so many of
the first a second for ever, and a fleet is quiet all the same.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from foreshore_api import v1alpha1
from foreshore_kube import api, kinds
from foreshore_operator import manifests

Json = dict[str, Any]
KINDS = (v1alpha1.Device, v1alpha1.InferencePlacement)


@dataclass
class WatchedFleet:
    """What is Ready, by kind and name."""

    kube: api.KubeApi
    ready: dict[str, dict[str, bool]] = field(default_factory=dict)
    changed_at: dict[str, float] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    """Who may command each device."""
    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the replicas of each placement are."""
    moved_at: dict[str, float] = field(default_factory=dict)
    """When each device last changed hands, as seen from here."""
    altered: Counter[str] = field(default_factory=Counter)
    """How often each part of a status was written anew, by kind and path."""
    causes: Counter[str] = field(default_factory=Counter)
    """How many statuses were written anew, by kind and why."""
    stirred_at: float = 0.0
    """When a placement last said something else than figures, or there was a new one."""
    _statuses: dict[tuple[str, str], Json] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep it while inside."""
        tasks = [asyncio.create_task(self._follow(kinds.of(model))) for model in KINDS]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def count(self, kind: str) -> tuple[int, int]:
        """How many of a kind are Ready, and how many there are."""
        states = self.ready.get(kind, {})
        return sum(states.values()), len(states)

    async def _follow(self, kind: kinds.ResourceKind) -> None:
        while True:
            with contextlib.suppress(api.ApiError):
                version = ""
                async for page in self.kube.pages(kind):
                    for document in page.items:
                        self._take(kind.kind, document)
                    version = page.resource_version
                async for event in self.kube.watch(kind, resource_version=version):
                    if event.type in ("ADDED", "MODIFIED"):
                        self._take(kind.kind, event.object)
            await asyncio.sleep(0.5)

    def _take(self, kind: str, document: Json) -> None:
        name, status = document["metadata"]["name"], document.get("status") or {}
        is_ready = any(
            line["type"] == "Ready" and line["status"] == "True"
            for line in status.get("conditions", ())
        )
        states = self.ready.setdefault(kind, {})
        if states.get(name) != is_ready:
            states[name] = is_ready
            self.changed_at[kind] = time.time()
        before = self._statuses.get((kind, name))
        self._statuses[kind, name] = status
        is_placement = kind == v1alpha1.InferencePlacement.kind
        has_figures = is_placement and is_of_figures(before, status)
        if is_placement and before != status and not has_figures:
            self.stirred_at = time.time()
        if before is not None and before != status:
            paths = [*differing(before, status)]
            self.altered.update(f"{kind} {path}" for path in paths)
            self.causes[f"{kind}: {'figures' if has_figures else cause(paths)}"] += 1
        if kind == v1alpha1.Device.kind:
            holder = (status.get("authority") or {}).get("holder", "")
            if self.holders.get(name) != holder:
                self.moved_at[name] = time.time()
            self.holders[name] = holder
        else:
            self.nodes[name] = tuple(
                str(replica.get("node")) for replica in status.get("replicas", ())
            )


def is_of_figures(before: Json | None, after: Json) -> bool:
    """Whether two statuses of a placement differ in measured figures alone."""
    if before is None or before == after:
        return False
    return manifests.without_figures(before) == manifests.without_figures(after)


def cause(paths: list[str]) -> str:
    """The part of a status for which it was written anew: conditions say the most."""
    named = sorted(paths, key=lambda path: (not path.startswith("conditions"), path))
    return named[0] if named else "nothing"


def differing(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths at which two statuses differ; of lists and conditions what they are about."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differing(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for left, right in zip(before, after, strict=True):
            name = right.get("type", "") if isinstance(right, dict) else ""
            yield from differing(left, right, f"{path}[{name}]")
    elif before != after:
        yield path
