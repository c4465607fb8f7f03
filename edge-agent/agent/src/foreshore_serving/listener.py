"""HTTP on an inherited socket: uvicorn, with the bounds it lacks. Called by `child`.

uvicorn's httptools protocol has no limit on the size of a request's head and no time limit for one
that never ends.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http import httptools_impl

MAXIMUM_HEAD_BYTES: Final = 32 * 1024
HEAD_SECONDS: Final = 10.0
MAXIMUM_CONNECTIONS: Final = 512
KEEP_ALIVE_SECONDS: Final = 120
DRAIN_SECONDS: Final = 5


class BoundedProtocol(httptools_impl.HttpToolsProtocol):
    """The protocol of uvicorn, closing connections whose request head is too long or too slow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request's head from now on."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer, which would keep this connection in memory."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAXIMUM_HEAD_BYTES and not self.transport.is_closing():
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Expect the rest of this head in time."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._start_timer()

    def on_headers_complete(self) -> None:
        """Let the body, which the application bounds, come as it may."""
        self._stop_timer()
        self._head_bytes = -(1 << 62)
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class InheritedSocketServer(uvicorn.Server):
    """The server of uvicorn on one inherited socket."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, and say so."""
        await super().startup(sockets)
        self._announce()

    async def serve_on(self, descriptor: int) -> None:
        """Serve until SIGTERM, then finish what was begun (at most `DRAIN_SECONDS`)."""
        listening = socket.socket(fileno=os.dup(descriptor))
        listening.setblocking(False)  # noqa: FBT003 - its only name
        await self.serve(sockets=[listening])


def server(application: Any, announce: Callable[[], None]) -> InheritedSocketServer:
    """Return a server of an ASGI application; it calls `announce` once it accepts."""
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MAXIMUM_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return InheritedSocketServer(config, announce)
