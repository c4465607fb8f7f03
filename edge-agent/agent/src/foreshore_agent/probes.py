"""Timing the echo of every peer agent the assignment names, once a second each.

The operator predicts with it how long a call to a replica on that node would take. A peer that does
not answer adds nothing: its newest echo grows old, which says more than a made-up number. Only an
agent's own port is asked, at an address as Kubernetes gives it to pods: an assignment that names
anything else makes no agent ask it.

The client is imported with the first target: it costs 11 MB, and an agent by itself has no peers.
"""

import asyncio
import ipaddress
import logging
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from foreshore_agent import meters
from foreshore_api.wire import assignment

if TYPE_CHECKING:
    import aiohttp

PERIOD_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 1.0
MAXIMUM_AT_ONCE: Final = 64
_LOG: Final = logging.getLogger(__name__)


async def run(targets: Callable[[], Sequence[assignment.ProbeTarget]], into: meters.Meters) -> None:
    """Probe until cancelled; `targets` is asked anew in each round."""
    while not targets():  # noqa: ASYNC110 - an assignment wakes nobody here
        await asyncio.sleep(PERIOD_SECONDS)
    import aiohttp

    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAXIMUM_AT_ONCE, keepalive_timeout=30.0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        trust_env=False,
    )
    refused: frozenset[assignment.ProbeTarget] = frozenset()
    async with client:
        while True:
            started = time.monotonic()
            asked = targets()
            refused_before = refused
            refused = frozenset(target for target in asked if not is_askable(target.url))
            for target in refused - refused_before:
                _LOG.warning("peer %s is not timed: its address is not http://<address>:<port>/,"
                             " as that of an agent is", target.node)  # fmt: skip
            await asyncio.gather(
                *(_probe(client, target, into) for target in asked if target not in refused)
            )
            await asyncio.sleep(max(0.05, started + PERIOD_SECONDS - time.monotonic()))


def is_askable(url: str) -> bool:
    """Whether a URL is `http://<address>:<port>/` of what can be a pod, and nothing more."""
    try:
        parts = urllib.parse.urlsplit(url)
        address, port = ipaddress.ip_address(parts.hostname or ""), parts.port
    except ValueError:
        return False
    is_bare = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    is_nobody = address.is_link_local or address.is_multicast or address.is_unspecified
    return parts.scheme == "http" and port is not None and is_bare and not is_nobody


async def _probe(
    client: "aiohttp.ClientSession", target: assignment.ProbeTarget, into: meters.Meters
) -> None:
    import aiohttp

    started = time.monotonic()
    try:
        url = f"{target.url.rstrip('/')}/echo"
        async with client.get(url, allow_redirects=False) as response:
            if response.status == 204:
                into.observe_probe(target.node, time.monotonic() - started, time.monotonic())
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return  # no echo is told by the age of the newest one
