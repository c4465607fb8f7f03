"""What the agents report now, pooled: the source of priors that needs nothing but the hub."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from foreshore_operator.history import source
from foreshore_planner import pooling, priors, snapshot


@dataclass(frozen=True, slots=True)
class HubHistory:
    """A `source.LatencySource` over what the newest pass saw."""

    newest: Callable[[], snapshot.Snapshot | None]

    def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        """Pool it; raises HistoryError while nothing is seen of the fleet."""
        seen = self.newest()
        if seen is None or seen.fleet is None:
            raise source.HistoryError("the hub is out of reach")
        return pooling.pooled(seen)
