"""Members by group, changed one at a time, each group in order when somebody asks for it.

What `named.grouped` is for everything at once. A group is put in order at its first question after
a change, so that a thousand changes of one group cost one sort.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

G = TypeVar("G", bound=Hashable)
N = TypeVar("N", bound=Hashable)
V = TypeVar("V")


class Groups(Mapping[G, tuple[V, ...]], Generic[G, N, V]):
    """Every member under a name, in each of the groups that it says it belongs to."""

    def __init__(self, by: Callable[[V], Iterable[G]], order: Callable[[V], Any]) -> None:
        self._by = by
        self._order = order
        self._members: dict[G, dict[N, V]] = {}
        self._of: dict[N, tuple[G, ...]] = {}
        self._in_order: dict[G, tuple[V, ...]] = {}

    def put(self, name: N, member: V | None) -> None:
        """Set what is known under a name; None where it is gone."""
        for group in self._of.pop(name, ()):
            members = self._members[group]
            del members[name]
            self._in_order.pop(group, None)
            if not members:
                del self._members[group]
        if member is None:
            return
        groups = tuple(dict.fromkeys(self._by(member)))
        self._of[name] = groups
        for group in groups:
            self._members.setdefault(group, {})[name] = member
            self._in_order.pop(group, None)

    def names(self, group: G) -> frozenset[N]:
        """Return the names of a group's members."""
        return frozenset(self._members.get(group, ()))

    def groups_of(self, name: N) -> tuple[G, ...]:
        """Return the groups of a member."""
        return self._of.get(name, ())

    def __getitem__(self, group: G) -> tuple[V, ...]:
        ordered = self._in_order.get(group)
        if ordered is None:
            ordered = tuple(sorted(self._members[group].values(), key=self._order))
            self._in_order[group] = ordered
        return ordered

    def __contains__(self, group: object) -> bool:
        return group in self._members

    def __iter__(self) -> Iterator[G]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
