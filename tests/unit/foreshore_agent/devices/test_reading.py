"""What stock devices say, read by their profiles: places, picks, batches, values, quality, time."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.devices.codecs import formats, payload
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.v1alpha1 import deviceprofile, telemetry

Refused = dict[str, str]


def declared(name: str = "value", **fields: Any) -> deviceprofile.Property:
    return deviceprofile.Property.model_validate({"name": name, **fields})


def samples(
    body: Any, *properties: deviceprofile.Property, is_alone: bool = False, zone: str | None = None
) -> tuple[payload.DecodedTelemetry, ...]:
    """What a device says of these properties, in a document or in bytes."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    context = payload.ReadingContext(zone=zone)
    return payload.Decoder(properties, context, is_alone=is_alone).decode(body)


def values(body: Any, *properties: deviceprofile.Property, **more: Any) -> list[dict[str, Any]]:
    return [sample.values for sample in samples(body, *properties, **more)]


def refusal(body: Any, *properties: deviceprofile.Property, **more: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        samples(body, *properties, **more)
    return caught.value.reason


def refused(body: Any, *properties: deviceprofile.Property, **more: Any) -> list[Refused]:
    return [sample.refused for sample in samples(body, *properties, **more)]


# A motion sensor on a Zigbee bridge: nulls until it has reported.

MOTION = (
    declared("occupancy", type="Boolean"),
    declared("illuminance", maximum=100000),
)


def test_a_motion_sensor_is_read() -> None:
    said = {"battery": 97, "illuminance": 112, "occupancy": True}
    assert values(said, *MOTION) == [{"occupancy": True, "illuminance": 112.0}]


def test_a_first_report_of_nulls_says_nothing_and_is_no_fault() -> None:
    [sample] = samples({"battery": None, "illuminance": None, "occupancy": None}, *MOTION)
    assert not sample.has_news
    assert sample.silent == ["occupancy", "illuminance"]


def test_null_costs_its_own_property_alone() -> None:
    assert values({"illuminance": 3.5, "occupancy": None}, *MOTION) == [{"illuminance": 3.5}]


# A plug with local times and states on a second topic.

POWER = declared("power", path="/ENERGY/Power", timestampPath="/Time")
SENSOR = {"Time": "2026-03-01T14:20:38", "ENERGY": {"Power": 41, "Factor": 0.71}}


def test_a_local_time_that_nobody_can_read_costs_the_time_and_not_the_value() -> None:
    """Regression: every value of such a plug was refused."""
    [sample] = samples(SENSOR, POWER)
    assert sample.values == {"power": 41.0}
    assert sample.sampled_at == {}
    assert sample.unread_times == {"power": "InvalidTimestamp"}


def test_a_local_time_is_read_in_the_zone_of_the_site() -> None:
    [sample] = samples(SENSOR, POWER, zone="Europe/Brussels")
    assert sample.sampled_at == {"power": datetime(2026, 3, 1, 13, 20, 38, tzinfo=UTC)}


def test_a_zone_of_its_own_goes_before_that_of_the_site() -> None:
    own = declared("power", path="/ENERGY/Power", time={"path": "Time", "zone": "Asia/Tokyo"})
    [sample] = samples(SENSOR, own, zone="Europe/Brussels")
    assert sample.sampled_at == {"power": datetime(2026, 3, 1, 5, 20, 38, tzinfo=UTC)}


def test_the_time_of_the_device_counts_where_a_property_names_none() -> None:
    context = payload.ReadingContext(telemetry.DeviceTime(path="at"), None)
    decoder = payload.Decoder((declared(), declared("own", timestampPath="/t")), context)
    [sample] = decoder.decode(b'{"value": 1.0, "own": 2.0, "at": 1767225600, "t": 1767225601}')
    assert sample.sampled_at == {
        "value": datetime(2026, 1, 1, 0, 0, 0, tzinfo=UTC),
        "own": datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    }


def test_a_time_that_is_not_there_is_no_fault() -> None:
    [sample] = samples({"ENERGY": {"Power": 41}, "Time": None}, POWER)
    assert (sample.sampled_at, sample.unread_times) == ({}, {})


# One topic per property, the value bare.

BARE = {"payload": "Text"}


@pytest.mark.parametrize(
    ("body", "fields", "value"),
    [
        (b"21.5", {}, 21.5),
        (b"21.5", BARE, 21.5),
        (b"47", {"type": "Integer"}, 47),
        (b"47", {"type": "Integer", **BARE}, 47),
        (b"ON", {"type": "Boolean", **BARE}, True),
        (b"off", {"type": "Boolean", **BARE}, False),
        (b'"on"', {"type": "String"}, "on"),
        (b"true", {"type": "Boolean"}, True),
        (b"120.11\n", BARE, 120.11),
        (b'{"value": 52.4}', {"path": "/value"}, 52.4),
        (b'{"time":1767225600123,"value":21.5}', {"path": "/value"}, 21.5),
        (b'{"value": "21.5"}', {"path": "/value", **BARE}, 21.5),
        (" 21,5 °C".encode(), {"decimal": "Comma", "suffix": "°C", **BARE}, 21.5),
        (b"Auto", {"type": "String", **BARE}, "Auto"),
    ],
)
def test_a_bare_value_is_read_from_a_topic_of_its_own(
    body: bytes, fields: dict[str, Any], value: object
) -> None:
    assert values(body, declared(topic="t/value", **fields)) == [{"value": value}]


@pytest.mark.parametrize(
    ("body", "fields", "reason"),
    [
        (b"nan", BARE, "NonFinite"),
        (b"NaN", {}, "NonFinite"),
        (b"nan", {}, "InvalidJSON"),
        (b"ON", {}, "InvalidJSON"),
        (b"ON", BARE, "WrongType"),
        (b"unknown", {"type": "Boolean", **BARE}, "WrongType"),
        (b"\xff", BARE, "InvalidUTF8"),
        (b'"21.5"', {}, "WrongType"),
        (b"21.5", {"path": "/value"}, "NotAnObject"),
    ],
)
def test_what_is_no_value_makes_the_one_property_of_its_topic_invalid(
    body: bytes, fields: dict[str, Any], reason: str
) -> None:
    """Regression: `nan` was a message that nobody got, and the value before it stood."""
    own = declared(topic="t/value", **fields)
    assert refused(body, own, is_alone=True) == [{"value": reason}]


@pytest.mark.parametrize(("body", "fields"), [(b"", BARE), (b"null", BARE), (b"null", {})])
def test_an_empty_message_says_nothing(body: bytes, fields: dict[str, Any]) -> None:
    [sample] = samples(body, declared(topic="t/value", **fields), is_alone=True)
    assert (sample.values, sample.refused, sample.silent) == ({}, {}, ["value"])


def test_a_bare_value_is_the_one_property_of_a_topic_without_more_words() -> None:
    assert values(b"21.5", declared(), is_alone=True) == [{"value": 21.5}]


def test_a_bare_value_on_the_topic_of_several_properties_is_nobodys() -> None:
    assert refusal(b"21.5", declared("a"), declared("b")) == "NotAnObject"


def test_a_text_and_a_document_on_one_topic_do_not_disturb_each_other() -> None:
    both = (declared("text", topic="t", type="String", **BARE), declared("number", topic="t"))
    assert values(b"ON", *both) == [{"text": "ON"}]
    assert values(b"21.5", *both) == [{"text": "21.5"}, {"number": 21.5}]


# A gateway's array of tags.


def tag(name: str, identity: str, **fields: Any) -> deviceprofile.Property:
    pick = {"array": "/values", "key": "id", "equals": identity, "value": "v"}
    return declared(name, pick=pick, quality={"path": "q", "good": ["true"]}, **fields)


MOTOR = (
    tag("motorTemperature", "Line1.MotorTemp", time={"path": "t"}),
    tag("vibration", "Line1.Vibration"),
)


def tags(*said: tuple[str, Any, bool]) -> dict[str, Any]:
    of = [
        {"id": identity, "v": value, "q": quality, "t": 1767225600193}
        for identity, value, quality in said
    ]
    return {"timestamp": 1767225600224, "values": of}


def test_tags_are_picked_by_name_with_their_times() -> None:
    said = tags(
        ("Line1.Speed", 1480, True), ("Line1.MotorTemp", 61.5, True), ("Line1.Vibration", 2.4, True)
    )
    [sample] = samples(said, *MOTOR)
    assert sample.values == {"motorTemperature": 61.5, "vibration": 2.4}
    assert sample.sampled_at == {
        "motorTemperature": datetime(2026, 1, 1, 0, 0, 0, 193000, tzinfo=UTC)
    }


@pytest.mark.parametrize("position", ["Refused", "Fixed"])
def test_a_motor_is_never_as_hot_as_another_tag_is_large(position: str) -> None:
    """Regression: after a message with one other tag, 1479 degrees were measured."""
    assert samples(tags(("Line1.Speed", 1479, True)), *MOTOR) == ()
    by_place = declared("motorTemperature", path="/values/0/v", position=position)
    says = [{"motorTemperature": "WrongType"}] if position == "Refused" else [{}]
    assert refused(tags(("Line1.Speed", 1479, True)), by_place) == says


def test_a_value_that_the_device_does_not_trust_is_refused() -> None:
    assert refused(tags(("Line1.MotorTemp", 0, False)), *MOTOR) == [
        {"motorTemperature": "InvalidQuality"}
    ]


def test_a_quality_that_is_not_said_is_not_good() -> None:
    said = {"values": [{"id": "Line1.MotorTemp", "v": 61.5}]}
    assert refused(said, *MOTOR) == [{"motorTemperature": "InvalidQuality"}]


def test_null_of_bad_quality_is_refused_and_null_without_a_quality_says_nothing() -> None:
    assert refused(tags(("Line1.MotorTemp", None, False)), *MOTOR) == [
        {"motorTemperature": "InvalidQuality"}
    ]
    [sample] = samples({"values": [{"id": "Line1.MotorTemp", "v": None}]}, *MOTOR)
    assert sample.silent == ["motorTemperature"]


@pytest.mark.parametrize("quality", ["Good", 192, 192.0, True])
def test_a_quality_is_compared_as_text(quality: object) -> None:
    good = declared(quality={"path": "q", "good": ["Good", 192, "true"]})
    assert values({"value": 1.5, "q": quality}, good) == [{"value": 1.5}]


def test_a_tag_that_comes_several_times_is_several_samples_in_order() -> None:
    said = tags(
        ("Line1.MotorTemp", 61, True), ("Line1.Vibration", 2.4, True), ("Line1.MotorTemp", 62, True)
    )
    assert values(said, *MOTOR) == [
        {"motorTemperature": 61.0, "vibration": 2.4},
        {"motorTemperature": 62.0},
    ]


@pytest.mark.parametrize("identity", [7, "7", 7.0])
def test_a_tag_is_named_as_text(identity: object) -> None:
    own = declared(pick={"key": "/tag/id", "equals": 7, "value": "/data/v"})
    said = [{"tag": {"id": identity}, "data": {"v": 2.5}}, {"tag": None}, 3, "x"]
    assert values(said, own) == [{"value": 2.5}]


@pytest.mark.parametrize("said", [{}, {"values": None}, {"values": []}, {"other": [1]}, {"v": 1}])
def test_an_array_that_is_not_there_says_nothing(said: Any) -> None:
    assert samples(said, *MOTOR) == ()


def test_an_array_that_is_none_is_of_the_wrong_type() -> None:
    assert refused({"values": {"id": "Line1.MotorTemp", "v": 1}}, MOTOR[0]) == [
        {"motorTemperature": "WrongType"}
    ]


# Batches.


def test_a_document_that_is_an_array_is_a_batch_in_order() -> None:
    own = declared("temperature", path="/values/temperature", time={"path": "/ts"})
    said = [
        {"ts": 1767225600000, "values": {"temperature": 22.5}},
        {"ts": 1767225601000, "values": {"temperature": 22.7}},
    ]
    batch = samples(said, own)
    assert [sample.values for sample in batch] == [{"temperature": 22.5}, {"temperature": 22.7}]
    assert [sample.sampled_at["temperature"].second for sample in batch] == [0, 1]


def test_a_batch_inside_a_document_has_what_stands_beside_it() -> None:
    own = declared(batch="/samples", quality={"path": "ok", "good": ["true"]}, time={"path": "at"})
    said = {"ok": True, "at": 1767225600, "samples": [{"value": 1}, {"value": 2, "ok": False}]}
    first, second = samples(said, own)
    assert (first.values, first.sampled_at["value"].year) == ({"value": 1.0}, 2026)
    assert second.refused == {"value": "InvalidQuality"}


def test_a_batch_of_bare_values_is_read_where_one_is() -> None:
    own = declared(topic="t")
    assert values([1, 2.5, None, 3], own) == [{"value": 1.0}, {"value": 2.5}, {}, {"value": 3.0}]


def test_a_batch_that_is_none_is_refused_and_one_that_is_not_there_says_nothing() -> None:
    own = declared(batch="/samples")
    assert refusal({"samples": 5}, own) == "WrongType"
    assert samples({"samples": None}, own) == samples({}, own) == ()


def test_a_message_holds_so_many_samples_and_none_of_more() -> None:
    def batch(count: int) -> list[Any]:
        return [{"value": number} for number in range(count)]

    assert len(values(batch(256), declared())) == 256
    assert refusal(batch(257), declared()) == "TooMany"
    picked = declared(pick={"key": "id", "equals": "a", "value": "v"})
    assert refusal([{"id": "a", "v": 1}] * 257, picked) == "TooMany"
    assert values([{"id": "b", "v": 1}] * 1000 + [{"id": "a", "v": 1}], picked) == [{"value": 1.0}]


def test_devices_that_share_a_topic_share_the_bound_on_samples() -> None:
    """A batch for a thousand readers would hold the loop a thousand times as long."""
    decoder = payload.Decoder((declared(),))
    body = json.dumps([{"value": number} for number in range(9)]).encode()
    assert len(decoder.read(formats.Contents(body, readers=500))) == 9
    with pytest.raises(PayloadError):
        decoder.read(formats.Contents(body, readers=1000))


# What values mean.

SWITCH = {"values": [{"from": "ON", "to": "true"}, {"from": "OFF", "to": "false"}]}


@pytest.mark.parametrize(
    ("fields", "raw", "value"),
    [
        ({"type": "Boolean", **SWITCH}, "ON", True),
        ({"type": "Boolean", **SWITCH}, "OFF", False),
        ({"type": "Boolean", "values": [{"from": 1, "to": "true"}]}, 1.0, True),
        ({"type": "Boolean", "values": [{"from": 1, "to": "true"}]}, 1, True),
        ({"type": "Boolean", "values": [{"from": "1.0", "to": "true"}]}, 1, True),
        ({"type": "Boolean", "values": [{"from": "1", "to": "true"}]}, "1", True),
        ({"type": "Integer", "values": [{"from": "true", "to": 1}]}, True, 1),
        ({"values": [{"from": "low", "to": "0.5"}]}, "low", 0.5),
        ({"type": "String", "values": [{"from": 2, "to": "Auto"}]}, 2, "Auto"),
        ({"scale": "0.1"}, 215, 21.5),
        ({"scale": "0.1", "offset": "-273.15"}, 2931.5, 20.0),
        ({"offset": 1}, 0.5, 1.5),
        ({"type": "Integer", "scale": "0.1"}, 30, 3),
        ({"type": "Integer", "scale": "0.1", "payload": "Text"}, "30", 3),
        ({"scale": "0.01", "payload": "Text", "decimal": "Comma"}, "2150,0", 21.5),
    ],
)
def test_a_value_means_what_the_profile_says(
    fields: dict[str, Any], raw: object, value: object
) -> None:
    [sample] = samples({"value": raw}, declared(path="/value", **fields))
    assert sample.values == {"value": value}
    assert type(sample.values["value"]) is type(value)


@pytest.mark.parametrize(
    ("fields", "raw", "reason"),
    [
        ({"type": "Boolean", **SWITCH}, "on", "UnknownValue"),
        ({"type": "Boolean", **SWITCH}, True, "UnknownValue"),
        ({"type": "Boolean", **SWITCH}, {}, "UnknownValue"),
        ({"type": "Boolean", **SWITCH}, float("nan"), "NonFinite"),
        ({"scale": "0.1"}, "215", "WrongType"),
        ({"scale": "0.1"}, True, "WrongType"),
        ({"scale": "1000"}, 1.5e308, "NonFinite"),
        ({"offset": 1}, float("inf"), "NonFinite"),
        ({"type": "Integer", "scale": "0.1"}, 31, "WrongType"),
        ({"type": "Integer", "scale": "1000"}, 2**62, "OutOfRange"),
        ({"payload": "Text"}, "1e999", "NonFinite"),
        ({"type": "Integer", "payload": "Text"}, "1.5", "WrongType"),
        ({"type": "Integer", "payload": "Text"}, "9223372036854775808", "OutOfRange"),
    ],
)
def test_a_value_that_means_nothing_is_refused(
    fields: dict[str, Any], raw: object, reason: str
) -> None:
    assert refused({"value": raw}, declared(path="/value", **fields)) == [{"value": reason}]


@given(st.integers(-(10**12), 10**12), st.integers(0, 9))
def test_scaling_is_exact_in_decimal(raw: int, digits: int) -> None:
    scale = f"0.{'0' * digits}1"
    [said] = values({"value": raw}, declared(scale=scale))
    assert said == {"value": float(f"{raw}e-{digits + 1}")}


# Access, and what the broker kept.


def test_what_can_only_be_written_is_not_read() -> None:
    assert samples({"value": 1.0}, declared(access="Write")) == ()


def test_of_a_kept_message_states_are_read_and_nothing_else() -> None:
    decoder = payload.Decoder((declared("contact", type="Boolean", retained="State"), declared()))
    contents = formats.Contents(b'{"contact": true, "value": 3.5}')
    assert [sample.values for sample in decoder.read(contents, only_states=True)] == [
        {"contact": True}
    ]
    assert [sample.values for sample in decoder.read(contents)] == [{"contact": True, "value": 3.5}]
