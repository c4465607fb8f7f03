"""Kept-alive connections to one URL, `http://host:port` or `unix:<path>`, shared by its users.

`replica` takes a connection for one call and gives it back; one that died meanwhile is thrown away.
"""

import asyncio
from typing import Final
from urllib import parse

from foreshore_agent.inference.oip import connection

MAXIMUM_IDLE: Final = 16


class Line:
    """The way to one server."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._idle: list[connection.HttpConnection] = []
        self._is_closed = False
        parts = parse.urlsplit(url)
        self._path = url.removeprefix("unix:") if parts.scheme == "unix" else None
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self.host_header: Final = parts.netloc or "localhost"

    def take(self) -> connection.HttpConnection | None:
        """Return an idle connection, the most recently used, or None."""
        while self._idle:
            idle = self._idle.pop()
            if idle.is_usable:
                return idle
        return None

    def give_back(self, used: connection.HttpConnection) -> None:
        """Keep a connection for the next call, if it lives and there is room."""
        if self._is_closed or len(self._idle) >= MAXIMUM_IDLE:
            used.close()
        elif used.is_usable:
            self._idle.append(used)

    async def open(self) -> connection.HttpConnection:
        """Connect anew; Nagle's algorithm is off. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._path is not None:
            _, made = await loop.create_unix_connection(connection.HttpConnection, self._path)
        else:
            _, made = await loop.create_connection(
                connection.HttpConnection, self._host, self._port
            )
        return made

    def close(self) -> None:
        """Drop idle connections now and busy ones when they are given back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
