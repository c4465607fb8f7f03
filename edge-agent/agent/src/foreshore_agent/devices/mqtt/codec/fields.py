"""What MQTT packets are made of: numbers, texts and the variable byte integer (MQTT 5, 1.5)."""

from typing import Final

MAXIMUM_TEXT: Final = 65535
MAXIMUM_LENGTH_BYTES: Final = 4


class MalformedPacketError(ValueError):
    """What came is no MQTT; the text says what is wrong, for people."""


def text(value: str) -> bytes:
    """Return a UTF-8 string with its length.

    Raises:
        ValueError: it is longer than 65535 bytes, or no UTF-8 (a lone surrogate).
    """
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Return bytes with their length. Raises ValueError: more than 65535."""
    if len(value) > MAXIMUM_TEXT:
        raise ValueError(f"{len(value)} bytes where MQTT allows {MAXIMUM_TEXT}")
    return len(value).to_bytes(2, "big") + value


def variable(value: int) -> bytes:
    """Return a variable byte integer, as of lengths. Raises ValueError: 2^28 or more."""
    if value < 0x80:
        return bytes((value,))
    if value >= 1 << 7 * MAXIMUM_LENGTH_BYTES:
        raise ValueError(f"{value} bytes are more than a packet of MQTT can hold")
    encoded = bytearray()
    while value:
        encoded.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
    return bytes(encoded)


def begun_variable(data: bytes, at: int, stop: int) -> tuple[int, int] | None:
    """Return a variable byte integer and where it ends; None while its end has not come.

    Raises:
        MalformedPacketError: it has more than four bytes.
    """
    value = 0
    for place in range(MAXIMUM_LENGTH_BYTES):
        if at + place >= stop:
            return None
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise MalformedPacketError("a length of more than four bytes")


def read_variable(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return a variable byte integer and where it ends. Raises MalformedPacketError."""
    whole = begun_variable(data, at, stop)
    if whole is None:
        raise MalformedPacketError("a length is cut")
    return whole


def read_number(data: bytes, at: int, stop: int, size: int) -> tuple[int, int]:
    """Return a number of so many bytes and where it ends. Raises MalformedPacketError."""
    if at + size > stop:
        raise MalformedPacketError("a number is cut")
    return int.from_bytes(data[at : at + size], "big"), at + size


def read_text(data: bytes, at: int, stop: int) -> tuple[str, int]:
    """Return a string and where it ends; what is no UTF-8 in it is replaced.

    Raises:
        MalformedPacketError: it is cut.
    """
    size, begin = read_number(data, at, stop, 2)
    if begin + size > stop:
        raise MalformedPacketError("a text is cut")
    return data[begin : begin + size].decode(errors="replace"), begin + size
