"""The dialects of commands, one row each; whoever carries bytes to a device asks for its row.

Another dialect is a module with its functions and a row here.
"""

from collections.abc import Callable
from typing import NamedTuple

from foreshore_agent.devices.codecs import dialect, envelope
from foreshore_agent.engine import effects
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.v1alpha1.telemetry import Payload
from foreshore_api.wire import command
from foreshore_decision.policy import compiled


class CommandCodec(NamedTuple):
    """How commands and advice are written, and how a device's answer is read."""

    name: str
    fits: Callable[[deviceprofile.DeviceProfileSpec, deviceprofile.Action | None], bool]
    """Whether devices of a profile are told an action so; None: one that is not known here."""
    encode: Callable[[effects.SendCommand, compiled.CompiledMessage | None], bytes]
    """Takes a command and, where the action has a message of its own, how that is made. Raises
    `dialect.MessageError`."""
    advice: Callable[[effects.Advise], bytes]
    acknowledgement: Callable[[bytes], command.Acknowledgement | str]
    """Reads a device's answer to an envelope, or says why it is none."""


CODECS: tuple[CommandCodec, ...] = (
    CommandCodec(
        "JSON",
        fits=lambda _, action: dialect.is_spoken(action, Payload.JSON),
        encode=dialect.document,
        advice=envelope.advice,
        acknowledgement=envelope.acknowledgement,
    ),
    CommandCodec(
        "Text",
        fits=lambda _, action: dialect.is_spoken(action, Payload.TEXT),
        encode=dialect.text,
        advice=envelope.advice,
        acknowledgement=envelope.acknowledgement,
    ),
    CommandCodec(
        "Envelope",
        fits=lambda *_: True,
        encode=envelope.encode,
        advice=envelope.advice,
        acknowledgement=envelope.acknowledgement,
    ),
)
"""The first that fits is the action's; the last fits every one. Advice is always in our own words:
in a device's own it would be a command."""


def choose(
    profile: deviceprofile.DeviceProfileSpec, action: deviceprofile.Action | None = None
) -> CommandCodec:
    """Return the dialect in which devices of a profile are told an action."""
    return next(codec for codec in CODECS if codec.fits(profile, action))
