"""TLS listeners that outlive their certificates: uvicorn servers inside one loop.

`main` starts three. A renewed key pair is taken over without a restart; connections that are open
go on with the old one. Connections that send their request head too slowly, or too much of it, are
closed: uvicorn alone would wait for ever.
"""

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette import types
from uvicorn.protocols.http import httptools_impl

from foreshore_api import addresses
from foreshore_kube import listening

log = logging.getLogger(__name__)

HEAD_SECONDS: Final = 10.0
MAXIMUM_HEAD: Final = 32 << 10
HANDSHAKE_SECONDS: Final = 10.0
MAXIMUM_CONNECTIONS: Final = 20_000
GRACE_SECONDS: Final = 10
RELOAD_SECONDS: Final = 10.0

Admits = Callable[[Mapping[str, Any] | None], bool]
"""Whether a verified peer certificate is the front proxy's."""


class BoundedHttpProtocol(httptools_impl.HttpToolsProtocol):
    """uvicorn's protocol with bounds on the request head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first head."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._head_timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Count a head from its first byte."""
        super().on_message_begin()
        self._head_bytes = 0
        self._head_timer.cancel()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def on_url(self, url: bytes) -> None:
        """Bound the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bound the headers."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock of the head."""
        self._head_timer.cancel()
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAXIMUM_HEAD:
            self.transport.abort()


def protocol_admitting(admits: Admits) -> type[BoundedHttpProtocol]:
    """Return a protocol whose requests say whether the peer is the front proxy."""

    class ProxyProtocol(BoundedHttpProtocol):
        """Reads the peer's certificate once a connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._is_front_proxy = admits(transport.get_extra_info("peercert"))

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["state"]["is_front_proxy"] = self._is_front_proxy

    return ProxyProtocol


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key in a folder, as a Secret is mounted."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The certificate with its chain."""
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "tls.key"

    def fingerprint(self) -> bytes:
        """Return what changes when either file does."""
        both = self.certificate.read_bytes() + self.key.read_bytes()
        return hashlib.sha256(both).digest()


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to `main`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal: one process, several servers."""
        yield


class Listener:
    """One listening port."""

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        port: int,
        host: str = addresses.EVERY,
        pair: KeyPair | None = None,
        client_authority: str | None = None,
        protocol: type[BoundedHttpProtocol] = BoundedHttpProtocol,
    ) -> None:
        self._place: Final = (host, port)
        self._pair: Final = pair
        self._context = _context(pair, client_authority) if pair is not None else None
        configuration = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAXIMUM_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=75,
        )
        configuration.load()
        configuration.ssl = self._context
        self._server: Final = EmbeddedServer(configuration)

    @property
    def port(self) -> int:
        """The port that is listened on, once `is_started`."""
        bound: int = self._server.servers[0].sockets[0].getsockname()[1]
        return bound

    @property
    def is_started(self) -> bool:
        """Whether connections are taken."""
        return self._server.started

    async def serve(self) -> None:
        """Serve until `stop`. Raises OSError where the port is taken."""
        reloading = asyncio.create_task(self._reload())
        try:
            with listening.opened(*self._place) as opened:
                await self._server.serve(sockets=[opened])
        finally:
            reloading.cancel()

    def stop(self) -> None:
        """Take no more connections, finish what runs."""
        self._server.should_exit = True

    async def _reload(self) -> None:
        """Take over a renewed key pair; a broken one is logged and the old one stays."""
        if self._pair is None or self._context is None:
            return
        seen = self._pair.fingerprint()
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                fingerprint = self._pair.fingerprint()
                if fingerprint != seen:
                    self._context.load_cert_chain(self._pair.certificate, self._pair.key)
                    seen = fingerprint
                    log.info("took over a renewed certificate from %s", self._pair.folder)
            except (OSError, ssl.SSLError) as error:
                log.warning("the certificate in %s cannot be read: %s", self._pair.folder, error)


def _context(pair: KeyPair, client_authority: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.certificate, pair.key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_authority)
    return context
