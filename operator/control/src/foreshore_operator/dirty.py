"""What changed since the last pass, and how long to wait for more of it.

Informers, the hub's evidence and Kopf's handlers mark; `passes` waits. Events are only hints: a
pass looks at everything, and a full pass is due every half minute whatever was marked. Marking
twice is free, and a storm on one object is one pass.

    mark ──► 50 ms of quiet, 250 ms at most ──► pass
    mark urgent (node lost, pod failed, right given back) ──► pass now

A replica that only follows does not listen for some seconds after each pass, but for its turn to
lead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

QUIET = 0.05
LONGEST = 0.25

LEADERSHIP = "leadership"
"""The key that is marked when this replica begins to lead, or ceases to."""


class Dirty:
    """A set of keys with a bell. Used from one loop only."""

    def __init__(self, *, quiet: float = QUIET, longest: float = LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._keys: set[Hashable] = set()
        self._marked = asyncio.Event()
        self._urgent = asyncio.Event()
        self._turned = asyncio.Event()

    def mark(self, key: Hashable, *, urgent: bool = False) -> None:
        """Say that something about this key changed."""
        self._keys.add(key)
        self._marked.set()
        if urgent:
            self._urgent.set()
        if key == LEADERSHIP:
            self._turned.set()

    async def rest(self, seconds: float) -> None:
        """Let marks gather for so long, or until leadership is marked; none of them is taken."""
        await _is_set(self._turned, seconds)

    async def wait(self, patience: float) -> frozenset[Hashable]:
        """Wait until a pass is due, at most `patience` seconds; what was marked until then."""
        if await _is_set(self._marked, patience):
            await self._settle()
        taken = frozenset(self._keys)
        self._keys.clear()
        self._marked.clear()
        self._urgent.clear()
        self._turned.clear()
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
