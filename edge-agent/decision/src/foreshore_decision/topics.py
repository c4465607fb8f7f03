"""Topics of one device: templates filled in, and what they may not become.

The operator compares them, `access` lists them for a broker, the agent listens and publishes on
them, and `play` does so for the device: all by this one function.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.wire import beat

LONGEST: Final = 256
"""Characters of a topic."""
_PLACE: Final = re.compile(r"\{(site|device|parameters\.([a-z][A-Za-z0-9]*))\}")
_FORBIDDEN: Final = re.compile(r"[+#\x00-\x1f\x7f]")


class TopicError(ValueError):
    """A template that gives no topic for this device; the text says why."""


def spoken(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device speaks, or somebody does for it."""
    mqtt = profile.mqtt
    templates = [mqtt.telemetry_topic if _is_told_there(profile) else None]
    templates += [declared.topic for declared in profile.properties]
    templates.append(mqtt.availability.topic if mqtt.availability is not None else None)
    templates.append(mqtt.acknowledgement_topic)
    for action in profile.actions:
        answer = action.acknowledgement
        if answer is not None and answer.reply is not None:
            templates.append(answer.reply.topic)
    return _once(templates)


def heard(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device is spoken to."""
    return _once((*commanded(profile), profile.mqtt.advice_topic))


def commanded(profile: v1alpha1.DeviceProfileSpec) -> tuple[str, ...]:
    """Return the templates of all topics on which a device is commanded."""
    own = [action.mqtt.topic for action in profile.actions if action.mqtt is not None]
    return _once((profile.mqtt.command_topic, *own))


def _is_told_there(profile: v1alpha1.DeviceProfileSpec) -> bool:
    """Whether a property comes on the telemetry topic."""
    return any(declared.topic is None for declared in profile.properties)


def _once(templates: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(template for template in templates if template is not None))


def parameters(device: v1alpha1.DeviceSpec) -> dict[str, str]:
    """Return what a device's parameters are in topics and actions: texts."""
    return {parameter.name: str(parameter.value) for parameter in device.parameters}


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
        if name not in own:
            message = f"the topic {template} needs the parameter {name}, which the device lacks"
            raise TopicError(message)
        value = own[name]
        if not value or value.startswith("$") or _FORBIDDEN.search(value):
            message = (
                f"the parameter {name} is {value!r}: in the topic {template} it may not be empty,"
                " begin with $ or hold +, # or a control character"
            )
            raise TopicError(message)
        return value

    topic = _PLACE.sub(fill, template)
    if topic.startswith(f"{beat.PREFIX.split('/')[0]}/"):
        message = f"{topic} is a topic on which agents speak to each other"
        raise TopicError(message)
    if len(topic) > LONGEST:
        message = f"the topic {topic[:40]}… has {len(topic)} characters; {LONGEST} are allowed"
        raise TopicError(message)
    return topic
