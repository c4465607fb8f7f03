"""Asking a source again and again, in a thread: priors are there when a pass wants them.

A source that does not answer leaves what it said for `KEPT` seconds, because a model does not get
slower while nobody looks; then nothing is known. Nothing waits for it, and it wakes no pass.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from foreshore_operator.history import source
from foreshore_planner import priors

log = logging.getLogger(__name__)

PERIOD: Final = 60.0
KEPT: Final = 3600.0
"""Seconds for which an answer counts when no further one comes."""


@dataclass(slots=True)
class History:
    """The newest priors of one source. `run` keeps them fresh."""

    asked: source.LatencySource
    clock: Callable[[], float] = time.monotonic
    count: Callable[[str], None] = lambda _outcome: None
    """Hears `answered` or `failed`."""
    _priors: priors.LatencyPriors = field(default=priors.NOTHING)
    _at: float | None = None
    _problem: str = ""

    def priors(self) -> priors.LatencyPriors:
        """The newest answer, or nothing once it is too old."""
        is_current = self._at is not None and self.clock() - self._at <= KEPT
        return self._priors if is_current else priors.NOTHING

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(PERIOD)

    async def ask(self) -> None:
        """Ask once; what goes wrong is logged when it begins, ends or changes."""
        now = datetime.datetime.now(datetime.UTC)
        try:
            answer = await asyncio.to_thread(self.asked.read, now)
        except source.HistoryError as error:
            self._tell(str(error))
            return
        self._priors, self._at = answer, self.clock()
        self._tell("")

    def _tell(self, problem: str) -> None:
        self.count("failed" if problem else "answered")
        if problem and problem != self._problem:
            log.warning("no latency history from Prometheus: %s. Nodes that were never tried are"
                        " ranked without it; look at --prometheus-url", problem)  # fmt: skip
        elif self._problem and not problem:
            log.info("Prometheus answers again")
        self._problem = problem
