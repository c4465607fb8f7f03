"""Messages of devices as engine events: pure, called by `devices` for each message.

What cannot be used is no event but a reason code, which the caller counts
(`wire.metrics.TELEMETRY`).
"""

from foreshore_agent.devices.codecs import formats, leaf
from foreshore_agent.devices.codecs import reply as replies
from foreshore_agent.devices.mqtt.channel import MqttMessage
from foreshore_agent.devices.mqtt.orders import AnswerRoute, ReplyRoute
from foreshore_agent.devices.mqtt.topics import DeviceRoute
from foreshore_agent.engine import events
from foreshore_api.reasons import telemetry as reasons


def telemetry(
    message: MqttMessage,
    contents: formats.Contents,
    route: DeviceRoute,
    stamp: events.EventStamp,
    *,
    is_overdue: bool = False,
) -> list[events.Sample] | str:
    """Return the samples that one device's telemetry is, oldest first, or why it is none.

    What the broker had kept says nothing about now, but for what the device says only when it
    changes: of such a message nothing else is read. Likewise of one that is overdue, because it
    waited too long to be taken for fresh: the device may not say a second time that it changed.
    """
    only_states = message.retained or is_overdue
    if only_states and not route.decoder.states:
        return reasons.RETAINED if message.retained else reasons.DROPPED
    try:
        decoded = route.decoder.read(contents, only_states=only_states)
    except leaf.PayloadError as error:
        return error.reason
    samples: list[events.Sample] = []
    for reading in decoded:
        if reading.values or reading.refused:
            at = stamp.now() if is_overdue or message.at is None else message.at
            came = message.at or at
            samples.append(
                events.Sample(
                    at,
                    stamp.fresh(),
                    route.device,
                    reading.values,
                    reading.refused,
                    reading.sampled_at,
                    message.retained,
                    message.redelivered,
                    unread_times=reading.unread_times,
                    waited=max(0.0, at.boot - came.boot),
                )
            )
    if samples:
        return samples
    return reasons.NULL if decoded else reasons.NO_PROPERTY


def lost(
    route: DeviceRoute,
    at: events.Instant,
    fresh: str,
    reason: str = reasons.DROPPED,
    *,
    retained: bool = False,
) -> list[events.Sample]:
    """Return that what a device says only when it changes is void: nobody could read a message.

    It was dropped, or is unusable as a whole. Nothing where it says nothing of that kind on the
    topic.
    """
    refused = dict.fromkeys(route.decoder.states, str(reason))
    return [events.Sample(at, fresh, route.device, {}, refused, {}, retained)] if refused else []


def answer(
    message: MqttMessage, route: AnswerRoute, at: events.Instant, fresh: str
) -> events.Acknowledged | str:
    """Return a device's answer to a command, or why a message is none."""
    if message.retained:
        return reasons.RETAINED
    acknowledgement = route.codec.acknowledgement(message.payload)
    if isinstance(acknowledgement, str):
        return acknowledgement
    return events.Acknowledged(at, fresh, route.device, acknowledgement)


def reply(
    message: MqttMessage, route: ReplyRoute, at: events.Instant, fresh: str
) -> events.Replied | str:
    """Return a device's answer in its own words, or why a message is none.

    What the broker had kept is the answer to something before.
    """
    if message.retained:
        return reasons.RETAINED
    try:
        value = replies.read(message.payload, route.declared)
    except leaf.PayloadError as error:
        return error.reason
    return events.Replied(at, fresh, route.device, route.action, value)
