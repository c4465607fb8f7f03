"""Which topic belongs to which device: templates filled in, messages led by exact topic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message on a topic goes."""

    device: Key
    decoder: payload.Decoder


@dataclass(frozen=True, slots=True)
class Routes:
    """Every topic of one site's devices that an agent listens on; two devices may share one."""

    telemetry: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)
    acknowledgements: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)
    commands: Mapping[Key, str] = field(default_factory=dict)
    """Topic by device, where its profile names one."""
    advice: Mapping[Key, str] = field(default_factory=dict)

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry))

    @property
    def control_filters(self) -> tuple[str, ...]:
        """Filters of the control connection: answers of devices."""
        return tuple(sorted(self.acknowledgements))


def render(template: str, *, site: str, device: str) -> str:
    """Fill in a topic template."""
    return template.replace("{site}", site).replace("{device}", device)


def routes(site: str, devices: Iterable[assignment.AssignedDevice]) -> Routes:
    """Lay out the routes of one site's devices."""
    telemetry: dict[str, tuple[Route, ...]] = {}
    answers: dict[str, tuple[Route, ...]] = {}
    commands: dict[Key, str] = {}
    advice: dict[Key, str] = {}
    for device in devices:
        key, mqtt = Key(device.namespace, device.name), device.profile.mqtt
        route = Route(key, payload.Decoder(device.profile.properties))
        pairs = ((mqtt.telemetry_topic, telemetry), (mqtt.acknowledgement_topic, answers))
        for template, table in pairs:
            if template is not None:
                topic = render(template, site=site, device=device.name)
                table[topic] = (*table.get(topic, ()), route)
        for template, places in ((mqtt.command_topic, commands), (mqtt.advice_topic, advice)):
            if template is not None:
                places[key] = render(template, site=site, device=device.name)
    return Routes(telemetry, answers, commands, advice)
