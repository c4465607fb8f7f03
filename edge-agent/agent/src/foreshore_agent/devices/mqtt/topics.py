"""Which topic belongs to which device: templates filled in, messages led by exact topic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from foreshore_agent.devices.codecs import payload, registry
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment
from foreshore_decision import topics


@dataclass(frozen=True, slots=True)
class DeviceRoute:
    """Whose a message on a topic is, and how it is read."""

    device: Key
    decoder: payload.Decoder
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


def routes(site: str, devices: Iterable[assignment.AssignedDevice]) -> Routes:
    """Lay out the routes of one site's devices."""
    telemetry: dict[str, tuple[DeviceRoute, ...]] = {}
    answers: dict[str, tuple[DeviceRoute, ...]] = {}
    commands: dict[Key, Destination] = {}
    advice: dict[Key, Destination] = {}
    for device in devices:
        key, mqtt = Key(device.namespace, device.name), device.profile.mqtt
        own = topics.parameters(device.spec)
        codec = registry.choose(device.profile)
        route = DeviceRoute(key, payload.Decoder(device.profile.properties), codec)
        for template, table in (
            (mqtt.telemetry_topic, telemetry),
            (mqtt.acknowledgement_topic, answers),
        ):
            if template is not None:
                topic = topics.render(template, site=site, device=device.name, parameters=own)
                table[topic] = (*table.get(topic, ()), route)
        for template, places in ((mqtt.command_topic, commands), (mqtt.advice_topic, advice)):
            if template is not None:
                topic = topics.render(template, site=site, device=device.name, parameters=own)
                places[key] = Destination(topic, codec)
    return Routes(telemetry, answers, commands, advice)
