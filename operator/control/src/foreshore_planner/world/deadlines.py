"""When time alone changes what is decided: a heap of moments, one for each thing that ages.

Ages are compared with limits that stand in tables here. Between two limits an age may be as old as
it likes: nothing is decided by it. At a limit the thing is looked at as if it had changed.
"""

import heapq
import math
from collections.abc import Hashable, Iterable
from typing import Final

from foreshore_planner import health, hysteresis, leaving, quarantine
from foreshore_planner.placement import callers, case, returns, serving, troubles

LEASE: Final = (math.nextafter(health.LEASE_STALE, math.inf),)
"""Limits of the age of a node's Lease: it is stale when it is older."""

READY: Final = (case.RETURNING, returns.STABLE_FOR)
"""Limits of the time since a node became Ready again, beside what a fleet chooses (`ready`)."""

FLAP: Final = (quarantine.WINDOW,)
"""Limits of the time since a node fell silent."""

AGENT: Final = tuple(
    math.nextafter(limit, math.inf) for limit in (health.BEAT_FRESH, health.AGENT_SILENT)
)
"""Limits of the age of a report: it is fresh, then stands, then says nothing."""

PHASE: Final = tuple(
    sorted(
        {
            leaving.HEARD_AFTER,
            callers.BAD_AFTER,
            leaving.AGAIN_AFTER,
            troubles.STARTING_FOR,
            leaving.DRAINED_AFTER,
            serving.SETTLED,
            troubles.CREATING_FOR,
            troubles.SERVED_FOR,
        }
    )
)
"""Limits of the time for which a pod has been as it is."""

PATIENCE: Final = (troubles.STARTING_FOR, troubles.CREATING_FOR, troubles.SERVED_FOR)
"""Those that a model which is compiled first lengthens."""


def ready(stabilization: hysteresis.Stabilization) -> tuple[float, ...]:
    """Return the limits of the time since a node became Ready again; the last is READY's."""
    return (stabilization.min_ready, *READY)


class Deadlines:
    """The next moment of each thing, by the observer's monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._at: dict[Hashable, float] = {}
        self._count = 0

    def put(self, key: Hashable, at: float | None) -> None:
        """Set when something is due; None where time alone changes nothing of it."""
        if at is None or not math.isfinite(at):
            self._at.pop(key, None)
            return
        if self._at.get(key) == at:
            return
        self._at[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._at) + 64:
            self._compact()

    def due(self, now: float) -> tuple[Hashable, ...]:
        """Take what is due, in order of time."""
        keys: list[Hashable] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                keys.append(key)
        return tuple(keys)

    def next(self) -> float | None:
        """Return the next moment at which something is due."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _compact(self) -> None:
        """Forget moments that were put off: an agent that goes on reporting puts its off always."""
        self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)


def crossing(age: float, limits: Iterable[float]) -> float | None:
    """Return in how many seconds an age reaches its next limit."""
    return min((limit - age for limit in limits if limit > age), default=None)
