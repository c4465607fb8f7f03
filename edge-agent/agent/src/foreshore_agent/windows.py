"""Latencies over the last five minutes and since the start, in the buckets that everybody shares.

The runtime observes stages and probes here; the report takes the window, `/metrics` takes the
totals. A window is a ring of slots, so that observing costs one bisection and two additions, and
forgetting costs nothing until somebody looks.
"""

import math
from collections import deque
from typing import Final

from foreshore_api.wire import document, histogram, report

_SLOTS: Final = 20
_SLOT_SECONDS: Final = report.WINDOW_SECONDS / _SLOTS


class Series:
    """Durations of one kind: a window beside totals since the start, on the monotonic clock."""

    def __init__(self) -> None:
        self.counts: Final = [0] * (histogram.OVERFLOW + 1)
        self.total_seconds = 0.0
        self.newest: float | None = None
        self._slots: deque[tuple[int, dict[int, int], list[float]]] = deque(maxlen=_SLOTS + 1)

    def observe(self, seconds: float, at: float) -> None:
        """Count one duration; a sum ends at the largest that can be reported, as in `merge`."""
        index = histogram.bucket(seconds)
        seconds = min(max(0.0, seconds), float(document.LARGEST))
        self.counts[index] += 1
        self.total_seconds += seconds
        self.newest = at
        slot = math.floor(at / _SLOT_SECONDS)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, {}, [0.0]))
        _, counts, total = self._slots[-1]
        counts[index] = counts.get(index, 0) + 1
        total[0] = min(float(document.LARGEST), total[0] + seconds)

    def window(self, at: float) -> histogram.Histogram:
        """Return what the last five minutes held (to the slot)."""
        oldest = math.floor(at / _SLOT_SECONDS) - _SLOTS
        while self._slots and self._slots[0][0] < oldest:
            self._slots.popleft()
        return histogram.merge(
            histogram.Histogram(buckets=counts, total_seconds=total[0])
            for _, counts, total in self._slots
        )


class Counts:
    """Events of one kind over a shorter window, for reports that say how calls went lately."""

    def __init__(self, window_seconds: float) -> None:
        self._slot_seconds: Final = window_seconds / _SLOTS
        self._slots: deque[list[int]] = deque(maxlen=_SLOTS + 1)

    def add(self, at: float) -> None:
        """Count one event."""
        slot = math.floor(at / self._slot_seconds)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append([slot, 0])
        self._slots[-1][1] += 1

    def window(self, at: float) -> int:
        """Return how many events the window holds."""
        oldest = math.floor(at / self._slot_seconds) - _SLOTS
        return sum(count for slot, count in self._slots if slot >= oldest)
