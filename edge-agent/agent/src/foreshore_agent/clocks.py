"""The agent's clocks behind one seam: the engine's time, the monotonic clock, the boot-time clock.

The engine's time drives windows, ages, rates and the time of records; in a rehearsal it follows the
recording. The real monotonic clock drives latency stages, timeouts and acknowledgements; the
boot-time clock, which goes on while the machine sleeps and starts again at a reboot, drives grants.
The runtime and the verbs take a `Clock`; nobody else asks the time, or makes an identity of it.
"""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import uuid_utils

from foreshore_decision.instant import Instant

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the runtime needs to know of time."""

    @property
    def virtual(self) -> bool:
        """Whether the engine's time is a recording's and not the world's."""
        ...

    @property
    def boot_id(self) -> str:
        """Identity of this boot of the machine."""
        ...

    def now(self) -> datetime:
        """Return the engine's time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return real seconds that never step back."""
        ...

    def instant(self) -> Instant:
        """Return all three clocks, read together."""
        ...

    def identity(self) -> str:
        """Return a fresh UUIDv7: identities sort by the engine's time."""
        ...


class RunningClock(Clock, Protocol):
    """A clock that goes on by itself, so that one can wait on it."""

    @property
    def speed(self) -> float:
        """Engine seconds that pass in one real second."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of the engine's time."""
        ...


class SystemClock:
    """The world's time, as the machine tells it."""

    virtual: Final = False
    speed: Final = 1.0

    def __init__(self) -> None:
        self.boot_id: Final = boot_id()

    def now(self) -> datetime:
        """Return the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def instant(self) -> Instant:
        """Return wall, monotonic and boot-time clock."""
        return Instant(datetime.now(UTC), time.monotonic(), boot_seconds())

    def identity(self) -> str:
        """Return a fresh UUIDv7."""
        return str(uuid_utils.uuid7())

    async def sleep(self, seconds: float) -> None:
        """Wait for real seconds."""
        await asyncio.sleep(seconds)


def boot_seconds() -> float:
    """Return the boot-time clock: like monotonic, but it counts the time a machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return the kernel's identity of this boot."""
    with _BOOT_ID.open(encoding="ascii") as file:
        return file.read(64).strip()


def unix_seconds() -> float:
    """Return the world's wall clock, also in a rehearsal: epochs must rise over restarts."""
    return time.time()
