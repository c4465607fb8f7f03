"""What a broker sends, out of a stream that may be cut anywhere.

    bytes ──feed──► packets, in order                     a packet that has not come whole is kept
                └─► … and an UnreadablePacket at the end: the session is over, nothing follows

`feed` never raises. What it keeps is bounded: a header that announces more than `MAXIMUM_PACKET`
is unreadable before any of its body is kept.

    MQTT 5       CONNECT carries Maximum Packet Size: the broker delivers no such message to us, and
                 goes on with the next
    MQTT 3.1.1   has no such word: the broker begins to deliver, and the session ends; others on it
                 wait for the next one (`lane`, with growing pauses while this goes on)
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from foreshore_agent.devices.mqtt.codec import codes, fields, properties

MAXIMUM_PACKET: Final = 160 << 10
"""Bytes of one MQTT packet: a payload that is read at all (64 KiB), a topic (64 KiB), the rest."""


class InboundPublish(NamedTuple):
    """A message for us."""

    topic: str
    """What is no UTF-8 in it is replaced: such a topic is nobody's."""
    payload: bytes
    retained: bool
    redelivered: bool
    number: int
    """To be acknowledged; 0 with QoS 0, which wants no answer."""


class ConnectAnswer(NamedTuple):
    """CONNACK: what the broker says to us, and its limits."""

    code: int
    reason: str = ""
    """In the broker's own words, if it has any."""
    receive_maximum: int = 65535
    """Publications of ours with QoS 1 that may wait for their answer."""
    maximum_qos: int = 1
    maximum_packet: int | None = None
    """Bytes of a packet that the broker reads."""
    keep_alive: int | None = None
    """Seconds, in place of ours."""


class PublishAnswer(NamedTuple):
    """PUBACK."""

    number: int
    code: int


class SubscribeAnswer(NamedTuple):
    """SUBACK: a code for every filter asked for, in their order."""

    number: int
    answers: tuple[int, ...]


class UnsubscribeAnswer(NamedTuple):
    """UNSUBACK; nobody waits for its codes."""

    number: int


class PingAnswer(NamedTuple):
    """PINGRESP."""


class BrokerFarewell(NamedTuple):
    """DISCONNECT of MQTT 5: why the broker ends the session."""

    code: int
    reason: str = ""


class UnreadablePacket(NamedTuple):
    """What cannot be read or is not wanted, for people; the last of a session."""

    why: str
    oversized: int | None = None
    """Bytes that the header of a packet announced, if they were too many."""


Packet = (
    InboundPublish
    | ConnectAnswer
    | PublishAnswer
    | SubscribeAnswer
    | UnsubscribeAnswer
    | PingAnswer
    | BrokerFarewell
    | UnreadablePacket
)


class PacketReader:
    """One session's stream."""

    def __init__(self, *, is_v5: bool) -> None:
        self._kinds: Final = _KINDS_V5 if is_v5 else _KINDS_V311
        self._publish: Final = _publish_v5 if is_v5 else _publish_v311
        self._kept = bytearray()
        self._wanted = 0
        """Bytes that the packet at the beginning of what is kept has, once its header is whole."""
        self._is_over = False

    @property
    def kept(self) -> int:
        """Bytes that wait for the rest of their packet."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[Packet]:
        """Take what came and return the packets that are whole now."""
        if self._is_over:
            return []
        if self._kept:
            self._kept += data
            if len(self._kept) < self._wanted:
                return []
            data = bytes(self._kept)
        packets: list[Packet] = []
        at = self._split(data, packets)
        if at < len(data) and not self._is_over:
            self._kept = bytearray(memoryview(data)[at:])
        elif self._kept:
            self._kept = bytearray()
        return packets

    def _split(self, data: bytes, packets: list[Packet]) -> int:
        """Append the packets that are whole, and return where the first that is not begins."""
        at, end = 0, len(data)
        try:
            while at < end:
                header = fields.begun_variable(data, at + 1, end)
                if header is None:
                    self._wanted = 0
                    break
                size, begin = header
                if size > MAXIMUM_PACKET:
                    packets.append(_oversized(size))
                    self._is_over = True
                    break
                stop = begin + size
                if stop > end:
                    self._wanted = stop - at
                    break
                packets.append(self._packet(data[at], data, begin, stop))
                at = stop
        except fields.MalformedPacketError as error:
            packets.append(UnreadablePacket(str(error)))
            self._is_over = True
        return at

    def _packet(self, first: int, data: bytes, at: int, stop: int) -> Packet:
        if first & 0xF0 == 0x30:
            return self._publish(first, data, at, stop)
        kind = self._kinds.get(first)
        if kind is None:
            raise fields.MalformedPacketError(f"a packet 0x{first:02x}, which no broker may send")
        return kind(data, at, stop)


def _oversized(size: int) -> UnreadablePacket:
    return UnreadablePacket(
        f"a message of {size} bytes was sent to us, and {MAXIMUM_PACKET}"
        " is what is read: see the broker's max_packet_size, and who publishes it",
        size,
    )


def _publish_v311(first: int, data: bytes, at: int, stop: int) -> InboundPublish:
    name, number, begin = _publish_head(first, data, at, stop)
    topic = data[at + 2 : name].decode(errors="replace")
    return InboundPublish(topic, data[begin:stop], first & 1 != 0, first & 8 != 0, number)


def _publish_v5(first: int, data: bytes, at: int, stop: int) -> InboundPublish:
    name, number, begin = _publish_head(first, data, at, stop)
    begin = properties.skip(data, begin, stop)
    topic = data[at + 2 : name].decode(errors="replace")
    return InboundPublish(topic, data[begin:stop], first & 1 != 0, first & 8 != 0, number)


def _publish_head(first: int, data: bytes, at: int, stop: int) -> tuple[int, int, int]:
    """Return where the topic ends, the packet number, and where both end."""
    if at + 2 > stop:
        raise fields.MalformedPacketError("a message is cut")
    name = at + 2 + (data[at] << 8 | data[at + 1])
    qos = first & 6
    begin = name + 2 if qos else name
    if begin > stop:
        raise fields.MalformedPacketError("a topic is longer than its message")
    if name == at + 2:
        raise fields.MalformedPacketError("a message without a topic; an alias was not agreed on")
    if not qos:
        return name, 0, begin
    number = data[name] << 8 | data[name + 1]
    if qos != 2 or not number:
        raise fields.MalformedPacketError("a message with QoS 2 or 3, or without a number")
    return name, number, begin


def _connack_v311(data: bytes, at: int, stop: int) -> ConnectAnswer:
    if stop - at != 2:
        raise fields.MalformedPacketError("a CONNACK of another length than two")
    return ConnectAnswer(codes.from_return_code(data[at + 1]))


def _connack_v5(data: bytes, at: int, stop: int) -> ConnectAnswer:
    code, at = fields.read_number(data, at + 1, stop, 1)
    values, _ = properties.read(data, at, stop)

    def number(identifier: int) -> int | None:
        value = values.get(identifier)
        return value if isinstance(value, int) else None

    most, qos = number(properties.RECEIVE_MAXIMUM), number(properties.MAXIMUM_QOS)
    if most == 0:
        raise fields.MalformedPacketError("a receive maximum of zero")
    return ConnectAnswer(
        code,
        _reason(values),
        65535 if most is None else most,
        1 if qos is None else qos,
        number(properties.MAXIMUM_PACKET_SIZE),
        number(properties.SERVER_KEEP_ALIVE),
    )


def _puback_v311(data: bytes, at: int, stop: int) -> PublishAnswer:
    if stop - at != 2:
        raise fields.MalformedPacketError("a PUBACK of another length than two")
    return PublishAnswer(data[at] << 8 | data[at + 1], 0)


def _puback_v5(data: bytes, at: int, stop: int) -> PublishAnswer:
    if stop - at < 2:
        raise fields.MalformedPacketError("a PUBACK is cut")
    return PublishAnswer(data[at] << 8 | data[at + 1], data[at + 2] if stop - at > 2 else 0)


def _suback_v311(data: bytes, at: int, stop: int) -> SubscribeAnswer:
    number, at = fields.read_number(data, at, stop, 2)
    return SubscribeAnswer(number, tuple(data[at:stop]))


def _suback_v5(data: bytes, at: int, stop: int) -> SubscribeAnswer:
    number, at = fields.read_number(data, at, stop, 2)
    return SubscribeAnswer(number, tuple(data[properties.skip(data, at, stop) : stop]))


def _unsuback(data: bytes, at: int, stop: int) -> UnsubscribeAnswer:
    number, _ = fields.read_number(data, at, stop, 2)
    return UnsubscribeAnswer(number)


def _pingresp(_: bytes, at: int, stop: int) -> PingAnswer:
    if at != stop:
        raise fields.MalformedPacketError("a PINGRESP that says something")
    return PingAnswer()


def _disconnect(data: bytes, at: int, stop: int) -> BrokerFarewell:
    if at == stop:
        return BrokerFarewell(0)
    if stop - at == 1:
        return BrokerFarewell(data[at])
    values, _ = properties.read(data, at + 1, stop)
    return BrokerFarewell(data[at], _reason(values))


def _reason(values: properties.Properties) -> str:
    return str(values.get(properties.REASON_STRING, ""))


_Kind = Callable[[bytes, int, int], Packet]
_KINDS_V311: Final[Mapping[int, _Kind]] = {
    0x20: _connack_v311, 0x40: _puback_v311, 0x90: _suback_v311, 0xB0: _unsuback, 0xD0: _pingresp,
}  # fmt: skip
_KINDS_V5: Final[Mapping[int, _Kind]] = {
    0x20: _connack_v5, 0x40: _puback_v5, 0x90: _suback_v5, 0xB0: _unsuback, 0xD0: _pingresp,
    0xE0: _disconnect,
}  # fmt: skip
"""How a packet is read, by its first byte: all but PUBLISH have fixed flags."""
