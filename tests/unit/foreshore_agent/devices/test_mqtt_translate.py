"""Messages of devices as engine events, and what is no event."""

from datetime import UTC, datetime

from foreshore_agent.devices.codecs import formats, payload, registry
from foreshore_agent.devices.mqtt import channel, orders, topics, translate
from foreshore_agent.engine import events
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

AT = events.Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 1.0)
ROUTE = topics.DeviceRoute(
    events.Key("hq", "room-301"),
    payload.Decoder((deviceprofile.Property(name="co2"),)),
)
ANSWERS = orders.AnswerRoute(ROUTE.device, registry.CODECS[-1])


def telemetry(received: channel.MqttMessage) -> list[events.Sample] | str:
    contents = formats.Contents(received.payload)
    return translate.telemetry(
        received, contents, ROUTE, events.EventStamp(lambda: AT, lambda: "fresh")
    )


def message(body: bytes, *, retained: bool = False) -> channel.MqttMessage:
    return channel.MqttMessage("t", body, retained, redelivered=False)


def test_telemetry_becomes_a_sample_of_its_device() -> None:
    samples = telemetry(message(b'{"co2": 700}'))
    assert samples == [events.Sample(AT, "fresh", ROUTE.device, {"co2": 700.0})]


def test_what_the_broker_had_kept_is_refused_before_it_is_read() -> None:
    kept = message(b"\xff", retained=True)
    assert telemetry(kept) == reasons.RETAINED
    assert translate.answer(kept, ANSWERS, AT, "fresh") == reasons.RETAINED


def test_a_malformed_document_is_a_reason_and_no_event() -> None:
    assert telemetry(message(b"{")) == "InvalidJSON"
    assert translate.answer(message(b"{}"), ANSWERS, AT, "f") == reasons.INVALID_DOCUMENT
    assert translate.answer(message(b"x" * 70000), ANSWERS, AT, "f") == reasons.TOO_LARGE


def test_a_document_without_any_property_of_the_profile_is_refused_and_no_empty_sample() -> None:
    renamed = message(b'{"CO2": 700, "values": {"co2": 700}}')
    assert telemetry(renamed) == reasons.NO_PROPERTY
    samples = telemetry(message(b'{"co2": "700"}'))
    assert isinstance(samples, list)
    [spoilt] = samples
    assert spoilt.refused == {"co2": reasons.WRONG_TYPE}


def test_an_answer_becomes_an_acknowledgement() -> None:
    done = command.Acknowledgement(command_id="d/1", result=command.Result.ACCEPTED)
    answer = translate.answer(message(done.encode()), ANSWERS, AT, "fresh")
    assert answer == events.Acknowledged(AT, "fresh", ROUTE.device, done)
