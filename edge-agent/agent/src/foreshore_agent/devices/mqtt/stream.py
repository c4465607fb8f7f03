"""Packets of one session over its socket: what is read in order, what is sent in as few writes.

    read ──► all packets of it ──► `taken`: what they lead to is written at once
                                └─► PUBACKs: in one write with `flush`, else with what is written
                                    next, at the latest in the next turn of the loop

A command must not wait for the PUBACK of the sample it answers, for which nobody waits. What is
published is written at once and not at the end of a turn: a write is 5 µs of a decision's hundreds,
and whoever publishes a command has to know now whether the network took it.

One of a `connection`.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from foreshore_agent.devices.mqtt import keep_alive, socket_watch
from foreshore_agent.devices.mqtt.codec import decode, encode

_LOG: Final = logging.getLogger(__name__)


class PacketStream:
    """One session's packets, from `raw` on until it is closed.

    `taken` is called with what one read brought, `drained` when all that waited has been sent,
    `ended` with a reason for people when nothing comes any more.
    """

    def __init__(
        self,
        raw: socket.socket,
        *,
        is_v5: bool,
        keep_alive_seconds: float,
        taken: Callable[[list[decode.Packet]], None],
        drained: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._taken: Final = taken
        self._ended: Final = ended
        self._reader: Final = decode.PacketReader(is_v5=is_v5)
        self._pubacks: Final = bytearray()
        self._is_open = True
        self._life: Final = keep_alive.KeepAlive(keep_alive_seconds, self._loop.time())
        self._socket: Final = socket_watch.WatchedSocket(raw, self._read, drained, ended)
        self._tending = self._loop.call_later(keep_alive.LOOK_SECONDS, self._tend)

    @property
    def has_unsent(self) -> bool:
        """Whether the network did not take everything."""
        return self._socket.has_unsent

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read for now."""
        return self._socket.is_paused

    def write(self, packet: bytes = b"") -> bool:
        """Write what is to be acknowledged, and a packet; False if the session ended by it."""
        if not self._is_open:
            return False
        if self._pubacks:
            packet = bytes(self._pubacks) + packet
            self._pubacks.clear()
        try:
            self._socket.write(packet)
        except OSError as error:
            self._ended(f"the broker is gone: {error}")
            return False
        self._life.speak(self._loop.time())
        return True

    def acknowledge(self, number: int) -> None:
        """Send a PUBACK, soon."""
        self._pubacks.extend(encode.puback(number))

    def flush(self) -> None:
        """Send the PUBACKs that have not left yet."""
        if self._pubacks:
            self.write()

    def keep_alive_every(self, seconds: float) -> None:
        """Take the broker's interval in place of ours."""
        self._life.seconds = seconds

    def pause(self) -> None:
        """Read no more for now."""
        self._socket.pause()

    def resume(self) -> None:
        """Read on."""
        self._socket.resume()

    def linger(self, *, is_reset: bool) -> None:
        """Set whether closing throws away what the other side has not taken yet."""
        self._socket.linger(is_reset=is_reset)

    def close(self) -> None:
        """Read and write no more."""
        self._is_open = False
        self._tending.cancel()
        self._socket.close()

    def _read(self, data: bytes) -> None:
        """Take what was read; a defect of ours in it ends the session, not the loop."""
        self._life.hear(self._loop.time())
        try:
            self._taken(self._reader.feed(data))
        except Exception as error:  # noqa: BLE001 - logged with the session's end
            _LOG.error("a defect ends the session with the broker", exc_info=error)
            self._ended(f"what the broker sent could not be taken ({type(error).__name__})")
        if self._pubacks:
            self._loop.call_soon(self.flush)
        elif self._is_open:
            self._socket.acknowledge_at_once()

    def _tend(self) -> None:
        """Say something in time, and notice when nothing comes back."""
        now = self._loop.time()
        if self.is_paused:
            self._life.look_away(now)
        if self._life.is_over(now):
            self._ended("the broker is gone: it answers nothing any more")
            return
        if self._life.is_due(now):
            self._life.ask(now)
            self.write(encode.PING)
        if self._is_open:
            self._tending = self._loop.call_later(keep_alive.LOOK_SECONDS, self._tend)
