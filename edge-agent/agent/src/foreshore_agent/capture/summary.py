"""What is said of a capture: before, meanwhile, and at its end; pure."""

from collections.abc import Iterator
from typing import Final

from foreshore_agent import refusals
from foreshore_agent.capture import file as files
from foreshore_agent.capture import intake, listen
from foreshore_agent.devices.mqtt import topics
from foreshore_api import addresses, hints
from foreshore_api.reasons import telemetry
from foreshore_decision.record import render

SHOWN: Final = 8
"""Topics, columns and reasons that are named."""
_DRIFT: Final = 2.0
"""Seconds by which a clock is set that are worth a word."""


def beginning(
    subject: listen.CaptureSubject, output: files.CaptureOutput, limits: listen.CaptureLimits
) -> Iterator[str]:
    """Yield what is about to happen."""
    broker, first = subject.site.spec.broker, subject.devices[0]
    where = addresses.joined(broker.host, broker.port)
    yield f"capturing {first.name} from {where} into {output.name}"
    continued = output.continued
    if continued.cut:
        yield f"{output.name}: a torn last line of {continued.cut} bytes was cut"
    if continued.last is not None:
        last = render.stamp(continued.last)
        yield f"{output.name}: going on after {counted(continued.rows, 'row')}, the last of {last}"
    rows = "" if limits.rows is None else f" or {counted(limits.rows, 'row')}"
    yield f"columns: {', '.join(_columns(subject))}"
    yield f"for {limits.duration} at most{rows} or {_size(limits.size)}; Ctrl-C ends it"


def progress(captured: listen.Captured) -> str:
    """Return how it stands."""
    last = captured.tally.last
    newest = "" if last is None else f", the newest of {render.stamp(last)}"
    away = f"; no broker: {captured.problem}" if captured.problem else ""
    return f"{counted(captured.rows, 'row')}, {_size(captured.size)}{newest}{away}"


def nothing(subject: listen.CaptureSubject, captured: listen.Captured) -> str:
    """Return why there is no row."""
    if captured.denied:
        return _denied(captured)
    if not captured.was_connected:
        return f"the broker was not reached{f': {captured.problem}' if captured.problem else ''}"
    routes = topics.routes(subject.devices)
    heard = f"nothing usable came on {hints.listed(routes.telemetry_filters, SHOWN)}"
    counts = [_explained(reason, count) for reason, count in _results(captured)]
    if counts:
        return f"{heard}; {'; '.join(counts)}"
    return (
        f"{heard}: no message at all; is the device on, are these its topics, and does the broker's"
        " access list let this client hear them?"
    )


def ending(
    subject: listen.CaptureSubject, output: files.CaptureOutput, captured: listen.Captured
) -> Iterator[str]:
    """Yield how it went."""
    tally = captured.tally
    total = f" ({captured.rows} in all)" if captured.rows != tally.rows else ""
    written = counted(tally.rows - captured.lost, "row")
    yield f"{written} into {output.name}{total}, {_size(captured.size)}: {captured.ended}"
    if captured.lost:
        yield f"not written: {counted(captured.lost, 'row')}"
    yield from _times(subject, tally)
    yield from _contents(subject, captured)
    yield from _surroundings(captured)


def _times(subject: listen.CaptureSubject, tally: intake.CaptureTally) -> Iterator[str]:
    if tally.first is None or tally.last is None:
        return
    own = f"the device's own in {counted(tally.device_times, 'row')}, else of receipt"
    what = own if subject.has_device_times else "of receipt"
    yield (f"times ({what}, UTC): {render.stamp(tally.first)} to {render.stamp(tally.last)}")
    if tally.earlier:
        yield f"dated before the row above, as the device says: {counted(tally.earlier, 'row')}"
    if abs(tally.drift) > _DRIFT:
        yield (
            f"the machine's clock was set by {tally.drift:+.1f} s meanwhile: times go on evenly"
            " from the beginning"
        )


def _contents(subject: listen.CaptureSubject, captured: listen.Captured) -> Iterator[str]:
    tally = captured.tally
    values = [f"{name} {tally.cells[name]}" for name in _names(subject) if tally.cells[name]]
    if values:
        yield f"values: {', '.join(values)}"
    silent = [name for name in _names(subject) if not tally.cells[name]]
    if silent and tally.rows:
        yield f"no value of {', '.join(silent)}"
    yield from _refused(tally)
    if tally.kept:
        yield (
            f"what the broker had kept, older than its time by nobody knows how much:"
            f" {counted(tally.kept, 'row')}"
        )
    if tally.inexact:
        yield f"outer blanks, or NUL, which no recording keeps: {counted(tally.inexact, 'text')}"
    results = _results(captured)
    for reason, count in results[:SHOWN]:
        yield f"no row of {_explained(reason, count)}"
    if more := sum(count for _, count in results[SHOWN:]):
        yield f"no row for other reasons: {counted(more, 'time')}"


def _refused(tally: intake.CaptureTally) -> Iterator[str]:
    refused = tally.refused.most_common()
    for (column, reason), count in refused[:SHOWN]:
        yield f"refused of {column}: {_explained(reason, count)}"
    if more := sum(count for _, count in refused[SHOWN:]):
        yield f"refused of other columns, or for other reasons: {counted(more, 'value')}"


def _surroundings(captured: listen.Captured) -> Iterator[str]:
    tally = captured.tally
    if tally.longest is not None:
        begin = render.stamp(tally.longest.begin)
        yield (
            f"the broker was away {counted(tally.gaps, 'time')}, {tally.away:.1f} s in all; longest"
            f" {tally.longest.seconds:.1f} s from {begin}: a rehearsal takes it for a silence"
        )
    for device, count in tally.departures.items():
        times = counted(count, "time")
        yield f"{device} was said to be offline {times}: a rehearsal takes it for a silence"
    if captured.denied:
        yield _denied(captured)


def _results(captured: listen.Captured) -> list[tuple[str, int]]:
    """Return of how many messages and values nothing was taken, by reason; the most first."""
    counts = captured.messages + captured.tally.results
    for (_, reason), count in captured.tally.refused.items():
        counts[reason] -= count  # it stands in its cell
    counts[telemetry.ACCEPTED] = 0
    return (+counts).most_common()


def _denied(captured: listen.Captured) -> str:
    return f"the broker {hints.listed(captured.denied, SHOWN, '; ')}"


def _explained(reason: str, count: int) -> str:
    return f"{count} {reason}{refusals.explained(reason)}"


def _columns(subject: listen.CaptureSubject) -> list[str]:
    return [
        f"{column.name} ({column.property.unit})" if column.property.unit else column.name
        for column in subject.columns.columns
    ]


def _names(subject: listen.CaptureSubject) -> list[str]:
    return [column.name for column in subject.columns.columns]


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
