"""Each placement is looked at again within a bounded time, whatever changed: a few a second.

First those of which agents report new figures, then the others in turn. What only explains a
settled placement grows old between two looks; and a dependency that the fold does not know of would
stay wrong for ever. Called by `fold`.
"""

from collections.abc import Collection

from foreshore_planner import snapshot

A_SECOND = 20.0
"""Looks that the time since the last pass is worth: of 6,000 placements each has one in 300 s."""

WITHIN = 300.0
"""Seconds between two looks at one placement without new figures, where so many are enough."""

LONGEST = 5.0
"""Seconds between passes that count at most: after a long pause not all are looked at together."""


class Rounds:
    """Goes through all placements, as many at a time as the time since the last pass is worth."""

    def __init__(self) -> None:
        self._fresh: dict[snapshot.At, None] = {}
        self._waiting: list[snapshot.At] = []
        self._last: float | None = None
        self._owed = 0.0
        self._idle = 0.0

    def press(self, placements: Collection[snapshot.At]) -> None:
        """Ask for a look at placements of which agents report new figures."""
        self._fresh.update(dict.fromkeys(sorted(placements)))

    def take(self, every: Collection[snapshot.At], now: float) -> set[snapshot.At]:
        """Return who is to be looked at again by now."""
        passed = min(now - self._last, LONGEST) if self._last is not None else 0.0
        self._last = now
        self._owed = min(self._owed + A_SECOND * passed, A_SECOND * LONGEST)
        self._idle = min(self._idle + len(every) * passed / WITHIN, A_SECOND * LONGEST)
        taken: set[snapshot.At] = set()
        while self._owed >= 1.0 and self._fresh:
            placement = next(iter(self._fresh))
            del self._fresh[placement]
            taken.add(placement)
            self._owed -= 1.0
        while self._owed >= 1.0 and self._idle >= 1.0:
            if not self._waiting:
                self._waiting = sorted(every, reverse=True)
            if self._waiting:
                taken.add(self._waiting.pop())
            self._owed -= 1.0
            self._idle -= 1.0
        return taken
