"""Topics of one device: templates filled in, and what they may not become.

The operator compares them, `access` lists them for a broker, the agent listens and publishes on
them, and `play` does so for the device: all by this one function.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from foreshore_api import v1alpha1
from foreshore_api.wire import assignment, beat

LONGEST: Final = 256
"""Characters of a topic."""
_PLACE: Final = re.compile(r"\{(site|device|parameters\.([a-z][A-Za-z0-9]*))\}")
_FORBIDDEN: Final = re.compile("[+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Wildcards, and what MQTT lets a broker close the connection for."""
_AGENTS: Final = f"{beat.PREFIX.split('/')[0]}/"
SHADOWS: Final = "$aws/"
"""The only topics with a leading `$` that devices have: AWS IoT keeps their shadows there."""


class Use(Enum):
    """What a topic is for."""

    SPOKEN = auto()
    """The device speaks there, or somebody does for it."""
    COMMANDED = auto()
    ADVISED = auto()


class TopicTemplate(NamedTuple):
    """One template of a profile."""

    path: str
    """Where it stands: `spec.properties[co2].topic`."""
    use: Use
    template: str


class TopicError(ValueError):
    """A template that gives no topic for this device; the text says why."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        self.parameter: Final = parameter
        """The Device's parameter that is missing or wrong; None where the template is."""
        super().__init__(message)


def templates(profile: v1alpha1.DeviceProfileSpec) -> tuple[TopicTemplate, ...]:
    """Return all templates of a profile, also those of one topic that stand in many places."""
    rows = (*_spoken(profile), *_addressed(profile))
    return tuple(TopicTemplate(path, use, text) for path, use, text in rows if text is not None)


def _spoken(profile: v1alpha1.DeviceProfileSpec) -> Iterator[tuple[str, Use, str | None]]:
    mqtt = profile.mqtt
    if any(declared.topic is None for declared in profile.properties):
        yield "spec.mqtt.telemetryTopic", Use.SPOKEN, mqtt.telemetry_topic
    for declared in profile.properties:
        yield f"spec.properties[{declared.name}].topic", Use.SPOKEN, declared.topic
    if mqtt.availability is not None:
        yield "spec.mqtt.availability.topic", Use.SPOKEN, mqtt.availability.topic
    yield "spec.mqtt.acknowledgementTopic", Use.SPOKEN, mqtt.acknowledgement_topic
    for action in profile.actions:
        answer = action.acknowledgement
        if answer is not None and answer.reply is not None:
            path = f"spec.actions[{action.name}].acknowledgement.reply.topic"
            yield path, Use.SPOKEN, answer.reply.topic


def _addressed(profile: v1alpha1.DeviceProfileSpec) -> Iterator[tuple[str, Use, str | None]]:
    yield "spec.mqtt.commandTopic", Use.COMMANDED, profile.mqtt.command_topic
    for action in profile.actions:
        if action.mqtt is not None:
            path = f"spec.actions[{action.name}].mqtt.topic"
            yield path, Use.COMMANDED, action.mqtt.topic
    yield "spec.mqtt.adviceTopic", Use.ADVISED, profile.mqtt.advice_topic


def spoken(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device speaks, or somebody does for it."""
    return _used(profile, Use.SPOKEN)


def heard(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device is spoken to."""
    return _used(profile, Use.COMMANDED, Use.ADVISED)


def commanded(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device is commanded."""
    return _used(profile, Use.COMMANDED)


def _used(profile: v1alpha1.DeviceProfileSpec, *uses: Use) -> tuple[str, ...]:
    """Return the templates for some uses, each once."""
    rows = [row.template for row in templates(profile) if row.use in uses]
    return tuple(dict.fromkeys(rows))


def named(templates: Iterable[str]) -> frozenset[str]:
    """Return the parameters of a Device that templates need."""
    return frozenset(
        place[2] for text in templates for place in _PLACE.finditer(text) if place[2] is not None
    )


def parameters(device: v1alpha1.DeviceSpec) -> dict[str, str]:
    """Return what a device's parameters are in topics and actions: texts."""
    return {parameter.name: str(parameter.value) for parameter in device.parameters}


def of_device(template: str, device: v1alpha1.Device | assignment.AssignedDevice) -> str:
    """Fill in a topic template for a device. Raises TopicError."""
    spec = device.spec
    return render(template, site=spec.site, device=device.name, parameters=parameters(spec))


def render(
    template: str, *, site: str, device: str, parameters: Mapping[str, str] | None = None
) -> str:
    """Fill in a topic template. Raises TopicError.

    A parameter may hold what a template may not: a wildcard would make one device's topic the
    topics of others, a leading `$` or `foreshore/` a topic of the broker or of the agents.
    """
    own = parameters or {}

    def fill(place: re.Match[str]) -> str:
        name = place[2]
        if name is None:
            return site if place[1] == "site" else device
        return _value(own, name, template)

    topic = _PLACE.sub(fill, template)
    if topic.startswith(_AGENTS):
        raise TopicError(f"{topic} is a topic on which agents speak to each other")
    if topic.startswith("$") and not topic.startswith(SHADOWS):
        raise TopicError(f"{topic} is one of the broker's own topics, on which no device speaks")
    if _FORBIDDEN.search(topic):
        raise TopicError(f"the topic {topic!r} has characters that brokers refuse")
    if len(topic) > LONGEST:
        message = f"the topic {topic[:40]}… has {len(topic)} characters; {LONGEST} are allowed"
        raise TopicError(message)
    return topic


def _value(parameters: Mapping[str, str], name: str, template: str) -> str:
    """Return the value of a parameter for a topic. Raises TopicError."""
    if name not in parameters:
        message = (
            f"the topic {template} needs the parameter {name}, which the device lacks: add it to"
            " spec.parameters of the Device"
        )
        raise TopicError(message, name)
    value = parameters[name]
    if not value or value.startswith("$") or _FORBIDDEN.search(value):
        message = (
            f"the parameter {name} is {value!r}: in the topic {template} it may not be empty,"
            " begin with $ or hold +, # or a control character"
        )
        raise TopicError(message, name)
    return value
