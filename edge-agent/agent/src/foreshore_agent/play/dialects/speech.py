"""What a played dialect is, whoever carries its messages; pure.

    rise ──► birth, first report            tick ──► what it measures, again and again
    a command ──take──► what it says at once ──(settling time)──► settle ──► what has changed

A dialect is written from the documentation of its maker, never from the profiles of this
repository: else the two would agree with each other and not with a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import orjson

_ZONE: Final = ZoneInfo("Europe/Brussels")
LONGEST: Final = 1 << 16
"""Bytes of a message that a played device reads."""


class SpokenMessage(NamedTuple):
    """A message that a played device publishes."""

    topic: str
    body: bytes
    is_retained: bool = False


class DialectReaction(NamedTuple):
    """What a played device does about a message."""

    messages: tuple[SpokenMessage, ...] = ()
    """Published at once."""
    settles_in: float | None = None
    """Seconds until it has followed; None where there is nothing to follow."""


@dataclass(frozen=True, slots=True)
class DialectHabits:
    """What a person may choose about a played device."""

    settling: float | None = None
    """Seconds from a command to its echo. Absent: as the dialect has it."""
    is_deaf: bool = False
    """Whether it hears commands and follows none, as one that is out of reach."""
    is_optimistic: bool = False
    """Whether a bridge reports what was ordered at once, before the device has followed."""
    zone: ZoneInfo = _ZONE
    """The time zone of a device that writes local times."""

    def follow(self, seconds: float) -> DialectReaction:
        """Return the reaction to a command that a device follows within so many seconds."""
        if self.is_deaf:
            return DialectReaction()
        return DialectReaction(
            settles_in=seconds if self.settling is None else self.settling,
        )


class PlayedDialect(Protocol):
    """One device in its maker's dialect; the clock and the network are its caller's."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Topic filters that it listens on."""
        ...

    @property
    def will(self) -> SpokenMessage | None:
        """What the broker says when it goes without a word."""
        ...

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """Return what it says when it has connected."""
        ...

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take a message that it hears."""
        ...

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Follow what it was told last, and return what it says of it."""
        ...

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Let some time pass, and return what it says then."""
        ...


class UntoldDialect:
    """What a device does about commands that takes none: nothing."""

    heard: tuple[str, ...] = ()

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Do nothing."""
        del topic, body, now
        return DialectReaction()

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Say nothing."""
        del now
        return ()


def document(topic: str, content: Any, *, is_retained: bool = False) -> SpokenMessage:
    """Return a message that is a JSON document."""
    return SpokenMessage(topic, orjson.dumps(content), is_retained)


def bare(topic: str, value: str, *, is_retained: bool = False) -> SpokenMessage:
    """Return a message that is a bare value."""
    return SpokenMessage(topic, value.encode(), is_retained)


def read_document(body: bytes) -> Any:
    """Return what a JSON document says; None where it is none, or too large."""
    if len(body) > LONGEST:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def read_word(body: bytes) -> str:
    """Return a bare word without the blanks around it; empty where it is none."""
    return body[:64].decode("utf-8", "replace").strip()


def switched(word: object, *, is_on: bool) -> bool | None:
    """Return what a relay is told by a word, as most devices read it; None where it is nothing.

    Args:
        word: `on`, `off` or `toggle`, capitals or not; 1 and 0, true and false.
        is_on: what it is now.
    """
    match str(word).lower():
        case "on" | "1" | "true":
            return True
        case "off" | "0" | "false":
            return False
        case "toggle" | "2":
            return not is_on
    return None


def milliseconds(now: datetime) -> int:
    """Return a time as milliseconds of Unix time."""
    return int(now.timestamp() * 1000)
