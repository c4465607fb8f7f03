"""Kopf's settings, and storages that keep nothing: it only listens.

The supervisor's startup handler applies them. What each line prevents:

- Kopf reads annotations that any Kopf operator may have left on an object, and one that is no JSON
  would make it skip that object's events; it removes a finalizer of its own name that it finds, a
  write on somebody's object; it copies each object to compare it. With these storages and a name
  that no finalizer can have it does none of it.
- It kills its thread, and with it the process, when ending takes longer than it likes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, Final

import kopf

NO_FINALIZER: Final = "no finalizer"
"""No name of a finalizer: the API server refuses it, so that no object carries it."""


class NoDifferences(kopf.DiffBaseStorage):
    """Remembers no last state: `on.event` compares nothing."""

    def build(self, **_: Any) -> Any:
        """Nothing of an object is compared."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress: `on.event` has none."""

    def fetch(self, **_: Any) -> Any:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """There is nothing to remove."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """There is nothing to leave out."""
        return essence


class Backoffs:
    """Waits without an end: Kopf gives up, and ends, when an iterable of waits does."""

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            bound = min(30.0, 2.0 ** min(attempt, 5))
            yield random.uniform(0.5, 1.0) * bound  # noqa: S311 (spreads load)


def apply(chosen: kopf.OperatorSettings) -> None:
    """Nothing is posted, scanned, compared or written, and no outage ends it."""
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.finalizer = NO_FINALIZER
    chosen.persistence.diffbase_storage = NoDifferences()
    chosen.persistence.progress_storage = NoProgress()
    chosen.persistence.consistency_timeout = 0
    chosen.process.ultimate_exiting_timeout = None
    chosen.queueing.idle_timeout = 0.1
    chosen.watching.chunk_size = 500
    chosen.watching.connect_timeout = 5
    chosen.networking.request_timeout = 10
    chosen.networking.error_backoffs = Backoffs()
