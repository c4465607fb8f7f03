"""Which topic belongs to whom: templates filled in, and messages led to devices by exact topic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foreshore_agent.devices.mqtt import payload
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment, beat


class Subject(StrEnum):
    """What a topic carries."""

    TELEMETRY = "Telemetry"
    ACKNOWLEDGEMENT = "Acknowledgement"
    BEAT = "Beat"
    RENEWAL_REQUEST = "RenewalRequest"
    RENEWAL = "Renewal"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message on a topic goes."""

    subject: Subject
    device: Key
    decoder: payload.Decoder


@dataclass(frozen=True, slots=True)
class Routes:
    """Every topic of one site that an agent listens on; two devices may share one."""

    site: str = ""
    node: str = ""
    telemetry: dict[str, tuple[Route, ...]] | None = None
    acknowledgements: dict[str, tuple[Route, ...]] | None = None
    commands: Mapping[Key, str] = field(default_factory=dict)
    """Topic by device, where its profile names one."""
    advice: Mapping[Key, str] = field(default_factory=dict)

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry or {}))

    @property
    def control_filters(self) -> tuple[str, ...]:
        """Filters of the command connection: answers of devices, and what agents say."""
        peers = (
            beat.beat_topic(self.site),
            beat.renew_topic(self.site),
            beat.renewed_topic(self.site, self.node),
        )
        return (*sorted(self.acknowledgements or {}), *peers)


def render(template: str, *, site: str, device: str) -> str:
    """Fill in a topic template."""
    return template.replace("{site}", site).replace("{device}", device)


def routes(node: str, site: str, devices: Iterable[assignment.AssignedDevice]) -> Routes:
    """Lay out the routes of one site's devices."""
    telemetry: dict[str, tuple[Route, ...]] = {}
    answers: dict[str, tuple[Route, ...]] = {}
    commands: dict[Key, str] = {}
    advice: dict[Key, str] = {}
    for device in devices:
        key = Key(device.namespace, device.name)
        mqtt = device.profile.mqtt
        decoder = payload.Decoder(device.profile.properties)
        pairs = (
            (Subject.TELEMETRY, mqtt.telemetry_topic, telemetry),
            (Subject.ACKNOWLEDGEMENT, mqtt.acknowledgement_topic, answers),
        )
        for subject, template, table in pairs:
            if template is not None:
                topic = render(template, site=site, device=device.name)
                table[topic] = (*table.get(topic, ()), Route(subject, key, decoder))
        for template, places in ((mqtt.command_topic, commands), (mqtt.advice_topic, advice)):
            if template is not None:
                places[key] = render(template, site=site, device=device.name)
    return Routes(site, node, telemetry, answers, commands, advice)
