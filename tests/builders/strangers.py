"""Devices that nobody here thought of, by their makers' habits: resources, words and answers.

Each has the YAML that a person would write from the documentation alone, what the device says all
the time, what it must be told, and what it says then. `$local`, `$utc`, `$s` and `$ms` in a message
are now, as a device of Berlin would write it.
"""

import json
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

ZONE = "Europe/Berlin"
SITE = """
apiVersion: foreshore.dev/v1alpha1
kind: Site
metadata: {{name: lab, namespace: lab}}
spec:
  broker: {{host: 127.0.0.1, port: {port}, transport: Plain}}
  timeZone: Europe/Berlin
"""
HEAD = """---
apiVersion: foreshore.dev/v1alpha1
kind: {kind}
metadata: {{name: {name}, namespace: lab, labels: {{role: {name}}}}}
spec:
"""
Message = tuple[str, Any]
"""A topic, and a text or what is sent as JSON."""
NONE: Mapping[str, str] = MappingProxyType({})


class Stranger(NamedTuple):
    """A kind of device, and what is to become of a decision about it."""

    name: str
    profile: str
    policy: str
    says: tuple[Message, ...]
    outcome: tuple[str, str]
    """Outcome and reason of its command; of advice the verdict and what caps the mode."""
    parameters: Mapping[str, str] = NONE
    told: Message | None = None
    """Where the command comes, and what it is."""
    then: tuple[Message, ...] = ()
    """What it says as soon as it is told."""

    def documents(self) -> str:
        """Return its DeviceProfile, Device and DecisionPolicy as a file of YAML."""
        parameters = [{"name": name, "value": value} for name, value in self.parameters.items()]
        device = f"profileRef: {{name: {self.name}}}\nsite: lab\n"
        if parameters:
            device += f"parameters: {json.dumps(parameters, ensure_ascii=False)}\n"
        policy = (
            "mode: Autonomous\nhazard: Low\nlatencyBudget: 2s\n"
            f"deviceSelector: {{matchLabels: {{role: {self.name}}}}}\n"
        )
        bodies = {
            "DeviceProfile": self.profile,
            "Device": device,
            "DecisionPolicy": policy + textwrap.dedent(self.policy),
        }
        return "".join(
            HEAD.format(kind=kind, name=self.name)
            + textwrap.indent(textwrap.dedent(body).strip("\n"), "  ")
            + "\n"
            for kind, body in bodies.items()
        )


def written(message: Any) -> bytes:
    """Return a message as the device sends it now."""
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    now = datetime.now(UTC)
    words = {
        "local": now.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S"),
        "utc": now.isoformat().replace("+00:00", "Z"),
    }
    numbers = {"s": int(now.timestamp()), "ms": int(now.timestamp() * 1000)}
    for name, number in numbers.items():
        text = text.replace(f'"${name}"', str(number))
    return Template(text).safe_substitute(words).encode()


def write(home: Path, port: int, *strangers: Stranger) -> Path:
    """Write a folder of resources for some of them."""
    home.mkdir()
    (home / "site.yaml").write_text(SITE.format(port=port))
    for stranger in strangers:
        (home / f"{stranger.name}.yaml").write_text(stranger.documents())
    return home


RTL_433 = Stranger(
    "rtl-433",
    """
    mqtt:
      telemetryTopic: "rtl_433/{parameters.receiver}/events"
      time: {path: /time, format: Local}
    properties:
    - {name: temperature, unit: Cel, path: /temperature_F, scale: "0.5555555556",
       offset: "-17.7777777778", minimum: -40, maximum: 60}
    - {name: batteryOk, type: Boolean, path: /battery_ok,
       values: [{from: 1, to: "true"}, {from: 0, to: "false"}]}
    actions:
    - name: ring
      idempotency: Idempotent
      mqtt: {topic: "bell/{parameters.receiver}/set", payload: Text, expression: '"ON"'}
      acknowledgement: {type: None}
    guards: {fence: None}
    """,
    """
    inputs:
    - {name: temperature, property: temperature, unit: Cel, maximumAge: 2m}
    - {name: batteryOk, property: batteryOk, type: Boolean, maximumAge: 2m}
    rules: [{name: warm, effect: Permit, reason: Warm,
             expression: temperature > 21.77 && temperature < 21.79 && batteryOk}]
    action: {name: ring, timeToLive: 2s}
    """,
    (
        (
            "rtl_433/pi/events",
            {"time": "$local", "model": "Acurite-Tower", "id": 1234, "battery_ok": 1,
             "temperature_F": 71.2, "humidity": 45},
        ),
    ),
    ("Unacknowledged", "NothingTells"),
    {"receiver": "pi"},
    ("bell/pi/set", "ON"),
)  # fmt: skip

VICTRON = Stranger(
    "victron",
    """
    mqtt: {}
    properties:
    - {name: voltage, unit: V, topic: "N/{parameters.portal}/battery/256/Dc/0/Voltage",
       path: /value}
    - {name: relay, type: Boolean, access: ReadWrite, path: /value,
       topic: "N/{parameters.portal}/system/0/Relay/0/State",
       values: [{from: 1, to: "true"}, {from: 0, to: "false"}]}
    actions:
    - name: setRelay
      idempotency: Idempotent
      input: [{name: value, property: relay, type: Boolean}]
      mqtt: {topic: "W/{parameters.portal}/system/0/Relay/0/State",
             expression: '{"value": value ? 1 : 0}'}
      acknowledgement: {type: Echo, echo: {property: relay, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [voltage]}
    inputs: [{name: voltage, property: voltage, unit: V, maximumAge: 1m}]
    rules: [{name: full, effect: Permit, expression: voltage > 52.0, reason: Full}]
    action: {name: setRelay, input: [{name: value, expression: "true"}], timeToLive: 2s}
    """,
    (("N/c061/battery/256/Dc/0/Voltage", {"value": 52.4}),),
    ("Confirmed", "EchoNear"),
    {"portal": "c061"},
    ("W/c061/system/0/Relay/0/State", {"value": 1}),
    (("N/c061/system/0/Relay/0/State", {"value": 1}),),
)

STATESTREAM = Stranger(
    "statestream",
    """
    mqtt: {}
    properties:
    - {name: temperature, unit: Cel, topic: "ha/sensor/{parameters.sensor}/state", payload: Text}
    - {name: label, type: String, topic: "ha/sensor/{parameters.sensor}/friendly_name"}
    - {name: heater, type: Boolean, access: ReadWrite, payload: Text,
       topic: "ha/switch/{parameters.switch}/state",
       values: [{from: "on", to: "true"}, {from: "off", to: "false"}], retained: State}
    actions:
    - name: setHeater
      idempotency: Idempotent
      input: [{name: value, property: heater, type: Boolean}]
      mqtt: {topic: "ha/switch/{parameters.switch}/set", payload: Text,
             expression: 'value ? "on" : "off"'}
      acknowledgement: {type: Echo, echo: {property: heater, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs:
    - {name: temperature, property: temperature, unit: Cel, maximumAge: 2m}
    - {name: label, property: label, type: String, maximumAge: 1h}
    rules: [{name: cold, effect: Permit, reason: Cold,
             expression: 'temperature < 19.0 && label == "Living room"'}]
    action: {name: setHeater, input: [{name: value, expression: "true"}], timeToLive: 2s}
    """,
    (
        ("ha/sensor/living_temp/friendly_name", '"Living room"'),
        ("ha/sensor/living_temp/state", "unavailable"),
        ("ha/switch/heater/state", "unavailable"),
        ("ha/sensor/living_temp/state", "18.5"),
    ),
    ("Confirmed", "EchoNear"),
    {"sensor": "living_temp", "switch": "heater"},
    ("ha/switch/heater/set", "on"),
    (("ha/switch/heater/state", "on"),),
)

VALVE_ON_A_RADIATOR = Stranger(
    "radiator",
    """
    mqtt:
      telemetryTopic: "zigbee2mqtt/{parameters.friendlyName}"
      availability: {topic: "zigbee2mqtt/{parameters.friendlyName}/availability", path: state}
    properties:
    - {name: temperature, unit: Cel, path: /local_temperature, payload: Text}
    - {name: setpoint, unit: Cel, access: ReadWrite, path: /current_heating_setpoint,
       payload: Text, tolerance: "0.25"}
    - {name: update, type: String, path: /update/state}
    actions:
    - name: setSetpoint
      idempotency: Idempotent
      input: [{name: value, property: setpoint, unit: Cel, minimum: 5, maximum: 30}]
      mqtt: {topic: "zigbee2mqtt/{parameters.friendlyName}/set/current_heating_setpoint",
             payload: Text, expression: value}
      acknowledgement: {type: Echo, echo: {property: setpoint, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 2m}]
    rules: [{name: cold, effect: Permit, expression: temperature < 19.0, reason: Cold}]
    action: {name: setSetpoint, input: [{name: value, expression: "21.6"}], timeToLive: 2s}
    """,
    (
        ("zigbee2mqtt/Bad/Heizkörper 1/availability", {"state": "online"}),
        (
            "zigbee2mqtt/Bad/Heizkörper 1",
            {"local_temperature": "18.4", "current_heating_setpoint": None,
             "update": {"state": None}, "last_seen": None},
        ),
    ),
    ("Confirmed", "EchoNear"),
    {"friendlyName": "Bad/Heizkörper 1"},
    ("zigbee2mqtt/Bad/Heizkörper 1/set/current_heating_setpoint", "21.6"),
    (("zigbee2mqtt/Bad/Heizkörper 1", {"current_heating_setpoint": "21.5"}),),
)  # fmt: skip

Z_WAVE = Stranger(
    "z-wave",
    """
    mqtt:
      time: {path: /time, format: UnixMilliseconds}
      availability: {topic: "zwave/{parameters.node}/status", path: /value,
                     online: "true", offline: "false"}
    properties:
    - {name: temperature, unit: Cel, path: /value, retained: State,
       topic: "zwave/{parameters.node}/49/0/Air_temperature"}
    - {name: setpoint, unit: Cel, access: ReadWrite, path: /value, retained: State,
       topic: "zwave/{parameters.node}/67/0/setpoint/1", tolerance: "0.5"}
    actions:
    - name: setSetpoint
      idempotency: Idempotent
      input: [{name: value, property: setpoint, unit: Cel}]
      mqtt: {topic: "zwave/{parameters.node}/67/0/setpoint/1/set",
             expression: '{"value": value}'}
      acknowledgement: {type: Echo, echo: {property: setpoint, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 2m}]
    rules: [{name: cold, effect: Permit, expression: temperature < 19.0, reason: Cold}]
    action: {name: setSetpoint, input: [{name: value, expression: "21.6"}], timeToLive: 2s}
    """,
    (
        ("zwave/Living Room/Thermostat/status", {"time": "$ms", "value": True, "nodeId": 5}),
        ("zwave/Living Room/Thermostat/49/0/Air_temperature", {"time": "$ms", "value": 18.2}),
    ),
    ("Confirmed", "EchoNear"),
    {"node": "Living Room/Thermostat"},
    ("zwave/Living Room/Thermostat/67/0/setpoint/1/set", {"value": 21.6}),
    (("zwave/Living Room/Thermostat/67/0/setpoint/1", {"time": "$ms", "value": 21.5}),),
)

SHELLY_RPC = Stranger(
    "shelly-rpc",
    """
    mqtt: {telemetryTopic: "{parameters.prefix}/events/rpc"}
    properties:
    - {name: power, unit: W, path: /params/switch:0/apower}
    - {name: state, type: Boolean, access: ReadWrite, path: /params/switch:0/output}
    actions:
    - name: setState
      idempotency: Idempotent
      input: [{name: value, property: state, type: Boolean}]
      mqtt:
        topic: "{parameters.prefix}/rpc"
        expression: >-
          {"id": 7, "src": "foreshore-" + parameters.prefix, "method": "Switch.Set",
          "params": {"id": 0, "on": value}}
      acknowledgement:
        type: Reply
        reply: {topic: "foreshore-{parameters.prefix}/rpc", path: /result/was_on, type: Boolean,
                match: "reply == true || reply == false", within: 20s}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [power]}
    inputs: [{name: power, property: power, unit: W, maximumAge: 2m}]
    rules: [{name: idle, effect: Permit, expression: power < 5.0, reason: Idle}]
    action: {name: setState, input: [{name: value, expression: "false"}], timeToLive: 2s}
    """,
    (
        (
            "shellyplus1pm-a8/events/rpc",
            {"method": "NotifyStatus", "params": {"switch:0": {"apower": 2.1, "output": True}}},
        ),
    ),
    ("Acknowledged", "ReplyMatched"),
    {"prefix": "shellyplus1pm-a8"},
    (
        "shellyplus1pm-a8/rpc",
        {"id": 7, "src": "foreshore-shellyplus1pm-a8", "method": "Switch.Set",
         "params": {"id": 0, "on": False}},
    ),
    (
        ("foreshore-shellyplus1pm-a8/rpc", {"id": 7, "error": {"code": -103, "message": "no"}}),
        ("foreshore-shellyplus1pm-a8/rpc", {"id": 7, "result": {"was_on": True}}),
    ),
)  # fmt: skip

TASMOTA_REPLY = Stranger(
    "tasmota-reply",
    """
    mqtt:
      telemetryTopic: "tele/{parameters.topic}/SENSOR"
      time: {path: Time}
      availability: {topic: "tele/{parameters.topic}/LWT", online: Online, offline: Offline}
    properties:
    - {name: temperature, unit: Cel, path: /DS18B20/Temperature}
    - {name: power, type: Boolean, access: ReadWrite, path: /POWER,
       topic: "tele/{parameters.topic}/STATE",
       values: [{from: "ON", to: "true"}, {from: "OFF", to: "false"}]}
    actions:
    - name: setPower
      idempotency: Idempotent
      input: [{name: value, property: power, type: Boolean}]
      mqtt: {topic: "cmnd/{parameters.topic}/POWER", payload: Text,
             expression: 'value ? "ON" : "OFF"'}
      acknowledgement:
        type: Reply
        reply: {topic: "stat/{parameters.topic}/RESULT", path: POWER, within: 20s,
                match: 'reply == (value ? "ON" : "OFF")'}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 10m}]
    rules: [{name: hot, effect: Permit, expression: temperature > 21.0, reason: Hot}]
    action: {name: setPower, input: [{name: value, expression: "true"}], timeToLive: 2s}
    """,
    (
        ("tele/tasmota_AB12/LWT", "Online"),
        (
            "tele/tasmota_AB12/SENSOR",
            {"Time": "$local", "DS18B20": {"Id": "01", "Temperature": 21.3}, "TempUnit": "C"},
        ),
    ),
    ("Acknowledged", "ReplyMatched"),
    {"topic": "tasmota_AB12"},
    ("cmnd/tasmota_AB12/POWER", "ON"),
    (
        ("stat/tasmota_AB12/RESULT", {"Dimmer": 30}),
        ("stat/tasmota_AB12/RESULT", {"POWER": "ON"}),
    ),
)

THINGSBOARD = Stranger(
    "thingsboard",
    """
    mqtt:
      telemetryTopic: "v1/gateway/{device}/telemetry"
      time: {path: /ts, format: UnixMilliseconds}
    properties:
    - {name: temperature, unit: Cel, batch: "/Device A", path: /values/temperature}
    - {name: valve, type: Boolean, access: ReadWrite, batch: "/Device A", path: /values/valve}
    actions:
    - name: setValve
      idempotency: Idempotent
      input: [{name: value, property: valve, type: Boolean}]
      mqtt: {topic: "v1/gateway/{device}/rpc", expression: '{"method": "set", "params": value}'}
      acknowledgement:
        type: Reply
        reply: {topic: "v1/gateway/{device}/rpc/response", path: /ok, type: Boolean,
                match: reply, within: 20s}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 10m}]
    rules: [{name: hot, effect: Permit, expression: temperature > 21.5, reason: Hot}]
    action: {name: setValve, input: [{name: value, expression: "true"}], timeToLive: 2s}
    """,
    (
        (
            "v1/gateway/thingsboard/telemetry",
            {"Device A": [{"ts": 1, "values": {"temperature": 20.0}},
                          {"ts": "$ms", "values": {"temperature": 21.6}}],
             "Device B": [{"ts": "$ms", "values": {"temperature": 3}}]},
        ),
    ),
    ("Acknowledged", "ReplyMatched"),
    NONE,
    ("v1/gateway/thingsboard/rpc", {"method": "set", "params": True}),
    (("v1/gateway/thingsboard/rpc/response", {"ok": True}),),
)  # fmt: skip

METRICS = Stranger(
    "metrics",
    """
    mqtt:
      telemetryTopic: "plant/{parameters.group}/DDATA/{device}"
      time: {path: timestamp, format: UnixMilliseconds}
    properties:
    - {name: temperature, unit: Cel, quality: {path: isNull, good: ["false"]},
       pick: {array: /metrics, key: name, equals: "Inputs/Temp", value: value}}
    - {name: running, type: Boolean, access: ReadWrite,
       pick: {array: /metrics, key: name, equals: "Outputs/Run", value: value}}
    actions:
    - name: setRun
      idempotency: Idempotent
      input: [{name: value, property: running, type: Boolean}]
      mqtt:
        topic: "plant/{parameters.group}/DCMD/{device}"
        expression: '{"metrics": [{"name": "Outputs/Run", "value": value}]}'
      acknowledgement: {type: Echo, echo: {property: running, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 10m}]
    rules: [{name: hot, effect: Permit, expression: temperature > 21.0, reason: Hot}]
    action: {name: setRun, input: [{name: value, expression: "true"}], timeToLive: 2s}
    """,
    (
        (
            "plant/Plant A/DDATA/metrics",
            {"timestamp": "$ms", "metrics": [
                {"name": "Inputs/Temp", "timestamp": "$ms", "value": None, "isNull": True}]},
        ),
        (
            "plant/Plant A/DDATA/metrics",
            {"timestamp": "$ms", "metrics": [
                {"name": "Inputs/Temp", "timestamp": "$ms", "value": 22.5, "isNull": False}]},
        ),
    ),
    ("Confirmed", "EchoNear"),
    {"group": "Plant A"},
    ("plant/Plant A/DCMD/metrics", {"metrics": [{"name": "Outputs/Run", "value": True}]}),
    (("plant/Plant A/DDATA/metrics", {"metrics": [{"name": "Outputs/Run", "value": True}]}),),
)  # fmt: skip

MODBUS = Stranger(
    "modbus",
    """
    mqtt: {telemetryTopic: "gw/{parameters.gateway}/data", time: {path: /ts, format: Unix}}
    properties:
    - {name: temperature, unit: Cel, scale: "0.1", quality: {path: quality, good: [GOOD]},
       pick: {array: /d, key: tag, equals: T1, value: value}}
    - {name: status, type: String, quality: {path: quality, good: [GOOD]},
       pick: {array: /d, key: tag, equals: MODE, value: value}}
    - {name: setpoint, unit: Cel, access: ReadWrite, scale: "0.1",
       quality: {path: quality, good: [GOOD]},
       pick: {array: /d, key: tag, equals: SP, value: value}}
    actions:
    - name: setSetpoint
      idempotency: Idempotent
      input: [{name: value, property: setpoint, unit: Cel, minimum: 5, maximum: 40}]
      mqtt: {topic: "gw/{parameters.gateway}/write",
             expression: '{"w": [{"tag": "SP", "value": int(value * 10.0)}]}'}
      acknowledgement: {type: Echo, echo: {property: setpoint, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs:
    - {name: temperature, property: temperature, unit: Cel, maximumAge: 10m}
    - {name: status, property: status, type: String, maximumAge: 10m}
    rules: [{name: hot, effect: Permit, reason: Hot,
             expression: 'temperature > 21.4 && status == "AUTO"'}]
    action: {name: setSetpoint, input: [{name: value, expression: "18.3"}], timeToLive: 2s}
    """,
    (
        (
            "gw/7/data",
            {"ts": "$s", "d": [{"tag": "MODE", "value": "AUTO", "quality": "GOOD"},
                               {"tag": "T1", "value": 9999, "quality": "BAD"}]},
        ),
        ("gw/7/data", {"ts": "$s", "d": [{"tag": "T1", "value": 215, "quality": "GOOD"}]}),
    ),
    ("Confirmed", "EchoNear"),
    {"gateway": "7"},
    ("gw/7/write", {"w": [{"tag": "SP", "value": 183}]}),
    (("gw/7/data", {"ts": "$s", "d": [{"tag": "SP", "value": 183, "quality": "GOOD"}]}),),
)  # fmt: skip

CHIRPSTACK = Stranger(
    "chirpstack",
    """
    mqtt:
      telemetryTopic: "application/{parameters.app}/device/{parameters.eui}/event/up"
      time: {path: /time}
    properties:
    - {name: temperature, unit: Cel, path: /object/temperatureSensor/3}
    - {name: rssi, unit: "dB[mW]", path: /rxInfo/0/rssi, position: Fixed}
    actions:
    - name: downlink
      idempotency: Idempotent
      mqtt:
        topic: "application/{parameters.app}/device/{parameters.eui}/command/down"
        delivery: Stored
        expression: '{"devEui": parameters.eui, "fPort": 10, "data": "AQ=="}'
      acknowledgement: {type: None}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs:
    - {name: temperature, property: temperature, unit: Cel, maximumAge: 10m}
    - {name: rssi, property: rssi, maximumAge: 10m}
    rules: [{name: hot, effect: Permit, expression: temperature > 21.0 && rssi == -57.0,
             reason: Hot}]
    action: {name: downlink, timeToLive: 2s}
    """,
    (
        (
            "application/5f0c/device/0101010101010101/event/up",
            {"time": "$utc", "object": {"temperatureSensor": {"3": 22.5}},
             "rxInfo": [{"gatewayId": "a", "rssi": -57}, {"gatewayId": "b", "rssi": -90}]},
        ),
    ),
    ("Advised", "StoredDelivery"),
    {"app": "5f0c", "eui": "0101010101010101"},
)  # fmt: skip

GERMAN = Stranger(
    "german",
    """
    mqtt: {telemetryTopic: "haus/{parameters.raum}/temperatur"}
    properties:
    - {name: temperature, unit: Cel, payload: Text, decimal: Comma, suffix: "°C"}
    - {name: ventil, type: Boolean, access: ReadWrite, payload: Text,
       topic: "haus/{parameters.raum}/ventil",
       values: [{from: auf, to: "true"}, {from: zu, to: "false"}]}
    actions:
    - name: setVentil
      idempotency: Idempotent
      input: [{name: value, property: ventil, type: Boolean}]
      mqtt: {topic: "haus/{parameters.raum}/ventil/soll", payload: Text,
             expression: 'value ? "auf" : "zu"'}
      acknowledgement: {type: Echo, echo: {property: ventil, within: 20s}}
    guards: {fence: None}
    """,
    """
    trigger: {properties: [temperature]}
    inputs: [{name: temperature, property: temperature, unit: Cel, maximumAge: 10m}]
    rules: [{name: warm, effect: Permit, expression: temperature == 21.5, reason: Warm}]
    action: {name: setVentil, input: [{name: value, expression: "false"}], timeToLive: 2s}
    """,
    (("haus/Küche/temperatur", " 21,5 °C"),),
    ("Confirmed", "EchoNear"),
    {"raum": "Küche"},
    ("haus/Küche/ventil/soll", "zu"),
    (("haus/Küche/ventil", "zu"),),
)

GARAGE = Stranger(
    "garage",
    """
    mqtt: {availability: {topic: "garage/{device}/alive", online: "1", offline: "0"}}
    properties:
    - {name: open, type: Boolean, topic: "garage/{device}/door", payload: Text, retained: State,
       values: [{from: open, to: "true"}, {from: closed, to: "false"}]}
    actions:
    - name: pulse
      idempotency: NonIdempotent
      mqtt: {topic: "garage/{device}/pulse", payload: Text, expression: '"1"'}
      acknowledgement: {type: None}
    guards: {fence: None}
    """,
    """
    inputs: [{name: open, property: open, type: Boolean, maximumAge: 1h}]
    rules: [{name: late, effect: Permit, expression: open, reason: LeftOpen}]
    action: {name: pulse, timeToLive: 2s}
    """,
    (("garage/garage/alive", "1"), ("garage/garage/door", "open")),
    ("Advised", "NonIdempotent"),
)

STRANGERS = (
    RTL_433, VICTRON, STATESTREAM, VALVE_ON_A_RADIATOR, Z_WAVE, SHELLY_RPC, TASMOTA_REPLY,
    THINGSBOARD, METRICS, MODBUS, CHIRPSTACK, GERMAN, GARAGE,
)  # fmt: skip
