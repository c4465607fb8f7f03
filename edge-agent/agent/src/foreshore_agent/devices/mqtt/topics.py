"""Which topic belongs to which device: templates filled in, messages led by exact topic.

Where devices are commanded and answer is in `orders`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine.events import Key
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import assignment
from foreshore_decision import topics


@dataclass(frozen=True, slots=True)
class DeviceRoute:
    """Whose a message on a topic is, and how it is read."""

    device: Key
    decoder: payload.Decoder
    """Of what the device measures on the topic."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Every topic on which one site's devices measure; two devices may share one."""

    telemetry: Mapping[str, tuple[DeviceRoute, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Topics that devices cannot have, as sentences."""

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry))


class _Readers(NamedTuple):
    """What one device reads on one topic, whichever of its templates lead there."""

    device: assignment.AssignedDevice
    properties: list[deviceprofile.Property]


def routes(devices: Iterable[assignment.AssignedDevice], zone: str | None = None) -> Routes:
    """Lay out who reads what on which topic; `zone` is the Site's, of times that name none.

    A topic that a device cannot have costs that device the topic, and nobody else anything.
    """
    readers: dict[str, dict[Key, _Readers]] = {}
    problems: list[str] = []
    for device in devices:
        key = Key(device.namespace, device.name)
        for template, properties in payload.by_topic(device.profile).items():
            try:
                topic = topics.of_device(template, device)
            except topics.TopicError as error:
                problems.append(f"{key}: {error}")
                continue
            of_device = readers.setdefault(topic, {}).setdefault(key, _Readers(device, []))
            of_device.properties.extend(properties)
    telemetry = {
        topic: tuple(_route(of_device, zone, of_topic) for of_device in of_topic.values())
        for topic, of_topic in readers.items()
    }
    return Routes(telemetry, tuple(problems))


def _route(readers: _Readers, zone: str | None, of_topic: Mapping[Key, _Readers]) -> DeviceRoute:
    device = readers.device
    is_alone = sum(len(reader.properties) for reader in of_topic.values()) == 1
    context = payload.ReadingContext(device.profile.mqtt.time, zone)
    decoder = payload.Decoder(readers.properties, context, is_alone=is_alone)
    return DeviceRoute(Key(device.namespace, device.name), decoder)
