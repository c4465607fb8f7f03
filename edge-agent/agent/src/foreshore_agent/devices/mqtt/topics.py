"""Which topic belongs to which device: templates filled in, messages led by exact topic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from foreshore_agent.devices.codecs import payload, registry
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
    codec: registry.CommandCodec


class Destination(NamedTuple):
    """Where something for a device goes, and how it is written."""

    topic: str
    codec: registry.CommandCodec


@dataclass(frozen=True, slots=True)
class Routes:
    """Every topic of one site's devices that an agent uses; two devices may share one."""

    telemetry: Mapping[str, tuple[DeviceRoute, ...]] = field(default_factory=dict)
    acknowledgements: Mapping[str, tuple[DeviceRoute, ...]] = field(default_factory=dict)
    commands: Mapping[Key, Destination] = field(default_factory=dict)
    """By device, where its profile names a topic."""
    advice: Mapping[Key, Destination] = field(default_factory=dict)

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry))

    @property
    def control_filters(self) -> tuple[str, ...]:
        """Filters of the control connection: answers of devices."""
        return tuple(sorted(self.acknowledgements))


def routes(
    site: str, devices: Iterable[assignment.AssignedDevice], zone: str | None = None
) -> Routes:
    """Lay out the routes of one site's devices; `zone` is the Site's, of times that name none."""
    placed = list(devices)
    answers: dict[str, tuple[DeviceRoute, ...]] = {}
    commands: dict[Key, Destination] = {}
    advice: dict[Key, Destination] = {}
    for device in placed:
        key, mqtt = Key(device.namespace, device.name), device.profile.mqtt
        codec = registry.choose(device.profile)
        if mqtt.acknowledgement_topic is not None:
            topic = _rendered(mqtt.acknowledgement_topic, site, device)
            answers[topic] = (
                *answers.get(topic, ()),
                DeviceRoute(key, payload.Decoder(()), codec),
            )
        for template, places in ((mqtt.command_topic, commands), (mqtt.advice_topic, advice)):
            if template is not None:
                places[key] = Destination(_rendered(template, site, device), codec)
    return Routes(_telemetry(site, placed, zone), answers, commands, advice)


def _telemetry(
    site: str, devices: Iterable[assignment.AssignedDevice], zone: str | None
) -> Mapping[str, tuple[DeviceRoute, ...]]:
    """Lay out who reads what on which topic: of each device, its properties there."""
    readers: dict[str, dict[Key, _Readers]] = {}
    for device in devices:
        key = Key(device.namespace, device.name)
        for template, properties in payload.by_topic(device.profile).items():
            of_topic = readers.setdefault(_rendered(template, site, device), {})
            of_device = of_topic.setdefault(key, _Readers(device, []))
            of_device.properties.extend(properties)
    return {
        topic: tuple(_route(of_device, zone, of_topic) for of_device in of_topic.values())
        for topic, of_topic in readers.items()
    }


class _Readers(NamedTuple):
    """What one device reads on one topic, whichever of its templates lead there."""

    device: assignment.AssignedDevice
    properties: list[deviceprofile.Property]


def _route(readers: _Readers, zone: str | None, of_topic: Mapping[Key, _Readers]) -> DeviceRoute:
    device = readers.device
    is_alone = sum(len(reader.properties) for reader in of_topic.values()) == 1
    context = payload.ReadingContext(device.profile.mqtt.time, zone)
    decoder = payload.Decoder(readers.properties, context, is_alone=is_alone)
    return DeviceRoute(Key(device.namespace, device.name), decoder, registry.choose(device.profile))


def _rendered(template: str, site: str, device: assignment.AssignedDevice) -> str:
    own = topics.parameters(device.spec)
    return topics.render(template, site=site, device=device.name, parameters=own)
