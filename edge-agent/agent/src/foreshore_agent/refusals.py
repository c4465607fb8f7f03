"""What was refused of what others sent: counted, and in the log with from where, why and how often.

Counters alone say that something is wrong; these lines say what. Whoever sends must not be able to
fill the log, so that each cause gets one line a minute at most, with the number it stands for.
Broker, devices and the site's agents share one: they take what strangers sent.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from foreshore_api import printable
from foreshore_api.reasons import agent
from foreshore_api.reasons import telemetry as reasons

EVERY_SECONDS: Final = 60.0
MAXIMUM_CAUSES: Final = 64
"""Causes are codes of ours; should more ever come, they share one line."""
_ROUTINE: Final = frozenset({reasons.ACCEPTED, reasons.RETAINED, reasons.NULL})
"""What is counted and is no news."""
_LOG: Final = logging.getLogger(__name__)


class Refusals:
    """Counts every message by what became of it; one line a cause and minute for the refused."""

    def __init__(
        self, count: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.count: Final = count
        """Counts one message without a line: for what was accepted."""
        self._now: Final = now
        self._last: Final[dict[str, float]] = {}
        self._unsaid: Final[dict[str, int]] = {}

    def count_many(self, result: str, number: int) -> None:
        """Count messages of one result."""
        for _ in range(number):
            self.count(result)

    def note(
        self,
        what: str,
        cause: str,
        error: BaseException | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        """Count a refusal (of a topic's message, of a peer's beat) and log it, if not just done.

        Also if just done of another, where it is the first of its kind and the caller bounds those.
        """
        self.count(cause)
        if cause in _ROUTINE:
            return
        if cause not in self._last and len(self._last) >= MAXIMUM_CAUSES:
            cause = agent.OTHER
        now, last = self._now(), self._last.get(cause)
        if last is not None and now - last < EVERY_SECONDS and not is_first:
            self._unsaid[cause] = self._unsaid.get(cause, 0) + 1
            return
        self._last[cause] = now
        more = self._unsaid.pop(cause, 0)
        since = f"; {more} more since the last line" if more else ""
        line = f"refused {printable.clean(what)}: {cause}{explained(cause)}{since}"
        _LOG.warning("%s", line, exc_info=error)


def explained(cause: str) -> str:
    """Return what a cause means and what helps, where it is a row of ours; a codec has its own."""
    row = reasons.TABLE.get(cause) or agent.TABLE.get(cause)
    if row is None:
        return ""
    remedy = f"; remedy: {row.remedy}" if row.remedy else ""
    return f" ({row.meaning.rstrip('.')}{remedy})"
