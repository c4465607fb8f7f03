"""Layouts: how makers lay their devices out over topics, one module each, asked in order.

    observations ──► layout ──► drafts, with the topics that they account for
                        └─ the rest ──► the next layout ──► … ──► what nobody understood

A further layout is a module with `recognise` and a row of `LAYOUTS`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from foreshore_agent.discover.layouts import (
    bare,
    document,
    esphome,
    gateway,
    home_assistant,
    lorawan,
    shelly,
    tasmota,
    zigbee2mqtt,
    zwave,
)
from foreshore_agent.discover.layouts.scene import Recognised, Scene

__all__ = ["GUESSING", "LAYOUTS", "Layout", "Recognised", "Scene"]


class Layout(NamedTuple):
    """One maker's way with topics."""

    name: str
    recognise: Callable[[Scene], Recognised]


LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout("Zigbee2MQTT", zigbee2mqtt.recognise),  # says more of its devices than it announces
    Layout("Home Assistant discovery", home_assistant.recognise),  # announced, whoever made it
    Layout("Tasmota", tasmota.recognise),
    Layout("Shelly", shelly.recognise),
    Layout("ESPHome", esphome.recognise),
    Layout("Z-Wave JS UI", zwave.recognise),
    Layout("LoRaWAN", lorawan.recognise),
    Layout("Gateway", gateway.recognise),  # arrays of tags
    Layout("JSON", document.recognise),  # any other object
    Layout("Bare value", bare.recognise),
)
"""Every layout; the first that accounts for a topic has it."""
GUESSING: Final = "JSON"
"""From this layout on nothing is known of the maker: what devices are told is no device there."""
