"""Our codec and paho, an implementation of others, read and write the same bytes."""

from collections.abc import Callable

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from builders import broker_packets
from foreshore_agent.devices.mqtt.codec import decode, encode

BOTH = pytest.mark.parametrize("is_v5", [False, True], ids=["3.1.1", "5"])
GREETING = encode.Greeting("a-client", keep_alive=5, maximum_packet=1000)


class Wire:
    """A socket whose other side is a test."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.incoming = bytearray()

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        taken = bytes(self.incoming[:size])
        del self.incoming[:size]
        return taken

    def fileno(self) -> int:
        return -1

    def setblocking(self, _: bool) -> None: ...

    def settimeout(self, _: float | None) -> None: ...

    def close(self) -> None: ...


class Peer(paho.Client):
    """paho on such a socket, as the agent once used it."""

    def __init__(
        self, is_v5: bool, will: tuple[str, bytes] | None = None, is_will_retained: bool = False
    ) -> None:
        self.wire = Wire()
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=GREETING.client,
            clean_session=None if is_v5 else True,
            protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
        )
        self.messages: list[paho.MQTTMessage] = []
        self.answers: list[tuple[int, int]] = []
        self.on_message = lambda _, __, message: self.messages.append(message)
        self.on_publish = lambda _, __, number, code, ___: self.answers.append((number, code.value))
        if will is not None:
            self.will_set(*will, qos=1, retain=is_will_retained)
        if is_v5:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.MaximumPacketSize = GREETING.maximum_packet
            self.connect("nowhere", 1, GREETING.keep_alive, clean_start=True, properties=limits)
        else:
            self.connect("nowhere", 1, GREETING.keep_alive)

    def _create_socket(self) -> Wire:  # type: ignore[override]
        return self.wire

    def written(self, act: Callable[[], object]) -> bytes:
        """What it writes for an act."""
        self.wire.sent.clear()
        act()
        while self.want_write():
            self.loop_write()
        return bytes(self.wire.sent)

    def read(self, stream: bytes) -> None:
        """Let it read all of a stream."""
        self.wire.incoming += stream
        while self.wire.incoming:
            self.loop_read()


@BOTH
@given(
    will=st.none() | st.tuples(broker_packets.TOPICS, st.binary(max_size=50)),
    is_retained=st.booleans(),
)
def test_connect_is_what_paho_sends(
    is_v5: bool, will: tuple[str, bytes] | None, is_retained: bool
) -> None:
    is_retained = is_retained and will is not None
    peer = Peer(is_v5, will, is_retained)
    theirs = bytes(peer.wire.sent)
    ours = encode.connect(
        encode.Greeting(
            GREETING.client, GREETING.keep_alive, GREETING.maximum_packet, will, is_retained
        ),
        is_v5=is_v5,
    )
    assert ours == theirs


@BOTH
@given(
    topic=broker_packets.TOPICS,
    payload=st.binary(max_size=300),
    qos=st.integers(0, 1),
    expiry=st.none() | st.integers(1, 2**32 - 1),
    is_retained=st.booleans(),
)
def test_publish_is_what_paho_sends(
    is_v5: bool, topic: str, payload: bytes, qos: int, expiry: int | None, is_retained: bool
) -> None:
    peer = Peer(is_v5)
    peer.read(b"\x20\x03\x00\x00\x00" if is_v5 else b"\x20\x02\x00\x00")
    beside = None
    if is_v5 and expiry is not None:
        beside = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        beside.MessageExpiryInterval = expiry
    theirs = peer.written(
        lambda: peer.publish(topic, payload, qos, retain=is_retained, properties=beside)
    )
    number = 1 if qos else None
    ours = encode.publish(
        topic, payload, number=number, expiry=expiry, is_v5=is_v5, is_retained=is_retained
    )
    assert ours == theirs


@BOTH
@given(filters=st.lists(broker_packets.TEXTS.filter(bool), min_size=1, max_size=5))
def test_subscriptions_are_what_paho_sends(is_v5: bool, filters: list[str]) -> None:
    filters = [each.replace("+", "p").replace("#", "h") for each in filters]
    peer = Peer(is_v5)
    peer.read(b"\x20\x03\x00\x00\x00" if is_v5 else b"\x20\x02\x00\x00")
    asked = (
        [(each, SubscribeOptions(qos=1)) for each in filters]
        if is_v5
        else [(each, 1) for each in filters]
    )
    theirs = peer.written(lambda: peer.subscribe(asked))
    assert encode.subscribe(1, filters, 1, is_v5=is_v5) == theirs
    theirs = peer.written(lambda: peer.unsubscribe(filters))
    assert encode.unsubscribe(2, filters, is_v5=is_v5) == theirs


@BOTH
def test_the_good_bye_and_the_sign_of_life_are_what_paho_sends(is_v5: bool) -> None:
    peer = Peer(is_v5)
    peer.read(b"\x20\x03\x00\x00\x00" if is_v5 else b"\x20\x02\x00\x00")
    assert peer.written(peer._send_pingreq) == encode.PING
    assert peer.written(peer.disconnect) == encode.DISCONNECT


@BOTH
@settings(max_examples=50)
@given(data=st.data())
def test_a_stream_of_messages_and_answers_is_read_as_paho_reads_it(
    is_v5: bool, data: st.DataObject
) -> None:
    kinds = broker_packets.publishes(is_v5=is_v5) | broker_packets.pubacks(is_v5=is_v5)
    stream = b"".join(raw for raw, _ in data.draw(st.lists(kinds, max_size=8)))
    peer = Peer(is_v5)
    peer.read(b"\x20\x03\x00\x00\x00" if is_v5 else b"\x20\x02\x00\x00")
    acknowledged = peer.written(lambda: peer.read(stream))
    ours = decode.PacketReader(is_v5=is_v5).feed(stream)
    messages = [packet for packet in ours if isinstance(packet, decode.InboundPublish)]
    assert [
        (each.topic, each.payload, each.retain, each.dup, each.mid) for each in peer.messages
    ] == [tuple(message) for message in messages]
    assert acknowledged == b"".join(
        encode.puback(message.number) for message in messages if message.number
    )


@pytest.mark.parametrize(
    "topic", ["", "a/+", "#", "a\0b", "\ud800", "t" * 65536], ids=lambda topic: repr(topic[:5])
)
def test_what_is_no_topic_is_not_published(topic: str) -> None:
    with pytest.raises(ValueError, match=r"topic|surrogates"):
        encode.publish(topic, b"", number=1, expiry=None, is_v5=True)
