"""Messages as stock devices and their gateways publish them: shapes by their documentation.

Each is topic, payload and whether the broker had kept it; `heard` makes observations of them.
"""

import json
from collections.abc import Iterable
from typing import Any

from foreshore_agent.discover import observations

Message = tuple[str, Any, bool]


def heard(messages: Iterable[Message]) -> observations.Observations:
    """Observations of these messages; what is no text or bytes is sent as JSON."""
    made = observations.Observations()
    for topic, payload, is_retained in messages:
        made.take(topic, body(payload), is_retained=is_retained)
    return made


def body(payload: Any) -> bytes:
    """A payload as bytes."""
    if isinstance(payload, bytes):
        return payload
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return text.encode()


def exposed(kind: str, name: str, access: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "property": name, "access": access, **more}


PLUG = {
    "model": "TS011F_plug_1",
    "vendor": "TuYa",
    "description": "Smart plug with power monitoring",
    "exposes": [
        {
            "type": "switch",
            "features": [exposed("binary", "state", 7, value_on="ON", value_off="OFF")],
        },
        exposed("numeric", "power", 1, unit="W"),
        exposed("numeric", "energy", 1, unit="kWh"),
        exposed("enum", "power_outage_memory", 7, values=["on", "off", "restore"]),
        exposed("numeric", "countdown", 7, unit="s", value_min=0, value_max=43200),
        exposed("numeric", "linkquality", 1, unit="lqi"),
    ],
}
CONTACT = {
    "model": "MCCGQ11LM",
    "vendor": "Aqara",
    "description": "Door and window sensor",
    "exposes": [
        exposed("binary", "contact", 1, value_on=False, value_off=True),
        exposed("numeric", "battery", 1, unit="%"),
    ],
}


def listed(name: str, definition: Any) -> dict[str, Any]:
    return {"friendly_name": name, "type": "EndDevice", "definition": definition}


ZIGBEE: tuple[Message, ...] = (
    (
        "zigbee2mqtt/bridge/devices",
        [
            {"friendly_name": "Coordinator", "type": "Coordinator", "definition": None},
            listed("Fan Plug", PLUG),
            listed("Kettle Plug", PLUG),
            listed("Front Door", CONTACT),
        ],
        True,
    ),
    ("zigbee2mqtt/bridge/state", {"state": "online"}, True),
    (
        "zigbee2mqtt/Fan Plug",
        {"state": "ON", "power": 21.5, "last_seen": "2026-03-01T10:00:00Z"},
        False,
    ),
    (
        "zigbee2mqtt/Kettle Plug",
        {"state": "OFF", "power": 0, "last_seen": "2026-03-01T10:00:00Z"},
        False,
    ),
    ("zigbee2mqtt/Fan Plug/availability", {"state": "online"}, True),
    ("zigbee2mqtt/Kettle Plug/availability", {"state": "online"}, True),
    ("zigbee2mqtt/Front Door", {"contact": True, "battery": 97}, True),
)
TASMOTA: tuple[Message, ...] = (
    (
        "tele/plug_3C91A0/SENSOR",
        {
            "Time": "2026-03-01T10:00:00",
            "ENERGY": {"TotalStartTime": "2025-01-01T00:00:00", "Total": 3.2, "Power": 21},
        },
        False,
    ),
    ("tele/plug_3C91A0/STATE", {"Time": "2026-03-01T10:00:00", "POWER": "ON"}, False),
    ("tele/plug_3C91A0/LWT", "Online", True),
)
SHELLY: tuple[Message, ...] = (
    ("shellies/shelly1pm-BCFF4D/relay/0", "on", True),
    ("shellies/shelly1pm-BCFF4D/relay/0/power", "21.50", False),
    ("shellies/shelly1pm-BCFF4D/relay/0/energy", "1234", False),
    ("shellies/shelly1pm-BCFF4D/online", "true", True),
    (
        "shellyplus1pm-a8032ab1/status/switch:0",
        {
            "id": 0,
            "source": "MQTT",
            "output": True,
            "apower": 21.5,
            "voltage": 230.1,
            "aenergy": {"total": 11.2, "by_minute": [0, 1, 2]},
            "temperature": {"tC": 41.2, "tF": 106.2},
        },
        True,
    ),
    ("shellyplus1pm-a8032ab1/online", "true", True),
)
ESPHOME: tuple[Message, ...] = (
    ("greenhouse/sensor/air_temperature/state", "nan", True),
    ("greenhouse/binary_sensor/door/state", "OFF", True),
    ("greenhouse/status", "online", True),
    ("greenhouse/debug", "\x1b[0;36m[D][sensor:093]: state", False),
)
ZWAVE: tuple[Message, ...] = (
    (
        "zwave/Kitchen/Sensor/sensor_multilevel/endpoint_0/Air_temperature",
        {"time": 1772359200000, "value": 21.5},
        True,
    ),
    ("zwave/Kitchen/Sensor/status", {"time": 1772359200000, "value": True}, True),
    ("zwave/_CLIENTS/ZWAVE_GATEWAY-home/status", {"value": True}, True),
)
CHIRPSTACK: tuple[Message, ...] = (
    (
        "application/7/device/a84041000181c061/event/up",
        {
            "time": "2026-03-01T10:00:00+00:00",
            "deviceInfo": {"deviceName": "Soil East", "deviceProfileName": "LSE01"},
            "object": {"soilTemperature": 11.2, "moisture": 31},
        },
        False,
    ),
)
THINGS: tuple[Message, ...] = (
    (
        "v3/farm@ttn/devices/soil-west/up",
        {
            "received_at": "2026-03-01T10:00:00Z",
            "uplink_message": {"decoded_payload": {"temperature": 9.5}},
        },
        False,
    ),
)
GATEWAY: tuple[Message, ...] = (
    (
        "iotgateway",
        {
            "timestamp": 1772359200000,
            "values": [
                {"id": "Line1.PLC.MotorTemp", "v": 61.5, "q": True, "t": 1772359200000},
                {"id": "Line1.PLC.Speed", "v": 1479, "q": True, "t": 1772359200000},
            ],
        },
        False,
    ),
)
PLAIN: tuple[Message, ...] = (
    ("floor/line-1/telemetry", {"ts": 1772359200, "pressure": 4.2, "running": True}, False),
    ("home/kitchen/temperature", "21,5 °C", False),
    ("home/kitchen/window", "open", True),
)
ANNOUNCED: tuple[Message, ...] = (
    (
        "homeassistant/sensor/heatpump/outdoor/config",
        {
            "~": "heat/pump7",
            "name": "Outdoor",
            "stat_t": "~/data",
            "val_tpl": "{{ value_json.outside.temp }}",
            "unit_of_meas": "°C",
            "avty_t": "~/lwt",
            "dev": {"ids": ["pump7"], "name": "Heat pump", "mdl": "WPL-25"},
        },
        True,
    ),
    (
        "homeassistant/switch/heatpump/boost/config",
        {
            "name": "Boost",
            "state_topic": "heat/pump7/boost",
            "command_topic": "heat/pump7/boost/set",
            "payload_on": "1",
            "payload_off": "0",
            "device": {"identifiers": ["pump7"], "name": "Heat pump", "model": "WPL-25"},
        },
        True,
    ),
    (
        "homeassistant/sensor/heatpump/odd/config",
        {
            "name": "Odd",
            "stat_t": "heat/pump7/data",
            "val_tpl": "{{ value_json.a | float + 1 }}",
            "dev": {"ids": ["pump7"]},
        },
        True,
    ),
    ("homeassistant/climate/heatpump/all/config", {"name": "All", "dev": {"ids": "pump7"}}, True),
    ("heat/pump7/data", {"outside": {"temp": 4.5}}, False),
    ("heat/pump7/boost", "0", True),
    ("heat/pump7/lwt", "online", True),
    (
        "homeassistant/device/meter/config",
        {
            "dev": {"ids": ["meter1"], "name": "Meter", "mdl": "EM-3"},
            "o": {"name": "em2mqtt"},
            "stat_t": "meter/m1/state",
            "cmps": {
                "power": {
                    "p": "sensor",
                    "unit_of_meas": "W",
                    "val_tpl": "{{ value_json['power'] }}",
                },
                "limit": {
                    "p": "number",
                    "cmd_t": "meter/m1/limit/set",
                    "min": 0,
                    "max": 16,
                    "val_tpl": "{{ value_json.limit }}",
                },
            },
        },
        True,
    ),
    ("meter/m1/state", {"power": 311, "limit": 10}, False),
)
EVERYTHING = (
    *ZIGBEE, *TASMOTA, *SHELLY, *ESPHOME, *ZWAVE, *CHIRPSTACK, *THINGS, *GATEWAY, *PLAIN,
    *ANNOUNCED,
)  # fmt: skip
