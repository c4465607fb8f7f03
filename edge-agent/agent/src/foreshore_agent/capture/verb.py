"""`capture` for a person: from the options to a run, and what is said of it."""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import uvloop

from foreshore_agent import clocks, inspection, logs
from foreshore_agent.capture import columns, listen, summary
from foreshore_agent.capture import file as files
from foreshore_agent.devices.mqtt import connection, credentials
from foreshore_agent.play import stage
from foreshore_api import scalars, v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import resources

LONGEST_SECONDS: Final = 366 * 86400.0
LARGEST: Final = 1 << 40
"""Bytes that a recording may be allowed."""
MAXIMUM_DEVICES: Final = 16
"""Devices of one recording."""
SILENCE_SECONDS: Final = 30.0
"""After so long without a row it is said what was listened to, and what came instead."""
_STANDARD_OUTPUT: Final = "-"
_AHEAD: Final = timedelta(seconds=1)


class CaptureUsageError(ValueError):
    """The options make no sense; the text says which."""


class NothingCapturedError(RuntimeError):
    """It ran, and there is less than was asked for; the text says why."""


USAGE_ERRORS: Final = (
    CaptureUsageError,
    stage.StageError,
    columns.ColumnError,
    credentials.CredentialError,
    files.CaptureFileError,
)
FAILURES: Final = (NothingCapturedError, OSError)


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What the person asked for."""

    resources: Path
    devices: tuple[str, ...]
    output: str
    duration: str
    rows: int | None
    maximum_size: str
    has_device_times: bool
    credentials: Path | None


def capture(request: CaptureRequest, say: Callable[[str], None]) -> None:
    """Capture until it ends, and say how it went. Raises USAGE_ERRORS, FAILURES."""
    logs.configure(logging.WARNING, logs.SHORT)
    limits = _limits(request)
    subject = _subject(request, say)
    clock = clocks.SystemClock()
    output = _output(request, subject, clock)
    try:
        for text in summary.beginning(subject, output, limits):
            say(text)
        if limits.is_full(output.continued.rows, output.size):
            say(f"{output.name} has all the rows or bytes that it may have already")
            return
        captured = uvloop.run(_run(subject, output, limits, clock, say))
    finally:
        output.close()
    for text in summary.ending(subject, output, captured):
        say(text)
    if captured.failure:
        raise NothingCapturedError(captured.failure)
    if not (captured.tally.rows or captured.is_full):
        raise NothingCapturedError(summary.nothing(subject, captured))
    if isinstance(output, files.CaptureFile):
        say(_advice(request, subject))


async def _run(
    subject: listen.CaptureSubject,
    output: files.CaptureOutput,
    limits: listen.CaptureLimits,
    clock: clocks.Clock,
    say: Callable[[str], None],
) -> listen.Captured:
    progress = Progress(subject, say, clock.monotonic)
    return await listen.Capture(subject, output, limits, clock, progress.show).run()


class Progress:
    """What is said while it runs: how far it is, on a terminal; that nothing comes, anywhere."""

    def __init__(
        self, subject: listen.CaptureSubject, say: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        self._subject: Final = subject
        self._say: Final = say
        self._now: Final = now
        self._began: Final = now()
        self._has_warned = False
        self._is_terminal: Final = sys.stderr.isatty()

    def show(self, captured: listen.Captured) -> None:
        """Say how it stands."""
        is_silent = self._now() - self._began >= SILENCE_SECONDS and not captured.tally.rows
        if is_silent and not self._has_warned:
            self._has_warned = True
            self._say(f"no row yet: {summary.nothing(self._subject, captured)}")
        elif self._is_terminal:
            self._say(summary.progress(captured))


def _limits(request: CaptureRequest) -> listen.CaptureLimits:
    """Return when it ends. Raises CaptureUsageError."""
    try:
        seconds = scalars.seconds(request.duration)
    except ValueError as error:
        raise CaptureUsageError(f"--for: {error}") from error
    if not 0 < seconds <= LONGEST_SECONDS:
        raise CaptureUsageError(f"--for is above 0s and at most {LONGEST_SECONDS / 3600:g}h")
    try:
        # GiB is what many write for the Gi of Kubernetes
        size = scalars.quantity(request.maximum_size.removesuffix("B"))
    except ValueError as error:
        raise CaptureUsageError(f"--maximum-size: {error}, as 512Mi or 1Gi") from error
    if not 1 <= size <= LARGEST:
        raise CaptureUsageError("--maximum-size is at least 1 byte and at most 1Ti")
    return listen.CaptureLimits(seconds, int(size), request.rows, request.duration)


def _subject(request: CaptureRequest, say: Callable[[str], None]) -> listen.CaptureSubject:
    """Find the devices and look at what is wrong with them. Raises USAGE_ERRORS."""
    if len(request.devices) > MAXIMUM_DEVICES:
        raise CaptureUsageError(
            f"more than {MAXIMUM_DEVICES} times --device: capture the others into a file of their"
            " own"
        )
    reading = stage.read(request.resources)
    staged = [stage.choose(reading, request.resources, name) for name in request.devices]
    if len({(played.device.namespace, played.device.name) for played in staged}) < len(staged):
        raise CaptureUsageError("a --device is named twice")
    for problem in _problems(reading, staged):
        say(problem)
    first = staged[0]
    for other in staged[1:]:
        if (other.site, other.device.namespace) != (first.site, first.device.namespace):
            raise CaptureUsageError(
                f"Devices {first.device.name} and {other.device.name} are not of one Site and"
                " namespace, so that no policy reads both: capture each into a file of its own"
            )
    address = connection.Address.of(first.site.spec.broker, request.credentials)
    if address.credential is not None:  # a missing one is said now, not at every attempt
        credentials.read(address.credentials, address.credential, is_tls=address.is_tls)
    devices = tuple(map(_assigned, staged))
    site = first.site
    return listen.CaptureSubject(
        assignment.AssignedSite(namespace=site.namespace, name=site.name, spec=site.spec),
        devices,
        columns.arrange(devices),
        request.credentials,
        request.has_device_times,
    )


def _problems(reading: resources.FolderReading, staged: list[stage.PlayedStage]) -> Iterator[str]:
    """Yield what is wrong with the resources that are used: policies and models are not."""
    kinds = {v1alpha1.Site.kind, v1alpha1.DeviceProfile.kind, v1alpha1.Device.kind, resources.FILE}
    names = {
        *(played.device.name for played in staged),
        *(played.device.spec.profile_ref.name for played in staged),
        *(played.site.name for played in staged),
    }
    for problem in inspection.inspect(reading):
        if problem.kind == resources.FILE or (problem.kind in kinds and problem.name in names):
            yield inspection.line(problem)


def _assigned(played: stage.PlayedStage) -> assignment.AssignedDevice:
    """Return a device as an agent is assigned it, without a right to command it."""
    device = played.device
    return assignment.AssignedDevice(
        namespace=device.namespace,
        name=device.name,
        uid="",
        generation=0,
        digest="",
        labels=dict(device.metadata.labels),
        spec=device.spec,
        profile=played.profile,
    )


def _output(
    request: CaptureRequest, subject: listen.CaptureSubject, clock: clocks.Clock
) -> files.CaptureOutput:
    """Open the file. Raises CaptureFileError."""
    header = subject.columns.header
    if request.output == _STANDARD_OUTPUT:
        return files.CaptureStream(sys.stdout.fileno(), "standard output", header)
    output = files.CaptureFile(Path(request.output), header)
    try:
        _check_times(output, clock, is_own=request.has_device_times)
    except files.CaptureFileError:
        output.close()
        raise
    return output


def _check_times(output: files.CaptureFile, clock: clocks.Clock, *, is_own: bool) -> None:
    """Refuse to go on before the last row: times go forward. Raises CaptureFileError."""
    last, now = output.continued.last, clock.now()
    if last is None:
        return
    if last - now > _AHEAD and not is_own:
        raise files.CaptureFileError(
            f"{output.name}: its last row is of {last.isoformat()}, and this machine's clock says"
            f" {now.isoformat(timespec='seconds')}: set the clock, or give another --output"
        )


def _advice(request: CaptureRequest, subject: listen.CaptureSubject) -> str:
    """Return how a policy is rehearsed on the file."""
    words = ["foreshore-agent", "rehearse", "--resources", str(request.resources)]
    words += ["--device", request.devices[0], "--csv", request.output]
    words += ["--time-column", subject.columns.time, "--state", "rehearsal"]
    return f"rehearse a policy on it: {shlex.join(words)}"
