"""Every message of examples/profiles/ as its profile reads it: what it says, and as of when."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from builders import shipped
from foreshore_agent import inspection, manifests
from foreshore_decision import resources

AFTERNOON = datetime(2026, 3, 1, 13, 20, 38, tzinfo=UTC)


class Recorded(NamedTuple):
    """A fixture, where it comes, for which device, and what it says."""

    dialect: str
    fixture: str
    topic: str
    device: str
    values: Mapping[str, Any]
    refused: Mapping[str, str] = MappingProxyType({})
    measured: datetime | None = None
    """When, where the device says so and it can be read."""


PLUG = "zigbee2mqtt/Hall Plug"
DOOR = "zigbee2mqtt/Cold Store Door"
HALL = "zigbee2mqtt/Hall Motion 2"
SHELLY = "shellies/shellyplug-s-6A5E21"
ATTIC = "attic/climate/thermostat"
CHIRPSTACK = "application/7f5c0c14-5e0b-4f0c-9a35-0c9a1d6f3b52/device/a84041d3e1824c07/event/up"
SHADOW = "$aws/things/closet-17/shadow/update/documents"

RECORDED = (
    Recorded(
        "zigbee2mqtt",
        "plug-report.json",
        PLUG,
        "hall-charger",
        {"state": True, "power": 58.4, "voltage": 231.0, "energy": 14.2},
    ),
    Recorded(
        "zigbee2mqtt",
        "contact-closed.json",
        DOOR,
        "cold-store-door",
        {"contact": True, "battery": 100.0},
        measured=AFTERNOON,
    ),
    Recorded(
        "zigbee2mqtt",
        "contact-open.json",
        DOOR,
        "cold-store-door",
        {"contact": False, "battery": 100.0},
        measured=datetime(2026, 3, 1, 13, 31, 2, 125000, tzinfo=UTC),
    ),
    Recorded(
        "zigbee2mqtt",
        "motion-occupied.json",
        HALL,
        "hall-motion-2",
        {"occupancy": True, "illuminance": 12.0, "battery": 97.0},
    ),
    Recorded(
        "zigbee2mqtt",
        "climate-report.json",
        "zigbee2mqtt/Office Radiator",
        "office-radiator",
        {
            "temperature": 22.4,
            "setpoint": 21.5,
            "systemMode": "heat",
            "heating": False,
            "demand": 12.0,
        },
    ),
    Recorded(
        "tasmota",
        "sensor.json",
        "tele/plug_3C91A0/SENSOR",
        "coffee-machine",
        {"power": 41.0, "voltage": 231.0, "energy": 41.877},
        measured=AFTERNOON,  # 14:20:38 in Brussels
    ),
    Recorded("tasmota", "power.txt", "stat/plug_3C91A0/POWER", "coffee-machine", {"state": True}),
    Recorded("shelly-gen1", "relay.txt", f"{SHELLY}/relay/0", "window-display", {"state": True}),
    Recorded(
        "shelly-gen1",
        "overpower.txt",
        f"{SHELLY}/relay/0",
        "window-display",
        {},
        {"state": "UnknownValue"},
    ),
    Recorded(
        "shelly-gen1", "power.txt", f"{SHELLY}/relay/0/power", "window-display", {"power": 120.11}
    ),
    Recorded(
        "shelly-gen1",
        "energy.txt",
        f"{SHELLY}/relay/0/energy",
        "window-display",
        {"energy": pytest.approx(10.0, rel=1e-6)},
    ),
    Recorded(
        "shelly-gen2",
        "status.json",
        "shellyplusplugs-d4d4da7c1e90/status/switch:0",
        "workshop-heater",
        {"state": True, "power": 61.8, "voltage": 230.4, "energy": 1287.311, "temperature": 39.4},
    ),
    Recorded(
        "esphome",
        "climate-current-temperature.txt",
        f"{ATTIC}/current_temperature/state",
        "attic-thermostat",
        {"temperature": 22.4},
    ),
    Recorded(
        "esphome",
        "climate-target-temperature.txt",
        f"{ATTIC}/target_temperature/state",
        "attic-thermostat",
        {"target": 21.0},
    ),
    Recorded(
        "esphome", "climate-mode.txt", f"{ATTIC}/mode/state", "attic-thermostat", {"mode": "heat"}
    ),
    Recorded(
        "esphome",
        "sensor-temperature.txt",
        "bath-sensors/sensor/temperature/state",
        "bath-sensors",
        {"temperature": 21.5},
    ),
    Recorded(
        "esphome",
        "sensor-failing.txt",
        "bath-sensors/sensor/temperature/state",
        "bath-sensors",
        {},
        {"temperature": "NonFinite"},
    ),
    Recorded(
        "esphome",
        "sensor-humidity.txt",
        "bath-sensors/sensor/humidity/state",
        "bath-sensors",
        {"humidity": 47.0},
    ),
    Recorded(
        "esphome",
        "sensor-window.txt",
        "bath-sensors/binary_sensor/window/state",
        "bath-sensors",
        {"window": True},
    ),
    Recorded(
        "zwave-js-ui",
        "switch-current-value.json",
        "zwave/store/nodeID_4/37/0/currentValue",
        "store-room-fan",
        {"state": True},
        measured=datetime(2026, 3, 1, 13, 20, 38, 123000, tzinfo=UTC),
    ),
    Recorded(
        "zwave-js-ui",
        "switch-power.json",
        "zwave/store/nodeID_4/50/0/value/66049",
        "store-room-fan",
        {"power": 12.7},
        measured=datetime(2026, 3, 1, 13, 20, 39, 1000, tzinfo=UTC),
    ),
    Recorded(
        "zwave-js-ui",
        "sensor-air-temperature.json",
        "zwave/kitchen/nodeID_7/49/0/Air_temperature",
        "kitchen-climate",
        {"temperature": 21.5},
        measured=datetime(2026, 3, 1, 13, 20, 25, 600000, tzinfo=UTC),
    ),
    Recorded(
        "zwave-js-ui",
        "sensor-humidity.json",
        "zwave/kitchen/nodeID_7/49/0/Humidity",
        "kitchen-climate",
        {"humidity": 74.0},
        measured=datetime(2026, 3, 1, 13, 20, 26, 110000, tzinfo=UTC),
    ),
    Recorded(
        "lorawan",
        "chirpstack-up.json",
        CHIRPSTACK,
        "bed-3",
        {"soilMoisture": 17.5, "temperature": 19.2, "open": False},
        measured=datetime(2026, 3, 1, 13, 20, 38, 775023, tzinfo=UTC),  # of nine decimals
    ),
    Recorded(
        "lorawan",
        "ttn-up.json",
        "v3/garden@ttn/devices/bed-4/up",
        "bed-4",
        {"soilMoisture": 16.0, "temperature": 18.4, "open": False},
        measured=datetime(2026, 3, 1, 13, 20, 38, 787000, tzinfo=UTC),
    ),
    Recorded(
        "plc-gateway",
        "all-tags.json",
        "iotgateway",
        "line-1-cabinet",
        {"temperature": 42.5, "speed": 31.5, "speedSetpoint": 30.0},
    ),
    Recorded(
        "plc-gateway",
        "on-change.json",
        "iotgateway",
        "line-1-cabinet",
        {"temperature": 43.1},
        measured=datetime(2026, 3, 1, 13, 20, 1, 193000, tzinfo=UTC),
    ),
    Recorded(
        "plc-gateway",
        "bad-quality.json",
        "iotgateway",
        "line-1-cabinet",
        {},
        {"temperature": "InvalidQuality"},
    ),
    Recorded(
        "aws-iot-shadow",
        "documents.json",
        SHADOW,
        "server-closet",
        {"temperature": 31.6, "fan": False},
    ),
)
UNSAID = (
    ("zigbee2mqtt", "plug-first-report.json", PLUG),
    ("zigbee2mqtt", "motion-first-report.json", HALL),
)
"""Messages of nothing but nulls, which say nothing."""
AVAILABILITY = (
    ("zigbee2mqtt", "plug-availability.json", f"{PLUG}/availability", b'{"state":"offline"}'),
    ("tasmota", "lwt.txt", "tele/plug_3C91A0/LWT", b"Offline"),
    ("shelly-gen2", "online.txt", "shellyplusplugs-d4d4da7c1e90/online", b"false"),
    ("esphome", "climate-status.txt", "attic/status", b"offline"),
    (
        "zwave-js-ui",
        "switch-status.json",
        "zwave/store/nodeID_4/status",
        b'{"time":1772371200000,"value":false,"status":"Dead","nodeId":4}',
    ),
)
"""Messages that say that a device is there, and what is said when it is gone."""


def named(recorded: Recorded) -> str:
    return f"{recorded.dialect}: {recorded.fixture}"


@pytest.mark.parametrize("recorded", RECORDED, ids=named)
def test_a_recorded_message_says_what_its_maker_means(recorded: Recorded) -> None:
    body = shipped.fixture(recorded.dialect, recorded.fixture)
    samples = shipped.read(recorded.dialect, recorded.topic, body)[recorded.device]
    assert not isinstance(samples, str), samples
    (sample,) = samples
    assert sample.values == recorded.values
    assert sample.refused == recorded.refused
    assert not sample.unread_times
    if recorded.measured is not None:
        assert set(sample.sampled_at.values()) == {recorded.measured}


@pytest.mark.parametrize(("dialect", "name", "topic"), UNSAID, ids=lambda value: str(value))
def test_a_first_report_of_nulls_says_nothing(dialect: str, name: str, topic: str) -> None:
    for result in shipped.read(dialect, topic, shipped.fixture(dialect, name)).values():
        assert result == "Null"


def test_a_reported_value_is_as_old_as_the_shadows_metadata_say() -> None:
    body = shipped.fixture("aws-iot-shadow", "documents.json")
    samples = shipped.read("aws-iot-shadow", SHADOW, body)["server-closet"]
    assert not isinstance(samples, str)
    assert samples[0].sampled_at == {
        "temperature": datetime.fromtimestamp(1772371200, UTC),
        "fan": datetime.fromtimestamp(1772300002, UTC),
    }


@pytest.mark.parametrize(
    ("dialect", "name", "topic", "device", "kept"),
    [
        ("zigbee2mqtt", "contact-open.json", DOOR, "cold-store-door", {"contact", "battery"}),
        ("tasmota", "power.txt", "stat/plug_3C91A0/POWER", "coffee-machine", {"state"}),
        ("shelly-gen1", "relay.txt", f"{SHELLY}/relay/0", "window-display", {"state"}),
        ("esphome", "climate-mode.txt", f"{ATTIC}/mode/state", "attic-thermostat", {"mode"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_that_the_broker_kept_is_the_devices_last(
    dialect: str, name: str, topic: str, device: str, kept: set[str]
) -> None:
    body = shipped.fixture(dialect, name)
    samples = shipped.read(dialect, topic, body, is_retained=True)[device]
    assert not isinstance(samples, str), samples
    assert samples[0].retained
    assert set(samples[0].values) == kept


def test_a_measurement_that_the_broker_kept_says_nothing_of_now() -> None:
    body = shipped.fixture("shelly-gen1", "power.txt")
    read = shipped.read("shelly-gen1", f"{SHELLY}/relay/0/power", body, is_retained=True)
    assert read == {"window-display": "Retained"}


@pytest.mark.parametrize(
    ("dialect", "name", "topic", "gone"), AVAILABILITY, ids=[row[0] for row in AVAILABILITY]
)
def test_a_device_says_that_it_is_there_and_its_broker_that_it_is_gone(
    dialect: str, name: str, topic: str, gone: bytes
) -> None:
    there = shipped.announced(dialect, topic, shipped.fixture(dialect, name))
    assert list(there.values()) == [True]
    assert list(shipped.announced(dialect, topic, gone).values()) == [False]


@pytest.mark.parametrize("dialect", shipped.DIALECTS)
def test_every_fixture_is_read_by_a_test(dialect: str) -> None:
    names = {path.name for path in (shipped.PROFILES / dialect / "fixtures").iterdir()}
    tried = {(recorded.dialect, recorded.fixture) for recorded in RECORDED}
    tried |= {(of, name) for of, name, *_ in (*AVAILABILITY, *UNSAID)}
    assert names == {name for of, name in tried if of == dialect}


@pytest.mark.parametrize("dialect", shipped.DIALECTS)
def test_a_folder_has_no_mistake_and_its_policies_do_not_act_yet(dialect: str) -> None:
    reading = resources.read(manifests.read(shipped.PROFILES / dialect), {})
    assert list(map(inspection.line, inspection.inspect(reading))) == []
    modes = {
        each["spec"]["mode"]
        for each in shipped.documents(dialect)
        if each["kind"] == "DecisionPolicy"
    }
    assert modes <= {"Shadow", "Advise"}


@pytest.mark.parametrize("dialect", shipped.DIALECTS)
def test_a_fixture_holds_no_more_than_a_device_sends(dialect: str) -> None:
    for path in (shipped.PROFILES / dialect / "fixtures").iterdir():
        body = path.read_bytes()
        assert len(body) < 4096
        if path.suffix == ".json":
            json.loads(body)
