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

__all__ = ["GUESSING", "LAYOUTS", "Recognised", "Scene", "TopicLayout"]


class TopicLayout(NamedTuple):
    """One maker's way with topics."""

    name: str
    recognise: Callable[[Scene], Recognised]


LAYOUTS: Final[tuple[TopicLayout, ...]] = (
    TopicLayout("Zigbee2MQTT", zigbee2mqtt.recognise),  # says more of its devices than it announces
    TopicLayout("Home Assistant discovery", home_assistant.recognise),  # announced, whoever made it
    TopicLayout("Tasmota", tasmota.recognise),
    TopicLayout("Shelly", shelly.recognise),
    TopicLayout("ESPHome", esphome.recognise),
    TopicLayout("Z-Wave JS UI", zwave.recognise),
    TopicLayout("LoRaWAN", lorawan.recognise),
    TopicLayout("Gateway", gateway.recognise),  # arrays of tags
    TopicLayout("JSON", document.recognise),  # any other object
    TopicLayout("Bare value", bare.recognise),
)
"""Every layout; the first that accounts for a topic has it."""
GUESSING: Final = "JSON"
"""From this layout on nothing is known of the maker: what devices are told is no device there."""
