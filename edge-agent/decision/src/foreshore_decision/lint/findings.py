"""What was found in files of resources, in the words that every program uses for it.

A finding is an error (the object is refused, or does not do what it says), a warning (it works, and
less or otherwise than its author may think) or a note (these files alone cannot tell). An agent
reports errors as `report.Problem`; the sentence is the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from foreshore_api import hints, printable
from foreshore_api.reasons import cap, condition, lint
from foreshore_api.wire import report
from foreshore_decision import resources

MAXIMUM: Final = 1000
"""Findings that are shown; more help nobody."""
_MAXIMUM_MESSAGE: Final = 1024


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    ERROR = "Error"
    WARNING = "Warning"
    NOTE = "Note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and where."""

    severity: Severity
    place: str
    """Document or file: `room.yaml#7`. Empty: nowhere in particular."""
    kind: str
    namespace: str
    name: str
    path: str
    """Field, as people write it: `spec.inputs[co2].property`. Empty: the document itself."""
    reason: str
    message: str
    """What is wrong; it begins with the field."""
    remedy: str = ""
    generation: int = 0

    @property
    def file(self) -> str:
        """File that it stands in."""
        return self.place.partition("#")[0]

    @property
    def problem(self) -> report.Problem:
        """The finding as an agent reports it."""
        return report.Problem(
            kind=self.kind[:63],
            namespace=self.namespace[:63],
            name=self.name[:253],
            generation=self.generation,
            reason=self.reason,
            message=f"{_lead(self.place)}{self.message}"[:_MAXIMUM_MESSAGE],
        )


def refused(refusal: resources.Refusal) -> Finding:
    """Return the finding of a document or file that was refused."""
    problem = refusal.problem
    return Finding(
        severity=Severity.ERROR,
        place=refusal.place,
        kind=problem.kind,
        namespace=problem.namespace,
        name=problem.name,
        path=refusal.path,
        reason=problem.reason,
        message=problem.message.removeprefix(_lead(refusal.place)),
        remedy=remedy(problem.reason),
        generation=problem.generation,
    )


def remedy(reason: str) -> str:
    """Return what helps against a reason, for a person."""
    for table in (lint.TABLE, cap.TABLE, condition.TABLE):
        if reason in table:
            return table[reason].remedy
    return ""


def sentence(problem: report.Problem) -> str:
    """Return a problem as one line for a person: file and field first, then whose and why."""
    name = "/".join(filter(None, (problem.namespace, problem.name)))
    what = "" if problem.kind == resources.FILE else f"{problem.kind} {name}, "
    return f"{problem.message} ({what}{problem.reason})"


def lines(finding: Finding, line: int) -> tuple[str, ...]:
    """Return a finding for a person: the sentence, then where that is and what helps.

    Args:
        finding: what was found.
        line: line of the file that it is about; 0 if it is about none.
    """
    where = f"{finding.file}:{line}" if line else ""
    below = "; ".join(filter(None, (where, finding.remedy and f"remedy: {finding.remedy}")))
    first = f"{finding.severity.value.lower()}: {sentence(finding.problem)}"
    return (first, f"  {below}") if below else (first,)


def summary(findings: Iterable[Finding], documents: int, resources_read: int) -> str:
    """Return how many of each there are, in one line."""
    severities = [finding.severity for finding in findings]
    counted = ", ".join(
        _count(severities.count(severity), severity.value.lower()) for severity in Severity
    )
    read = f"{_count(resources_read, 'resource')} of {_count(documents, 'document')}"
    return f"{read}: {counted}"


def document(findings: Sequence[tuple[Finding, int]], resources_read: int) -> dict[str, Any]:
    """Return all of it for a program: findings, each with its line, and how many there are.

    At most `MAXIMUM` findings, the worst first; `left` says how many more there were.
    """
    counts = {
        severity.value: sum(finding.severity is severity for finding, _ in findings)
        for severity in Severity
    }
    return {
        "resources": resources_read,
        "counts": counts,
        "left": max(0, len(findings) - MAXIMUM),
        "findings": [_plain(finding, line) for finding, line in findings[:MAXIMUM]],
    }


def _plain(finding: Finding, line: int) -> Mapping[str, Any]:
    described = {
        "severity": finding.severity.value,
        "file": finding.file,
        "document": finding.place,
        "line": line or None,
        "kind": finding.kind,
        "namespace": finding.namespace,
        "name": finding.name,
        "path": finding.path,
        "reason": str(finding.reason),
        "message": printable.clean(finding.message),
        "remedy": finding.remedy,
    }
    return {key: value for key, value in described.items() if value not in ("", None)}


def listed(names: Iterable[str]) -> str:
    """Return names in one text: the first of them, and how many more there are."""
    every = list(names)
    left = len(every) - hints.SHOWN
    return (", ".join(every[: hints.SHOWN]) or "nothing") + (f" and {left} more" * (left > 0))


def _lead(place: str) -> str:
    return f"{place}: " if place else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
