"""`play` for a person: the run, its progress and its summary; called by the verb."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import uvloop
from rich import console, progress

from foreshore_agent import clocks, inspection
from foreshore_agent.devices.mqtt import connection, credentials
from foreshore_agent.play import coverage, notices, player, recording, stage
from foreshore_agent.play import device as played_device
from foreshore_api import addresses, printable
from foreshore_decision import resources

USAGE_ERRORS: Final = (
    stage.StageError,
    recording.RecordingError,
    credentials.CredentialError,
)
_LINE_SECONDS: Final = 10.0
"""Between two lines of progress where there is no terminal."""
_QUIET_SECONDS: Final = 1.0
"""After the last row: no command for so long means that none will come."""


class UnheardError(RuntimeError):
    """Nobody heard anything of the device; the text says why."""


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What the person asked for."""

    resources: Path
    device: str
    csv: Path
    mapped: tuple[str, ...]
    rate: float
    credentials: Path | None
    credential: str | None
    log: Path | None
    is_looped: bool
    has_row_names: bool = False
    """Whether the recording's first column has no name in its header."""


def run(request: PlayRequest) -> None:
    """Play until the recording ends, or SIGTERM. Raises USAGE_ERRORS, UnheardError, OSError."""
    reading = stage.read(request.resources)
    notices.say(map(inspection.line, inspection.inspect(reading)))
    played = stage.choose(reading, request.resources, request.device)
    mapped = recording.mapping(request.mapped)
    progress = notices.ReadingProgress(request.csv)
    rows = recording.read(
        request.csv,
        played.profile.properties,
        recording.Wanted(mapped, has_row_names=request.has_row_names),
        played.zone,
        progress=progress,
    )
    notices.say((*rows.notes, *_uncovered(reading, played, rows)))
    notices.echo(rows, played.zone)
    address = connection.Address.of(played.site.spec.broker, request.credentials)
    if request.credential is not None:
        address = replace(address, credential=request.credential)
    if address.credential is not None:  # a missing one is said now, not at every attempt
        credentials.read(address.credentials, address.credential, is_tls=address.is_tls)
    log = played_device.DeviceLog(request.log)
    try:
        uvloop.run(_play(request, played, rows, address, log))
    finally:
        log.close()


def _uncovered(
    reading: resources.FolderReading, played: stage.PlayedStage, rows: recording.Recording
) -> Iterator[str]:
    """Yield what the policies of the folder will miss."""
    policies = coverage.policies_of(played.device, reading.resources)
    reported = coverage.reported(played.profile, rows.columns)
    reported |= coverage.elsewhere(played.device, policies)  # others report it meanwhile
    yield from coverage.untriggered(played.device, policies, reported, rows.header)
    yield from coverage.unfed(played.device, policies, reported, rows.header)
    yield from coverage.defaulted(played.device, policies, reported)


async def _play(
    request: PlayRequest,
    played: stage.PlayedStage,
    rows: recording.Recording,
    address: connection.Address,
    log: played_device.DeviceLog,
) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    clock = clocks.SystemClock()
    device = player.Player(
        played, clock, address, log, _connection_changed(request.device, address, stop)
    )
    log.write("Started", clock.now(), device=request.device, rows=rows.rows)
    keeping = asyncio.create_task(device.run(), name="device")
    telling = asyncio.create_task(_tell(device, rows, request, stop), name="rows")
    await asyncio.wait((keeping, telling), return_when=asyncio.FIRST_COMPLETED)
    stop.set()  # from here on a lost broker is no news
    keeping.cancel()
    await asyncio.gather(keeping, telling, return_exceptions=True)
    log.write("Stopped", clock.now(), **_facts(device.played.tally))
    _summarise(request.device, device.played.tally)
    if not telling.cancelled() and (error := telling.exception()) is not None:
        raise error
    if not device.played.tally.published:
        raise UnheardError(f"nothing of {request.device} was published: {_away(device, address)}")


async def _tell(
    device: player.Player, rows: recording.Recording, request: PlayRequest, stop: asyncio.Event
) -> None:
    """Publish the rows at their rate, once connected; while nobody hears, rows are lost."""
    while not device.is_connected:
        if await _stopped(stop, 0.05):
            return
    period, started, count = 1.0 / request.rate, time.monotonic(), 0
    with _Progress(request, rows) as shown:
        while True:
            for row in rows:
                due = started + count * period - time.monotonic()
                if await _stopped(stop, due):
                    return
                await device.room()
                device.say(row.message)
                count += 1
                shown.show(row.number, device)
            if not request.is_looped:
                await _settled(device, stop)
                return


def _place(address: connection.Address) -> str:
    return addresses.joined(address.host, address.port)


def _away(device: player.Player, address: connection.Address) -> str:
    why = f": {device.problem}" if device.problem else ""
    return f"the broker at {_place(address)} was not reached{why}"


async def _settled(device: player.Player, stop: asyncio.Event) -> None:
    """Give the last rows' commands time to come and to be done."""
    quiet_since = time.monotonic()
    while not await _stopped(stop, 0.05) and time.monotonic() - quiet_since < _QUIET_SECONDS:
        if device.is_settling:
            quiet_since = time.monotonic()


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until told to stop; whether it was."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, seconds))
    return stop.is_set()


class _Progress:
    """A live line on a terminal, a plain one now and then elsewhere; both on standard error."""

    def __init__(self, request: PlayRequest, rows: recording.Recording) -> None:
        self._name = request.device
        self._total = rows.rows
        self._shown_at = time.monotonic()
        output = console.Console(stderr=True)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[state]}", markup=False),
            console=output,
            disable=not output.is_terminal,
        )
        self._task = self._bar.add_task(self._name, total=self._total, state="")

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, row: int, device: player.Player) -> None:
        """Say how far it is."""
        state = describe(device)
        if not self._bar.disable:
            self._bar.update(self._task, completed=row, state=state)
        elif time.monotonic() - self._shown_at > _LINE_SECONDS:
            self._shown_at = time.monotonic()
            _say(f"{self._name}: row {row} of {self._total}, {state}")


def describe(device: player.Player) -> str:
    """Say in a few words how the device stands."""
    tally = device.played.tally
    refused = sum(tally.commands.values()) - tally.commands["Accepted"]
    values = " ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in device.played.values.items()
    )
    parts = [
        "" if device.is_connected else "no broker",
        f"the broker {device.denied[0]}" if device.denied else "",
        values,
        f"{tally.commands['Accepted']} commands",
        f"{refused} refused" if refused else "",
    ]
    return printable.clean(", ".join(part for part in parts if part))


def _connection_changed(
    name: str, address: connection.Address, stop: asyncio.Event
) -> Callable[[bool], None]:
    def changed(is_up: bool) -> None:  # noqa: FBT001 - a callback
        where = _place(address)
        if is_up or not stop.is_set():
            _say(f"{name}: {'connected to' if is_up else 'lost'} the broker at {where}")

    return changed


def _facts(tally: played_device.DeviceTally) -> dict[str, object]:
    return {
        "published": tally.published,
        "unsent": tally.unsent,
        "commands": dict(tally.commands),
        "applied": tally.applied,
    }


def _summarise(name: str, tally: played_device.DeviceTally) -> None:
    commands = printable.clean(
        ", ".join(f"{count} {result}" for result, count in sorted(tally.commands.items()))
    )
    lost = f", {tally.unsent} while the broker was away" if tally.unsent else ""
    print(  # noqa: T201 - the summary
        f"{name}: {tally.published} messages published{lost};"
        f" commands: {commands or 'none'}; {tally.applied} done"
    )


def _say(line: str) -> None:
    print(printable.clean(line), file=sys.stderr, flush=True)  # noqa: T201 - progress
