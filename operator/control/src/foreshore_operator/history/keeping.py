"""Asking sources again and again: priors are there when a pass wants them.

    every source that answers, nearest first ── none does ──► what was said before ──► nothing

While the hub is out of reach, a Prometheus is the source that answers. Where none does, what was
said counts for `KEPT` seconds, because a model does not get slower while nobody looks; then nothing
is known. Nothing waits for an answer, and it wakes no pass.
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

FIRST: Final = 5.0
"""Seconds from the start until the first question: the hub has then been asked, or is away."""
PERIOD: Final = 60.0
KEPT: Final = 3600.0
"""Seconds for which an answer counts when no further one comes."""


@dataclass(slots=True)
class History:
    """The newest priors of one source. `run` keeps them fresh."""

    asked: source.LatencySource
    name: str
    """Of the source, and what to look at when it does not answer."""
    clock: Callable[[], float] = time.monotonic
    count: Callable[[str], None] = lambda _outcome: None
    """Hears `answered` or `failed`."""
    origin: priors.PriorOrigin = priors.PriorOrigin.POOLED
    """What figures rest on where this source is the nearest that answers."""
    _priors: priors.LatencyPriors = field(default=priors.NOTHING)
    _at: float | None = None
    _problem: str = ""

    def priors(self) -> priors.LatencyPriors:
        """The newest answer, or nothing once it is too old."""
        is_current = self._at is not None and self.clock() - self._at <= KEPT
        return self._priors if is_current else priors.NOTHING

    @property
    def is_answering(self) -> bool:
        """Whether the last question was answered."""
        return self._at is not None and not self._problem

    async def run(self) -> None:
        """Ask until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            await self.ask()
            await asyncio.sleep(PERIOD)

    async def ask(self) -> None:
        """Ask once; what goes wrong is logged when it begins, ends or changes."""
        now = datetime.datetime.now(datetime.UTC)
        try:
            answer = await self.asked.read(now)
        except source.HistoryError as error:
            self._tell(str(error))
            return
        except Exception as error:  # priors only rank nodes: logged and counted
            log.debug("asking %s failed", self.name, exc_info=True)
            self._tell(f"a defect of ours, please report it: {type(error).__name__}: {error}"[:500])
            return
        self._priors, self._at = answer, self.clock()
        self._tell("")

    def _tell(self, problem: str) -> None:
        self.count("failed" if problem else "answered")
        if problem and problem != self._problem:
            log.warning(
                "no latency history from %s: %s. An hour from its last answer on, nodes that were"
                " never tried are ranked without it",
                self.name,
                problem,
            )
        elif self._problem and not problem:
            log.info("%s answers again", self.name)
        self._problem = problem


class Histories:
    """The priors of several sources as one: the first that has enough samples counts."""

    def __init__(self, *histories: History) -> None:
        self.histories = histories
        self._sources: tuple[priors.LatencyPriors, ...] = ()
        self._merged = priors.NOTHING

    def priors(self) -> priors.LatencyPriors:
        """What is known now; the same object while no source says anything else."""
        answering = tuple(history for history in self.histories if history.is_answering)
        remembered = priors.PriorOrigin.REMEMBERED
        origin = answering[0].origin if answering else remembered
        sources = tuple(history.priors() for history in answering or self.histories)
        if origin is not self._merged.origin or not _are_the_same(sources, self._sources):
            self._sources, self._merged = sources, priors.first(*sources, origin=origin)
        return self._merged


def _are_the_same(
    sources: tuple[priors.LatencyPriors, ...], before: tuple[priors.LatencyPriors, ...]
) -> bool:
    return len(sources) == len(before) and all(
        source_ is earlier for source_, earlier in zip(sources, before, strict=True)
    )
