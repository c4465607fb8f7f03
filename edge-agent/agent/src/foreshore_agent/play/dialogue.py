"""`play --profile` for a person: a stock device on a broker, and what it says and hears.

Called by the verb; `actor` is the device's own connection.
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvloop

from foreshore_agent import clocks
from foreshore_agent.devices.mqtt import connection, credentials
from foreshore_agent.play import actor
from foreshore_agent.play.dialects import registry, speech
from foreshore_api import addresses, printable

_LOGIN: Final = "login"
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
    is_optimistic: bool
    zone: str
    credentials: Path | None
    credential: str | None
    username: str | None = None
    password: Path | None = None
    """File with the password."""


USAGE_ERRORS: Final = (DialogueError, registry.UnknownDialectError, credentials.CredentialError)


def run(request: DialogueRequest) -> None:
    """Be the device until SIGTERM or Ctrl-C. Raises USAGE_ERRORS, UnheardActorError."""
    row = registry.choose(request.dialect)
    habits = speech.DialectHabits(
        request.settling, request.is_deaf, request.is_optimistic, _zone(request.zone)
    )
    name = request.name or row.device
    with _shown(request) as (folder, credential):
        address = _address(request.broker, folder, credential)
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


@contextlib.contextmanager
def _shown(request: DialogueRequest) -> Iterator[tuple[Path | None, str | None]]:
    """Provide the folder of credentials, and which of them is shown to the broker.

    Raises:
        DialogueError: what was asked for does not go together.
    """
    if request.username is None:
        if request.password is not None:
            raise DialogueError("--password-file needs --username")
        yield request.credentials, request.credential
        return
    if request.credential is not None:
        raise DialogueError("--username and --credential exclude each other")
    if request.password is not None and not request.password.is_file():
        raise DialogueError(f"--password-file {request.password} is no file")
    with tempfile.TemporaryDirectory(prefix="foreshore-play-") as folder:
        place = Path(folder) / _LOGIN
        place.mkdir()
        (place / "username").write_text(request.username)
        if request.password is not None:
            (place / "password").symlink_to(request.password.resolve())
        yield Path(folder), _LOGIN


def _address(broker: str, folder: Path | None, credential: str | None) -> connection.Address:
    """Read where the broker is. Raises DialogueError, CredentialError.

    TLS is spoken where the credential holds the CA of the broker.
    """
    try:
        host, port = addresses.split(broker)
        addresses.dialled(host)
    except ValueError as error:
        message = f"--broker {broker}: HOST:PORT is needed, as localhost:1883 or [::1]:1883"
        raise DialogueError(message) from error
    is_tls = folder is not None and (folder / (credential or "") / "ca.crt").is_file()
    if credential is not None:
        credentials.read(folder, credential, is_tls=is_tls)  # a mistake is said now
    return connection.Address(
        host, port, credential=credential, credentials=folder, is_plain=not is_tls
    )


async def _play(
    dialect: speech.PlayedDialect, name: str, address: connection.Address, every: float
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    where = addresses.joined(address.host, address.port)
    _say(f"{name}: looking for the broker at {where}")
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
            _say(f"{name}: {'connected to' if is_up else 'lost'} the broker at {where}")

    return changed


def _say(line: str) -> None:
    print(printable.clean(line), file=sys.stderr, flush=True)  # noqa: T201 - progress
