"""The dialects that `play --profile` speaks, one row each: a module with its class, and a row here.

Names are those of `examples/profiles/`; the name of a device is the one that stands there too.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from foreshore_agent.play.dialects import (
    esphome,
    gateway,
    lorawan,
    shadow,
    shelly,
    speech,
    tasmota,
    zigbee2mqtt,
    zwave,
)
from foreshore_api import hints


class UnknownDialectError(ValueError):
    """There is no such dialect; the text names those that are near."""


class DialectRow(NamedTuple):
    """One dialect."""

    name: str
    device: str
    """What the device is called in its dialect, unless the person says otherwise."""
    about: str
    make: Callable[[str, speech.DialectHabits], speech.PlayedDialect]


DIALECTS: Final[tuple[DialectRow, ...]] = (
    DialectRow(
        "zigbee2mqtt-plug",
        "Hall Plug",
        "a plug whose load ends its work; friendly name",
        zigbee2mqtt.ZigbeePlug,
    ),
    DialectRow(
        "zigbee2mqtt-contact",
        "Cold Store Door",
        "a door that is opened and closed, retained; friendly name",
        zigbee2mqtt.ZigbeeContact,
    ),
    DialectRow(
        "zigbee2mqtt-motion",
        "Hall Motion 2",
        "somebody who comes and goes in the dark; friendly name",
        zigbee2mqtt.ZigbeeMotion,
    ),
    DialectRow(
        "zigbee2mqtt-climate",
        "Office Radiator",
        "a radiator valve that rounds to half a degree; friendly name",
        zigbee2mqtt.ZigbeeClimate,
    ),
    DialectRow(
        "tasmota-plug",
        "plug_3C91A0",
        "a plug with local times; Topic",
        tasmota.TasmotaPlug,
    ),
    DialectRow(
        "shelly-gen1-plug",
        "shellyplug-s-6A5E21",
        "a plug with a topic for each value; device id",
        shelly.ShellyFirst,
    ),
    DialectRow(
        "shelly-gen2-plug",
        "shellyplusplugs-d4d4da7c1e90",
        "a plug with a status document and RPC; topic prefix",
        shelly.ShellySecond,
    ),
    DialectRow(
        "esphome-climate",
        "attic",
        "a thermostat that says its settings only when they change; topic prefix",
        esphome.EsphomeClimate,
    ),
    DialectRow(
        "esphome-sensor",
        "bath-sensors",
        "sensors that say nan now and then, and a window; topic prefix",
        esphome.EsphomeSensor,
    ),
    DialectRow(
        "zwave-js-ui-switch",
        "store/nodeID_4",
        "a switch that repeats at once and acts later; location and node",
        zwave.ZwaveSwitch,
    ),
    DialectRow(
        "zwave-js-ui-sensor",
        "kitchen/nodeID_7",
        "a multisensor that sleeps; location and node",
        zwave.ZwaveSensor,
    ),
    DialectRow(
        "lorawan-chirpstack",
        "a84041d3e1824c07",
        "a valve that fetches its commands with its next uplink; device EUI",
        lorawan.ChirpstackValve,
    ),
    DialectRow(
        "lorawan-ttn",
        "bed-4",
        "the same behind The Things Stack; device id",
        lorawan.ThingsStackValve,
    ),
    DialectRow(
        "plc-gateway-fan",
        "iotgateway",
        "tags in changing order, some of bad quality; topic",
        gateway.GatewayFan,
    ),
    DialectRow(
        "aws-iot-shadow-thing",
        "closet-17",
        "a thing and its shadow; thing name",
        shadow.ShadowThing,
    ),
)


def choose(name: str) -> DialectRow:
    """Return the row of a name. Raises UnknownDialectError."""
    for row in DIALECTS:
        if row.name == name:
            return row
    near = hints.among(name, [row.name for row in DIALECTS])
    raise UnknownDialectError(f"there is no dialect {name} to play; {near}")
