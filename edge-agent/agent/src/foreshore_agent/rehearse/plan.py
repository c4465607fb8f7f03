"""Everything that is known before a rehearsal runs, and every reason not to begin.

folder ──read, inspect──► device, policies ──► recording, read once ──► triggers ──► Plan
             │                                     │                       │
             └────────────── a problem: RehearsalError, before anything is started
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from foreshore_agent import inspection, resources
from foreshore_agent.play import machine, notices, recording, stage
from foreshore_api import hints, v1alpha1
from foreshore_api.v1alpha1 import deviceprofile, evaluation
from foreshore_decision import selectors


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
    told = known(played.profile, rows.columns)
    if problems := tuple(untriggered(policies, told, rows.header)):
        raise RehearsalError("\n  ".join(("the recording triggers nothing:", *problems)))
    notes = (*rows.notes, *unfed(policies, told))
    first = next(iter(rows)).time or rows.span[0]
    return Plan(request, played, rows, policies, first, value or None, notes)


def known(profile: deviceprofile.DeviceProfileSpec, columns: recording.Columns) -> frozenset[str]:
    """Return the properties that the played device reports: mapped ones, and what it is set to."""
    readable = {
        each.name for each in profile.properties if each.access is not deviceprofile.Access.WRITE
    }
    is_set = readable.intersection(machine.Machine(profile).initial())
    return frozenset(is_set).union(each.name for each in columns.properties.values())


def untriggered(
    policies: Collection[v1alpha1.DecisionPolicy], told: Collection[str], header: Collection[str]
) -> Iterator[str]:
    """Yield the policies that no row would evaluate."""
    for each in policies:
        triggers = _triggers(each)
        if triggers and not triggers.intersection(told) and not each.spec.trigger.after_silence:
            field = "spec.trigger.properties" if each.spec.trigger.properties else "spec.inputs"
            names = ", ".join(sorted(triggers))
            yield (
                f"DecisionPolicy {each.name} is evaluated when {names} is reported ({field}), and"
                f" no column is: say which with --map COLUMN={min(triggers)}; columns:"
                f" {', '.join(header)}"
            )


def unfed(policies: Collection[v1alpha1.DecisionPolicy], told: Collection[str]) -> Iterator[str]:
    """Yield the inputs that no row gives a value to, although the policy needs one."""
    for policy in policies:
        for each in policy.spec.inputs:
            needs_value = each.on_invalid is not evaluation.OnInvalid.DEFAULT
            if each.property not in told and needs_value:
                yield (
                    f"DecisionPolicy {policy.name} reads {each.property}"
                    f" (spec.inputs[{each.name}]), and no column is: it will be missing;"
                    f" --map COLUMN={each.property} gives it"
                )


def _triggers(policy: v1alpha1.DecisionPolicy) -> frozenset[str]:
    spec = policy.spec
    return frozenset(spec.trigger.properties or (each.property for each in spec.inputs))


def _check_resources(request: Request, reading: resources.Reading) -> None:
    """Refuse a folder in which anything is wrong: what is left out would not be rehearsed."""
    supplies = inspection.Supplies(
        request.resources, request.models, request.credentials, is_broker_used=False
    )
    problems = (*inspection.inspect(reading), *inspection.unsupplied(reading, supplies))
    if problems:
        lines = ("the resources are not all right:", *map(inspection.line, problems))
        raise RehearsalError("\n  ".join(lines))


def _policies(
    reading: resources.Reading, played: stage.Stage
) -> tuple[v1alpha1.DecisionPolicy, ...]:
    """Return the policies that decide about the device. Raises RehearsalError if there is none."""
    device = played.device
    here = [
        each
        for each in reading.resources
        if isinstance(each, v1alpha1.DecisionPolicy) and each.namespace == device.namespace
    ]
    labels = device.metadata.labels
    bound = tuple(each for each in here if selectors.selects(each.spec.device_selector, labels))
    if not bound:
        names = ", ".join(each.name for each in here[: hints.SHOWN]) or "there is none"
        raise RehearsalError(
            f"no DecisionPolicy of namespace {device.namespace} selects Device {device.name}"
            f" (labels: {inspection.labelled(labels)}); policies: {names}"
        )
    return bound
