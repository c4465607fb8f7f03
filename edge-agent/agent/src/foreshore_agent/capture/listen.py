"""A capture from beginning to end: the broker's messages through the engine into the file.

    broker ──MqttDevices──► intake ──► lines that wait ──every quarter of a second──► output

The connection is the one on which an agent hears its devices, by the same code, with the same
bounds; it has no other, and nothing is ever published on it. Lines are written in a thread: while a
disk or a reader is slow, messages wait where an agent's do, and give way as they do, counted.
"""

import asyncio
import logging
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foreshore_agent import clocks, refusals
from foreshore_agent.capture import columns, intake
from foreshore_agent.capture import file as files
from foreshore_agent.devices.mqtt import broker, devices
from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment
from foreshore_decision.record import render

_LOG: Final = logging.getLogger(__name__)
WRITE_SECONDS: Final = 0.25
"""A row waits so long for others to be written with it: no longer than a second even on a slow
machine."""
SYNC_SECONDS: Final = 10.0
"""A power cut costs the rows of so many seconds, and of what the disk itself holds back."""
LOOK_SECONDS: Final = 10.0
"""Between two words on how far it is."""
_BATCH: Final = 256
"""Messages that are read before the event loop sees to others, and to what is to be written."""


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """When a capture ends by itself."""

    seconds: float
    size: int
    """Bytes of the file."""
    rows: int | None = None
    """Rows of the file, with those that stood there already."""
    duration: str = ""
    """The seconds, as a person wrote them."""

    def is_full(self, rows: int, size: int) -> bool:
        """Whether a file may have no more."""
        return size >= self.size or (self.rows is not None and rows >= self.rows)


@dataclass(frozen=True, slots=True)
class CaptureSubject:
    """What is captured."""

    site: assignment.AssignedSite
    devices: tuple[assignment.AssignedDevice, ...]
    """The rehearsed one first."""
    columns: columns.CaptureColumns
    credentials: Path | None
    has_device_times: bool = False


@dataclass(slots=True)
class Captured:
    """How a capture stands, or how it went."""

    tally: intake.CaptureTally
    rows: int
    """Rows of the file."""
    size: int
    """Bytes of the file."""
    lost: int = 0
    """Rows that could not be written."""
    messages: Counter[str] = field(default_factory=Counter)
    """Messages and values that were refused before the engine, by reason."""
    is_full: bool = False
    """Whether the file has all that it may have."""
    ended: str = ""
    """Why it ended, for people."""
    failure: str = ""
    """Why it could not go on; empty where it ended well."""
    was_connected: bool = False
    problem: str | None = None
    """Why the broker is not connected."""
    denied: tuple[str, ...] = ()
    """What the broker does not let us hear."""


class Capture:
    """One run; `run` it once."""

    def __init__(
        self,
        subject: CaptureSubject,
        output: files.CaptureOutput,
        limits: CaptureLimits,
        clock: clocks.Clock,
        look: Callable[[Captured], None],
    ) -> None:
        """Prepare one; `look` is called now and then."""
        self._output: Final = output
        self._limits: Final = limits
        self._clock: Final = clock
        self._look: Final = look
        self._news: Final = asyncio.Event()
        self._pending: Final = bytearray()
        self._pending_rows = 0
        stamp = events.EventStamp(clock.instant, clock.identity)
        self._intake: Final = intake.RowIntake(
            subject.site,
            subject.devices,
            subject.columns,
            stamp(),
            after=output.continued.last,
            device_times=subject.has_device_times,
        )
        self.captured: Final = Captured(self._intake.tally, output.continued.rows, output.size)
        refused = refusals.Refusals(self._refuse)
        mqtt = broker.SiteBroker(intake.NODE, refused, clock.instant, has_control=False)
        self._devices: Final = devices.MqttDevices(
            mqtt, subject.credentials, stamp, self._take, refused, self._news.set
        )
        windowed = [Key(device.namespace, device.name) for device in subject.devices]
        self._devices.assign(subject.site, subject.devices, windowed)  # no message is passed over

    async def run(self) -> Captured:
        """Capture until a limit, SIGTERM or SIGINT, or until nothing can be written any more."""
        loop, captured = asyncio.get_running_loop(), self.captured
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end, "it was asked to end")
        ending = loop.call_later(self._limits.seconds, self._end, "its time was over")
        listening = asyncio.create_task(self._devices.run(), name="broker")
        try:
            await self._write_rows(listening)
        except files.CaptureWriteError as error:
            captured.rows, captured.size = captured.rows - self._pending_rows, self._output.size
            captured.lost = self._pending_rows
            captured.failure = f"{error.filename}: {error.strerror}"
            captured.ended = "nothing more could be written"
        finally:
            ending.cancel()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(name)
        self._intake.close(self._clock.instant())
        return captured

    async def _write_rows(self, listening: asyncio.Task[None]) -> None:
        """Take what comes and write it until the end. Raises CaptureWriteError."""
        loop = asyncio.get_running_loop()
        written = synced = looked = loop.time()
        while not self.captured.ended:
            self._check(listening)
            await self._wait(WRITE_SECONDS)
            for sample in self._devices.measured(_BATCH):
                self._take(sample)
            now = loop.time()
            if self._pending and now - written >= WRITE_SECONDS:
                await self._flush()
                written = now
            if now - synced >= SYNC_SECONDS:
                await asyncio.to_thread(self._output.sync)
                synced = now
            if now - looked >= LOOK_SECONDS:
                self._note()
                self._look(self.captured)
                looked = now
        self._note()
        await self._flush()
        await asyncio.to_thread(self._output.sync)

    def _check(self, listening: asyncio.Task[None]) -> None:
        """Raise what ended the connection's upkeep, which nothing should."""
        if listening.done():
            listening.result()
            raise RuntimeError("nobody listens any more")

    async def _wait(self, seconds: float) -> None:
        """Wait for messages, at most so many seconds; where some wait, let others run meanwhile."""
        if self._devices.has_measured:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    async def _flush(self) -> None:
        """Write what waits. Raises CaptureWriteError."""
        if not self._pending:
            return
        lines, rows = bytes(self._pending), self._pending_rows
        await asyncio.to_thread(self._output.append, lines)
        del self._pending[: len(lines)]  # a connection that came back may have brought more
        self._pending_rows -= rows

    def _take(self, event: events.Event) -> None:
        """Take what came, unless the end has come before it."""
        if self.captured.ended:
            return
        gap = self._intake.tally.newest
        row = self._intake.take(event)
        if row is not None:
            self._add(row)
        newest = self._intake.tally.newest
        if newest is not None and newest is not gap:
            begin = render.stamp(newest.begin)
            _LOG.warning("the broker is back: a gap of %.1f s from %s", newest.seconds, begin)

    def _add(self, row: intake.CapturedRow) -> None:
        captured, limits = self.captured, self._limits
        if captured.size + len(row.line) > limits.size:
            captured.is_full = True
            self._end(f"one row more is beyond the {limits.size} bytes that it may have")
            return
        self._intake.tally.add(row)
        self._pending.extend(row.line)
        self._pending_rows += 1
        captured.size += len(row.line)
        captured.rows += 1
        captured.is_full = limits.is_full(captured.rows, captured.size)
        if captured.is_full:
            self._end("it has all the rows or bytes that it may have")

    def _end(self, why: str) -> None:
        self.captured.ended = self.captured.ended or why
        self._output.stop()
        self._news.set()

    def _note(self) -> None:
        """Note how the connection stands."""
        captured = self.captured
        captured.was_connected = captured.was_connected or self._devices.is_connected
        captured.problem, captured.denied = self._devices.problem, self._devices.denied

    def _refuse(self, reason: str) -> None:
        self.captured.messages[reason] += 1
