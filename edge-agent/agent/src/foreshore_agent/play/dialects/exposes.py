"""What Zigbee2MQTT's `bridge/devices` tells of the played devices: model and exposed features.

https://www.zigbee2mqtt.io/guide/usage/exposes.html. `access` is a sum: 1 published, 2 settable, 4
readable. A contact's `value_on` is false: it exposes whether there is contact, and alarms without.
"""

from typing import Any, Final

_PUBLISHED: Final = 1
_SETTABLE: Final = 7


def _numeric(name: str, unit: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "numeric",
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "property": name,
        "unit": unit,
        "access": _PUBLISHED,
        **more,
    }


def _binary(name: str, on: object, off: object, **more: Any) -> dict[str, Any]:
    return {
        "type": "binary",
        "name": name,
        "label": name.capitalize(),
        "property": name,
        "value_on": on,
        "value_off": off,
        "access": _PUBLISHED,
        **more,
    }


def _enum(name: str, values: list[str], **more: Any) -> dict[str, Any]:
    return {
        "type": "enum",
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "property": name,
        "values": values,
        "access": _PUBLISHED,
        **more,
    }


_BATTERY: Final = _numeric("battery", "%", value_min=0, value_max=100)
_LINK: Final = _numeric("linkquality", "lqi", value_min=0, value_max=255)

PLUG: Final[dict[str, Any]] = {
    "model": "TS011F_plug_1",
    "vendor": "Tuya",
    "description": "Smart plug (with power monitoring)",
    "exposes": [
        {
            "type": "switch",
            "features": [_binary("state", "ON", "OFF", value_toggle="TOGGLE", access=_SETTABLE)],
        },
        _numeric("power", "W"),
        _numeric("current", "A"),
        _numeric("voltage", "V"),
        _numeric("energy", "kWh"),
        _LINK,
    ],
}
CONTACT: Final[dict[str, Any]] = {
    "model": "MCCGQ11LM",
    "vendor": "Aqara",
    "description": "Door and window sensor",
    "exposes": [
        _BATTERY,
        _binary("contact", False, True),  # noqa: FBT003 - values as the bridge lists them
        _numeric("voltage", "mV"),
        _LINK,
    ],
}
MOTION: Final[dict[str, Any]] = {
    "model": "RTCGQ11LM",
    "vendor": "Aqara",
    "description": "Motion sensor",
    "exposes": [
        _BATTERY,
        _binary("occupancy", True, False),  # noqa: FBT003 - values as the bridge lists them
        _numeric("illuminance", "lx"),
        _numeric("voltage", "mV"),
        _LINK,
    ],
}
CLIMATE: Final[dict[str, Any]] = {
    "model": "SPZB0001",
    "vendor": "Eurotronic",
    "description": "Spirit Zigbee wireless heater thermostat",
    "exposes": [
        _BATTERY,
        {
            "type": "climate",
            "features": [
                _numeric(
                    "occupied_heating_setpoint",
                    "°C",
                    value_min=5,
                    value_max=30,
                    value_step=0.5,
                    access=_SETTABLE,
                ),
                _numeric("local_temperature", "°C"),
                _enum("system_mode", ["off", "auto", "heat"], access=_SETTABLE),
                _enum("running_state", ["idle", "heat"]),
                _numeric("pi_heating_demand", "%", value_min=0, value_max=100),
            ],
        },
        _LINK,
    ],
}
