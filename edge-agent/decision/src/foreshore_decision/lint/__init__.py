"""What is wrong with resources that somebody wrote, before anything is done by them.

    documents ──resources.read──► refused ones ───────────────┐
    resources ──references, profiles, devices, models, policies┼──► findings: where, what, remedy
    documents ──fields and kinds that nobody reads────────────┘

`foreshore-agent lint` and `kubectl foreshore lint` show all of it; `rehearse` begins only without
an error, `play` and `run` say the errors first and go on with what works. Files are read by whoever
calls this.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from foreshore_decision import manifests, resources
from foreshore_decision.lint import devices, findings, models, policies, references, unread
from foreshore_decision.lint.findings import Finding, LintReport, Severity
from foreshore_decision.lint.written import Surroundings, WrittenResources

__all__ = [
    "Finding",
    "LintReport",
    "Severity",
    "Surroundings",
    "WrittenResources",
    "check",
    "errors",
]

_Check = Callable[[WrittenResources], Iterator[Finding]]

_ERRORS: Final[tuple[_Check, ...]] = (
    references.check,  # what is named must be there
    devices.protections,  # a profile must be right by itself, a device within it
    devices.endpoints,  # no two devices are commanded by one message
    models.check,  # a model that is asked must be one that can be
    policies.check,  # a policy must select something, and compile for all of it
)
_ADVICE: Final[tuple[_Check, ...]] = (
    devices.caps,  # a mode that will not be in force
    devices.indexed,  # an element of an array by its place
    devices.unfenced,  # two agents may command at once
    models.unasked,  # a model that no policy could ask
    unread.check,  # what is written and nobody reads
)


def errors(files: WrittenResources) -> tuple[Finding, ...]:
    """Return what is wrong; documents that were refused first.

    Where a cluster may hold what the files name, notes that it must are among them.
    """
    refused = map(findings.refused, files.reading.refusals)
    return (*refused, *(finding for check_ in _ERRORS for finding in check_(files)))


def check(
    documents: Sequence[manifests.Manifest | manifests.UnreadableError], around: Surroundings
) -> LintReport:
    """Return everything that was found in these documents."""
    reading = resources.read(documents, {}, in_cluster=around.in_cluster)
    readable = [item for item in documents if isinstance(item, manifests.Manifest)]
    files = WrittenResources.of(reading, around, readable)
    every = [*errors(files), *(finding for check_ in _ADVICE for finding in check_(files))]
    every.sort(key=lambda finding: _WORST_FIRST[finding.severity])
    return LintReport(tuple(every), len(readable), len(reading.resources))


_WORST_FIRST: Final = {severity: rank for rank, severity in enumerate(Severity)}
