"""What the agents report now, pooled: the source of priors that needs nothing but the hub."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass

from foreshore_operator.history import source
from foreshore_planner import pooling, priors, snapshot


@dataclass(frozen=True, slots=True)
class HubHistory:
    """A `source.LatencySource` over what the last pass saw."""

    observed: Callable[[], snapshot.Snapshot | None]

    async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        """Pool it; raises HistoryError while nothing is seen of the fleet."""
        seen = self.observed()
        if seen is None or seen.fleet is None:
            raise source.HistoryError("the hub is out of reach")
        return await asyncio.to_thread(pooling.pooled, seen)
