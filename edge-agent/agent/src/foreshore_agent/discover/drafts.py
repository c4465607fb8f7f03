"""Drafts: what a layout makes of a device's topics, before it becomes resources.

A topic in a draft is a template of a profile: what differs from device to device stands in a
parameter, so that devices that are laid out alike share a profile.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_api.v1alpha1 import DataType

MAXIMUM_PROPERTIES: Final = 64
"""Properties of a profile; what a device says beyond them is named in a comment."""
MAXIMUM_ACTIONS: Final = 32
MAXIMUM_VALUE: Final = 64
"""Characters of a parameter."""


@dataclass(frozen=True, slots=True)
class DraftProperty:
    """Something that a device says."""

    name: str
    """What the device or its announcement calls it."""
    type: DataType = DataType.NUMBER
    topic: str | None = None
    """Template of the topic. None: the profile's telemetryTopic."""
    fields: dict[str, Any] = field(default_factory=dict)
    """Further fields of the property, as the resource writes them."""
    notes: tuple[str, ...] = ()
    """What was guessed."""


@dataclass(frozen=True, slots=True)
class DraftAction:
    """Something that a device can be told, as its announcement says."""

    property: DraftProperty
    """What it sets, and whose echo tells that it worked."""
    topic: str
    payload: str
    """JSON or Text."""
    expression: str
    fields: dict[str, Any] = field(default_factory=dict)
    """Further fields of its input."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftDevice:
    """One device."""

    layout: str
    """What it was recognised as, for people: `Zigbee2MQTT`."""
    label: str
    """What people call it."""
    model: str
    """What it is: profiles are named by it."""
    parameters: dict[str, str]
    properties: tuple[DraftProperty, ...]
    mqtt: dict[str, Any] = field(default_factory=dict)
    """telemetryTopic, time and availability of the profile."""
    actions: tuple[DraftAction, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know, and what was left out."""
    topics: frozenset[str] = frozenset()
    """Topics that it accounts for."""
