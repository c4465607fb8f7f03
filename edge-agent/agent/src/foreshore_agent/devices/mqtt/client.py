"""The client library, kept from reading more of a packet than this agent is willing to hold.

The library reads a packet whole, however long its header says it is: it asks the socket for all of
it at once, which makes Python set that much memory aside, and then keeps it twice. All its reading
goes through one method, which is overridden here: no read asks for more than `CHUNK`, and a packet
whose header declares more than `MAXIMUM_PACKET` ends the connection before any of its body is read.

    MQTT 5       CONNECT carries MaximumPacketSize: the broker delivers no such message to us, and
                 goes on with the next
    MQTT 3.1.1   has no such word: the broker begins to deliver, and the connection ends; others on
                 it wait for the next one (`lane`, with growing pauses while this goes on)

`_sock_recv` and `_in_packet` are the library's own; a test against a broker that sends too much
holds this to the version in use.
"""

from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MAXIMUM_PACKET: Final = 160 << 10
"""Bytes of one MQTT packet: a payload that is read at all (64 KiB), a topic (64 KiB), the rest."""
CHUNK: Final = 64 << 10


class PacketTooLargeError(OSError):
    """The broker began to send more than this client takes; to the library, a lost connection."""


class Client(paho.Client):
    """A client whose memory no packet can claim."""

    oversized: int | None = None
    """Bytes that the header of a refused packet declared."""

    def _sock_recv(self, bufsize: int) -> bytes:
        packet = self._in_packet
        if packet["have_remaining"] and packet["remaining_length"] > MAXIMUM_PACKET:
            self.oversized = packet["remaining_length"]
            raise PacketTooLargeError(f"a packet of {self.oversized} bytes")
        return super()._sock_recv(min(bufsize, CHUNK))


def limits() -> Properties:
    """Return what CONNECT tells a broker of MQTT 5 about us."""
    made = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    made.MaximumPacketSize = MAXIMUM_PACKET
    return made
