"""Played dialects: what they say first, how a command comes back, and what a stranger may send."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foreshore_agent
from foreshore_agent.play.dialects import registry, speech, zigbee2mqtt

NOW = datetime(2026, 3, 1, 13, 20, 38, tzinfo=UTC)
ROWS = pytest.mark.parametrize("row", registry.DIALECTS, ids=lambda row: row.name)
HABITS = speech.DialectHabits()


def played(name: str, habits: speech.DialectHabits = HABITS) -> speech.PlayedDialect:
    row = registry.choose(name)
    return row.make(row.device, habits)


def spoken(messages: Sequence[speech.SpokenMessage]) -> dict[str, Any]:
    """Bodies by topic; JSON documents are read."""
    return {message.topic: read(message.body) for message in messages}


def read(body: bytes) -> Any:
    return json.loads(body) if body[:1] in b"{[" and body else body.decode()


def commanded(device: speech.PlayedDialect, topic: str, body: str) -> dict[str, Any]:
    """What a device says of a command, at once and once it has settled."""
    reaction = device.take(topic, body.encode(), NOW)
    messages = list(reaction.messages)
    if reaction.settles_in is not None:
        messages += device.settle(NOW)
    return spoken(messages)


@ROWS
def test_what_a_device_says_goes_to_topics_and_is_the_same_each_time(
    row: registry.DialectRow,
) -> None:
    def life() -> list[speech.SpokenMessage]:
        device = row.make(row.device, HABITS)
        ticks = [device.tick(NOW + timedelta(seconds=second)) for second in range(12)]
        return [*device.rise(NOW), *(message for tick in ticks for message in tick)]

    messages = life()
    assert messages == life()
    assert messages
    for message in messages:
        assert 0 < len(message.topic) <= 256
        assert not set("+#\0") & set(message.topic)


@ROWS
def test_what_a_device_says_when_it_goes_is_kept_for_those_who_come_later(
    row: registry.DialectRow,
) -> None:
    will = row.make(row.device, HABITS).will
    assert will is None or will.is_retained


@pytest.mark.parametrize(
    ("name", "topic", "body", "echo"),
    [
        pytest.param(
            "zigbee2mqtt-plug",
            "zigbee2mqtt/Hall Plug/set",
            '{"state": "OFF"}',
            ("zigbee2mqtt/Hall Plug", "state", "OFF"),
            id="Zigbee2MQTT: the state in the device's document",
        ),
        pytest.param(
            "zigbee2mqtt-climate",
            "zigbee2mqtt/Office Radiator/set",
            '{"occupied_heating_setpoint": 18.3}',
            ("zigbee2mqtt/Office Radiator", "occupied_heating_setpoint", 18.5),
            id="Zigbee2MQTT: a valve rounds to half a degree",
        ),
        pytest.param(
            "tasmota-plug",
            "cmnd/plug_3C91A0/Power",
            "off",
            ("stat/plug_3C91A0/POWER", None, "OFF"),
            id="Tasmota: a bare word on another topic, capitals or not",
        ),
        pytest.param(
            "shelly-gen1-plug",
            "shellies/shellyplug-s-6A5E21/relay/0/command",
            "off",
            ("shellies/shellyplug-s-6A5E21/relay/0", None, "off"),
            id="Shelly Gen1: a bare word",
        ),
        pytest.param(
            "shelly-gen2-plug",
            "shellyplusplugs-d4d4da7c1e90/command/switch:0",
            "off",
            ("shellyplusplugs-d4d4da7c1e90/status/switch:0", "output", False),
            id="Shelly Gen2: a bare word, and a document comes back",
        ),
        pytest.param(
            "esphome-climate",
            "attic/climate/thermostat/target_temperature/command",
            "18.5",
            ("attic/climate/thermostat/target_temperature/state", None, "18.5"),
            id="ESPHome: a number as text",
        ),
        pytest.param(
            "zwave-js-ui-switch",
            "zwave/store/nodeID_4/37/0/targetValue/set",
            '{"value": false}',
            ("zwave/store/nodeID_4/37/0/currentValue", "value", False),
            id="Z-Wave JS UI: the node's own word",
        ),
        pytest.param(
            "aws-iot-shadow-thing",
            "$aws/things/closet-17/shadow/update",
            '{"state": {"desired": {"fan": true}}}',
            ("$aws/things/closet-17/shadow/update/accepted", "state", {"reported": {"fan": True}}),
            id="AWS IoT: what is desired is reported later",
        ),
    ],
)
def test_a_command_comes_back_as_the_device_writes_it(
    name: str, topic: str, body: str, echo: tuple[str, str | None, object]
) -> None:
    place, member, value = echo
    answer = commanded(played(name), topic, body)[place]
    assert (answer if member is None else answer[member]) == value
    deaf = played(name, speech.DialectHabits(is_deaf=True))
    silent = commanded(deaf, topic, body).get(place)
    assert silent is None or (silent if member is None else silent[member]) != value


def test_a_gateway_says_a_written_tag_at_its_next_scan_and_only_what_has_changed() -> None:
    device = played("plc-gateway-fan")
    everything = spoken(device.rise(NOW))["iotgateway"]["values"]
    assert {tag["id"] for tag in everything} == {
        "Line1.Cabinet.Temperature",
        "Line1.Cabinet.FanSpeed",
        "Line1.Cabinet.FanSetpoint",
    }
    answer = commanded(device, "iotgateway/write", '[{"id": "Line1.Cabinet.FanSetpoint", "v": 80}]')
    (tag,) = answer["iotgateway"]["values"]
    assert (tag["id"], tag["v"], tag["q"]) == ("Line1.Cabinet.FanSetpoint", 80.0, True)


def test_tags_change_their_places_and_a_failing_source_is_of_bad_quality() -> None:
    device = played("plc-gateway-fan")
    device.rise(NOW)
    scans = [spoken(device.tick(NOW))["iotgateway"]["values"] for _ in range(1, 10)]
    assert len({scan[0]["id"] for scan in scans}) > 1
    assert [tag["v"] for scan in scans for tag in scan if not tag["q"]] == [0]


@pytest.mark.parametrize(
    ("name", "topic", "body", "valve"),
    [
        pytest.param(
            "lorawan-chirpstack",
            "application/7f5c0c14-5e0b-4f0c-9a35-0c9a1d6f3b52/device/a84041d3e1824c07/command/down",
            '{"devEui": "a84041d3e1824c07", "fPort": 2, "object": {"valve": "open"}}',
            lambda up: up["object"]["valve"],
            id="ChirpStack",
        ),
        pytest.param(
            "lorawan-ttn",
            "v3/garden@ttn/devices/bed-4/down/push",
            '{"downlinks": [{"f_port": 2, "decoded_payload": {"valve": "open"}}]}',
            lambda up: up["uplink_message"]["decoded_payload"]["valve"],
            id="The Things Stack",
        ),
    ],
)
def test_a_stored_command_is_seen_two_uplinks_later(
    name: str, topic: str, body: str, valve: Any
) -> None:
    device = played(name)
    assert device.take(topic, body.encode(), NOW).settles_in is None
    uplinks = [next(iter(spoken(device.tick(NOW)).values())) for _ in range(2)]
    assert [valve(uplink) for uplink in uplinks] == ["closed", "open"]


def test_a_tasmota_writes_local_times_without_a_zone() -> None:
    state = spoken(played("tasmota-plug").tick(NOW))["tele/plug_3C91A0/SENSOR"]
    assert state["Time"] == "2026-03-01T14:20:38"


def test_a_zigbee_device_knows_none_of_its_values_at_first() -> None:
    report = spoken(played("zigbee2mqtt-plug").rise(NOW))["zigbee2mqtt/Hall Plug"]
    assert {name for name, value in report.items() if value is not None} == {"linkquality"}


def test_an_optimistic_bridge_reports_what_was_ordered_before_the_device_follows() -> None:
    device = played("zigbee2mqtt-plug", speech.DialectHabits(is_deaf=True, is_optimistic=True))
    reaction = device.take("zigbee2mqtt/Hall Plug/set", b'{"state": "OFF"}', NOW)
    assert spoken(reaction.messages)["zigbee2mqtt/Hall Plug"]["state"] == "OFF"
    assert reaction.settles_in is None
    assert spoken(device.tick(NOW))["zigbee2mqtt/Hall Plug"]["state"] == "ON"


def test_a_contact_says_when_the_door_moved_and_says_it_again_after_a_start() -> None:
    door = zigbee2mqtt.ZigbeeContact("Cold Store Door", HABITS)
    moved = door.move(NOW, is_closed=False)
    assert moved.is_retained
    assert read(moved.body)["last_seen"] == "2026-03-01T13:20:38.000Z"
    later = spoken(door.rise(NOW + timedelta(hours=1)))["zigbee2mqtt/Cold Store Door"]
    assert (later["contact"], later["last_seen"]) == (False, "2026-03-01T13:20:38.000Z")


def test_an_rpc_call_is_answered_where_its_caller_listens_and_nowhere_else() -> None:
    device = played("shelly-gen2-plug")
    call = {"id": 7, "src": "me/+/#", "method": "Switch.Set", "params": {"id": 0, "on": False}}
    answer = commanded(device, "shellyplusplugs-d4d4da7c1e90/rpc", json.dumps(call))
    assert answer["me///rpc"]["result"] == {"was_on": True}
    assert answer["shellyplusplugs-d4d4da7c1e90/status/switch:0"]["output"] is False


def test_an_unknown_dialect_is_refused_with_those_that_are_near() -> None:
    with pytest.raises(registry.UnknownDialectError, match="did you mean tasmota-plug"):
        registry.choose("tasmota-plugs")


WORDS = [
    "state",
    "desired",
    "fan",
    "value",
    "v",
    "id",
    "downlinks",
    "decoded_payload",
    "valve",
    "object",
    "devEui",
    "src",
    "method",
    "params",
    "on",
    "system_mode",
    "occupied_heating_setpoint",
]
NUMBERS = st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=9)
DOCUMENTS = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@ROWS
@given(data=st.data())
def test_no_message_of_a_stranger_ends_a_device(
    row: registry.DialectRow, data: st.DataObject
) -> None:
    device = row.make(row.device, HABITS)
    bodies = st.binary(max_size=60) | DOCUMENTS.map(lambda content: json.dumps(content).encode())
    for topic in device.heard:
        name = topic.replace("#", "POWER")
        reaction = device.take(name, data.draw(bodies), NOW)
        messages = [*reaction.messages, *device.settle(NOW), *device.tick(NOW)]
        assert len(messages) < 40
        assert all("#" not in message.topic for message in messages)


def test_only_played_devices_let_a_broker_retain_what_they_say() -> None:
    """A command that a broker keeps would be carried out again at the device's next start."""
    sources = Path(foreshore_agent.__file__).parent
    retaining = {
        path.relative_to(sources).parts[0]
        for path in sources.rglob("*.py")
        if "devices/mqtt" not in path.as_posix() and "is_retained=" in path.read_text()
    }
    assert retaining <= {"play", "discover"}  # discover says of a draft that it was retained
    publishing = [
        path.name
        for path in (sources / "devices/mqtt").glob("*.py")
        if "is_retained=True" in path.read_text()
    ]
    assert publishing == []
