"""What the agents report now, pooled: the source of priors that needs nothing but the hub."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from foreshore_operator.history import source
from foreshore_planner import pooling, priors, snapshot


@dataclass(slots=True)
class HubHistory:
    """A `source.LatencySource` over what the last pass saw, and what was seen before."""

    observed: Callable[[], snapshot.Snapshot | None]
    clock: Callable[[], float] = time.monotonic
    _memory: priors.LatencyMemory = field(default_factory=priors.LatencyMemory)

    async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        """Pool it; raises HistoryError while nothing is seen of the fleet."""
        seen = self.observed()
        if seen is None or seen.fleet is None:
            raise source.HistoryError("the hub is out of reach")
        fresh, at = await asyncio.to_thread(pooling.pooled, seen), self.clock()
        self._memory = priors.remembered(self._memory, fresh, at)
        return priors.recalled(self._memory, fresh, at)
