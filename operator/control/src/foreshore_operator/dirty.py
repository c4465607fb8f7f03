"""What changed since the last pass, and how long to wait for more of it.

Informers, the hub's evidence and Kopf's handlers mark; `passes` waits. Events are only hints: a
pass looks at everything, and a full pass is due every half minute whatever was marked. Marking
twice is free, and a storm on one object is one pass.

    mark ──► 50 ms of quiet, 250 ms at most ──► pass
    mark urgent (node lost, pod failed, right given back) ──► pass now
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

QUIET = 0.05
LONGEST = 0.25


class Dirty:
    """A set of keys with a bell. Used from one loop only."""

    def __init__(self, *, quiet: float = QUIET, longest: float = LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._keys: set[Hashable] = set()
        self._marked = asyncio.Event()
        self._urgent = asyncio.Event()

    def mark(self, key: Hashable, *, urgent: bool = False) -> None:
        """Say that something about this key changed."""
        self._keys.add(key)
        self._marked.set()
        if urgent:
            self._urgent.set()

    async def wait(self, patience: float) -> frozenset[Hashable]:
        """Wait until a pass is due, at most `patience` seconds; what was marked until then."""
        if await _is_set(self._marked, patience):
            await self._settle()
        taken = frozenset(self._keys)
        self._keys.clear()
        self._marked.clear()
        self._urgent.clear()
        return taken

    async def _settle(self) -> None:
        """Wait for quiet, unless something is urgent or it takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._longest
        while not self._urgent.is_set():
            left = deadline - loop.time()
            count = len(self._keys)
            if left <= 0 or await _is_set(self._urgent, min(self._quiet, left)):
                return
            if len(self._keys) == count:
                return


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
