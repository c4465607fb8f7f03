"""Which topic belongs to which device: templates filled in, messages led by exact topic.

Where devices are commanded and answer is in `orders`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment
from foreshore_decision import topics


@dataclass(frozen=True, slots=True)
class DeviceRoute:
    """Whose a message on a topic is, and how it is read."""

    device: Key
    decoder: payload.Decoder


@dataclass(frozen=True, slots=True)
class Routes:
    """Every topic on which one site's devices measure; two devices may share one."""

    telemetry: Mapping[str, tuple[DeviceRoute, ...]] = field(default_factory=dict)

    @property
    def telemetry_filters(self) -> tuple[str, ...]:
        """Filters of the telemetry connection."""
        return tuple(sorted(self.telemetry))


def routes(site: str, devices: Iterable[assignment.AssignedDevice]) -> Routes:
    """Lay out the routes of one site's devices."""
    telemetry: dict[str, tuple[DeviceRoute, ...]] = {}
    for device in devices:
        key, template = Key(device.namespace, device.name), device.profile.mqtt.telemetry_topic
        if template is not None:
            own = topics.parameters(device.spec)
            topic = topics.render(template, site=site, device=device.name, parameters=own)
            route = DeviceRoute(key, payload.Decoder(device.profile.properties))
            telemetry[topic] = (*telemetry.get(topic, ()), route)
    return Routes(telemetry)
