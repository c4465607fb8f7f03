"""Where commands and advice go, and where answers come from: each device's own topics.

    command ──(device, action)──► Destination ──codec──► topic, bytes
    acknowledgementTopic, reply.topic ──► whose answer it is, and how it is read

A device one of whose topics cannot be filled in is told nothing and not listened to here: it is
named, and all others go on.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from foreshore_agent.devices.codecs import registry
from foreshore_agent.engine import effects
from foreshore_agent.engine.events import Key
from foreshore_api.v1alpha1 import commanding, deviceprofile
from foreshore_api.wire import assignment
from foreshore_decision import topics
from foreshore_decision.policy import compiled, templates
from foreshore_decision.policy.problems import Problems

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an action of a device goes, and how it is written."""

    topic: str
    codec: registry.CommandCodec
    message: compiled.CompiledMessage | None = None

    def encode(self, command: effects.SendCommand) -> bytes:
        """Return what is published. Raises `dialect.MessageError`."""
        return self.codec.encode(command, self.message)


class AnswerRoute(NamedTuple):
    """Whose an answer to an envelope is, and how it is read."""

    device: Key
    codec: registry.CommandCodec


class ReplyRoute(NamedTuple):
    """Whose answer in a device's own words it is, to which action, and how it is read."""

    device: Key
    action: str
    declared: commanding.ReplySpec


@dataclass(frozen=True, slots=True)
class OrderTopics:
    """Every topic of one site's devices on which they are commanded or answer."""

    commands: Mapping[tuple[Key, str], Destination] = field(default_factory=dict)
    """By device and action, where the profile names a topic."""
    advice: Mapping[Key, Destination] = field(default_factory=dict)
    answers: Mapping[str, tuple[AnswerRoute, ...]] = field(default_factory=dict)
    replies: Mapping[str, tuple[ReplyRoute, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """Which devices have topics that cannot be filled in, and why."""

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters of the control connection: answers of devices."""
        return tuple(sorted({*self.answers, *self.replies}))


class _DeviceTopics(NamedTuple):
    """The same of one device."""

    commands: dict[str, Destination]
    advice: Destination | None
    answers: dict[str, tuple[AnswerRoute, ...]]
    replies: dict[str, tuple[ReplyRoute, ...]]


def lay_out(devices: Iterable[assignment.AssignedDevice]) -> OrderTopics:
    """Lay out where one site's devices are commanded and answer."""
    commands: dict[tuple[Key, str], Destination] = {}
    advice: dict[Key, Destination] = {}
    answers: dict[str, tuple[AnswerRoute, ...]] = {}
    replies: dict[str, tuple[ReplyRoute, ...]] = {}
    problems: list[str] = []
    for device in devices:
        key = Key(device.namespace, device.name)
        try:
            own = _of_device(device)
        except topics.TopicError as error:
            problems.append(f"{key} is not commanded: {error}")
            continue
        commands |= {(key, action): to for action, to in own.commands.items()}
        if own.advice is not None:
            advice[key] = own.advice
        for topic, routes in own.answers.items():
            answers[topic] = (*answers.get(topic, ()), *routes)
        for topic, waiting in own.replies.items():
            replies[topic] = (*replies.get(topic, ()), *waiting)
    return OrderTopics(commands, advice, answers, replies, tuple(problems))


def _of_device(device: assignment.AssignedDevice) -> _DeviceTopics:
    """Lay out one device's topics. Raises `topics.TopicError`."""
    key, profile = Key(device.namespace, device.name), device.profile
    parameters = topics.parameters(device.spec)
    commands: dict[str, Destination] = {}
    answers: dict[str, tuple[AnswerRoute, ...]] = {}
    replies: dict[str, tuple[ReplyRoute, ...]] = {}
    for action in profile.actions:
        template = None if action.mqtt is None else action.mqtt.topic
        template = template or profile.mqtt.command_topic
        if template is not None:
            message = _message(key, action, parameters)
            codec = registry.choose(profile, action)
            commands[action.name] = Destination(topics.of_device(template, device), codec, message)
        reply = None if action.acknowledgement is None else action.acknowledgement.reply
        if reply is not None:
            topic = topics.of_device(reply.topic, device)
            route = ReplyRoute(key, action.name, reply)
            replies[topic] = (*replies.get(topic, ()), route)
    if profile.mqtt.acknowledgement_topic is not None:
        topic = topics.of_device(profile.mqtt.acknowledgement_topic, device)
        answers[topic] = (AnswerRoute(key, registry.choose(profile)),)
    advised = profile.mqtt.advice_topic
    advice = (
        None
        if advised is None
        else Destination(topics.of_device(advised, device), registry.choose(profile))
    )
    return _DeviceTopics(commands, advice, answers, replies)


def _message(
    device: Key, action: deviceprofile.Action, parameters: Mapping[str, str]
) -> compiled.CompiledMessage | None:
    """Compile the message of an action; one that does not compile has none, and none is sent.

    Admission and the policy refuse it too: this is said where neither has looked.
    """
    problems = Problems()
    made = templates.message(action, parameters, problems, f"spec.actions[{action.name}]")
    for problem in problems.noted:
        _LOG.warning("%s: %s: %s", device, problem.path, problem.message)
    return None if problems.noted else made
