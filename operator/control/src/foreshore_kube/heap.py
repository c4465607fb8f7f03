"""Memory of processes that keep a whole fleet: one heap, and garbage collection that stops nobody.

Operator and hub keep hundreds of thousands of small objects for as long as they run. Python's full
collection walks through all of them, and is due again whenever a quarter of them was replaced: with
the evidence of a thousand agents that takes as long as the work itself does, in pauses of a fifth
of a second. Here what has survived the young generations is set aside (`gc.freeze`): it is still
freed by its last reference, as nearly all is; only cycles among it stay. Once the process is twice
as large as it was, everything is walked through, and the log says so.

glibc gives every thread that allocates an arena of its own, and what is free in one no other uses.
A fleet of a thousand nodes is read, compiled and planned in threads, whose arenas held 240 MB. They
share one: Python's lock lets only one of them allocate at a time anyway.

`main` of the operator and `hub` call `share_arena` first, and run `keep` beside their other tasks.
"""

import asyncio
import ctypes
import gc
import logging
import os
import time
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 60.0
"""After so long the process is as large as it is meant to be: mirrors are filled."""
THRESHOLDS: Final = (2_000, 10, 1_000_000)
"""Of the generations: the oldest is set aside before it is ever due."""
ROOM: Final = 64 << 20
"""Bytes by which the process may grow beyond double."""
RESIDENT: Final = Path("/proc/self/statm")


_M_ARENA_MAX: Final = -8
"""Of mallopt(3)."""


def share_arena() -> None:
    """Let all threads that begin from now on share one arena; where there is no glibc, nothing."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)


class LongLived:
    """What is set aside, and how large the process was when it was last walked through."""

    def __init__(self) -> None:
        self._size: int | None = None

    def set_aside(self) -> None:
        """Look at the young generations, and set aside what survives."""
        gc.collect(1)
        gc.freeze()

    def reclaim(self) -> bool:
        """Walk through everything if the process has doubled; whether it had."""
        size = resident()
        if self._size is None:
            self._size = size
        if size <= 2 * self._size + ROOM:
            return False
        began = time.monotonic()
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._size = resident()
        log.warning("the process grew to %d MiB: all of it was looked through for garbage in"
                    " %.0f ms, %d MiB stay", size >> 20, (time.monotonic() - began) * 1e3,
                    self._size >> 20)  # fmt: skip
        return True


def resident() -> int:
    """Return how much memory the process has, in bytes; 0 where the system does not say."""
    try:
        pages = int(RESIDENT.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


async def keep() -> None:
    """Set aside what lives long, again and again, until cancelled; then all is as it was."""
    before, began = gc.get_threshold(), time.monotonic()
    gc.set_threshold(*THRESHOLDS)
    kept = LongLived()
    try:
        while True:
            kept.set_aside()
            await asyncio.sleep(PERIOD_SECONDS)
            if time.monotonic() - began >= FIRST_SECONDS:
                kept.reclaim()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
