"""The topics of a profile, and of a device of it: whether each is one, and is one thing only.

Called by `profiles`. Without a device any name and any parameter is taken for granted. And where
devices are commanded, to compare those of one broker.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from foreshore_api import addresses, conditions
from foreshore_api.v1alpha1 import Device, DeviceProfileSpec, DeviceSpec, site
from foreshore_decision import topics
from foreshore_decision.policy.problems import Problems
from foreshore_decision.topics import Use

Reason = conditions.Reason
ANY: Final = "x"
"""A name or value of which nothing is known."""


class RenderedTopic(NamedTuple):
    """A topic, and where its template stands."""

    path: str
    use: Use
    topic: str


class CommandEndpoint(NamedTuple):
    """Where a device is commanded: hosts are compared by their one spelling."""

    host: str
    port: int
    topic: str

    def conflict(self, first: Device) -> str:
        """Say which device has it already."""
        whose = f"{first.namespace}/{first.name}"
        return f"Device {whose} already listens on {self.topic} of this broker"


def commanded(
    profile: DeviceProfileSpec, device: Device, broker: site.Broker
) -> tuple[CommandEndpoint, ...]:
    """Return where a device is commanded. Raises topics.TopicError."""
    host = addresses.canonical(broker.host)
    return tuple(
        CommandEndpoint(host, broker.port, topics.of_device(template, device))
        for template in topics.commanded(profile)
    )


def check(
    profile: DeviceProfileSpec, device: DeviceSpec | None, name: str, problems: Problems
) -> None:
    """Note topics that there cannot be, and those on which a device would hear itself."""
    rendered = tuple(_rendered(profile, device, name, problems))
    spoken = {row.topic: row for row in reversed(rendered) if row.use is Use.SPOKEN}
    for row in rendered:
        other = spoken.get(row.topic)
        if row.use is not Use.SPOKEN and other is not None:
            what = "commands" if row.use is Use.COMMANDED else "advice"
            message = (
                f"{row.topic} is also the topic of {what} ({row.path}): what the device says and"
                " what it is told could not be kept apart; give each its own"
            )
            problems.add(Reason.INVALID, other.path, message)


def _rendered(
    profile: DeviceProfileSpec, device: DeviceSpec | None, name: str, problems: Problems
) -> Iterator[RenderedTopic]:
    """Fill in every template; a parameter that is missing or wrong is noted once."""
    rows = topics.templates(profile)
    values = _values(device, [row.template for row in rows])
    noted: set[str] = set()
    for path, use, template in rows:
        place = ANY if device is None else device.site
        try:
            topic = topics.render(template, site=place, device=name or ANY, parameters=values)
        except topics.TopicError as error:
            if error.parameter is not None:
                path = f"spec.parameters[{error.parameter}]"
            if path not in noted:
                problems.add(Reason.INVALID, path, str(error))
            noted.add(path)
        else:
            yield RenderedTopic(path, use, topic)


def _values(device: DeviceSpec | None, templates: list[str]) -> Mapping[str, str]:
    if device is not None:
        return topics.parameters(device)
    return dict.fromkeys(topics.named(templates), ANY)
