"""Windows of samples: the last values of a model's columns on a fixed grid of time.

Pure, persistent and bounded: a grid holds `steps` × columns, whatever the rate.

A model over a window (an LSTM, a 1-D CNN, an autoencoder) was trained on samples of one distance,
`every`. Devices keep no such distance: they jitter, report twice, lose a message. So time is cut
into slots of `every`, anchored at the first sample, and each value counts in the slot that is
nearest to it:

    slot = floor((t - origin) / every + 1/2)

    slot       0     1     2     3     4     5
    values     a     b     ·     c d   e     f
    grid       a     b     b     d     e     f

* Jitter below half of `every` around the grid moves no value into another slot; half of it is the
  next slot, to the resolution of times.
* What comes faster counts once: the newest value of a slot.
* A slot without a value holds the one before it, as long as two values lie no further apart than
  twice `every`. A longer gap voids what the column had: it starts anew. Where no column has
  anything left, the grid is anchored anew at the next value.
* A window is full when the `steps` slots up to the newest have a value of every column, and no
  column's newest value is older than twice `every`.

Training makes the same of a recording, with pandas:

    frame.resample(every, origin=frame.index[0] - every / 2).last().ffill(limit=1)

of which the windows without a missing value (`dropna`) are those that a model learns. Pandas fills
by slots, this by time as well, so that a full window here is one there; where a filled gap lies
between two and three times `every`, this waits and pandas does not.

Gaps of a connection and pauses of the agent follow the same rule: only the time between two values
counts. Values that were refused or are void add nothing; a window is of what was believed.
"""

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from foreshore_decision.instant import RESOLUTION, is_beyond

Sample = float | str
"""A value as a window keeps it: as measured, a Boolean as 0 or 1, before any preprocessing."""

GAP: Final = 2.0
"""Distances of the grid that may lie between two values of a column without voiding it."""


class SampledColumn(NamedTuple):
    """The values of one column since its newest gap."""

    at: float
    """Engine seconds of the newest value."""
    slot: int
    """The slot that it is in."""
    values: tuple[Sample, ...]
    """One for each slot up to that, the oldest first; a slot without a value has the one before."""
    gap: float = 0.0
    """Seconds without a value before the first of them, which voided what was there; 0: none."""


class SampleGrid(NamedTuple):
    """The window of samples of one tensor; `every` in seconds."""

    steps: int
    every: float
    columns: tuple[SampledColumn | None, ...]
    """None where nothing has come yet."""
    origin: float = 0.0
    """Engine seconds of the middle of slot 0."""


class SampledWindow(NamedTuple):
    """What a grid comes to at one moment."""

    samples: int
    """Steps that are there of the column that has the fewest."""
    column: int
    """That column: the first of them."""
    seconds: float
    """For how long samples must go on coming until it is full; 0: it is."""
    rows: tuple[tuple[Sample, ...], ...] = ()
    """A value of each column for each step, the oldest step first; none before it is full."""
    digest: str = ""
    """Fingerprint of the rows, once it is worked out; a record may hold this alone."""
    gap: float = 0.0
    """Seconds without a value of that column which voided what it had, so that it is not full."""

    @property
    def is_full(self) -> bool:
        """Whether the model can be asked with it."""
        return not self.seconds


def empty(steps: int, every: float, width: int) -> SampleGrid:
    """Return the grid of `width` columns that nothing has come for."""
    return SampleGrid(steps, every, (None,) * width)


def add(grid: SampleGrid, at: float, values: Mapping[int, Sample]) -> SampleGrid:
    """Take in values of one moment, by column, in the order of time.

    A value that is older than its column's newest is refused.

    Raises:
        ValueError: a number is not finite.
    """
    for value in values.values():
        if not (isinstance(value, str) or math.isfinite(value)):
            raise ValueError(f"a window takes finite numbers, not {value}")
    if all(column is None or _is_void(grid, column, at) for column in grid.columns):
        grid = grid._replace(origin=at)
    slot = math.floor((at - grid.origin + RESOLUTION) / grid.every + 0.5)
    columns = list(grid.columns)
    for index, value in values.items():
        columns[index] = _with_value(grid, columns[index], at, slot, value)
    return grid._replace(columns=tuple(columns))


def _with_value(
    grid: SampleGrid, column: SampledColumn | None, at: float, slot: int, value: Sample
) -> SampledColumn:
    if column is None:
        return SampledColumn(at, slot, (value,))
    if _is_void(grid, column, at):
        return SampledColumn(at, slot, (value,), at - column.at)
    if at < column.at:
        return column
    if slot == column.slot:
        return column._replace(at=at, values=(*column.values[:-1], value))
    held = column.values[-1:] * (slot - column.slot - 1)
    values = (*column.values, *held, value)[-grid.steps :]
    return SampledColumn(at, slot, values, column.gap)


def _is_void(grid: SampleGrid, column: SampledColumn, now: float) -> bool:
    """Whether a gap is longer than may be filled, to the resolution of times."""
    return is_beyond(column.at, GAP * grid.every, now)


def look(grid: SampleGrid, now: float) -> SampledWindow:
    """Return what the window is now: full, with its rows, or how far it has come."""
    live = [
        None if column is None or _is_void(grid, column, now) else column for column in grid.columns
    ]
    newest = max((column.slot for column in live if column is not None), default=0)
    there = [_steps(grid, column, newest) for column in live]
    samples = min(there)
    if samples < grid.steps:
        missing, index = (grid.steps - samples) * grid.every, there.index(samples)
        gap = _gap(grid, grid.columns[index], now)
        return SampledWindow(samples, index, max(missing, RESOLUTION), gap=gap)
    filled = [_until(column, newest, grid.steps) for column in live if column is not None]
    return SampledWindow(samples, 0, 0.0, tuple(zip(*filled, strict=True)))


def _gap(grid: SampleGrid, column: SampledColumn | None, now: float) -> float:
    if column is None:
        return 0.0
    return now - column.at if _is_void(grid, column, now) else column.gap


def _steps(grid: SampleGrid, column: SampledColumn | None, newest: int) -> int:
    """Return how many of the steps up to the newest slot a column has, without a missing one."""
    if column is None or column.slot < newest - 1:
        return 0
    return min(grid.steps, len(column.values) + newest - column.slot)


def _until(column: SampledColumn, newest: int, steps: int) -> tuple[Sample, ...]:
    """Return a column's values up to the newest slot, where it may hold the one before."""
    held = column.values[-1:] * (newest - column.slot)
    return (*column.values, *held)[-steps:]


def fingerprinted(window: SampledWindow) -> SampledWindow:
    """Return a window with its digest, so that whoever asks for that does not go through it again.

    Of the longest window it takes milliseconds.
    """
    return window._replace(digest=fingerprint(window))


def fingerprint(window: SampledWindow) -> str:
    """Return a short text that is the same for the same rows, to the last bit, in every release.

    Empty for a window that is not full.
    """
    if window.digest or not window.rows:
        return window.digest
    values = [value for row in window.rows for value in row]
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) == len(values):
        body = struct.pack(f"<{len(numbers)}d", *numbers)
    else:
        body = b"".join(map(_bytes, values))
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def _bytes(value: Sample) -> bytes:
    if isinstance(value, str):
        body = value.encode("utf-8", "surrogatepass")
        return b"t" + struct.pack("<I", len(body)) + body
    return struct.pack("<d", value)
