"""The socket of one session, watched by the event loop: bytes in, bytes out, and its end.

A transport of asyncio costs the same processor time (`tests/bench/clients.py`), but uvloop's writes
at the end of a turn: whether the network took a command would be known too late to say so. Here
`write` has handed everything to the kernel when it returns, or `has_unsent`.

Nagle's algorithm is switched off on our side. On the broker's it often is not: it then waits for
our kernel's acknowledgement, which is delayed by 40 ms where nothing goes back:
`acknowledge_at_once` is for reads that nothing answers.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final

UNSENT_MILLISECONDS: Final = 10_000
"""Bytes that the network does not take for so long end the connection (TCP_USER_TIMEOUT)."""
MAXIMUM_UNSENT: Final = 1 << 20
"""Bytes that may wait for the network: our answers to a broker that sends and does not read."""
_READ: Final = 64 << 10
_READS: Final = 64
"""Reads before the event loop sees to others; TLS gives a record of 16 KiB at most each time."""
_AGAIN: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WatchedSocket:
    """A connected socket that does not block; it is read from `begin` on until it is closed.

    `taken` is called with what came, `drained` when all that waited has been sent, and `ended` with
    a reason for people when the other side is gone.
    """

    def __init__(
        self,
        raw: socket.socket,
        taken: Callable[[bytes], None],
        drained: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        raw.settimeout(0)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MILLISECONDS)
        self._raw: Final = raw
        self._tls: Final = raw if isinstance(raw, ssl.SSLSocket) else None
        self._taken: Final = taken
        self._drained: Final = drained
        self._ended: Final = ended
        self._loop: Final = asyncio.get_running_loop()
        self._descriptor = raw.fileno()
        self._unsent = bytearray()
        self.is_paused = False
        """Whether nothing is read for now."""
        self._loop.add_reader(self._descriptor, self._read)

    @property
    def has_unsent(self) -> bool:
        """Whether the network did not take everything."""
        return bool(self._unsent)

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel now; what it does not take waits, and `has_unsent`.

        Raises:
            OSError: the connection is broken; nothing of these bytes arrives. Or too many wait.
        """
        if self._unsent:
            if len(self._unsent) + len(data) > MAXIMUM_UNSENT:
                raise OSError("the network takes no more")
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(self._descriptor, self._write_on)

    def pause(self) -> None:
        """Read no more for now."""
        self.is_paused = True
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        self.is_paused = False
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._read)
            self._loop.call_soon(self._read)  # what TLS has decrypted meanwhile wakes nobody

    def acknowledge_at_once(self) -> None:
        """Let the kernel acknowledge what was read without waiting for something to send."""
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def linger(self, *, is_reset: bool) -> None:
        """Set whether closing throws away what the other side has not taken yet."""
        if self._descriptor >= 0:
            option = struct.pack("ii", int(is_reset), 0)
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)

    def close(self) -> None:
        """Stop watching, and close; in this order, or another's descriptor would be watched."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1
            self._raw.close()

    def _read(self) -> None:
        for _ in range(_READS):
            if self._descriptor < 0 or self.is_paused:
                return
            try:
                data = self._raw.recv(_READ)
            except _AGAIN:
                return
            except OSError as error:
                self._ended(_gone(error))
                return
            if not data:
                self._ended("the broker closed the connection")
                return
            self._taken(data)
            if self._tls is None or not self._tls.pending():
                return
        self._loop.call_soon(self._read)  # what TLS has decrypted wakes nobody

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._raw.send(data)
        except _AGAIN:
            return 0

    def _write_on(self) -> None:
        try:
            sent = self._send(self._unsent)
        except OSError as error:
            self._ended(_gone(error))
            return
        del self._unsent[:sent]
        if not self._unsent and self._descriptor >= 0:
            self._loop.remove_writer(self._descriptor)
            self._drained()


def _gone(error: OSError) -> str:
    return f"the broker is gone: {error}"
