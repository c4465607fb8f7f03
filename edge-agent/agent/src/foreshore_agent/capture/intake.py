"""What the engine takes of what devices say, as rows of a recording; pure.

    sample ──engine──► readings that are new ──► a row: values, and why there is none
             └─ nothing new (late, twice, kept by the broker): no row, counted

It is the engine of `run`, with devices and no policy: so a row holds what a policy would have been
given, no more and no less. A row's time is that of the receipt, from which ages and windows count:
the wall clock of the beginning, and from there on the clock that no one sets. With `device_times`
it is the device's own, where it says one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from foreshore_agent.capture import columns
from foreshore_agent.devices.codecs import leaf
from foreshore_agent.engine import effects, events, state, step
from foreshore_agent.engine.events import Key
from foreshore_agent.play import marks
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment, metrics
from foreshore_decision.chain import facts
from foreshore_decision.record import render

NODE: Final = "capture"
"""Name of the node in the broker's log, too: the beginning of the client's identifier."""
_RESOLUTION: Final = timedelta(microseconds=1)


class CapturedCell(NamedTuple):
    """What one cell of a row says."""

    column: str
    refused: str | None
    """Why it holds no value."""
    is_exact: bool
    """Whether the value reads back as it was."""


class CapturedRow(NamedTuple):
    """One line of the file, and what is counted of it."""

    time: datetime
    line: bytes
    cells: tuple[CapturedCell, ...]
    is_kept: bool
    """Whether the broker had kept what it says."""
    has_device_time: bool


class CaptureGap(NamedTuple):
    """A time in which nothing was heard, because the broker was away."""

    begin: datetime
    seconds: float


@dataclass(slots=True)
class CaptureTally:
    """What happened so far; nothing in it grows with the number of rows, but for counts."""

    rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    above: datetime | None = None
    """Time of the row above the next one, which may have stood in the file already."""
    kept: int = 0
    """Rows of words that the broker had kept."""
    earlier: int = 0
    """Rows that are dated before the row above, by the device's own times."""
    device_times: int = 0
    """Rows with the device's own time."""
    inexact: int = 0
    """Texts that a recording does not give back as they were."""
    cells: Counter[str] = field(default_factory=Counter)
    """Values by column."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Values that were refused, by column and reason."""
    results: Counter[str] = field(default_factory=Counter)
    """Samples by what the engine made of them."""
    departures: Counter[str] = field(default_factory=Counter)
    """How often each device was said to be gone."""
    gaps: int = 0
    newest: CaptureGap | None = None
    longest: CaptureGap | None = None
    away: float = 0.0
    """Seconds without a broker, once there was one."""
    drift: float = 0.0
    """How many seconds the wall clock was set, at most, in either direction."""

    def add(self, row: CapturedRow) -> None:
        """Count a row that has its place in the file."""
        self.rows += 1
        self.kept += row.is_kept
        self.device_times += row.has_device_time
        self.earlier += self.above is not None and row.time < self.above
        self.first, self.last, self.above = self.first or row.time, row.time, row.time
        for cell in row.cells:
            if cell.refused is None:
                self.cells[cell.column] += 1
                self.inexact += not cell.is_exact
            else:
                self.refused[cell.column, cell.refused] += 1


class RowIntake:
    """Events of the devices in, rows out."""

    def __init__(
        self,
        site: assignment.AssignedSite,
        devices: Sequence[assignment.AssignedDevice],
        arranged: columns.CaptureColumns,
        stamp: tuple[events.Instant, str],
        *,
        after: datetime | None = None,
        device_times: bool = False,
    ) -> None:
        """Begin at a moment, or right after the last row of a file that goes on."""
        at, fresh = stamp
        self.tally: Final = CaptureTally(above=after)
        self._columns: Final = arranged
        self._places: Final = arranged.by_device()
        self._has_device_times: Final = device_times
        self._began: Final = at
        self._latest = after
        self._lost: float | None = None
        """Seconds since boot at which the broker went; None while it is there, or never was."""
        self._was_up = False
        identity = state.Identity(NODE, boot_id="", journal="", agent_version="")
        assigned = assignment.Assignment(node=NODE, site=site, devices=tuple(devices))
        self._engine = step.step(state.start(identity), events.Assigned(at, fresh, assigned)).value

    def take(self, event: events.Event) -> CapturedRow | None:
        """Take what devices said, or that the connection came or went; return the row of it."""
        before = self._engine
        self._engine, done = step.step(before, event)
        match event:
            case events.TelemetryChanged():
                self._connection(event)
            case events.Availability(is_online=False):
                self.tally.departures[str(event.device)] += 1
            case events.Sample():
                self._count(done)
                return self._row(event, before)
            case _:
                pass
        return None

    def _row(self, sample: events.Sample, before: state.State) -> CapturedRow | None:
        """Return the row of what is new in the readings of a device."""
        device = self._engine.devices.get(sample.device)
        if device is None:
            return None
        old = before.devices[sample.device].readings
        new = {
            name: reading
            for name, reading in device.readings.items()
            if reading is not old.get(name) and (name in sample.values or name in sample.refused)
        }
        if not new:
            return None
        stamps = [sample.sampled_at[name] for name in new if name in sample.sampled_at]
        has_device_time = self._has_device_times and bool(stamps)
        time = max(stamps).astimezone(UTC) if has_device_time else self._received(sample.at)
        line = self._line(sample.device, new, time)
        if not columns.is_readable(line):
            new = {name: _shortened(reading) for name, reading in new.items()}
            line = self._line(sample.device, new, time)
        counted = tuple(self._cells(sample.device, new))
        return CapturedRow(time, line, counted, sample.retained, has_device_time)

    def _line(self, device: Key, readings: Mapping[str, facts.Reading], time: datetime) -> bytes:
        row = [""] * len(self._columns.columns)
        for name, reading in readings.items():
            row[self._places[device][name]] = _cell(reading)
        return columns.line([render.stamp(time), *row])

    def _cells(self, device: Key, readings: Mapping[str, facts.Reading]) -> Iterator[CapturedCell]:
        for name, reading in readings.items():
            column = self._columns.columns[self._places[device][name]].name
            is_exact = not isinstance(reading.value, str) or marks.is_exact(reading.value)
            yield CapturedCell(column, _problem(reading), is_exact)

    def _received(self, at: events.Instant) -> datetime:
        """Return the time of a receipt; no two are equal, so that order is theirs.

        A rehearsal takes a second sample of one time for the first one, come twice.
        """
        moment = self._moment(at)
        if self._latest is not None:
            moment = max(moment, self._latest + _RESOLUTION)
        self._latest = moment
        return moment

    def _moment(self, at: events.Instant) -> datetime:
        """Return when something was, by the wall clock of the beginning."""
        moment = self._began.now + timedelta(seconds=at.boot - self._began.boot)
        drift = (at.now - moment).total_seconds()
        if abs(drift) > abs(self.tally.drift):
            self.tally.drift = drift
        return moment

    def _count(self, done: Sequence[effects.Effect]) -> None:
        for effect in done:
            if isinstance(effect, effects.Count) and effect.metric == metrics.TELEMETRY.name:
                self.tally.results[effect.labels[0]] += effect.amount

    def _connection(self, event: events.TelemetryChanged) -> None:
        if not event.connected:
            if self._was_up and self._lost is None:
                self._lost = event.at.boot
            return
        self._was_up = True
        self.close(event.at)

    def close(self, at: events.Instant) -> None:
        """End the gap in which nothing is heard, if there is one."""
        if self._lost is None:
            return
        seconds, self._lost = at.boot - self._lost, None
        gap = CaptureGap(self._moment(at) - timedelta(seconds=seconds), seconds)
        self.tally.gaps += 1
        self.tally.newest = gap
        self.tally.away += seconds
        longest = self.tally.longest
        if longest is None or seconds > longest.seconds:
            self.tally.longest = gap


def _cell(reading: facts.Reading) -> str:
    problem = _problem(reading)
    if problem is not None or reading.value is None:
        return marks.refused(problem or telemetry.NULL)
    if isinstance(reading.value, str):
        return marks.written(reading.value)
    return leaf.spelled(reading.value) or repr(reading.value)


def _problem(reading: facts.Reading) -> str | None:
    return None if reading.problem is None else str(reading.problem)


def _shortened(reading: facts.Reading) -> facts.Reading:
    """Return a reading of a row that is longer than a reader takes: without its text."""
    if not isinstance(reading.value, str):
        return reading
    return reading._replace(value=None, problem=str(telemetry.TOO_LONG))
