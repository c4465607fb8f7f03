"""Messages of the site's broker as engine events, and what is no event."""

from datetime import UTC, datetime

import pytest

from foreshore_agent.devices.mqtt import payload, session, topics, translate
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import beat, command

AT = events.Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 1.0)
ROUTE = topics.Route(
    topics.Subject.TELEMETRY,
    events.Key("hq", "room-301"),
    payload.Decoder((deviceprofile.Property(name="co2"),)),
)
ROUTES = topics.Routes(site="hq", node="edge-1")


def message(topic: str, body: bytes, *, retained: bool = False) -> session.Message:
    return session.Message(topic, body, retained, redelivered=False)


def test_telemetry_becomes_a_sample_of_its_device() -> None:
    heard = translate.telemetry(message("t", b'{"co2": 700}'), ROUTE, AT, "fresh")
    assert heard.result == "Accepted"
    assert heard.event == events.Sample(AT, "fresh", ROUTE.device, {"co2": 700.0})


def test_what_the_broker_had_kept_is_refused_before_it_is_read() -> None:
    heard = translate.telemetry(message("t", b"\xff", retained=True), ROUTE, AT, "fresh")
    assert heard == translate.Heard("Retained")
    answer = message("a", b"{}", retained=True)
    assert translate.answer(answer, ROUTE, AT, "fresh") == translate.Heard("Retained")


def test_a_malformed_document_is_counted_and_is_no_event() -> None:
    assert translate.telemetry(message("t", b"{"), ROUTE, AT, "f") == translate.Heard("InvalidJSON")
    assert translate.answer(message("a", b"{}"), ROUTE, AT, "f") == translate.Heard(
        "InvalidDocument"
    )
    assert translate.answer(message("a", b"x" * 70000), ROUTE, AT, "f") == translate.Heard(
        "TooLarge"
    )


def test_an_answer_becomes_an_acknowledgement() -> None:
    said = command.Acknowledgement(command_id="d/1", result=command.Result.ACCEPTED)
    heard = translate.answer(message("a", said.encode()), ROUTE, AT, "fresh")
    assert heard.event == events.Acknowledged(AT, "fresh", ROUTE.device, said)


PEER = beat.Beat(node="edge-2", boot_id="b", sequence=1, has_hub=True)
HELD = (beat.Held(namespace="hq", device="room-301", epoch=3),)


def test_a_beat_of_a_peer_is_an_event_and_the_own_one_is_an_echo() -> None:
    heard = translate.peer(message(beat.beat_topic("hq", "edge-2"), PEER.encode()), ROUTES, AT, "f")
    assert heard.event == events.PeerBeat(AT, "f", PEER)
    own = PEER.model_copy(update={"node": "edge-1"})
    echo = translate.peer(message(beat.beat_topic("hq", "edge-1"), own.encode()), ROUTES, AT, "f")
    assert echo == translate.Heard("Echo")


def test_a_beat_on_another_nodes_topic_is_refused() -> None:
    lie = translate.peer(message(beat.beat_topic("hq", "edge-3"), PEER.encode()), ROUTES, AT, "f")
    assert lie == translate.Heard("WrongSpeaker")


def test_a_renewal_is_for_its_holder_and_a_request_for_the_others() -> None:
    request = beat.RenewalRequest(node="edge-2", boot_id="b", number=1, held=HELD)
    asked = message(beat.renew_topic("hq", "edge-2"), request.encode())
    assert translate.peer(asked, ROUTES, AT, "f").request == request
    renewal = beat.Renewal(node="edge-1", boot_id="b", number=1, devices=())
    answered = message(beat.renewed_topic("hq", "edge-1"), renewal.encode())
    assert translate.peer(answered, ROUTES, AT, "f").event == events.Renewed(
        AT, "f", renewal, relayed=True
    )
    for_another = message(beat.renewed_topic("hq", "edge-9"), renewal.encode())
    assert translate.peer(for_another, ROUTES, AT, "f") == translate.Heard("Echo")


@pytest.mark.parametrize("topic", ["x/y", "foreshore/v1/other/beat/edge-2", "foreshore/v1/hq/beat"])
def test_a_topic_of_nobody_is_counted(topic: str) -> None:
    assert translate.peer(message(topic, PEER.encode()), ROUTES, AT, "f") == translate.Heard(
        "UnknownTopic"
    )
