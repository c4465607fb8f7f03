"""What was refused of what others sent, in the log: what, from where, why, and how often.

Counters alone say that something is wrong; these lines say what. Whoever sends must not be able to
fill the log, so that each cause gets one line a minute at most, with the number it stands for.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from foreshore_api import printable

EVERY_SECONDS: Final = 60.0
MAXIMUM_CAUSES: Final = 64
"""Causes are codes of ours; should more ever come, they share one line."""
_OTHER: Final = "Other"
_LOG: Final = logging.getLogger(__name__)


class Refusals:
    """Lines about what was refused, one a cause and minute."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now: Final = now
        self._last: Final[dict[str, float]] = {}
        self._unsaid: Final[dict[str, int]] = {}

    def note(self, what: str, cause: str, error: BaseException | None = None) -> None:
        """Say that something (a topic, a peer's beat) was refused, unless it was just said."""
        if cause not in self._last and len(self._last) >= MAXIMUM_CAUSES:
            cause = _OTHER
        now, last = self._now(), self._last.get(cause)
        if last is not None and now - last < EVERY_SECONDS:
            self._unsaid[cause] = self._unsaid.get(cause, 0) + 1
            return
        self._last[cause] = now
        more = self._unsaid.pop(cause, 0)
        since = f"; {more} more since the last line" if more else ""
        _LOG.warning("refused %s: %s%s", printable.clean(what), cause, since, exc_info=error)
