"""Stock devices on topics of their own: what is read, what the broker kept, what gives way."""

import json
import logging
from typing import Any

import pytest

from builders import site_side
from builders.site_wire import AT, SITE, Wire
from foreshore_agent.devices.mqtt import devices, topics, unread
from foreshore_agent.engine import events
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment

CONTACT = {"name": "contact", "type": "Boolean", "retained": "State"}
WARMTH = {"name": "temperature"}


def listening(*assigned: assignment.AssignedDevice) -> Wire:
    wire = Wire()
    wire.devices.assign(SITE, assigned)
    return wire


def samples(wire: Wire) -> list[events.Sample]:
    return [arrival for arrival in wire.arrived if isinstance(arrival, events.Sample)]


def take(wire: Wire) -> list[events.Sample]:
    return list(wire.devices.measured(64))


def body(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_a_device_is_several_topics_by_its_parameters() -> None:
    plug = site_side.speaking(
        "plug",
        {"name": "power", "path": "/ENERGY/Power"},
        {"name": "on", "type": "Boolean", "topic": "stat/{parameters.topic}/POWER",
         "payload": "Text"},
        parameters={"topic": "plug_3C91A0"},
        telemetryTopic="tele/{parameters.topic}/SENSOR",
    )  # fmt: skip
    wire = listening(plug)
    wire.measure("tele/plug_3C91A0/SENSOR", b'{"ENERGY":{"Power":41}}')
    wire.measure("stat/plug_3C91A0/POWER", b"ON")
    assert [sample.values for sample in samples(wire)] == [{"power": 41.0}, {"on": True}]
    assert wire.counts == []


def test_a_topic_on_which_nothing_is_read_is_not_listened_on() -> None:
    own = {"name": "co2", "topic": "{site}/{device}/co2"}
    written = {"name": "set", "access": "Write"}
    routes = topics.routes([site_side.speaking("a", own, written)])
    assert routes.telemetry_filters == ("hq/a/co2",)


def test_two_templates_that_are_one_topic_are_one_reader() -> None:
    own = {"name": "light", "topic": "hq/{device}"}
    wire = listening(site_side.speaking("a", {"name": "co2"}, own))
    wire.measure("hq/a", body(co2=1, light=2))
    assert [sample.values for sample in samples(wire)] == [{"co2": 1.0, "light": 2.0}]


def test_a_bare_value_that_is_none_makes_the_one_property_of_its_topic_invalid() -> None:
    wire = listening(site_side.speaking("a", {"name": "pressure", "topic": "{site}/p"}, WARMTH))
    wire.measure("hq/p", b"1013.2")
    wire.measure("hq/p", b"nan")
    assert [sample.refused for sample in samples(wire)] == [{}, {"pressure": "InvalidJSON"}]


def test_a_topic_that_two_devices_read_is_of_neither_alone() -> None:
    shared = [site_side.speaking(name, WARMTH, telemetryTopic="t") for name in ("a", "b")]
    wire = listening(*shared)
    wire.measure("t", b"nan")
    wire.measure("t", b"21.5")
    assert samples(wire) == []
    assert wire.counts == ["InvalidJSON"] * 2 + ["NotAnObject"] * 2


def test_a_message_of_nulls_is_counted_and_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    wire = listening(site_side.speaking("a", CONTACT, WARMTH))
    wire.measure("hq/a", body(contact=None, temperature=None))
    assert samples(wire) == []
    assert wire.counts == [telemetry.NULL]
    assert caplog.messages == []


def test_a_device_time_that_cannot_be_read_is_counted_and_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = listening(site_side.speaking("a", {**WARMTH, "time": {"path": "Time"}}))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            wire.measure("hq/a", body(temperature=3.5, Time="2026-03-01T14:20:38"))
    assert [sample.unread_times for sample in samples(wire)] == [
        {"temperature": telemetry.INVALID_TIMESTAMP}
    ] * 3
    assert wire.counts == [telemetry.INVALID_TIMESTAMP] * 3
    [line] = caplog.messages
    assert "temperature of" in line
    assert "timeZone" in line


def test_a_value_that_cannot_be_read_is_counted_and_named_once_with_what_helps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = listening(site_side.speaking("a", WARMTH))
    with caplog.at_level(logging.WARNING):
        for written in ("21.5", "21.6", "21.7"):
            wire.measure("hq/a", body(temperature=written))
    assert wire.counts == [telemetry.WRONG_TYPE] * 3
    [line] = caplog.messages
    assert line.startswith("refused temperature of hq/a: WrongType")
    assert "payload Text" in line


def test_each_topic_on_which_nothing_is_found_has_its_own_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = listening(
        *(site_side.speaking(name, {**WARMTH, "topic": f"hq/{name}"}) for name in ("a", "b"))
    )
    with caplog.at_level(logging.WARNING):
        for topic in ("hq/a", "hq/b", "hq/b"):
            wire.measure(topic, body(Temperature=3.5))
    assert wire.counts == [telemetry.NO_PROPERTY] * 3
    first, second = caplog.messages
    assert "hq/a: NoProperty" in first
    assert "hq/b: NoProperty" in second


def test_the_zone_of_the_site_reaches_the_reader() -> None:
    site = SITE.model_copy(
        update={"spec": SITE.spec.model_copy(update={"time_zone": "Europe/Brussels"})}
    )
    wire = Wire()
    wire.devices.assign(site, [site_side.speaking("a", {**WARMTH, "time": {"path": "Time"}})])
    wire.measure("hq/a", body(temperature=3.5, Time="2026-03-01T14:20:38"))
    [sample] = samples(wire)
    assert sample.sampled_at["temperature"].hour == 13
    assert wire.counts == []


# What the broker kept.


def test_of_a_kept_message_states_are_taken_and_what_is_measured_is_not() -> None:
    wire = listening(site_side.speaking("door", CONTACT, WARMTH))
    wire.measure("hq/door", body(contact=False, temperature=4.5), retained=True)
    [sample] = samples(wire)
    assert (sample.values, sample.retained) == ({"contact": False}, True)


def test_a_kept_message_of_a_device_without_states_is_refused_unread() -> None:
    wire = listening(site_side.speaking("a", WARMTH))
    wire.measure("hq/a", b"\xff", retained=True)
    assert wire.counts == [telemetry.RETAINED]


def test_a_kept_message_that_is_none_voids_the_one_state_of_its_topic() -> None:
    wire = listening(site_side.speaking("door", {**CONTACT, "payload": "Text", "topic": "t"}))
    wire.measure("t", b"ajar", retained=True)
    assert [sample.refused for sample in samples(wire)] == [{"contact": telemetry.WRONG_TYPE}]


# What gives way when there is too much.


@pytest.mark.parametrize(
    "properties",
    [
        [CONTACT],
        [{"name": "a", "pick": {"array": "/v", "key": "id", "equals": "a", "value": "v"}}],
        [{"name": "a", "batch": "/v", "path": "/v"}],
    ],
    ids=["state", "pick", "batch"],
)
def test_what_is_not_said_again_is_never_passed_over(properties: list[Any]) -> None:
    wire = listening(site_side.speaking("a", *properties))
    message = body(contact=True, v=[{"id": "a", "v": 1}])
    for _ in range(unread.ALIKE):
        wire.measure("hq/a", message)
    for _ in range(5):
        wire.put("hq/a", message)
    assert len(take(wire)) == 5


@pytest.mark.parametrize(
    "other", [b"{}", body(temperature=None), b'[{"temperature": 1}, {"temperature": 2}]']
)
def test_after_a_message_that_says_something_else_a_topic_is_read_in_full(other: bytes) -> None:
    wire = listening(site_side.speaking("a", WARMTH))
    wire.measure("hq/a", other)
    for _ in range(unread.ALIKE + 1):
        wire.measure("hq/a", body(temperature=1))
    for number in range(5):
        wire.put("hq/a", body(temperature=number))
    assert [sample.values["temperature"] for sample in take(wire)] == [0, 1, 2, 3, 4]


def test_a_state_of_which_a_message_was_dropped_is_void_until_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the older "closed" outlives the "open" that there was no room for."""
    monkeypatch.setattr(unread, "MAXIMUM_MESSAGES", 1)
    wire = listening(site_side.speaking("door", CONTACT, WARMTH))
    wire.measure("hq/door", body(contact=True, temperature=3))
    for message in (body(contact=False), body(temperature=4), body(temperature=5)):
        wire.put("hq/door", message)
    void, *others = take(wire)
    assert void.refused == {"contact": telemetry.DROPPED}
    assert dict(void.replaced) == {telemetry.DROPPED: 1}
    assert [sample.values for sample in others] == [{"temperature": 4.0}, {"temperature": 5.0}]
    assert not wire.devices.has_measured


def test_a_state_that_waited_too_long_holds_and_what_was_measured_then_does_not() -> None:
    wire = listening(site_side.speaking("door", CONTACT, WARMTH))
    wire.put("hq/door", body(contact=False, temperature=4))
    wire.now = AT._replace(monotonic=AT.monotonic + devices.LONGEST_WAIT + 0.1)
    [sample] = take(wire)
    assert sample.values == {"contact": False}
    assert sample.at == wire.now
    assert wire.counts == []


def test_what_waited_too_long_and_says_no_state_is_dropped() -> None:
    wire = listening(site_side.speaking("door", CONTACT, WARMTH))
    wire.put("hq/door", body(temperature=4))
    wire.now = AT._replace(monotonic=AT.monotonic + devices.LONGEST_WAIT + 0.1)
    assert take(wire) == []
    assert wire.counts == [telemetry.DROPPED]
    assert not wire.devices.has_measured, "what it does not say is not void"


UNREADABLE = {b'{"contact": fal': "InvalidJSON", b"open": "InvalidJSON", b"1": "NotAnObject"}


@pytest.mark.parametrize("message", UNREADABLE)
def test_a_state_of_which_a_message_cannot_be_read_is_void_until_the_next(message: bytes) -> None:
    """Regression: cut short, "open" left the older "closed" to be believed for a day."""
    wire = listening(site_side.speaking("door", CONTACT, WARMTH))
    wire.put("hq/door", message)
    wire.put("hq/door", message, retained=True)
    live, kept = take(wire)
    assert (live.values, live.refused) == ({}, {"contact": UNREADABLE[message]})
    assert (live.retained, kept.retained) == (False, True)
    assert wire.counts == [UNREADABLE[message]] * 2


def test_a_state_that_waited_too_long_and_cannot_be_read_is_void_before_the_next() -> None:
    bare = {**CONTACT, "payload": "Text", "topic": "hq/all"}
    wire = listening(
        site_side.speaking("door", CONTACT, WARMTH, telemetryTopic="hq/all"),
        site_side.speaking("gate", bare),
    )
    wire.put("hq/all", b"on")
    wire.now = AT._replace(monotonic=AT.monotonic + devices.LONGEST_WAIT + 0.1)
    wire.put("hq/all", body(contact=True, temperature=3))
    void, gate, *_ = take(wire)
    assert void.refused == {"contact": "InvalidJSON"}
    assert gate.values == {"contact": True}
    assert not wire.devices.has_measured


def test_a_value_that_cannot_be_read_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    wire = listening(site_side.speaking("door", WARMTH))
    wire.measure("hq/door", body(temperature="warm"))
    assert wire.counts == [telemetry.WRONG_TYPE]
    assert "refused temperature of hq/door: WrongType" in caplog.text


# Strangers.


def test_a_device_that_sends_nonsense_costs_nobody_else_a_sample() -> None:
    wire = listening(
        site_side.speaking("hostile", CONTACT, WARMTH), site_side.speaking("b", WARMTH)
    )
    nonsense = [b"", b"{", b"\xff" * 100, b"[" * 60_000, b"x" * 70_000, b'{"temperature": "hot"}']
    for number in range(300):
        wire.put("hq/hostile", nonsense[number % len(nonsense)])
        if number % 30 == 0:
            wire.put("hq/b", body(temperature=number))
    taken: list[events.Sample] = []
    while wire.devices.has_measured:
        taken += take(wire)
    heard = [sample.values["temperature"] for sample in taken if sample.device.name == "b"]
    assert heard == list(range(0, 300, 30))


def test_a_topic_that_a_device_cannot_have_costs_it_alone() -> None:
    """A parameter with a wildcard would make one device's topic the topics of others."""
    hostile = site_side.speaking(
        "x", WARMTH, parameters={"topic": "#"}, telemetryTopic="tele/{parameters.topic}"
    )
    wire = listening(hostile, site_side.speaking("b", WARMTH))
    wire.measure("hq/b", body(temperature=1))
    assert [sample.device.name for sample in samples(wire)] == ["b"]
