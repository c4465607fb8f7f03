"""The socket of one session, watched by the event loop in place of the client library's threads.

Nagle's algorithm is switched off (paho leaves it on: 40 ms at 20 Hz). `connection` makes one when
the client has opened its socket, and says what is to be done when it can be read and written.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final

UNSENT_MILLISECONDS: Final = 10_000
"""Bytes that the network does not take for so long end the connection (TCP_USER_TIMEOUT)."""


class WatchedSocket:
    """A connected socket; it is read from the beginning, and written when asked for."""

    def __init__(
        self, raw: socket.socket, read: Callable[[], None], write: Callable[[], None]
    ) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MILLISECONDS)
        self._raw: Final = raw
        self._read: Final = read
        self._write: Final = write
        self._loop: Final = asyncio.get_running_loop()
        self._descriptor = raw.fileno()
        self._is_writing = False
        self._loop.add_reader(self._descriptor, read)

    @property
    def has_decrypted(self) -> bool:
        """Whether TLS holds bytes that the event loop cannot see."""
        return isinstance(self._raw, ssl.SSLSocket) and self._raw.pending() > 0

    def pause(self) -> None:
        """Read no more for now."""
        self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        self._loop.add_reader(self._descriptor, self._read)
        self._loop.call_soon(self._read)  # what TLS has decrypted meanwhile wakes nobody

    def want_write(self, *, wants: bool) -> None:
        """Call back, or no more, when it can be written."""
        if wants and not self._is_writing:
            self._loop.add_writer(self._descriptor, self._write)
        elif self._is_writing and not wants:
            self._loop.remove_writer(self._descriptor)
        self._is_writing = wants

    def linger(self, *, is_reset: bool) -> None:
        """Set whether closing throws away what the other side has not taken yet."""
        if self._raw.fileno() >= 0:
            option = struct.pack("ii", int(is_reset), 0)
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)

    def unwatch(self) -> None:
        """Stop watching; before the descriptor is closed, or another's would be watched."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1

    def close(self) -> None:
        """Stop watching, and close."""
        self.unwatch()
        self._raw.close()
