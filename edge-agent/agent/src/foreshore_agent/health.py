"""The agent's own HTTP port: /metrics, /healthz and /readyz, and /echo for peers.

A peer times `/echo` to learn how long a call to this node takes; it answers without looking at
anything. Readiness says in words what is missing, a line each, and answers 503 then:

- everywhere: no assignment, no session with the site's broker, a full journal;
- in folder mode also: no replica that answers for a policy, and every resource that is not in force
  as its file says (refused, uncompiled, selecting nothing, referring to what is not there). What
  works goes on all the same. In a cluster the operator's conditions say that, and the agent's pod
  stays Ready: a mistake in one policy must not hold up the update of all agents.

Below that stands what a person should look at although the agent works as it should: a journal that
was not as it was left. Such an agent stays ready: taking it out of service would mend nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final

import prometheus_client
from aiohttp import web

from foreshore_api import printable

MAXIMUM_HEADER_BYTES: Final = 8190
_LONGEST: Final = 4096
"""Characters of a reason: it may quote what a model, a device or a broker said."""
Reasons = Callable[[], Sequence[str]]
"""Returns what is missing for readiness, or what to look at, as sentences."""


def application(
    registry: prometheus_client.CollectorRegistry, reasons: Reasons, remarks: Reasons = tuple
) -> web.Application:
    """Return the application; nothing it answers needs a body, so none is read.

    `reasons` say what is missing: nothing means ready. `remarks` are told either way.
    """

    async def echo(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = reasons()
        lines = (printable.clean(line, _LONGEST) for line in (*(missing or ("ok",)), *remarks()))
        text = "".join(f"{line}\n" for line in lines)
        return web.Response(status=503 if missing else 200, text=text)

    async def exposed(_: web.Request) -> web.Response:
        body = prometheus_client.generate_latest(registry)
        kind = prometheus_client.CONTENT_TYPE_LATEST
        return web.Response(body=body, headers={"Content-Type": kind})

    served = web.Application(client_max_size=1024)
    served.router.add_get("/echo", echo)
    served.router.add_get("/healthz", healthz)
    served.router.add_get("/readyz", readyz)
    served.router.add_get("/metrics", exposed)
    return served


class Port:
    """The listening port; `start` binds it, so that a taken port is an error at start."""

    def __init__(self, application: web.Application, host: str, port: int) -> None:
        self._runner: Final = web.AppRunner(
            application, access_log=None, handle_signals=False, keepalive_timeout=75.0
        )
        self._host: Final = host
        self._port: Final = port

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def close(self) -> None:
        """Stop listening and drop connections."""
        await self._runner.cleanup()
