"""Events that wait for a turn of the engine: what must not wait first, telemetry in its own order.

    put ──► first      answers, acknowledgements, rights, ticks: in the order in which they came
        └─► measured   samples, and when telemetry or devices come or go: a sample that a newer one
                       of its device follows says so, and policies wait for that one

One of a `core`.
"""

from collections import deque
from typing import Final

from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key

Telemetry = events.Sample | events.TelemetryChanged | events.Availability
_BESIDE_SAMPLES: Final = (events.TelemetryChanged, events.Availability)


class Intake:
    """What was given to the engine's host and not taken yet."""

    def __init__(self) -> None:
        self._first: Final = deque[events.Event]()
        self._measured: Final = deque[Telemetry]()
        self._samples: Final[dict[Key, int]] = {}
        """Samples that wait, by device."""
        self._followed: Final[set[Key]] = set()
        """Devices of which a sample was taken while another waited."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self._first or self._measured)

    @property
    def has_first(self) -> bool:
        """Whether something that must not wait does."""
        return bool(self._first)

    @property
    def has_measured(self) -> bool:
        """Whether telemetry waits."""
        return bool(self._measured)

    def put(self, event: events.Event) -> None:
        """Let an event wait."""
        if isinstance(event, events.Sample):
            self._measured.append(event)
            self._samples[event.device] = self._samples.get(event.device, 0) + 1
        elif isinstance(event, _BESIDE_SAMPLES):
            self._measured.append(event)
        else:
            self._first.append(event)

    def take_first(self) -> events.Event | None:
        """Take the oldest of what must not wait; None if there is none."""
        return self._first.popleft() if self._first else None

    def take_measured(self) -> Telemetry | None:
        """Take the oldest of telemetry; None if there is none."""
        if not self._measured:
            return None
        event = self._measured.popleft()
        if not isinstance(event, events.Sample):
            return event
        return self._in_turn(event)

    def _in_turn(self, sample: events.Sample) -> events.Sample:
        """Return a sample with its place among those of its device."""
        device = sample.device
        following = self._samples[device] - 1
        if following:
            self._samples[device] = following
            self._followed.add(device)
            return sample._replace(is_followed=True)
        del self._samples[device]
        if device not in self._followed:
            return sample
        self._followed.remove(device)
        return sample._replace(is_last=True)
