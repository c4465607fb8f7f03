"""What layouts make of the messages of stock devices."""

import time
from typing import Any

import pytest

from builders import overheard
from foreshore_agent.discover import compose, layouts

Json = dict[str, Any]


def drafted(*messages: overheard.Message) -> compose.Discovery:
    return compose.compose(overheard.heard(messages), site="hq", namespace="shop")


def only(discovery: compose.Discovery) -> compose.Draft:
    (draft,) = discovery.drafts
    return draft


def properties(draft: compose.Draft) -> dict[str, Json]:
    listed = draft.profile.document["spec"]["properties"]
    return {prop["name"]: {k: v for k, v in prop.items() if k != "name"} for prop in listed}


def parameters(item: compose.DraftObject) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in item.document["spec"]["parameters"]}


ON_OFF = [{"from": "ON", "to": "true"}, {"from": "OFF", "to": "false"}]


def test_plugs_of_one_kind_share_a_profile_and_keep_their_friendly_names() -> None:
    plug, door = drafted(*overheard.ZIGBEE).drafts
    assert [(item.name, parameters(item)) for item in plug.devices] == [
        ("fan-plug", {"friendlyName": "Fan Plug"}),
        ("kettle-plug", {"friendlyName": "Kettle Plug"}),
    ]
    spec = plug.profile.document["spec"]
    assert spec["mqtt"]["telemetryTopic"] == "zigbee2mqtt/{parameters.friendlyName}"
    assert spec["mqtt"]["time"] == {"path": "/last_seen", "format": "RFC3339"}
    assert spec["mqtt"]["availability"]["path"] == "state"
    assert [item.name for item in door.devices] == ["front-door"]


def test_what_a_plug_exposes_becomes_properties_and_actions_with_an_echo() -> None:
    plug, _ = drafted(*overheard.ZIGBEE).drafts
    spec = plug.profile.document["spec"]
    read = properties(plug)
    assert read["state"] == {"type": "Boolean", "values": ON_OFF, "access": "ReadWrite"}
    assert read["energy"] == {"type": "Number", "unit": "kW.h"}
    assert "linkquality" not in read
    switch = spec["actions"][0]
    assert switch["mqtt"] == {
        "topic": "zigbee2mqtt/{parameters.friendlyName}/set",
        "payload": "JSON",
        "expression": '{"state": value ? "ON" : "OFF"}',
    }
    assert switch["acknowledgement"] == {
        "type": "Echo",
        "echo": {"property": "state", "within": "3s"},
    }
    countdown = next(item for item in spec["actions"] if item["name"] == "setCountdown")
    assert (countdown["input"][0]["minimum"], countdown["input"][0]["maximum"]) == (0, 43200)


def test_nobody_is_named_who_fences_and_a_comment_says_what_naming_none_risks() -> None:
    plug, _ = drafted(*overheard.ZIGBEE).drafts
    assert "guards" not in plug.profile.document["spec"]
    assert any("guards: {fence: None}" in line for line in plug.profile.comments)


def test_a_kept_contact_is_the_devices_last_word_and_false_means_open() -> None:
    _, door = drafted(*overheard.ZIGBEE).drafts
    assert properties(door)["contact"] == {
        "type": "Boolean",
        "values": [{"from": "false", "to": "true"}, {"from": "true", "to": "false"}],
        "retained": "State",
    }


def test_a_bridge_whose_list_did_not_come_is_named() -> None:
    discovery = drafted(*overheard.ZIGBEE[1:])
    topics = {
        topic for reason, named in discovery.left.items() for topic in named if "list" in reason
    }
    assert topics == {"zigbee2mqtt/bridge/state"}


def test_bounds_are_left_out_and_that_is_said() -> None:
    plug, _ = drafted(*overheard.ZIGBEE).drafts
    assert not any("minimum" in prop or "maximum" in prop for prop in properties(plug).values())
    assert any("minimum and maximum are left out" in line for line in plug.profile.comments)


def test_a_tasmota_plug_has_nested_values_local_times_and_its_last_will() -> None:
    plug = only(drafted(*overheard.TASMOTA))
    assert parameters(plug.devices[0]) == {"topic": "plug_3C91A0"}
    assert plug.profile.document["spec"]["mqtt"] == {
        "time": {"path": "/Time", "format": "Local"},
        "availability": {
            "topic": "tele/{parameters.topic}/LWT",
            "online": "Online",
            "offline": "Offline",
        },
    }
    read = properties(plug)
    assert read["energyPower"]["path"] == "/ENERGY/Power"
    assert read["energyPower"]["unit"] == "W"
    assert read["power"]["topic"] == "tele/{parameters.topic}/STATE"
    assert read["power"]["values"] == ON_OFF


def test_both_generations_of_shelly() -> None:
    first, second = drafted(*overheard.SHELLY).drafts
    read = properties(first)
    assert read["relay0"]["topic"] == "shellies/{parameters.id}/relay/0"
    assert read["relay0"]["retained"] == "State"
    assert read["relay0Energy"]["unit"] == "W.min"
    read = properties(second)
    assert read["switch0Output"] == {
        "type": "Boolean",
        "topic": "{parameters.id}/status/switch:0",
        "path": "/output",
        "retained": "State",
    }
    assert read["switch0Apower"]["unit"] == "W"
    assert read["switch0AenergyTotal"]["unit"] == "W.h"


def test_an_esphome_sensor_that_says_nan_is_a_number_all_the_same() -> None:
    node = only(drafted(*overheard.ESPHOME))
    read = properties(node)
    assert read["airTemperature"]["type"] == "Number"
    assert read["door"]["values"] == ON_OFF
    assert node.profile.document["spec"]["mqtt"]["availability"]["topic"] == (
        "{parameters.node}/status"
    )


def test_a_zwave_value_has_the_time_beside_it() -> None:
    node = only(drafted(*overheard.ZWAVE))
    assert parameters(node.devices[0]) == {"node": "zwave/Kitchen/Sensor"}
    assert properties(node)["airTemperature"] == {
        "type": "Number",
        "unit": "Cel",
        "topic": "{parameters.node}/sensor_multilevel/endpoint_0/Air_temperature",
        "path": "/value",
        "time": {"path": "/time", "format": "UnixMilliseconds"},
    }


@pytest.mark.parametrize(
    ("messages", "name", "topic", "path"),
    [
        pytest.param(
            overheard.CHIRPSTACK,
            "soil-east",
            "application/7/device/{parameters.devEui}/event/up",
            "/object/soilTemperature",
            id="ChirpStack",
        ),
        pytest.param(
            overheard.THINGS,
            "soil-west",
            "v3/farm@ttn/devices/{parameters.deviceId}/up",
            "/uplink_message/decoded_payload/temperature",
            id="The Things Stack",
        ),
    ],
)
def test_an_uplink_is_read_where_its_server_decoded_it(
    messages: tuple[overheard.Message, ...], name: str, topic: str, path: str
) -> None:
    node = only(drafted(*messages))
    assert node.devices[0].name == name
    assert node.profile.document["spec"]["mqtt"]["telemetryTopic"] == topic
    assert path in [prop["path"] for prop in properties(node).values()]
    assert "actions" not in node.profile.document["spec"]


def test_an_uplink_that_nobody_decoded_is_named_with_what_helps() -> None:
    topic = "application/7/device/a8/event/up"
    discovery = drafted((topic, {"time": "2026-03-01T10:00:00Z", "data": "AQI="}, False))
    assert discovery.drafts == ()
    ((reason, topics),) = discovery.left.items()
    assert "a codec" in reason
    assert topics == (topic,)


@pytest.mark.parametrize(("said", "good"), [("GOOD", "GOOD"), ("ok", "ok"), ("BAD", "Good")])
def test_the_word_for_a_good_tag_is_as_the_gateway_writes_it(said: str, good: str) -> None:
    tags = [
        {"tag": "T1", "value": 215, "quality": "BAD"},
        {"tag": "SP", "value": 200, "quality": said},
    ]
    oven = only(drafted(("gw/7/data", {"ts": 1764417600, "d": tags}, False)))
    assert properties(oven)["t1"]["quality"] == {"path": "quality", "good": [good]}
    assert oven.profile.document["spec"]["mqtt"]["time"] == {"path": "ts", "format": "Unix"}


@pytest.mark.parametrize("name", ["temperature_F", "temp_f", "TemperatureFahrenheit", "tempF"])
def test_a_name_that_says_fahrenheit_is_no_celsius(name: str) -> None:
    station = only(drafted(("rtl_433/pi/events", {name: 71.2}, False)))
    [(_, temperature)] = properties(station).items()
    assert temperature["unit"] == "[degF]"


def test_a_topic_that_is_a_number_to_readers_of_yaml_makes_no_such_name() -> None:
    station = only(drafted(("0E0", {"temperature": 3.5}, False)))
    assert [item.name for item in station.devices] == ["device-0e0"]


def test_tags_of_a_gateway_are_picked_by_name_with_their_quality() -> None:
    line = only(drafted(*overheard.GATEWAY))
    assert properties(line)["motorTemp"] == {
        "type": "Number",
        "unit": "Cel",
        "pick": {"array": "/values", "key": "id", "equals": "Line1.PLC.MotorTemp", "value": "v"},
        "quality": {"path": "q", "good": ["true"]},
        "time": {"path": "t", "format": "UnixMilliseconds"},
    }


def test_what_nobody_announced_is_guessed_and_said_so() -> None:
    document, values = drafted(*overheard.PLAIN).drafts
    assert document.profile.document["spec"]["mqtt"]["time"] == {"path": "/ts", "format": "Unix"}
    assert properties(values)["temperature"] == {
        "type": "Number",
        "unit": "Cel",
        "topic": "{parameters.base}/temperature",
        "payload": "Text",
        "decimal": "Comma",
        "suffix": "°C",
    }
    assert any("nothing announced it" in line for line in values.devices[0].comments)


def test_announcements_of_home_assistant_with_abbreviations_and_a_base() -> None:
    meter, pump = drafted(*overheard.ANNOUNCED).drafts
    assert parameters(pump.devices[0]) == {"name": "pump7"}
    assert (pump.devices[0].name, pump.profile.name) == ("heat-pump", "wpl-25")
    read = properties(pump)
    assert read["outdoor"] == {
        "type": "Number",
        "unit": "Cel",
        "topic": "heat/{parameters.name}/data",
        "path": "/outside/temp",
    }
    assert read["boost"]["values"] == [{"from": "1", "to": "true"}, {"from": "0", "to": "false"}]
    (boost,) = pump.profile.document["spec"]["actions"]
    assert boost["mqtt"] == {
        "topic": "heat/{parameters.name}/boost/set",
        "payload": "Text",
        "expression": 'value ? "1" : "0"',
    }
    assert set(properties(meter)) == {"power", "limit"}


def test_announced_devices_differ_by_their_own_part_of_a_topic_and_share_a_profile() -> None:
    announced = {"cmd_t": "~/set", "stat_t": "~/state", "dev": {"mdl": "plug"}}
    (plugs,) = drafted(
        *(
            (f"homeassistant/switch/{name}/config", {**announced, "name": "plug", "~": base}, True)
            for name, base in (("a", "home/kettle/on"), ("b", "home/heater/on"))
        )
    ).drafts
    assert [parameters(item) for item in plugs.devices] == [{"name": "kettle"}, {"name": "heater"}]
    assert properties(plugs)["plug"]["topic"] == "home/{parameters.name}/on/state"


def test_the_part_of_one_announced_device_is_no_role() -> None:
    config = {"stat_t": "homeassistant/binary_sensor/garden/state", "name": None}
    draft = only(drafted(("homeassistant/binary_sensor/garden/config", config, True)))
    assert parameters(draft.devices[0]) == {"name": "garden"}
    (read,) = properties(draft).values()
    assert read["topic"] == "homeassistant/binary_sensor/{parameters.name}/state"


@pytest.mark.parametrize(
    ("key", "unit"), [("current", "A"), ("current_temperature", "Cel"), ("currentTemp", "Cel")]
)
def test_a_unit_is_guessed_by_what_a_name_ends_in(key: str, unit: str) -> None:
    draft = only(drafted(("plant/a", {key: 1.5}, False)))
    (read,) = properties(draft).values()
    assert read["unit"] == unit


def test_a_current_something_is_no_ampere() -> None:
    draft = only(drafted(("plant/a", {"current_position": 1.5}, False)))
    assert "unit" not in properties(draft)["currentPosition"]


@pytest.mark.parametrize(
    "topics",
    [
        [f"n{number}/sensor/x/state" for number in range(5000)],
        [f"n/sensor/x{number}/state" for number in range(5000)],
        [f"tele/n{number}/LWT" for number in range(5000)],
        [f"n{number}/status/switch:0" for number in range(5000)],
    ],
)
def test_as_many_topics_as_are_kept_are_understood_at_once(topics: list[str]) -> None:
    observations = overheard.heard([(topic, {"output": 1}, False) for topic in topics])
    started = time.process_time()
    for layout in layouts.LAYOUTS:
        layout.recognise(layouts.Scene(observations))
    assert time.process_time() - started < 5


def test_a_template_that_says_more_than_a_place_is_a_comment() -> None:
    _, pump = drafted(*overheard.ANNOUNCED).drafts
    assert any("value_json.a | float + 1" in line for line in pump.devices[0].comments)


def test_an_announced_climate_is_read_and_told_value_by_value() -> None:
    """Regression: it was left out, and its mode "off" taken for a Boolean of some JSON."""
    base = "homeassistant/climate/livingroom"
    config = {
        "~": base,
        "name": "Heating",
        "mode_stat_t": "~/state",
        "mode_stat_tpl": "{{ value_json.mode }}",
        "mode_cmd_t": "~/mode/set",
        "modes": ["off", "heat"],
        "temp_stat_t": "~/state",
        "temp_stat_tpl": "{{ value_json.target_temp }}",
        "temp_cmd_t": "~/target/set",
        "curr_temp_t": "~/state",
        "curr_temp_tpl": "{{ value_json.current_temp }}",
        "temp_unit": "C",
        "min_temp": "15",
        "max_temp": 25.5,
        "avty_t": "~/available",
    }
    state = {"mode": "off", "target_temp": "21.50", "current_temp": 23.6}
    discovery = drafted((f"{base}/config", config, True), (f"{base}/state", state, True))
    draft = only(discovery)
    assert discovery.left == {}
    topic = "homeassistant/climate/{parameters.name}"
    place = {"topic": f"{topic}/state"}
    warm = {"type": "Number", "unit": "Cel", **place}
    assert properties(draft) == {
        "heatingMode": {"type": "String", **place, "path": "/mode", "access": "ReadWrite"},
        "heatingTargetTemperature": {
            **warm,
            "payload": "Text",
            "path": "/target_temp",
            "access": "ReadWrite",
        },
        "heatingCurrentTemperature": {**warm, "path": "/current_temp"},
    }
    mode, target = draft.profile.document["spec"]["actions"]
    assert mode["mqtt"]["topic"] == f"{topic}/mode/set"
    (taken,) = target["input"]
    assert (taken["minimum"], taken["maximum"]) == ("15", "25.5")
    availability = draft.profile.document["spec"]["mqtt"]["availability"]
    assert availability["topic"] == f"{topic}/available"


def test_a_component_of_several_values_is_named_as_not_drafted() -> None:
    left = drafted(*overheard.ANNOUNCED).left
    topic = "homeassistant/climate/heatpump/all/config"
    assert left == {"an announced component whose state is more than one value": (topic,)}


def test_what_a_bridge_lists_and_home_assistant_announces_is_one_device() -> None:
    announcement = {
        "name": "Fan Plug",
        "state_topic": "zigbee2mqtt/Fan Plug",
        "command_topic": "zigbee2mqtt/Fan Plug/set",
        "value_template": "{{ value_json.state }}",
        "device": {"identifiers": ["zigbee2mqtt_0x00"]},
    }
    topic = "homeassistant/switch/0x00/switch/config"
    both = drafted(*overheard.ZIGBEE, (topic, announcement, True))
    assert both.drafts == drafted(*overheard.ZIGBEE).drafts
    assert both.left == {}


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("spBv1.0/plant/NDATA/edge", b"\x08\x01", "Sparkplug B"),
        ("camera/snapshot", b"\xff\xd8\xff\xe0", "neither JSON nor a short text"),
        ("odd/empty", {}, "JSON without a value"),
    ],
)
def test_what_nothing_is_made_of_is_named(topic: str, payload: Any, reason: str) -> None:
    discovery = drafted((topic, payload, False))
    assert discovery.drafts == ()
    (said,) = discovery.left
    assert said.startswith(reason)


@pytest.mark.parametrize("topic", ["foreshore/v1/hq/beat/edge-1", "lamp/set", "lamp/command"])
def test_what_agents_say_and_what_devices_are_told_is_no_device(topic: str) -> None:
    assert drafted((topic, "on", False)).drafts == ()
