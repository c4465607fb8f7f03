"""Properties of MQTT 5: what CONNECT and PUBLISH of ours carry, and what a broker's answers say.

A block is its length as a variable byte integer, then identifier and value of each property
(MQTT 5, 2.2.2).
"""

from collections.abc import Mapping
from typing import Final

from foreshore_agent.devices.mqtt.codec import fields

MESSAGE_EXPIRY: Final = 0x02
SERVER_KEEP_ALIVE: Final = 0x13
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
MAXIMUM_QOS: Final = 0x24
MAXIMUM_PACKET_SIZE: Final = 0x27

MAXIMUM_READ: Final = 64
"""Properties of one packet that are read: a broker's answers have a handful."""

_NUMBERS: Final[Mapping[int, int]] = {
    0x01: 1, 0x17: 1, 0x19: 1, MAXIMUM_QOS: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1,
    SERVER_KEEP_ALIVE: 2, RECEIVE_MAXIMUM: 2, 0x22: 2, 0x23: 2,
    MESSAGE_EXPIRY: 4, 0x11: 4, 0x18: 4, MAXIMUM_PACKET_SIZE: 4,
}  # fmt: skip
"""Bytes of the value, for those that are numbers."""
_TEXTS: Final[Mapping[int, int]] = {
    0x03: 1, 0x08: 1, 0x09: 1, 0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, REASON_STRING: 1,
    0x26: 2,
}  # fmt: skip
"""Strings of the value, for those that are made of them; a user property is two."""

Properties = Mapping[int, int | str]
NONE: Final = b"\x00"


def block(numbers: Mapping[int, int]) -> bytes:
    """Return the block that holds these numbers."""
    body = b"".join(
        bytes((identifier,)) + value.to_bytes(_NUMBERS[identifier], "big")
        for identifier, value in numbers.items()
    )
    return fields.variable(len(body)) + body


def expiry(seconds: int) -> bytes:
    """Return the block of a message that expires; it is in the path of every command."""
    return b"\x05\x02" + max(1, seconds).to_bytes(4, "big")


def skip(data: bytes, at: int, stop: int) -> int:
    """Return where a block ends, without looking into it.

    A stranger's message may hold thousands of properties: what nobody needs costs nobody's time.

    Raises:
        MalformedPacketError: the block is longer than its packet.
    """
    if at < stop and data[at] < 0x80:
        end = at + 1 + data[at]
    else:
        size, begin = fields.read_variable(data, at, stop)
        end = begin + size
    if end > stop:
        raise fields.MalformedPacketError("properties are longer than their packet")
    return end


def read(data: bytes, at: int, stop: int) -> tuple[Properties, int]:
    """Return the properties of a block that a broker wrote, and where the block ends.

    Raises:
        MalformedPacketError: one is not known, cut, or there are more than MAXIMUM_READ.
    """
    end = skip(data, at, stop)
    _, at = fields.read_variable(data, at, stop)
    values: dict[int, int | str] = {}
    for _ in range(MAXIMUM_READ):
        if at >= end:
            return values, end
        identifier = data[at]
        values[identifier], at = _value(identifier, data, at + 1, end)
    if at < end:
        raise fields.MalformedPacketError(f"more than {MAXIMUM_READ} properties")
    return values, end


def _value(identifier: int, data: bytes, at: int, end: int) -> tuple[int | str, int]:
    if identifier in _NUMBERS:
        return fields.read_number(data, at, end, _NUMBERS[identifier])
    text = ""
    if identifier not in _TEXTS:
        raise fields.MalformedPacketError(f"an unknown property 0x{identifier:02x}")
    for _ in range(_TEXTS[identifier]):
        text, at = fields.read_text(data, at, end)
    return text, at
