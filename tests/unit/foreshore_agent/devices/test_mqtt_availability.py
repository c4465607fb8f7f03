"""Whether devices are there: topics, words, and what waits for the engine's turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import site_side
from builders.site_wire import AT, SITE, Wire
from foreshore_agent.devices.mqtt import availability, channel, last_words
from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile, telemetry
from foreshore_api.v1alpha1.device import DeviceParameter
from foreshore_api.wire import assignment

CONTACT = deviceprofile.Property(
    name="contact", type=deviceprofile.DataType.BOOLEAN, retained=telemetry.Retained.STATE
)


def device(
    name: str = "door",
    *properties: deviceprofile.Property,
    words: dict[str, str] | None = None,
    parameters: dict[str, str] | None = None,
) -> assignment.AssignedDevice:
    """A device with these properties, and an availability topic if it has words for it."""
    made = site_side.device(name)
    mqtt = made.profile.mqtt
    if words is not None:
        declared = telemetry.AvailabilitySpec(**{"topic": "{site}/{device}/lwt", **words})
        mqtt = mqtt.model_copy(update={"availability": declared})
    profile = made.profile.model_copy(
        update={"mqtt": mqtt, "properties": properties or made.profile.properties}
    )
    own = tuple(
        DeviceParameter(name=name, value=value) for name, value in (parameters or {}).items()
    )
    spec = made.spec.model_copy(update={"parameters": own})
    return made.model_copy(update={"profile": profile, "spec": spec})


def route(**words: str) -> availability.AvailabilityRoute:
    [only] = availability.lay_out([device(words=words)]).routes["hq/door/lwt"]
    return only


ONLINE, OFFLINE = True, False
TASMOTA = {"online": "Online", "offline": "Offline"}
SHELLY = {"online": "true", "offline": "false"}
WORDS = [
    pytest.param({}, b"online", ONLINE, id="the bare word"),
    pytest.param({}, b"offline\n", OFFLINE, id="with a new line"),
    pytest.param({"path": "state"}, b'{"state": "online"}', ONLINE, id="a member"),
    pytest.param({"path": "/a/state"}, b'{"a": {"state": "offline"}}', OFFLINE, id="a pointer"),
    pytest.param({"path": "state"}, b"offline", OFFLINE, id="an older bridge's bare word"),
    pytest.param(TASMOTA, b"Online", ONLINE, id="Tasmota"),
    pytest.param(SHELLY, b"false", OFFLINE, id="Shelly"),
    pytest.param({**SHELLY, "path": "up"}, b'{"up": true}', ONLINE, id="a JSON Boolean"),
    pytest.param({"path": "n", "online": "1", "offline": "0"}, b'{"n": 0}', OFFLINE, id="a number"),
    pytest.param({}, b"Online", reasons.UNKNOWN_WORD, id="another case"),
    pytest.param({}, b"", reasons.UNKNOWN_WORD, id="nothing, which takes back what was kept"),
    pytest.param({}, b"\xff\xfe", reasons.UNKNOWN_WORD, id="no text"),
    pytest.param({"path": "state"}, b"{}", reasons.UNKNOWN_WORD, id="no such member"),
    pytest.param({"path": "/a/b"}, b'{"a": 1}', reasons.UNKNOWN_WORD, id="nothing below"),
    pytest.param({"path": "a"}, b'{"a": {}}', reasons.UNKNOWN_WORD, id="an object"),
    pytest.param({}, b"online" + b" " * 5000, reasons.UNKNOWN_WORD, id="too much"),
]


@pytest.mark.parametrize(("words", "body", "expected"), WORDS)
def test_a_message_says_whether_the_device_is_there(
    words: dict[str, str], body: bytes, expected: bool | str
) -> None:
    assert route(**words).read(body) == expected


@given(st.binary(max_size=200), st.sampled_from([{}, {"path": "state"}, {"path": "/a/b"}]))
def test_no_message_raises(body: bytes, words: dict[str, str]) -> None:
    assert route(**words).read(body) in (True, False, reasons.UNKNOWN_WORD)


def put(wire: Wire, topic: str, body: bytes, *, retained: bool = False) -> None:
    message = channel.MqttMessage(topic, body, retained, redelivered=False, at=AT)
    assert wire.users[0].take(message)


def test_a_last_will_reaches_the_engine_before_what_waits_to_be_decoded() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [device(words={})])
    wire.put("hq/door/telemetry", b'{"co2": 1.0}')
    put(wire, "hq/door/lwt", b"offline", retained=True)
    assert wire.arrived == []
    assert wire.devices.has_measured
    wire.arrived += wire.devices.measured(16)
    gone, sample = wire.arrived
    key = Key("hq", "door")
    assert gone == events.Availability(AT, "f", key, is_online=False, retained=True)
    assert isinstance(sample, events.Sample)


def test_another_word_is_refused_and_counted() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [device(words={})])
    put(wire, "hq/door/lwt", b"ONLINE")
    assert wire.counts == [reasons.UNKNOWN_WORD]
    assert not wire.devices.has_measured


def test_one_topic_may_say_it_of_many_devices() -> None:
    wire = Wire()
    shared = {"topic": "{site}/bridge"}
    wire.devices.assign(SITE, [device("a", words=shared), device("b", words=shared)])
    put(wire, "hq/bridge", b"offline")
    wire.devices.measured(16)
    gone = [event.device.name for event in wire.arrived if isinstance(event, events.Availability)]
    assert gone == ["a", "b"]


def test_a_topic_may_be_both_a_property_and_the_availability() -> None:
    wire = Wire()
    words = {"topic": "{site}/{device}/telemetry", "path": "state"}
    wire.devices.assign(SITE, [device(words=words)])
    put(wire, "hq/door/telemetry", b'{"co2": 1.0, "state": "online"}')
    [sample] = wire.devices.measured(16)
    assert isinstance(sample, events.Sample)
    assert len(wire.arrived) == 1


def test_what_was_said_before_the_connection_came_up_is_told_before_that() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [device(words={})])
    put(wire, "hq/door/lwt", b"online", retained=True)
    wire.users[0].changed(True)
    assert [type(event) for event in wire.arrived] == [
        events.Availability,
        events.TelemetryChanged,
    ]


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_however_often_a_device_comes_and_goes_that_it_went_is_not_lost(
    said: list[tuple[bool, bool]],
) -> None:
    waiting = availability.Announcements()
    for is_online, retained in said:
        waiting.put(events.Availability(AT, "f", Key("hq", "door"), is_online, retained))
    taken = waiting.take()
    assert waiting.is_empty
    assert len(taken) <= 2
    assert [event.is_online for event in taken][-1:] == [is_online for is_online, _ in said][-1:]
    went = [event for event in taken if not event.is_online]
    assert bool(went) is any(not is_online for is_online, _ in said)
    live = any(not is_online and not retained for is_online, retained in said)
    assert all(event.retained is not live for event in went)


def words_of(*devices: assignment.AssignedDevice) -> last_words.Words:
    return last_words.by_topic(devices)


def test_the_broker_is_asked_again_where_somebody_reads_a_last_word_anew() -> None:
    topic = "hq/door/telemetry"
    before = words_of(device("door", CONTACT))
    assert last_words.renewed({}, before) == {topic}
    assert last_words.renewed(before, before) == set()
    moved = CONTACT.model_copy(update={"path": "/door"})
    assert last_words.renewed(before, words_of(device("door", moved))) == {topic}
    parameters = {"topic": "x"}
    assert last_words.renewed(before, words_of(device("door", CONTACT, parameters=parameters))) == {
        topic
    }
    assert last_words.renewed(before, words_of()) == set()


def test_a_second_device_on_a_topic_asks_the_broker_again() -> None:
    shared = CONTACT.model_copy(update={"topic": "{site}/all"})
    before = words_of(device("a", shared))
    assert last_words.renewed(before, words_of(device("a", shared), device("b", shared))) == {
        "hq/all"
    }


def test_a_measurement_asks_the_broker_for_nothing() -> None:
    assert words_of(site_side.device("a")) == {}


def test_an_availability_is_a_last_word() -> None:
    before = words_of(device(words={}))
    assert set(before) == {"hq/door/lwt"}
    assert last_words.renewed(before, words_of(device(words={"online": "up"}))) == {"hq/door/lwt"}


def test_a_device_whose_topic_cannot_be_made_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lacking = device("a", CONTACT, words={"topic": "{site}/{parameters.topic}/lwt"})
    whole = device("b", words={})
    wire = Wire()
    wire.devices.assign(SITE, [lacking, whole])
    put(wire, "hq/b/lwt", b"online")
    wire.devices.measured(16)
    assert len(wire.arrived) == 1
    assert "no availability of a" in caplog.text
