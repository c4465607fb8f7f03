"""Messages of devices as engine events: pure, called by `devices` for each message.

What cannot be used is no event but a reason code, which the caller counts
(`wire.metrics.TELEMETRY`).
"""

from foreshore_agent.devices.codecs import payload
from foreshore_agent.devices.codecs import reply as replies
from foreshore_agent.devices.mqtt.channel import MqttMessage
from foreshore_agent.devices.mqtt.orders import AnswerRoute, ReplyRoute
from foreshore_agent.devices.mqtt.topics import DeviceRoute
from foreshore_agent.engine import events
from foreshore_api.reasons import telemetry as reasons


def telemetry(
    message: MqttMessage, route: DeviceRoute, at: events.Instant, fresh: str
) -> events.Sample | str:
    """Return the sample that one device's telemetry is, or why it is none.

    What the broker had kept says nothing about now: it is refused before it is read.
    """
    if message.retained:
        return reasons.RETAINED
    try:
        reading = route.decoder.decode(message.payload)
    except payload.PayloadError as error:
        return error.reason
    if not (reading.values or reading.refused):
        return reasons.NO_PROPERTY
    return events.Sample(
        at=at,
        fresh=fresh,
        device=route.device,
        values=reading.values,
        refused=reading.refused,
        sampled_at=reading.sampled_at,
        redelivered=message.redelivered,
    )


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
    except payload.PayloadError as error:
        return error.reason
    return events.Replied(at, fresh, route.device, route.action, value)
