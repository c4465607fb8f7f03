"""The clocks of a rehearsal: one that stands while a row is decided, one that runs for `--live`.

`FrozenClock` stands at a row's own time for as long as deciding takes, so that ages, windows, rates
and intervals are exactly those of the recording, and two runs on any machine are equal.

`PacedClock` is for a broker and an agent that need real time: real pace while a row is decided,
fast-forward between rows.

    hold ── the agent decides, the device answers: one second is a second ──► forward ── N times ──►

There the next row comes only when this one has been decided. What sleeps on that clock (a value
that settles) wakes on the way, at its own moment. Its monotonic clock skips what is skipped:
latencies, which lie within a hold, are real, and settling times and timeouts are the recording's.
"""

import asyncio
import hashlib
import heapq
import itertools
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import uuid_utils

from foreshore_agent import clocks
from foreshore_decision.instant import Instant

FASTEST: Final = 1e6
"""Fast-forward where nobody asked for a pace."""
_SHORTEST: Final = 1e-3
"""Real seconds that are not worth sleeping for."""


class FrozenClock:
    """Stands until it is advanced; a `clocks.Clock`.

    All three of its clocks tell the recording's time, in Unix seconds: what is due on one of them
    is due on all, and no wait of the engine is a wait of ours. Its identities depend on the seed
    and on how many were made before, so that the same rehearsal makes the same ones.
    """

    virtual: Final = True

    def __init__(self, origin: datetime, seed: bytes) -> None:
        self.boot_id: Final = constant(seed, b"boot")
        self._seed: Final = seed
        self._made = 0
        self._now = origin.astimezone(UTC)

    def now(self) -> datetime:
        """Return the recording's time, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the same, in seconds."""
        return self._now.timestamp()

    def instant(self) -> Instant:
        """Return the same on all three clocks."""
        seconds = self._now.timestamp()
        return Instant(self._now, seconds, seconds)

    def identity(self) -> str:
        """Return the next UUIDv7: the recording's time, a counter, and bits drawn from the seed."""
        self._made += 1
        drawn = int.from_bytes(_drawn(self._seed, self._made.to_bytes(8, "big"))[:8], "big")
        milliseconds = max(0, math.floor(self._now.timestamp() * 1000)) % (1 << 48)
        counter = self._made % (1 << 32)
        number = milliseconds << 80 | 0x7 << 76 | (counter >> 20) << 64
        number |= 0b10 << 62 | (counter & 0xFFFFF) << 42 | drawn >> 22
        return str(uuid.UUID(int=number))

    def advance(self, to: datetime) -> None:
        """Stand at a later moment; an earlier one changes nothing."""
        self._now = max(self._now, to)


def constant(seed: bytes, purpose: bytes) -> str:
    """Return the UUID that a seed gives to a purpose."""
    return str(uuid.UUID(bytes=_drawn(seed, purpose)[:16], version=4))


def _drawn(seed: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, key=seed[:64]).digest()


class PacedClock:
    """Stands at `origin` until the first `forward`; a `clocks.RunningClock`."""

    virtual: Final = True
    speed: Final = 1.0
    """While something is decided; fast-forward is between."""

    def __init__(self, origin: datetime, forward_speed: float = FASTEST) -> None:
        if not (math.isfinite(forward_speed) and forward_speed > 0):
            raise ValueError(f"a speed is a positive number, not {forward_speed}")
        self.boot_id: Final = clocks.boot_id()
        self._forward_speed: Final = forward_speed
        self._base = origin.astimezone(UTC)
        self._since = time.monotonic()
        self._pace = 1.0
        self._skipped = 0.0
        self._limit: datetime | None = self._base
        self._order: Final = itertools.count()
        self._sleepers: Final[list[tuple[datetime, int, asyncio.Future[None]]]] = []

    def now(self) -> datetime:
        """Return the recording's time, in UTC."""
        return self._at(time.monotonic())

    def monotonic(self) -> float:
        """Return real seconds, and the seconds that were skipped."""
        real = time.monotonic()
        return real + self._skip(real)

    def instant(self) -> Instant:
        """Return the recording's time, the monotonic clock beside it, and the boot-time clock."""
        real = time.monotonic()
        return Instant(self._at(real), real + self._skip(real), clocks.boot_seconds())

    def identity(self) -> str:
        """Return a fresh UUIDv7."""
        return str(uuid_utils.uuid7())

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds of the recording have passed."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        moment = self.now() + timedelta(seconds=max(0.0, seconds))
        heapq.heappush(self._sleepers, (moment, next(self._order), woken))
        await woken

    @property
    def latest_sleeper(self) -> datetime | None:
        """The moment at which the last sleeper wakes; None when nobody sleeps."""
        return max((moment for moment, _, _ in self._sleepers), default=None)

    async def forward(
        self, to: datetime, next_row: datetime | None, settled: Callable[[], Awaitable[None]]
    ) -> None:
        """Fast-forward to a moment, waking sleepers on the way; `settled` waits for what they do.

        Then time is held: it runs at real pace, and does not reach `next_row`.
        """
        while self._sleepers and self._sleepers[0][0] <= to:
            moment, _, woken = heapq.heappop(self._sleepers)
            await self._flow(moment)
            self._hold(to)
            if not woken.done():
                woken.set_result(None)
                await settled()
        await self._flow(to)
        self._hold(next_row)

    async def _flow(self, to: datetime) -> None:
        missing = (to - self.now()).total_seconds()
        if missing <= 0:
            return
        self._turn(self.now(), self._forward_speed, to)
        if (wait := missing / self._forward_speed) > _SHORTEST:
            await asyncio.sleep(wait)
        self._turn(to, 1.0, None)

    def _hold(self, until: datetime | None) -> None:
        limit = None if until is None else until - timedelta(microseconds=1)
        self._turn(self.now(), 1.0, limit)

    def _turn(self, base: datetime, pace: float, limit: datetime | None) -> None:
        real = time.monotonic()
        if self._pace != 1.0:
            self._skipped += (base - self._base).total_seconds() - (real - self._since)
        self._base, self._since, self._pace, self._limit = base, real, pace, limit

    def _skip(self, real: float) -> float:
        if self._pace == 1.0:
            return self._skipped
        passed = (self._at(real) - self._base).total_seconds()
        return self._skipped + passed - (real - self._since)

    def _at(self, real: float) -> datetime:
        moment = self._base + timedelta(seconds=(real - self._since) * self._pace)
        if self._limit is not None and moment > self._limit:
            return max(self._limit, self._base)
        return moment
