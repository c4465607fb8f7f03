"""`play --profile` for a person: a stock device on a broker, and what it says and hears.

Called by the verb; `actor` is the device's own connection.
"""

import asyncio
import signal
import sys
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvloop

from foreshore_agent import clocks
from foreshore_agent.devices.mqtt import connection, credentials
from foreshore_agent.play import actor
from foreshore_agent.play.dialects import registry, speech
from foreshore_api import printable

_PORT: Final = 1883
_WIDTH: Final = 160
"""Characters of a message that are shown."""


class DialogueError(ValueError):
    """What was asked for makes no device; the text says what to change."""


class UnheardActorError(RuntimeError):
    """No broker took anything of the device; the text says why."""


@dataclass(frozen=True, slots=True)
class DialogueRequest:
    """What the person asked for."""

    dialect: str
    name: str | None
    broker: str
    every: float
    settling: float | None
    is_deaf: bool
    zone: str
    credentials: Path | None
    credential: str | None


USAGE_ERRORS: Final = (DialogueError, registry.UnknownDialectError, credentials.CredentialError)


def run(request: DialogueRequest) -> None:
    """Be the device until SIGTERM or Ctrl-C. Raises USAGE_ERRORS, UnheardActorError."""
    row = registry.choose(request.dialect)
    habits = speech.DialectHabits(request.settling, request.is_deaf, _zone(request.zone))
    address = _address(request)
    name = request.name or row.device
    uvloop.run(_play(row.make(name, habits), name, address, request.every))


def show_dialects() -> None:
    """Print the dialects, a row each."""
    rows = [("--profile", "--name", "what it is")]
    rows += [(row.name, row.device, row.about) for row in registry.DIALECTS]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, device, about in rows:
        print(f"{name:<{widths[0]}}  {device:<{widths[1]}}  {about}")  # noqa: T201 - the list


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise DialogueError(f"time zone {name} is not known here") from error


def _address(request: DialogueRequest) -> connection.Address:
    """Read where the broker is. Raises DialogueError, CredentialError."""
    try:
        parts = urllib.parse.urlsplit(f"//{request.broker}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.path or parts.username is not None:
        raise DialogueError(f"--broker {request.broker}: HOST:PORT is needed, as localhost:1883")
    return connection.Address(host, port)


async def _play(
    dialect: speech.PlayedDialect, name: str, address: connection.Address, every: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    where = f"{address.host}:{address.port}"
    clock = clocks.SystemClock()
    device = actor.DialectActor(
        dialect, address, clock, _overheard(clock), _connection_changed(name, where, stop)
    )
    running = asyncio.create_task(device.run("play", every), name="device")
    waiting = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    problem = device.problem
    stop.set()
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    print(f"{printable.clean(name)}: {device.published} messages published")  # noqa: T201 - the summary
    if not device.published:
        why = f": {problem}" if problem else ""
        raise UnheardActorError(f"nothing of {name} was published: no session with {where}{why}")


def _overheard(clock: clocks.Clock) -> actor.Overheard:
    def show(is_own: bool, topic: str, body: bytes) -> None:  # noqa: FBT001 - a callback
        verb = "says " if is_own else "hears"
        text = body[:_WIDTH].decode("utf-8", "replace") + ("…" if len(body) > _WIDTH else "")
        time = clock.now().astimezone().strftime("%H:%M:%S")
        print(printable.clean(f"{time} {verb} {topic}  {text}"), flush=True)  # noqa: T201 - the show

    return show


def _connection_changed(name: str, where: str, stop: asyncio.Event) -> Callable[[bool], None]:
    def changed(is_up: bool) -> None:  # noqa: FBT001 - a callback
        if is_up or not stop.is_set():
            line = f"{name}: {'connected to' if is_up else 'lost'} the broker at {where}"
            print(printable.clean(line), file=sys.stderr, flush=True)  # noqa: T201 - progress

    return changed
