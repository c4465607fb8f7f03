"""Where priors come from, as the operator sees it; `prometheus` is the one that is built in."""

from __future__ import annotations

import datetime
from typing import Protocol

from foreshore_planner import priors


class HistoryError(Exception):
    """A source does not answer, or not so that it could be believed; the text says what helps."""


class LatencySource(Protocol):
    """Says how long models and networks took before. It must not block the loop."""

    async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        """Return what was measured until now.

        Raises:
            HistoryError: nothing is known.
        """
