"""Everything that is known before a rehearsal runs, and every reason not to begin.

folder ──read, inspect──► device, policies ──► recording, read once ──► triggers ──► RehearsalPlan
             │                                     │                       │
             └────────────── a problem: RehearsalError, before anything is started
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from foreshore_agent import clocks, inspection
from foreshore_agent.play import coverage, notices, recording, stage, times
from foreshore_api import hints, v1alpha1
from foreshore_decision import assignment as compiling
from foreshore_decision import narrowing, resources
from foreshore_decision.policy import compiled, elsewhere

LOAD_SECONDS: Final = 90.0
"""For a model's server to load and warm up; it gives up fetching before that, and says why."""
WAIT_SECONDS: Final = 5.0
"""Between two lines that say what is waited for."""


class RehearsalError(RuntimeError):
    """It cannot be rehearsed as asked; the text says what would help."""


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """What the person asked for."""

    resources: Path
    state: Path
    device: str
    csv: Path
    time_column: str | None
    mapped: tuple[str, ...]
    truth: str | None
    speed: float
    models: Path | None
    credentials: Path | None
    is_json: bool
    is_live: bool = False
    """Whether over a broker, by the agent that `run` runs."""
    has_latencies: bool = False
    """Whether to show what the machine took."""
    time_format: str | None = None
    """How times are written; None: recognised."""
    time_zone: str | None = None
    """Of times that name none; None: the Site's."""
    has_row_names: bool = False
    """Whether the recording's first column has no name in its header."""


@dataclass(frozen=True, slots=True)
class RehearsalPlan:
    """What will be rehearsed."""

    request: RehearsalRequest
    played: stage.PlayedStage
    rows: recording.Recording
    resources: compiling.Resources
    """Of the folder, with this device alone."""
    policies: tuple[v1alpha1.DecisionPolicy, ...]
    """Those that decide about the device."""
    origin: datetime
    true_value: str | None
    notes: tuple[str, ...]
    """What the person should know before it begins."""


def make(request: RehearsalRequest) -> RehearsalPlan:
    """Read and check everything.

    Raises:
        RehearsalError, stage.StageError, recording.RecordingError: each with every problem found.
    """
    reading = stage.read(request.resources)
    _check_resources(request, reading)
    played = stage.choose(reading, request.resources, request.device)
    policies = _policies(reading, played)
    others = _others(request, reading, played, policies)
    wanted = _wanted(request)
    rows = _recording(request, wanted, played, others)
    if rows.span is None:
        raise RehearsalError("the recording has no times")
    reported = coverage.reported(played.profile, rows.columns)
    obstacles = tuple(coverage.obstacles(played.device, policies, reported, rows.header))
    if obstacles:
        raise RehearsalError("\n  ".join(("nothing could be decided as it stands:", *obstacles)))
    return RehearsalPlan(
        request=request,
        played=played,
        rows=rows,
        resources=_alone(reading, played, others),
        policies=policies,
        origin=rows.span[0],
        true_value=wanted.truth_value,
        notes=(
            *rows.notes,
            *coverage.disabled(policies),
            *coverage.defaulted(played.device, policies, reported),
        ),
    )


def _wanted(request: RehearsalRequest) -> recording.Wanted:
    """Return what is wanted of the columns. Raises RecordingError."""
    column, _, value = (request.truth or "").partition("=")
    return recording.Wanted(
        mapped=recording.mapping(request.mapped),
        time_column=request.time_column,
        needs_time=True,
        truth_column=column or None,
        truth_value=value or None,
        time_format=request.time_format,
        has_row_names=request.has_row_names,
    )


def _recording(
    request: RehearsalRequest,
    wanted: recording.Wanted,
    played: stage.PlayedStage,
    others: Iterable[narrowing.NarrowedDevice],
) -> recording.Recording:
    """Read the recording once as a whole. Raises RecordingError."""
    zone = played.zone if request.time_zone is None else times.zone(request.time_zone)
    progress = notices.ReadingProgress(request.csv)
    return recording.read(
        request.csv,
        (*played.profile.properties, *_readable(others)),
        wanted,
        zone,
        progress=progress,
        now=clocks.SystemClock().now(),
    )


def _others(
    request: RehearsalRequest,
    reading: resources.FolderReading,
    played: stage.PlayedStage,
    policies: Iterable[v1alpha1.DecisionPolicy],
) -> tuple[narrowing.NarrowedDevice, ...]:
    """Return the other devices that the policies read for the played one.

    Raises RehearsalError where nobody would speak for them.
    """
    every, device = compiling.Resources.of(reading.resources), played.device
    profiles = {(profile.namespace, profile.name): profile for profile in every.profiles}
    at_site = narrowing.by_site(every.devices, profiles)[device.namespace, device.spec.site]
    names = {name for policy in policies for name in elsewhere.names(policy.spec, device.spec)}
    if names and request.is_live:
        read = min(coverage.elsewhere(device, policies))
        raise RehearsalError(
            f"an input reads {read}, of another Device, and --live plays Device {device.name}"
            " alone: rehearse without --live, where a column may be mapped to it"
        )
    return tuple(at_site[name] for name in sorted(names & at_site.keys()))


def _readable(
    others: Iterable[narrowing.NarrowedDevice],
) -> Iterator[v1alpha1.deviceprofile.Property]:
    """Yield the properties of other devices by the names under which a column may be mapped."""
    for other in others:
        for declared in other.profile.properties:
            name = compiled.name_elsewhere(other.name, declared.name)
            yield declared.model_copy(update={"name": name})


def _alone(
    reading: resources.FolderReading,
    played: stage.PlayedStage,
    others: Iterable[narrowing.NarrowedDevice],
) -> compiling.Resources:
    """Return the resources without devices that nobody plays or reads: they would be silent."""
    every = compiling.Resources.of(reading.resources)
    return replace(every, devices=(played.device, *(other.device for other in others)))


def _check_resources(request: RehearsalRequest, reading: resources.FolderReading) -> None:
    """Refuse a folder in which anything is wrong: what is left out would not be rehearsed."""
    supplies = inspection.Supplies(
        request.resources, request.models, request.credentials, is_broker_used=False
    )
    problems = (*inspection.inspect(reading), *inspection.unsupplied(reading, supplies))
    if problems:
        lines = ("the resources are not all right:", *map(inspection.line, problems))
        raise RehearsalError("\n  ".join(lines))


def _policies(
    reading: resources.FolderReading, played: stage.PlayedStage
) -> tuple[v1alpha1.DecisionPolicy, ...]:
    """Return the policies that decide about the device. Raises RehearsalError if there is none."""
    device = played.device
    bound = coverage.policies_of(device, reading.resources)
    if not bound:
        here = [
            policy.name
            for policy in reading.resources
            if isinstance(policy, v1alpha1.DecisionPolicy) and policy.namespace == device.namespace
        ]
        labels, names = device.metadata.labels, ", ".join(here[: hints.SHOWN]) or "there is none"
        raise RehearsalError(
            f"no DecisionPolicy of namespace {device.namespace} selects Device {device.name}"
            f" (labels: {inspection.labelled(labels)}); policies: {names}"
        )
    return bound
