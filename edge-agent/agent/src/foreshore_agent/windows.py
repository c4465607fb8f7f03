"""Latencies over the last five minutes and since the start, in the buckets that everybody shares.

The runtime observes stages and probes here; the report takes the window, `/metrics` takes the
totals. A window is a ring of slots, so that observing costs one bisection and two additions, and
forgetting costs nothing until somebody looks.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from foreshore_api.wire import document, histogram, report

_SLOTS: Final = 20
_SLOT_SECONDS: Final = report.WINDOW_SECONDS / _SLOTS


@dataclass(slots=True)
class _Sums:
    """What the durations of one slot come to, and what of it was waited where that was measured."""

    seconds: float = 0.0
    waited: float | None = None


class Series:
    """Durations of one kind: a window beside totals since the start, on the monotonic clock."""

    def __init__(self) -> None:
        self.counts: Final = [0] * (histogram.OVERFLOW + 1)
        self.total_seconds = 0.0
        self.newest: float | None = None
        self._slots: deque[tuple[int, dict[int, int], _Sums]] = deque(maxlen=_SLOTS + 1)

    def observe(self, seconds: float, at: float, queued: float | None = None) -> None:
        """Count one duration, of which so much was a wait, where that was measured.

        A sum ends at the largest that can be reported, as in `merge`.
        """
        index = histogram.bucket(seconds)
        seconds = min(max(0.0, seconds), float(document.LARGEST))
        self.counts[index] += 1
        self.total_seconds += seconds
        self.newest = at
        slot = math.floor(at / _SLOT_SECONDS)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, {}, _Sums()))
        _, counts, sums = self._slots[-1]
        counts[index] = counts.get(index, 0) + 1
        sums.seconds = min(float(document.LARGEST), sums.seconds + seconds)
        if queued is not None:
            waited = (sums.waited or 0.0) + min(max(0.0, queued), seconds)
            sums.waited = min(float(document.LARGEST), waited)

    def window(self, at: float) -> histogram.Histogram:
        """Return what the last five minutes held (to the slot)."""
        oldest = math.floor(at / _SLOT_SECONDS) - _SLOTS
        while self._slots and self._slots[0][0] < oldest:
            self._slots.popleft()
        return histogram.merge(
            histogram.Histogram(
                buckets=counts, total_seconds=sums.seconds, waited_seconds=sums.waited
            )
            for _, counts, sums in self._slots
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
