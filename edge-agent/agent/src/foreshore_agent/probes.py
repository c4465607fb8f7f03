"""Timing the echo of every peer agent the assignment names, once a second each.

The operator predicts with it how long a call to a replica on that node would take. A peer that does
not answer adds nothing: its newest echo grows old, which says more than a made-up number.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp

from foreshore_agent import meters
from foreshore_api.wire import assignment

PERIOD_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 1.0
MAXIMUM_AT_ONCE: Final = 64


async def run(targets: Callable[[], Sequence[assignment.ProbeTarget]], into: meters.Meters) -> None:
    """Probe until cancelled; `targets` is asked anew in each round."""
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAXIMUM_AT_ONCE, keepalive_timeout=30.0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        trust_env=False,
    )
    async with client:
        while True:
            started = time.monotonic()
            await asyncio.gather(*(_probe(client, target, into) for target in targets()))
            await asyncio.sleep(max(0.05, started + PERIOD_SECONDS - time.monotonic()))


async def _probe(
    client: aiohttp.ClientSession, target: assignment.ProbeTarget, into: meters.Meters
) -> None:
    started = time.monotonic()
    try:
        url = f"{target.url.rstrip('/')}/echo"
        async with client.get(url, allow_redirects=False) as response:
            if response.status == 204:
                into.observe_probe(target.node, time.monotonic() - started, time.monotonic())
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return  # no echo is told by the age of the newest one
