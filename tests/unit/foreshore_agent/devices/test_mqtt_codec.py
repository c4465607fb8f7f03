"""What a broker's bytes are read as: whatever they are, wherever they are cut."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builders import broker_packets
from foreshore_agent.devices.mqtt.codec import codes, decode, fields, properties

BOTH = pytest.mark.parametrize("is_v5", [False, True], ids=["3.1.1", "5"])
MEBIBYTE = 1 << 20


def read(pieces: list[bytes], *, is_v5: bool) -> list[decode.Packet]:
    reader = decode.PacketReader(is_v5=is_v5)
    return [packet for piece in pieces for packet in reader.feed(piece)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """A stream in pieces."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(edges)]


def mutated(stream: bytes, changes: list[tuple[int, int]]) -> bytes:
    """A stream of which some bytes are others: lengths, types, flags, texts."""
    changed = bytearray(stream)
    for place, byte in changes:
        if changed:
            changed[place % len(changed)] = byte
    return bytes(changed)


PLACES = st.lists(st.integers(0, 10_000), max_size=12)
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4)


@given(is_v5=st.booleans(), data=st.data(), places=PLACES)
def test_packets_are_read_as_they_were_sent_wherever_the_network_cuts_them(
    is_v5: bool, data: st.DataObject, places: list[int]
) -> None:
    sent = data.draw(st.lists(broker_packets.packets(is_v5=is_v5), max_size=6))
    stream = b"".join(raw for raw, _ in sent)
    assert read(cut(stream, places), is_v5=is_v5) == [packet for _, packet in sent]


@given(is_v5=st.booleans(), data=st.data(), changes=CHANGES, places=PLACES)
def test_where_it_is_cut_never_changes_what_a_broken_stream_is_read_as(
    is_v5: bool, data: st.DataObject, changes: list[tuple[int, int]], places: list[int]
) -> None:
    sent = data.draw(st.lists(broker_packets.packets(is_v5=is_v5), max_size=6))
    stream = mutated(b"".join(raw for raw, _ in sent), changes)
    whole = read([stream], is_v5=is_v5)
    assert read(cut(stream, places), is_v5=is_v5) == whole
    assert not any(isinstance(packet, decode.UnreadablePacket) for packet in whole[:-1])


@given(is_v5=st.booleans(), pieces=st.lists(st.binary(max_size=80), max_size=8))
@example(is_v5=True, pieces=[b"\x20\xff\xff\xff\xff\x7f"])
@example(is_v5=True, pieces=[b"\x30\x03\x00\x00\x00"])
def test_whatever_comes_is_read_or_ends_the_session_and_never_raises(
    is_v5: bool, pieces: list[bytes]
) -> None:
    reader = decode.PacketReader(is_v5=is_v5)
    came = [reader.feed(piece) for piece in pieces]
    unreadable = [isinstance(packet, decode.UnreadablePacket) for feed in came for packet in feed]
    assert unreadable.count(True) <= 1
    assert True not in unreadable[:-1], "nothing follows what cannot be read"
    if True in unreadable:
        assert reader.kept == 0


@given(
    is_v5=st.booleans(),
    sizes=st.lists(st.integers(0, 2 * decode.MAXIMUM_PACKET), max_size=4),
    piece=st.integers(1000, 70_000),
)
def test_what_is_kept_never_exceeds_the_largest_packet_that_is_read(
    is_v5: bool, sizes: list[int], piece: int
) -> None:
    stream = b"".join(broker_packets.packet(0x30, b"\x00\x01t\x00" + bytes(n)) for n in sizes)
    reader = decode.PacketReader(is_v5=is_v5)
    for start in range(0, len(stream), piece):
        reader.feed(stream[start : start + piece])
        assert reader.kept < decode.MAXIMUM_PACKET + 5


@BOTH
@pytest.mark.parametrize("size", [decode.MAXIMUM_PACKET + 1, 200 * MEBIBYTE, 2**28 - 1])
def test_a_packet_that_is_too_large_is_refused_by_its_header(size: int, is_v5: bool) -> None:
    reader = decode.PacketReader(is_v5=is_v5)
    (answer,) = reader.feed(b"\x30" + fields.variable(size))
    assert isinstance(answer, decode.UnreadablePacket)
    assert answer.oversized == size
    assert "max_packet_size" in answer.why
    assert reader.feed(b"\xd0\x00") == [], "the session is over"


@BOTH
def test_the_largest_packet_that_is_read_may_come_byte_by_byte(is_v5: bool) -> None:
    body = b"\x00\x01t" + (b"\x00" if is_v5 else b"")
    stream = broker_packets.packet(0x30, body.ljust(decode.MAXIMUM_PACKET, b"."))
    reader = decode.PacketReader(is_v5=is_v5)
    assert [len(reader.feed(bytes((byte,)))) for byte in stream[:-1]] == [0] * (len(stream) - 1)
    (message,) = reader.feed(stream[-1:])
    assert isinstance(message, decode.InboundPublish)
    assert len(message.payload) == decode.MAXIMUM_PACKET - len(body)


@BOTH
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x00\x00", id="no type"),
        pytest.param(b"\x10\x00", id="a client's CONNECT"),
        pytest.param(b"\x34\x05\x00\x01t\x00\x01", id="QoS 2 that nobody asked for"),
        pytest.param(b"\x36\x05\x00\x01t\x00\x01", id="QoS 3"),
        pytest.param(b"\x32\x05\x00\x01t\x00\x00", id="QoS 1 without a number"),
        pytest.param(b"\x30\x03\x00\x00\x00", id="no topic"),
        pytest.param(b"\x30\x01\x00", id="a topic that is cut"),
        pytest.param(b"\x30\x03\x00\x05t", id="a topic longer than its packet"),
        pytest.param(b"\x32\x04\x00\x01t\x00", id="a number that is cut"),
        pytest.param(b"\x41\x02\x00\x01", id="PUBACK with flags"),
        pytest.param(b"\x40\x01\x00", id="PUBACK that is cut"),
        pytest.param(b"\x50\x02\x00\x01", id="PUBREC"),
        pytest.param(b"\x62\x02\x00\x01", id="PUBREL"),
        pytest.param(b"\x90\x01\x00", id="SUBACK that is cut"),
        pytest.param(b"\xd0\x01\x00", id="PINGRESP that says something"),
        pytest.param(b"\xf0\x00", id="AUTH"),
        pytest.param(b"\xd0\x80\x80\x80\x80\x00", id="a length of five bytes"),
    ],
)
def test_what_no_broker_may_send_ends_the_session_and_says_why(stream: bytes, is_v5: bool) -> None:
    answers = read([stream + b"\xd0\x00"], is_v5=is_v5)
    assert [type(answer) for answer in answers] == [decode.UnreadablePacket]
    assert answers[0] != decode.UnreadablePacket("")


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x30\x07\x00\x00\x03\x23\x00\x01x", id="a topic alias in place of a topic"),
        pytest.param(b"\x30\x04\x00\x01t\x05", id="properties longer than their packet"),
        pytest.param(b"\x30\x04\x00\x01t\x01", id="properties longer by a byte"),
        pytest.param(b"\x20\x04\x00\x00\x05\x21", id="CONNACK with cut properties"),
        pytest.param(b"\x20\x05\x00\x00\x02\x7e\x00", id="an unknown property"),
        pytest.param(b"\x20\x06\x00\x00\x03\x21\x00\x00", id="a receive maximum of zero"),
        pytest.param(b"\x20\x06\x00\x00\x03\x1f\x00\x05", id="a text that is cut"),
    ],
)
def test_what_mqtt_5_forbids_ends_the_session(stream: bytes) -> None:
    answers = read([stream], is_v5=True)
    assert [type(answer) for answer in answers] == [decode.UnreadablePacket]


def test_thousands_of_properties_of_a_message_are_passed_over_unread() -> None:
    """Anybody may publish them: they must cost the agent nothing."""
    properties_ = b"\x26\x00\x00\x00\x00" * 30_000
    body = b"\x00\x01t" + fields.variable(len(properties_)) + properties_ + b"body"
    (message,) = read([broker_packets.packet(0x30, body)], is_v5=True)
    assert message == decode.InboundPublish("t", b"body", False, False, 0)


def test_a_broker_that_answers_with_thousands_of_properties_is_not_read() -> None:
    many = b"\x26\x00\x00\x00\x00" * (properties.MAXIMUM_READ + 1)
    body = b"\x00\x00" + fields.variable(len(many)) + many
    (answer,) = read([broker_packets.packet(0x20, body)], is_v5=True)
    assert isinstance(answer, decode.UnreadablePacket)


@BOTH
def test_a_topic_that_is_no_utf_8_is_nobodys_and_ends_nothing(is_v5: bool) -> None:
    body = b"\x00\x02\xff\xfe" + (b"\x00" if is_v5 else b"")
    stream = broker_packets.packet(0x30, body) + b"\xd0\x00"
    message, ping = read([stream], is_v5=is_v5)
    assert isinstance(message, decode.InboundPublish)
    assert message.topic == "\N{REPLACEMENT CHARACTER}" * 2
    assert ping == decode.PingAnswer()


@pytest.mark.parametrize(
    ("returned", "name"),
    [(1, "Unsupported protocol version"), (4, "Bad user name or password"), (5, "Not authorized")],
)
def test_a_refusal_of_mqtt_3_1_1_is_named_as_mqtt_5_names_it(returned: int, name: str) -> None:
    (answer,) = read([b"\x20\x02\x00" + bytes((returned,))], is_v5=False)
    assert isinstance(answer, decode.ConnectAnswer)
    assert codes.name(answer.code) == name


def test_a_code_that_no_specification_has_is_its_number() -> None:
    assert codes.name(0xEE) == "Reason 0xee"
