"""Events from Kopf's thread to the operator's loop: the newest of each object, in slices.

Kopf's handlers put, whoever keeps the mirrors takes. A storm on one object costs one decoding, and
what is pending is bounded by the number of objects.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from foreshore_kube import mirror
from foreshore_kube.intake import WatchedEvent

log = logging.getLogger(__name__)


class Handover:
    """A bounded way from one thread into a loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deliver: Callable[[WatchedEvent], None]
    ) -> None:
        self.count = 0
        """Events put so far."""
        self._loop = loop
        self._deliver = deliver
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], WatchedEvent] = {}
        self._is_due = False

    def put(self, event: WatchedEvent) -> None:
        """Hand an event over; from any thread. What was pending of the object is replaced."""
        uid = mirror.version_of(event.document).uid
        with self._lock:
            self.count += 1
            self._pending.pop((event.kind, uid), None)
            self._pending[event.kind, uid] = event
            was_due, self._is_due = self._is_due, True
        if not was_due:
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        """Deliver for one slice of time, then let others run first."""
        pause = mirror.Pause()
        while not pause.is_due:
            with self._lock:
                key = next(iter(self._pending), None)
                if key is None:
                    self._is_due = False
                    return
                event = self._pending.pop(key)
            try:
                self._deliver(event)
            except Exception:  # a list mends this one; those behind it must not wait for ever
                log.exception("an event of a %s is not taken in: a defect of ours", event.kind)
        self._loop.call_soon(self._take)
