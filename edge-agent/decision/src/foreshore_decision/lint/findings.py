"""What was found in files of resources, in the words that every program uses for it.

A finding is an error (the object is refused, or does not do what it says), a warning (it works, and
less or otherwise than its author may think) or a note (these files alone cannot tell). An agent
reports errors as `report.Problem`; the sentence is the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from foreshore_api import hints, printable
from foreshore_api.reasons import cap, condition, lint
from foreshore_api.wire import report
from foreshore_decision import manifests, resources

MAXIMUM: Final = 1000
"""Findings that are shown; more help nobody."""
LONGEST_ROW: Final = 2048
"""Characters of a line for a person."""
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
        return self.place if self.kind == resources.FILE else self.place.rpartition("#")[0]

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


def refused(refusal: resources.RefusedDocument) -> Finding:
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


def located(
    findings: Sequence[Finding], content: Callable[[str], bytes]
) -> tuple[tuple[Finding, int], ...]:
    """Return the first findings, each with its line; 0 where there is none.

    Args:
        findings: what was found; `MAXIMUM` of them are looked for.
        content: returns what a file holds, by its name.
    """
    shown = findings[:MAXIMUM]
    lines: dict[tuple[str, str], int] = {}
    for file in sorted({finding.file for finding in shown}):
        fields = [
            (finding.place, finding.path)
            for finding in shown
            if finding.file == file and finding.kind != resources.FILE
        ]
        if file and fields:
            lines |= zip(fields, manifests.lines_of(content(file), fields), strict=True)
    return tuple((finding, lines.get((finding.place, finding.path), 0)) for finding in shown)


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


@dataclass(frozen=True, slots=True)
class LintReport:
    """Everything that was found in some files, as people and programs read it."""

    findings: tuple[Finding, ...]
    """The worst first."""
    documents: int
    resources: int
    """How many of the documents are resources of ours that can be read."""

    def has_failed(self, *, is_strict: bool) -> bool:
        """Whether something has to change; strictly, whatever is less than it may seem."""
        failing = {Severity.ERROR, Severity.WARNING} if is_strict else {Severity.ERROR}
        return any(finding.severity in failing for finding in self.findings)

    def text(self, content: Callable[[str], bytes]) -> str:
        """Return all of it for a person; `content` as `located` takes it."""
        rows = [
            printable.line(row, LONGEST_ROW)
            for finding, line in located(self.findings, content)
            for row in lines(finding, line)
        ]
        left = len(self.findings) - MAXIMUM
        return "\n".join((*rows, *(["…"] * (left > 0)), self.summary())) + "\n"

    def summary(self) -> str:
        """Return how many of each there are, in one line."""
        counted = ", ".join(
            _count(number, severity.lower()) for severity, number in self._counts().items()
        )
        read = f"{_count(self.resources, 'resource')} in {_count(self.documents, 'document')}"
        return f"{read}: {counted}"

    def document(self, content: Callable[[str], bytes]) -> dict[str, Any]:
        """Return all of it for a program; `left` says how many findings are not in it."""
        return {
            "documents": self.documents,
            "resources": self.resources,
            "counts": self._counts(),
            "left": max(0, len(self.findings) - MAXIMUM),
            "findings": [_plain(*pair) for pair in located(self.findings, content)],
        }

    def _counts(self) -> dict[str, int]:
        severities = [finding.severity for finding in self.findings]
        return {severity.value: severities.count(severity) for severity in Severity}


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
    return hints.listed(list(names)) or "nothing"


def _lead(place: str) -> str:
    return f"{place}: " if place else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
