"""What another agent says is heard only on its own topic, and only if it is for us."""

import pytest

from foreshore_agent.site import messages
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import beat

TOPICS = messages.SiteTopics("hq", "edge-1")
PEER = beat.Beat(node="edge-2", boot_id="b", sequence=1, has_hub=True)
HELD = (beat.Held(namespace="hq", device="room-301", epoch=3),)


def read(topic: str, body: bytes, *, retained: bool = False) -> messages.Document | str:
    return messages.read(TOPICS, topic, body, retained=retained)


def test_a_beat_of_a_peer_is_heard_and_the_own_one_is_an_echo() -> None:
    assert read(beat.beat_topic("hq", "edge-2"), PEER.encode()) == PEER
    assert read(TOPICS.own_beats, PEER.encode()) == reasons.ECHO


def test_a_beat_on_another_nodes_topic_is_refused() -> None:
    assert read(beat.beat_topic("hq", "edge-3"), PEER.encode()) == reasons.WRONG_SPEAKER


def test_what_the_broker_had_kept_is_refused_before_it_is_read() -> None:
    assert read(beat.beat_topic("hq", "edge-2"), b"\xff", retained=True) == reasons.RETAINED


def test_a_renewal_is_for_its_holder_and_a_request_for_the_others() -> None:
    request = beat.RenewalRequest(node="edge-2", boot_id="b", number=1, held=HELD)
    assert read(beat.renew_topic("hq", "edge-2"), request.encode()) == request
    assert read(TOPICS.own_requests, request.encode()) == reasons.ECHO
    renewal = beat.Renewal(node="edge-1", boot_id="b", number=1, devices=())
    assert read(TOPICS.renewals("edge-1"), renewal.encode()) == renewal
    assert read(TOPICS.renewals("edge-9"), renewal.encode()) == reasons.ECHO


@pytest.mark.parametrize(
    ("body", "reason"), [(b"{}", reasons.INVALID_DOCUMENT), (b" " * 70000, reasons.TOO_LARGE)]
)
def test_what_is_no_document_is_a_reason(body: bytes, reason: str) -> None:
    assert read(beat.beat_topic("hq", "edge-2"), body) == reason


@pytest.mark.parametrize("topic", ["x/y", "foreshore/v1/other/beat/edge-2", "foreshore/v1/hq/beat"])
def test_a_topic_of_nobody_is_unknown(topic: str) -> None:
    assert read(topic, PEER.encode()) == reasons.UNKNOWN_TOPIC
