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

Raw ASGI on uvicorn: aiohttp would cost 11 MB and a fifth of a second at every start for four paths.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import prometheus_client
import uvicorn
from uvicorn.protocols.http import h11_impl

from foreshore_api import addresses, printable

MAXIMUM_HEADER_BYTES: Final = 8190
MAXIMUM_CONNECTIONS: Final = 512
"""For one more the oldest goes: connections must not take the descriptors that broker, hub and
journal need, nor the place of kubelet, which ends an agent that does not answer it."""
REQUEST_SECONDS: Final = 10.0
"""A connection on which no request was answered for so long after it began, or was made, ends."""
KEEP_ALIVE_SECONDS: Final = 75
DRAIN_SECONDS: Final = 1
_LONGEST: Final = 4096
"""Characters of a reason: it may quote what a model, a device or a broker said."""
_METHODS: Final = ("GET", "HEAD")
_TEXT: Final = "text/plain; charset=utf-8"
Reasons = Callable[[], Sequence[str]]
"""Returns what is missing for readiness, or what to look at, as sentences."""
Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
                Awaitable[None]]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PortAnswer:
    """What the port answers to one request."""

    status: int
    body: bytes = b""
    content_type: str = _TEXT


def application(
    registry: prometheus_client.CollectorRegistry, reasons: Reasons, remarks: Reasons = tuple
) -> Asgi:
    """Return the ASGI application; nothing it answers needs a body, so none is read.

    `reasons` say what is missing: nothing means ready. `remarks` are told either way.
    """

    def readyz() -> PortAnswer:
        missing = reasons()
        lines = (printable.clean(line, _LONGEST) for line in (*(missing or ("ok",)), *remarks()))
        text = "".join(f"{line}\n" for line in lines)
        return PortAnswer(503 if missing else 200, text.encode())

    def exposed() -> PortAnswer:
        body = prometheus_client.generate_latest(registry)
        return PortAnswer(200, body, prometheus_client.CONTENT_TYPE_LATEST)

    paths: Mapping[str, Callable[[], PortAnswer]] = {
        "/echo": lambda: PortAnswer(204),
        "/healthz": lambda: PortAnswer(200, b"ok\n"),
        "/readyz": readyz,
        "/metrics": exposed,
    }

    async def answer(
        scope: Message,
        _receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        await _send(_answer(scope, paths), send)

    return answer


def _answer(scope: Message, paths: Mapping[str, Callable[[], PortAnswer]]) -> PortAnswer:
    if scope["path"] not in paths:
        return PortAnswer(404, b"no such path\n")
    if scope["method"] not in _METHODS:
        return PortAnswer(405, b"only GET and HEAD\n")
    return paths[scope["path"]]()


async def _send(answer: PortAnswer, send: Callable[[Message], Awaitable[None]]) -> None:
    headers = [(b"content-type", answer.content_type.encode())] if answer.body else []
    if answer.status != 204:  # which has no length by the standard
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.status == 405:
        headers.append((b"allow", ", ".join(_METHODS).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class TimedProtocol(h11_impl.H11Protocol):
    """The protocol of uvicorn, with what it lacks: a time limit for a request, room for one more.

    Connections that never end would take all places, and kubelet, refused one, ends the agent.
    """

    _limit: asyncio.TimerHandle | None = None
    since = 0.0
    """When it was made, or its last request answered: every answer is made at once, so that who has
    waited longest loses least."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request from now on, in the place of another if all are taken."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._expect()
        if len(self.connections) > MAXIMUM_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Expect the rest of a request in time."""
        self._expect()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Leave the time until the next request to the limit of keep-alive."""
        self._forget()
        self.since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer, which would keep this connection in memory."""
        self._forget()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """End the oldest of the others, unless enough are about to end."""
        others = [
            other
            for other in self.connections
            if isinstance(other, TimedProtocol)
            and other is not self
            and not other.transport.is_closing()
        ]
        if len(others) >= MAXIMUM_CONNECTIONS:
            min(others, key=lambda other: other.since).transport.abort()

    def _expect(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class Port:
    """The listening port; `start` binds it, so that a taken port is an error at start."""

    def __init__(self, application: Asgi, host: str, port: int) -> None:
        config = uvicorn.Config(
            application,
            http=TimedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # below it every request of a stranger could write a line
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MAXIMUM_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        config.load()
        self._server: Final = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._host: Final = host
        self._port: Final = port
        self._sockets: list[socket.socket] = []

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError.

        The socket is ours: uvicorn would end the process where the port is taken. Its own loop and
        signal handlers are not used; the agent has both.
        """
        host = addresses.bindable(self._host, has_v6=socket.has_dualstack_ipv6())
        listening = socket.create_server(
            (host, self._port),
            family=socket.AF_INET6 if addresses.is_v6(host) else socket.AF_INET,
            dualstack_ipv6=host == addresses.EVERY,
        )
        self._sockets = [listening]
        await self._server.startup(sockets=self._sockets)
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop connections."""
        if self._sockets:
            await self._server.shutdown(sockets=self._sockets)
            self._sockets = []
