"""The dialects of commands, one row each; whoever carries bytes to a device asks for its row.

Another dialect is a module with its functions and a row here.
"""

from collections.abc import Callable
from typing import NamedTuple

from foreshore_agent.devices.codecs import envelope
from foreshore_agent.engine import effects
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command


class CommandCodec(NamedTuple):
    """How commands and advice are written, and how a device's answer is read."""

    name: str
    fits: Callable[[deviceprofile.DeviceProfileSpec], bool]
    """Whether devices of a profile speak it."""
    encode: Callable[[effects.SendCommand], bytes]
    advice: Callable[[effects.Advise], bytes]
    acknowledgement: Callable[[bytes], command.Acknowledgement | str]
    """Reads a device's answer, or says why it is none."""


CODECS: tuple[CommandCodec, ...] = (
    CommandCodec(
        "Envelope",
        fits=lambda _: True,
        encode=envelope.encode,
        advice=envelope.advice,
        acknowledgement=envelope.acknowledgement,
    ),
)
"""The first that fits a profile is its devices'; the last fits every profile."""


def choose(profile: deviceprofile.DeviceProfileSpec) -> CommandCodec:
    """Return the dialect of a profile's devices."""
    return next(codec for codec in CODECS if codec.fits(profile))
