"""Messages of the site's broker as engine events: pure, called by `broker` for each message.

What cannot be used is no event but a reason code, which the caller counts
(`wire.metrics.TELEMETRY`).
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError

from foreshore_agent.devices.mqtt import payload
from foreshore_agent.devices.mqtt.session import Message
from foreshore_agent.devices.mqtt.topics import Route, Routes, Subject
from foreshore_agent.engine import events
from foreshore_api.wire import beat, command, document

ACCEPTED: Final = "Accepted"
ECHO: Final = "Echo"
"""What this node said itself, or what was said to another."""
RETAINED: Final = "Retained"
ROUTINE: Final = frozenset({ACCEPTED, ECHO, RETAINED})
"""Results that are no news; every other is logged, with its topic."""
_Document = TypeVar("_Document", bound=document.Document)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one message came to: at most one of event and request, and a result to count."""

    result: str
    """`Accepted`, `Retained`, `UnknownTopic`, `Echo`, or a reason of `payload.RefusedError`."""
    event: events.Event | None = None
    request: beat.RenewalRequest | None = None
    """A holder asks for renewal: whoever has the hub passes it on."""


_KINDS: Final[dict[Subject, type[beat.Beat | beat.RenewalRequest | beat.Renewal]]] = {
    Subject.BEAT: beat.Beat,
    Subject.RENEWAL_REQUEST: beat.RenewalRequest,
    Subject.RENEWAL: beat.Renewal,
}


def telemetry(message: Message, route: Route, at: events.Instant, fresh: str) -> Heard:
    """Read telemetry of one device.

    What the broker had kept says nothing about now: it is refused before it is read.
    """
    if message.retained:
        return Heard(RETAINED)
    try:
        reading = route.decoder.decode(message.payload)
    except payload.RefusedError as error:
        return Heard(error.reason)
    sample = events.Sample(
        at=at,
        fresh=fresh,
        device=route.device,
        values=reading.values,
        refused=reading.refused,
        sampled_at=reading.sampled_at,
        redelivered=message.redelivered,
    )
    return Heard(ACCEPTED, sample)


def answer(message: Message, route: Route, at: events.Instant, fresh: str) -> Heard:
    """Read a device's answer to a command."""
    if message.retained:
        return Heard(RETAINED)
    said = _document(message, command.Acknowledgement)
    if isinstance(said, str):
        return Heard(said)
    return Heard(ACCEPTED, events.Acknowledged(at, fresh, route.device, said))


def peer(message: Message, routes: Routes, at: events.Instant, fresh: str) -> Heard:
    """Read what another agent of the site says; what a node says must stand on its own topic."""
    if message.retained:
        return Heard(RETAINED)
    subject, node = _speaker(message.topic, routes.site)
    if subject is None:
        return Heard("UnknownTopic")
    if (node == routes.node) != (subject is Subject.RENEWAL):
        return Heard(ECHO)
    heard = _document(message, _KINDS[subject])
    if isinstance(heard, str):
        return Heard(heard)
    if heard.node != node:
        return Heard("WrongSpeaker")
    if isinstance(heard, beat.Beat):
        return Heard(ACCEPTED, events.PeerBeat(at, fresh, heard))
    if isinstance(heard, beat.Renewal):
        return Heard(ACCEPTED, events.Renewed(at, fresh, heard, relayed=True))
    return Heard(ACCEPTED, request=heard)


def _speaker(topic: str, site: str) -> tuple[Subject | None, str]:
    node = topic.rsplit("/", 1)[-1]
    if topic == beat.beat_topic(site, node):
        return Subject.BEAT, node
    if topic == beat.renew_topic(site, node):
        return Subject.RENEWAL_REQUEST, node
    if topic == beat.renewed_topic(site, node):
        return Subject.RENEWAL, node
    return None, node


def _document(message: Message, kind: type[_Document]) -> _Document | str:
    """Read a wire document within the bounds of any other payload, or say why not."""
    if len(message.payload) > payload.MAXIMUM_BYTES:
        return "TooLarge"
    try:
        return kind.decode(message.payload)
    except ValidationError:
        return "InvalidDocument"
