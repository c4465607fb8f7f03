"""What a client sends, as bytes.

Each function returns one whole packet: its type and flags, the length of the rest, the rest (MQTT
3.1.1 and 5, chapters 2 and 3). With MQTT 5 a block of properties comes in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from foreshore_agent.devices.mqtt.codec import fields, properties

PING: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
"""A normal end: the broker forgets our will. The same bytes in both protocols."""
_CLEAN_START: Final = 0x02
_WILL_QOS_1: Final = 0x04 | 1 << 3
_PASSWORD: Final = 0x40
_USER: Final = 0x80


@dataclass(frozen=True, slots=True)
class Greeting:
    """What CONNECT says about us; a session begins empty and ends with its connection."""

    client: str
    """Client identifier."""
    keep_alive: int
    """Seconds within which we send something, 1–65535."""
    maximum_packet: int
    """Bytes of a packet that we read; MQTT 3.1.1 has no word for it."""
    will: tuple[str, bytes] | None = None
    """Topic and payload of what the broker says when we break off; QoS 1, not retained."""
    user: str | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    """Only with a user, as MQTT 3.1.1 wants it."""


def connect(greeting: Greeting, *, is_v5: bool) -> bytes:
    """Return CONNECT. Raises ValueError: a text is too long, or no UTF-8."""
    flags, payload = _CLEAN_START, fields.text(greeting.client)
    if greeting.will is not None:
        topic, body = greeting.will
        flags |= _WILL_QOS_1
        payload += (properties.NONE if is_v5 else b"") + fields.text(topic) + fields.binary(body)
    if greeting.user is not None:
        flags |= _USER
        payload += fields.text(greeting.user)
        if greeting.password is not None:
            flags |= _PASSWORD
            payload += fields.binary(greeting.password)
    head = fields.text("MQTT") + bytes((5 if is_v5 else 4, flags))
    head += greeting.keep_alive.to_bytes(2, "big")
    if is_v5:
        head += properties.block({properties.MAXIMUM_PACKET_SIZE: greeting.maximum_packet})
    return _packet(0x10, head + payload)


def publish(
    topic: str, payload: bytes, *, number: int | None, expiry: int | None, is_v5: bool
) -> bytes:
    """Return PUBLISH: with a packet number QoS 1, without QoS 0; never retained.

    `expiry` is in seconds, 1 at least; MQTT 3.1.1 knows none.

    Raises:
        ValueError: what is no topic (empty, a wildcard, a NUL, no UTF-8), or too much.
    """
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        raise ValueError(f"{topic!r} is no topic")
    name = topic.encode()
    if len(name) > fields.MAXIMUM_TEXT:
        raise ValueError(f"a topic of {len(name)} bytes")
    head = name if number is None else name + number.to_bytes(2, "big")
    if is_v5:
        head += properties.NONE if expiry is None else properties.expiry(expiry)
    size = fields.variable(2 + len(head) + len(payload))
    first = b"\x30" if number is None else b"\x32"
    return b"".join((first, size, len(name).to_bytes(2, "big"), head, payload))


def puback(number: int) -> bytes:
    """Return PUBACK: a message that came with QoS 1 is taken."""
    return b"\x40\x02" + number.to_bytes(2, "big")


def subscribe(number: int, filters: Sequence[str], qos: int, *, is_v5: bool) -> bytes:
    """Return SUBSCRIBE. Raises ValueError: a filter is too long, or no UTF-8."""
    head = number.to_bytes(2, "big") + (properties.NONE if is_v5 else b"")
    options = bytes((qos,))
    return _packet(0x82, head + b"".join(fields.text(topic) + options for topic in filters))


def unsubscribe(number: int, filters: Sequence[str], *, is_v5: bool) -> bytes:
    """Return UNSUBSCRIBE. Raises ValueError: a filter is too long, or no UTF-8."""
    head = number.to_bytes(2, "big") + (properties.NONE if is_v5 else b"")
    return _packet(0xA2, head + b"".join(map(fields.text, filters)))


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + fields.variable(len(body)) + body
