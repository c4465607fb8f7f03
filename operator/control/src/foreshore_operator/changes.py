"""What changed since it was last asked, for a consumer that keeps a world of its own.

`store` notes keys; the consumer takes them with the objects as they are at that moment, so that ten
changes of one object are one, and one that came and went is a key without an object. Nothing is
kept while nobody follows: keys of what is long gone would pile up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshore_api import meta
from foreshore_kube.mirror import ObjectKey
from foreshore_planner import snapshot


@dataclass(frozen=True, slots=True)
class StoreDelta:
    """Objects that changed, by key; None is one that is gone or not understood any more."""

    resources: Mapping[tuple[str, ObjectKey], meta.Resource | None]
    """By kind and key."""
    nodes: Mapping[str, snapshot.Node | None]
    replicas: Mapping[ObjectKey, snapshot.Replica | None]
    parts: Mapping[ObjectKey, snapshot.ProductPod | None]


@dataclass(slots=True)
class ChangedKeys:
    """The keys that one consumer has not taken yet."""

    resources: set[tuple[str, ObjectKey]] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    pods: set[ObjectKey] = field(default_factory=set)

    def taken(self) -> ChangedKeys:
        """The keys until now; they count as taken."""
        keys = ChangedKeys(self.resources, self.nodes, self.pods)
        self.resources, self.nodes, self.pods = set(), set(), set()
        return keys
