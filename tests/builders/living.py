"""A whole agent in this process, and what a test waits for in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from builders import patience
from foreshore_agent import clocks, settings
from foreshore_agent.runtime import agent


@contextlib.asynccontextmanager
async def living(configured: settings.AgentSettings) -> AsyncIterator[agent.Agent]:
    """An agent that lives for as long as the block lasts, and then stops as on SIGTERM."""
    stop = asyncio.Event()
    host = agent.Agent(configured, clocks.SystemClock())
    life = asyncio.create_task(host.run(stop))
    try:
        await until(lambda: not host.pending() or life.done())
        yield host
    finally:
        stop.set()
        async with asyncio.timeout(patience.SECONDS):
            await life


async def until(condition: Callable[[], bool], seconds: float = patience.SECONDS) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.02)
