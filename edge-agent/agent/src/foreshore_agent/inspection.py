"""What is wrong with the resources of a folder, before anything is done by them.

    resources ──foreshore_decision.lint──► errors ──┬──► problems: file, field, what is wrong
    folder, credentials ──artefacts, TLS────────────┘

`rehearse` begins only when there is none, `play` and `run` say them first and go on with what
works. A problem's message begins with the document (`room.yaml#7`) and the field.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent import manifests
from foreshore_agent.devices.mqtt import credentials
from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.wire import report
from foreshore_decision import in_force, lint, resources
from foreshore_decision.lint import findings, policies

Reason = conditions.Reason

MAXIMUM_ARTEFACTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where the things are that resources name and that are no resources."""

    resources: Path
    models: Path | None = None
    """By default the folder of the resources."""
    credentials: Path | None = None
    is_broker_used: bool = True
    """Whether the Site's own broker is connected to: a rehearsal has one of its own."""


SURROUNDINGS: Final = lint.Surroundings(clock=time.thread_time)
"""What a folder is checked for: an agent by itself has nothing but the folder."""


def inspect(reading: resources.FolderReading) -> tuple[report.Problem, ...]:
    """Return what is wrong with the resources; the documents that were refused first.

    Reads nothing but the processor's time, for the budget of expressions.
    """
    files = lint.WrittenResources.of(reading, SURROUNDINGS)
    return tuple(finding.problem for finding in lint.errors(files))


def unsupplied(reading: resources.FolderReading, supplies: Supplies) -> tuple[report.Problem, ...]:
    """Return which artefacts and credentials are not there; reads files."""
    files = lint.WrittenResources.of(reading, SURROUNDINGS)
    supplied = (*_artefacts(files, supplies), *_credentials(files, supplies))
    return tuple(finding.problem for finding in supplied)


def unworkable(why: str) -> tuple[report.Problem, ...]:
    """Return the problem of a folder that cannot be worked from any more; none without a reason."""
    if not why:
        return ()
    message = in_force.staying(why, "what was assigned")
    problem = report.Problem(
        kind=resources.FILE, namespace="", name="", reason=Reason.INVALID, message=message
    )
    return (problem,)


def beyond(
    problems: Iterable[report.Problem], reported: Iterable[report.Problem]
) -> tuple[report.Problem, ...]:
    """Return the problems of objects of which no problem is reported yet."""
    objects = {(problem.kind, problem.namespace, problem.name) for problem in reported}
    return tuple(
        problem
        for problem in problems
        if (problem.kind, problem.namespace, problem.name) not in objects
    )


line: Final = findings.sentence
"""A problem as one line for a person."""
labelled: Final = policies.labelled
"""Labels as one text."""


def overview(folder: Path) -> str:
    """Say which files of a folder are read, and which are not: a name may be the mistake."""
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    read = [name for name in names if manifests.is_read(name)]
    left = [name for name in names if name not in read and not name.startswith(".")]
    text = f"read: {findings.listed(read)}"
    return f"{text}; not read: {findings.listed(left)}" if left else text


def _artefacts(files: lint.WrittenResources, supplies: Supplies) -> Iterator[lint.Finding]:
    """Yield the model versions whose bytes are not here and cannot be asked for."""
    folder = supplies.models or supplies.resources
    digests: dict[str, str] | None = None
    for version in files.by_kind.versions:
        source = version.spec.source
        if source.file is not None and (supplies.resources / source.file.path).is_file():
            continue  # the inference server says whether it is the right one
        digests = _digests(folder) if digests is None else digests
        if version.spec.digest in digests:
            continue
        lacking = f"no *.onnx file of {folder} has the digest{_others(digests)}"
        if source.file is not None:
            where = supplies.resources / source.file.path
            text = (
                f"{where} is not there, and {lacking}; a path counts from the folder of the"
                " resources"
            )
            yield _missing(files, version, "spec.source.file.path", text)
        elif source.https is not None and source.https.ca_secret_ref is not None:
            base = supplies.credentials or supplies.resources / "credentials"
            authority = base / source.https.ca_secret_ref.name / "ca.crt"
            if not authority.is_file():
                text = (
                    f"{lacking}; it cannot be fetched either, for {authority} (spec.source.https"
                    ".caSecretRef) is not there: put one of the two there, or mend the digest"
                )
                yield _missing(files, version, "spec.digest", text)


def _credentials(files: lint.WrittenResources, supplies: Supplies) -> Iterator[lint.Finding]:
    """Yield the sites whose broker cannot be spoken to with the credentials that are here."""
    for site in files.by_kind.sites if supplies.is_broker_used else ():
        broker = site.spec.broker
        is_tls = broker.transport is v1alpha1.site.Transport.TLS
        if not is_tls and broker.credential is None:
            continue
        try:
            credentials.read(supplies.credentials, broker.credential or "", is_tls=is_tls)
        except credentials.CredentialError as error:
            text = (
                f"{error}; it is a folder below --credentials with ca.crt, tls.crt and tls.key,"
                " username and password, or all of them"
            )
            yield _missing(files, site, "spec.broker.credential", text)


def _missing(
    files: lint.WrittenResources, resource: meta.Resource, path: str, text: str
) -> lint.Finding:
    return files.finding(resource, Reason.REFERENCE_NOT_FOUND, path, text)


def _digests(folder: Path) -> dict[str, str]:
    """Return the names of the artefacts of a folder by digest."""
    names: dict[str, str] = {}
    for path in sorted(folder.glob("*.onnx"))[:MAXIMUM_ARTEFACTS]:
        try:
            with path.open("rb") as file:
                names[f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"] = path.name
        except OSError:
            continue  # whoever is to load it says why not
    return names


def _others(digests: Mapping[str, str]) -> str:
    shown = [f"{name} has {digest}" for digest, name in list(digests.items())[:3]]
    return f" ({', '.join(shown)})" if shown else ""
