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
    problems: tuple[str, ...] = ()
    """Topics that devices cannot have, as sentences."""

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry))

    @property
    def control_filters(self) -> tuple[str, ...]:
        """Filters of the control connection: answers of devices."""
        return tuple(sorted(self.acknowledgements))


class _Site(NamedTuple):
    """What topics are laid out for, and what is wrong with them."""

    name: str
    zone: str | None
    problems: list[str]

    def topic(self, template: str, device: assignment.AssignedDevice) -> str | None:
        """Return a device's topic; None, and a problem, where its parameters make none."""
        own = topics.parameters(device.spec)
        try:
            return topics.render(template, site=self.name, device=device.name, parameters=own)
        except topics.TopicError as error:
            self.problems.append(f"{device.namespace}/{device.name}: {error}")
            return None


class _Readers(NamedTuple):
    """What one device reads on one topic, whichever of its templates lead there."""

    device: assignment.AssignedDevice
    properties: list[deviceprofile.Property]


def routes(
    site: str, devices: Iterable[assignment.AssignedDevice], zone: str | None = None
) -> Routes:
    """Lay out the routes of one site's devices; `zone` is the Site's, of times that name none.

    A topic that a device cannot have costs that device the topic, and nobody else anything.
    """
    placed, of_site = list(devices), _Site(site, zone, [])
    answers: dict[str, tuple[DeviceRoute, ...]] = {}
    commands: dict[Key, Destination] = {}
    advice: dict[Key, Destination] = {}
    for device in placed:
        key, mqtt = Key(device.namespace, device.name), device.profile.mqtt
        codec = registry.choose(device.profile)
        if mqtt.acknowledgement_topic is not None:
            topic = of_site.topic(mqtt.acknowledgement_topic, device)
            if topic is not None:
                route = DeviceRoute(key, payload.Decoder(()), codec)
                answers[topic] = (*answers.get(topic, ()), route)
        for template, places in ((mqtt.command_topic, commands), (mqtt.advice_topic, advice)):
            topic = None if template is None else of_site.topic(template, device)
            if topic is not None:
                places[key] = Destination(topic, codec)
    telemetry = _telemetry(of_site, placed)
    return Routes(telemetry, answers, commands, advice, tuple(of_site.problems))


def _telemetry(
    site: _Site, devices: Iterable[assignment.AssignedDevice]
) -> Mapping[str, tuple[DeviceRoute, ...]]:
    """Lay out who reads what on which topic: of each device, its properties there."""
    readers: dict[str, dict[Key, _Readers]] = {}
    for device in devices:
        key = Key(device.namespace, device.name)
        for template, properties in payload.by_topic(device.profile).items():
            topic = site.topic(template, device)
            if topic is not None:
                of_device = readers.setdefault(topic, {}).setdefault(key, _Readers(device, []))
                of_device.properties.extend(properties)
    return {
        topic: tuple(_route(of_device, site.zone, of_topic) for of_device in of_topic.values())
        for topic, of_topic in readers.items()
    }


def _route(readers: _Readers, zone: str | None, of_topic: Mapping[Key, _Readers]) -> DeviceRoute:
    device = readers.device
    is_alone = sum(len(reader.properties) for reader in of_topic.values()) == 1
    context = payload.ReadingContext(device.profile.mqtt.time, zone)
    decoder = payload.Decoder(readers.properties, context, is_alone=is_alone)
    codec = registry.choose(device.profile)
    return DeviceRoute(Key(device.namespace, device.name), decoder, codec)
