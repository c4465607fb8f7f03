"""What a broker sends, as bytes, and what is to be read of it; written without our codec.

Property blocks are packed by paho, an implementation of others.
"""

import struct
from typing import Any

from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from foreshore_agent.devices.mqtt.codec import decode

Sent = tuple[bytes, decode.Packet]
"""A packet's bytes, and the packet."""
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
TOPICS = TEXTS.filter(lambda text: bool(text) and not set("+#") & set(text))
NUMBERS = st.integers(1, 65535)
FAILURES_AND_NOT = st.sampled_from([0, 0x10, 0x80, 0x87, 0x97])


def packet(first: int, body: bytes) -> bytes:
    """A packet from its first byte and its body."""
    size, encoded = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        encoded.append(digit | (128 if size else 0))
        if not size:
            return bytes((first, *encoded)) + body


def text(value: str) -> bytes:
    """A string with its length."""
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def block(kind: int, values: dict[str, Any]) -> bytes:
    """Properties of a packet of MQTT 5."""
    made = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    packed: bytes = made.pack()  # type: ignore[no-untyped-call]
    return packed


@st.composite
def publishes(draw: st.DrawFn, *, is_v5: bool) -> Sent:
    """A message, with what others may put beside it."""
    topic, payload = draw(TOPICS), draw(st.binary(max_size=300))
    qos, retained = draw(st.integers(0, 1)), draw(st.booleans())
    redelivered = bool(qos) and draw(st.booleans())
    number = draw(NUMBERS) if qos else 0
    body = text(topic) + (struct.pack("!H", number) if qos else b"")
    if is_v5:
        values = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "MessageExpiryInterval": st.integers(0, 2**32 - 1),
                    "ContentType": TEXTS,
                    "ResponseTopic": TOPICS,
                    "CorrelationData": st.binary(max_size=20),
                    "PayloadFormatIndicator": st.integers(0, 1),
                    "UserProperty": st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5),
                },
            )
        )
        body += block(PacketTypes.PUBLISH, values)
    first = 0x30 | (8 if redelivered else 0) | qos << 1 | int(retained)
    read = decode.InboundPublish(topic, payload, retained, redelivered, number)
    return packet(first, body + payload), read


@st.composite
def pubacks(draw: st.DrawFn, *, is_v5: bool) -> Sent:
    """An answer to a publication, in each of the lengths that MQTT 5 allows."""
    number = draw(NUMBERS)
    body = struct.pack("!H", number)
    code = draw(FAILURES_AND_NOT) if is_v5 else 0
    if is_v5 and (code or draw(st.booleans())):
        body += bytes((code,))
        if draw(st.booleans()):
            body += block(PacketTypes.PUBACK, {"ReasonString": draw(TEXTS)})
    return packet(0x40, body), decode.PublishAnswer(number, code)


@st.composite
def subacks(draw: st.DrawFn, *, is_v5: bool) -> Sent:
    """An answer to subscriptions."""
    number = draw(NUMBERS)
    codes = draw(st.lists(st.sampled_from([0, 1, 0x80]), min_size=1, max_size=5))
    middle = block(PacketTypes.SUBACK, {"ReasonString": "as asked"}) if is_v5 else b""
    body = struct.pack("!H", number) + middle + bytes(codes)
    return packet(0x90, body), decode.SubscribeAnswer(number, tuple(codes))


@st.composite
def unsubacks(draw: st.DrawFn, *, is_v5: bool) -> Sent:
    """An answer to the end of subscriptions."""
    number = draw(NUMBERS)
    body = struct.pack("!H", number) + (b"\x00\x00\x11" if is_v5 else b"")
    return packet(0xB0, body), decode.UnsubscribeAnswer(number)


@st.composite
def connacks(draw: st.DrawFn, *, is_v5: bool) -> Sent:
    """What answers CONNECT."""
    present = draw(st.integers(0, 1))
    if not is_v5:
        code = draw(st.sampled_from([(0, 0), (1, 0x84), (5, 0x87)]))
        return packet(0x20, bytes((present, code[0]))), decode.ConnectAnswer(code[1])
    failure, reason = draw(FAILURES_AND_NOT), draw(TEXTS)
    most, size = draw(NUMBERS), draw(st.integers(1, 2**28 - 1))
    alive = draw(st.integers(0, 65535))
    values = {
        "ReasonString": reason, "ReceiveMaximum": most, "MaximumPacketSize": size,
        "ServerKeepAlive": alive, "TopicAliasMaximum": 10, "MaximumQoS": 1, "RetainAvailable": 0,
        "AssignedClientIdentifier": "who", "UserProperty": ("a", "b"),
    }  # fmt: skip
    body = bytes((present, failure)) + block(PacketTypes.CONNACK, values)
    read = decode.ConnectAnswer(failure, reason, most, 1, size, alive)
    return packet(0x20, body), read


@st.composite
def farewells(draw: st.DrawFn) -> Sent:
    """DISCONNECT of MQTT 5, in each of its lengths."""
    code, reason = draw(st.sampled_from([0, 0x8B, 0x8E])), draw(TEXTS)
    worded = bytes((code,)) + block(PacketTypes.DISCONNECT, {"ReasonString": reason})
    return draw(
        st.sampled_from(
            [
                (packet(0xE0, b""), decode.BrokerFarewell(0)),
                (packet(0xE0, bytes((code,))), decode.BrokerFarewell(code)),
                (packet(0xE0, worded), decode.BrokerFarewell(code, reason)),
            ]
        )
    )


def packets(*, is_v5: bool) -> st.SearchStrategy[Sent]:
    """Any packet that a broker may send."""
    kinds = [kind(is_v5=is_v5) for kind in (publishes, pubacks, subacks, unsubacks, connacks)]
    pings = st.just((packet(0xD0, b""), decode.PingAnswer()))
    return st.one_of(*kinds, pings, *([farewells()] if is_v5 else []))
