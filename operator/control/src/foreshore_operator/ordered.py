"""The objects of a mirror in order of their keys, sorted when something changes and not when asked.

`store` keeps one a kind: a pass over a quiet fleet is handed the same tuple as the pass before.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import Generic, TypeVar

from foreshore_kube.mirror import ObjectKey

V = TypeVar("V")


class OrderedObjects(Generic[V]):
    """A view of a mapping that is told which keys changed."""

    def __init__(self, objects: Mapping[ObjectKey, V]) -> None:
        self.revision = 0
        """Grows with each change."""
        self._objects = objects
        self._keys: list[ObjectKey] = []
        self._values: tuple[V, ...] | None = ()

    def note(self, key: ObjectKey) -> None:
        """The object of this key came, changed or went."""
        self.revision += 1
        self._values = None
        position = bisect.bisect_left(self._keys, key)
        is_listed = position < len(self._keys) and self._keys[position] == key
        if key in self._objects and not is_listed:
            self._keys.insert(position, key)
        elif key not in self._objects and is_listed:
            del self._keys[position]

    def values(self) -> tuple[V, ...]:
        """The objects in order of (namespace, name)."""
        if self._values is None:
            self._values = tuple(self._objects[key] for key in self._keys)
        return self._values
