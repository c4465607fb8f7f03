"""Each placement is looked at again within a bounded time, whatever changed: a few a second.

What only explains a settled placement grows old between two looks; and a dependency that the fold
does not know of would stay wrong for ever. Called by `fold`.
"""

from collections.abc import Collection

from foreshore_planner import snapshot

WITHIN = 300.0
"""Seconds within which every placement is looked at again."""

LONGEST = 5.0
"""Seconds between passes that count at most: after a long pause not all are looked at together."""


class Rounds:
    """Goes through all placements, as many at a time as the time since the last pass is worth."""

    def __init__(self) -> None:
        self._waiting: list[snapshot.At] = []
        self._last: float | None = None
        self._owed = 0.0

    def take(self, every: Collection[snapshot.At], now: float) -> set[snapshot.At]:
        """Return who is to be looked at again by now."""
        passed = min(now - self._last, LONGEST) if self._last is not None else 0.0
        self._last = now
        self._owed += len(every) * passed / WITHIN
        taken: set[snapshot.At] = set()
        while self._owed >= 1.0:
            self._owed -= 1.0
            if not self._waiting:
                self._waiting = sorted(every, reverse=True)
            if self._waiting:
                taken.add(self._waiting.pop())
        return taken
