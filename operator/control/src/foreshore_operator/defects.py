"""What becomes known of defects of our own: counted each time, logged with traceback once.

Each is about one object, which stays as it is; everything else goes on. `passes`, `compilation` and
`act` note what they met in a pass; a defect that did not come again in the next is forgotten, so
that it is logged anew if it comes back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

Seen = tuple[str, str, str, str]
"""Kind, namespace and name of the object, and the class of what was raised."""


class Defects:
    """The defects of this pass and of the one before. Policies are compiled in another thread."""

    def __init__(self, count: Callable[[str], None] = lambda _kind: None) -> None:
        self._count = count
        self._now: set[Seen] = set()
        self._before: set[Seen] = set()
        self._lock = threading.Lock()

    def note(self, kind: str, namespace: str, name: str, error: Exception, doing: str) -> None:
        """Count a defect; log it unless the pass before met it too."""
        seen = (kind, namespace, name, type(error).__name__)
        self._count(kind)
        with self._lock:
            is_news = seen not in self._now and seen not in self._before
            self._now.add(seen)
        if is_news:
            log.error(
                "%s %s/%s stays as it is: %s failed", kind, namespace, name, doing, exc_info=error
            )

    def end_pass(self) -> None:
        """Forget what did not come again."""
        with self._lock:
            self._before, self._now = self._now, set()
