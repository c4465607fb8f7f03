"""How late the event loop comes to its own timer: whatever holds it up is measured and named.

`main` runs one for the process. A heartbeat on the loop measures how late each wake-up is; a thread
beside it looks, while a heartbeat is overdue, at what the loop's thread is doing just then, so that
the log names the lines that block and not only that something did. Nothing here ends a process:
`/healthz` is for loops that hang for good.

A machine that gives the process no time makes stalls too. The log tells them apart by the processor
time that the loop's thread has used meanwhile, and a second figure by that of the whole process: of
a stall no more can be its own work, on the loop or in a thread that the loop had to wait for.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

PERIOD: Final = 0.025
"""Seconds between two heartbeats."""
STALL: Final = 0.05
"""Seconds of lateness from which a stall is logged."""
QUIET: Final = 10.0
"""Seconds between two lines of the log about stalls; those between are counted in the next."""
DEPTH: Final = 6
"""Innermost calls that a line names."""


@dataclass(frozen=True, slots=True)
class LoopStall:
    """One stall, as it was measured."""

    seconds: float
    processor: float
    """Seconds of processor time that the loop's thread has used meanwhile."""
    at: str
    """What the loop's thread was doing, innermost call last; empty where nobody saw."""

    def __str__(self) -> str:
        doing = self.at or "something that was over before anybody could look"
        return (
            f"the event loop stood still for {self.seconds * 1000:.0f} ms"
            f" ({self.processor * 1000:.0f} ms of it its own processor time): {doing}"
        )


class Watchdog:
    """Watches the loop that runs `run`."""

    def __init__(
        self,
        observe: Callable[[float], None],
        observe_work: Callable[[float], None] = lambda _seconds: None,
        *,
        period: float = PERIOD,
        stall: float = STALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observe = observe
        self._observe_work = observe_work
        self._period = period
        self._stall = stall
        self._clock = clock
        self._due = 0.0
        """When the next heartbeat is due; read by the thread."""
        self._seen = ""
        self._loop_thread = 0
        self._ended = threading.Event()
        self._logged_at = -QUIET
        self._unlogged = 0

    async def run(self) -> None:
        """Measure until cancelled."""
        self._loop_thread = threading.get_ident()
        self._due = self._clock() + self._period
        beside = threading.Thread(target=self._look, name="watchdog", daemon=True)
        beside.start()
        try:
            while True:
                used, worked = time.thread_time(), time.process_time()
                await asyncio.sleep(self._period)
                self._beat(time.thread_time() - used, time.process_time() - worked)
        finally:
            self._ended.set()

    def _beat(self, processor: float, of_process: float) -> None:
        now = self._clock()
        late = max(0.0, now - self._due)
        seen, self._seen = self._seen, ""
        self._due = now + self._period
        self._observe(late)
        self._observe_work(min(late, of_process))
        if late > self._stall:
            self._log(LoopStall(late, processor, seen), now)

    def _log(self, stall: LoopStall, now: float) -> None:
        if now - self._logged_at < QUIET:
            self._unlogged += 1
            return
        more = f"; {self._unlogged} more since the last such line" if self._unlogged else ""
        log.warning("%s%s", stall, more)
        self._logged_at, self._unlogged = now, 0

    def _look(self) -> None:
        """Note what the loop's thread is doing, once for each heartbeat that is overdue."""
        noted = 0.0
        while not self._ended.wait(self._period):
            due, now = self._due, self._clock()
            if due == noted or now - due < self._stall * 0.6 or now - self._logged_at < QUIET:
                continue  # nothing is late, or it would only be counted
            frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 (documented use)
            if frame is not None and due == self._due:
                self._seen, noted = described(frame), due
            del frame


def described(frame: FrameType) -> str:
    """The innermost calls of a thread, outermost of them first."""
    frames = itertools.islice(traceback.walk_stack(frame), DEPTH)
    calls = reversed(traceback.StackSummary.extract(frames, lookup_lines=False))
    return " > ".join(f"{call.name} ({_short(call.filename)}:{call.lineno})" for call in calls)


def _short(path: str) -> str:
    """The end of a path: package and module say where a line is."""
    return "/".join(path.rsplit("/", 2)[-2:])
