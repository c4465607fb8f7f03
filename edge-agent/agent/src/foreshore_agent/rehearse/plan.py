"""Everything that is known before a rehearsal runs, and every reason not to begin.

folder ──read, inspect──► device, policies ──► recording, read once ──► triggers ──► Plan
             │                                     │                       │
             └────────────── a problem: RehearsalError, before anything is started
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from foreshore_agent import inspection, resources
from foreshore_agent.play import coverage, notices, recording, stage
from foreshore_api import hints, v1alpha1


class RehearsalError(RuntimeError):
    """It cannot be rehearsed as asked; the text says what would help."""


@dataclass(frozen=True, slots=True)
class Request:
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be rehearsed."""

    request: Request
    played: stage.Stage
    rows: recording.Recording
    policies: tuple[v1alpha1.DecisionPolicy, ...]
    """Those that decide about the device."""
    origin: datetime
    true_value: str | None
    notes: tuple[str, ...]
    """What the person should know before it begins."""


def make(request: Request) -> Plan:
    """Read and check everything.

    Raises:
        RehearsalError, stage.StageError, recording.RecordingError: each with every problem found.
    """
    reading = stage.read(request.resources)
    _check_resources(request, reading)
    played = stage.choose(reading, request.resources, request.device)
    policies = _policies(reading, played)
    column, _, value = (request.truth or "").partition("=")
    wanted = recording.Wanted(
        mapped=recording.mapping(request.mapped),
        time_column=request.time_column,
        needs_time=True,
        truth_column=column or None,
    )
    progress = notices.Reading(request.csv)
    rows = recording.read(
        request.csv, played.profile.properties, wanted, played.zone, progress=progress
    )
    if rows.span is None:
        raise RehearsalError("the recording has no times")
    told = coverage.reported(played.profile, rows.columns)
    if problems := tuple(coverage.untriggered(policies, told, rows.header)):
        raise RehearsalError(
            "\n  ".join(("the recording does not evaluate every policy:", *problems))
        )
    notes = (*rows.notes, *coverage.unfed(policies, told))
    first = next(iter(rows)).time or rows.span[0]
    return Plan(request, played, rows, policies, first, value or None, notes)


def _check_resources(request: Request, reading: resources.FolderReading) -> None:
    """Refuse a folder in which anything is wrong: what is left out would not be rehearsed."""
    supplies = inspection.Supplies(
        request.resources, request.models, request.credentials, is_broker_used=False
    )
    problems = (*inspection.inspect(reading), *inspection.unsupplied(reading, supplies))
    if problems:
        lines = ("the resources are not all right:", *map(inspection.line, problems))
        raise RehearsalError("\n  ".join(lines))


def _policies(
    reading: resources.FolderReading, played: stage.Stage
) -> tuple[v1alpha1.DecisionPolicy, ...]:
    """Return the policies that decide about the device. Raises RehearsalError if there is none."""
    device = played.device
    bound = coverage.policies_of(device, reading.resources)
    if not bound:
        here = [
            each.name
            for each in reading.resources
            if isinstance(each, v1alpha1.DecisionPolicy) and each.namespace == device.namespace
        ]
        labels, names = device.metadata.labels, ", ".join(here[: hints.SHOWN]) or "there is none"
        raise RehearsalError(
            f"no DecisionPolicy of namespace {device.namespace} selects Device {device.name}"
            f" (labels: {inspection.labelled(labels)}); policies: {names}"
        )
    return bound
