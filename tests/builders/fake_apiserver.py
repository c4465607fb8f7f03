"""An API server that takes every write after a moment, for what is measured of writers.

It keeps nothing and checks nothing. The bench runs it as a process of its own, so that it shares no
event loop with what it measures; a component test runs `application` in its own loop.
"""

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp import web

from foreshore_kube import api

WRITE_SECONDS = 0.002
"""What storing takes, about as long as an fsync on a solid disk."""


class Access:
    """Access to it, as a client asks for it."""

    tls = False
    proxy = None
    server_hostname = None

    def __init__(self, port: int) -> None:
        self.server = f"http://127.0.0.1:{port}"

    async def headers(self) -> dict[str, str]:
        """There is nobody to authenticate to."""
        return {}

    async def refresh(self) -> None:
        """Nothing runs out."""


class Taken:
    """What came in: moment, method and path of each write."""

    def __init__(self) -> None:
        self.writes: list[tuple[float, str, str]] = []
        self.number = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take a write."""
        body: api.Json = json.loads(await request.read())
        await asyncio.sleep(WRITE_SECONDS)
        self.number += 1
        self.writes.append((time.monotonic(), request.method, request.path))
        metadata: dict[str, Any] = dict(body.get("metadata") or {})
        metadata |= {"uid": f"uid-{self.number}", "resourceVersion": str(self.number)}
        return web.json_response({**body, "metadata": metadata})


def application(taken: Taken) -> web.Application:
    """It, to be served."""
    served = web.Application(client_max_size=1 << 20)
    served.router.add_route("*", "/{path:.*}", taken.take)
    return served


class Forgetful(Taken):
    """Takes writes for as long as a bench lasts, and keeps none."""

    async def take(self, request: web.Request) -> web.Response:
        """Take a write."""
        answer = await super().take(request)
        self.writes.clear()
        return answer


if __name__ == "__main__":
    web.run_app(
        application(Forgetful()),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
    )
