"""Whether Kopf's loop turns: its own liveness endpoint, asked on loopback every few seconds.

`/healthz` fails when a Kopf that runs has not answered for a minute: a hung thread cannot be ended
from outside, so that only a new process helps. A Kopf that ended and waits to be started again is
no reason for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

import aiohttp

log = logging.getLogger(__name__)

PERIOD: Final = 10.0
TIMEOUT: Final = 5.0
HANGING: Final = 60.0
"""Seconds without an answer after which Kopf's loop counts as hung."""


class Probe:
    """Asks Kopf; its state is written by Kopf's thread (which life) and by the loop (answers)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._endpoint: str | None = None
        self._answered = clock()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """One life of Kopf, with the endpoint that it is to serve."""
        self._answered = self._clock()
        self._endpoint = f"http://127.0.0.1:{_free_port()}/healthz"
        try:
            yield self._endpoint
        finally:
            self._endpoint = None

    @property
    def is_alive(self) -> bool:
        """Whether Kopf answered lately, or does not run."""
        return self._endpoint is None or self._clock() - self._answered < HANGING

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        limits = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=limits, trust_env=False) as session:
            while True:
                await asyncio.sleep(PERIOD)
                if self._endpoint is not None:
                    await self._ask(session, self._endpoint)

    async def _ask(self, session: aiohttp.ClientSession, endpoint: str) -> None:
        try:
            async with session.get(endpoint) as answer:
                if answer.status == 200:
                    self._answered = self._clock()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("kopf does not answer: %s", str(error) or type(error).__name__)


def _free_port() -> int:
    """A port on loopback; if somebody takes it first, Kopf ends and is given another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
