"""What is wrong with the resources of a folder, before anything is done by them.

    documents ──resources.read──► refused ones ──┐
    resources ──references, selectors, policies──┼──► problems: file, field, what is wrong, remedy
    folder, credentials ──artefacts, TLS─────────┘

`rehearse` begins only when there is none, `play` and `run` say them first and go on with what
works. A problem's message begins with the document (`room.yaml#7`) and the field.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from foreshore_agent import manifests, resources
from foreshore_agent.devices.mqtt import credentials
from foreshore_api import conditions, hints, meta, v1alpha1
from foreshore_api.reasons import serving
from foreshore_api.wire import report
from foreshore_decision import assignment, in_force, narrowing, policy, selectors
from foreshore_decision.policy import acceptance

Reason = conditions.Reason
_Kind = TypeVar("_Kind", bound=meta.Resource)

MAXIMUM_ARTEFACTS: Final = 1000
_DEVICES_SHOWN: Final = 5
_MAXIMUM_MESSAGE: Final = 1024


@dataclass(frozen=True, slots=True)
class Supplies:
    """Where the things are that resources name and that are no resources."""

    resources: Path
    models: Path | None = None
    """By default the folder of the resources."""
    credentials: Path | None = None
    is_broker_used: bool = True
    """Whether the Site's own broker is connected to: a rehearsal has one of its own."""


def inspect(reading: resources.FolderReading) -> tuple[report.Problem, ...]:
    """Return what is wrong with the resources; the documents that were refused first.

    Reads nothing but the processor's time, for the budget of expressions.
    """
    inspector = _Inspector.of(reading)
    return (
        *reading.problems,
        *inspector.references(),
        *inspector.protections(),
        *inspector.policies(),
    )


def unsupplied(reading: resources.FolderReading, supplies: Supplies) -> tuple[report.Problem, ...]:
    """Return which artefacts and credentials are not there; reads files."""
    inspector = _Inspector.of(reading)
    return (*_artefacts(inspector, supplies), *_credentials(inspector, supplies))


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


def line(problem: report.Problem) -> str:
    """Return a problem as one line for a person: file and field first, then whose and why."""
    name = "/".join(filter(None, (problem.namespace, problem.name)))
    what = "" if problem.kind == resources.FILE else f"{problem.kind} {name}, "
    return f"{problem.message} ({what}{problem.reason})"


def refusal(reason: str, message: str) -> str:
    """Return why an inference server refused a model, with what helps."""
    row = serving.TABLE.get(reason)
    return f"{reason}: {message}" + (f"; {row.remedy}" if row is not None and row.remedy else "")


def labelled(labels: Mapping[str, str]) -> str:
    """Return labels as one text."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"


def overview(folder: Path) -> str:
    """Say which files of a folder are read, and which are not: a name may be the mistake."""
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    read = [name for name in names if manifests.is_read(name)]
    left = [name for name in names if name not in read and not name.startswith(".")]
    text = f"read: {_listed(read)}"
    return f"{text}; not read: {_listed(left)}" if left else text


@dataclass(frozen=True, slots=True)
class _Inspector:
    """One reading, asked about its parts."""

    reading: resources.FolderReading
    by_kind: assignment.Resources
    by_identity: Mapping[resources.ObjectIdentity, meta.Resource]
    refused: frozenset[resources.ObjectIdentity]

    @classmethod
    def of(cls, reading: resources.FolderReading) -> "_Inspector":
        """Look at every resource once, so that a reference is resolved without a search."""
        return cls(
            reading=reading,
            by_kind=assignment.Resources.of(reading.resources),
            by_identity={_identity(resource): resource for resource in reading.resources},
            refused=frozenset(
                resources.ObjectIdentity(problem.kind, problem.namespace, problem.name)
                for problem in reading.problems
            ),
        )

    def problem(
        self, resource: meta.Resource, reason: Reason, field: str, text: str
    ) -> report.Problem:
        """Return a problem of a resource, with the place where it stands."""
        kept = self.reading.kept.get(_identity(resource))
        place = f"{kept.place}: " if kept is not None else ""
        return report.Problem(
            kind=resource.kind,
            namespace=resource.namespace,
            name=resource.name,
            generation=resource.metadata.generation or 0,
            reason=reason,
            message=f"{place}{field}: {text}"[:_MAXIMUM_MESSAGE],
        )

    def references(self) -> Iterator[report.Problem]:
        """Yield every reference to an object that is not there."""
        every = self.by_kind
        for device in every.devices:
            profile = device.spec.profile_ref.name
            yield from self._reference(device, "spec.profileRef.name", every.profiles, profile)
            yield from self._reference(device, "spec.site", every.sites, device.spec.site)
        for version in every.versions:
            model = version.spec.model_ref.name
            yield from self._reference(version, "spec.modelRef.name", every.models, model)
        for written in every.policies:
            reference = written.spec.model_ref
            if reference is not None and reference.version is not None:
                wanted = reference.version
                yield from self._reference(written, "spec.modelRef.version", every.versions, wanted)

    def _reference(
        self, resource: meta.Resource, field: str, candidates: Sequence[meta.Resource], name: str
    ) -> Iterator[report.Problem]:
        namespace = resource.namespace
        kind = _REFERRED[field]
        wanted = resources.ObjectIdentity(kind, namespace, name)
        if wanted in self.by_identity:
            return
        elsewhere = [other.namespace for other in candidates if other.name == name]
        if wanted in self.refused:
            text = f"{kind} {name} is refused, see there"
        elif elsewhere:
            text = (
                f"{kind} {name} is in namespace {elsewhere[0]}, not in {namespace}: move one of"
                " them"
            )
        else:
            names = [other.name for other in candidates if other.namespace == namespace]
            text = f"there is no {kind} {name} in namespace {namespace}; {hints.among(name, names)}"
        yield self.problem(resource, Reason.REFERENCE_NOT_FOUND, field, text)

    def protections(self) -> Iterator[report.Problem]:
        """Yield what sites, profiles and devices say that cannot be meant."""
        for site in self.by_kind.sites:
            for problem in acceptance.of_site(site):
                yield self.problem(site, problem.reason, problem.path, problem.message)
        for profile in self.by_kind.profiles:
            for problem in acceptance.of_profile(profile):
                yield self.problem(profile, problem.reason, problem.path, problem.message)
        for device in self.by_kind.devices:
            of = self._profile(device)
            for problem in acceptance.of_device(of, device) if of is not None else ():
                yield self.problem(device, problem.reason, problem.path, problem.message)

    def policies(self) -> Iterator[report.Problem]:
        """Yield every policy that selects nothing, or does not compile for what it selects."""
        for written in self.by_kind.policies:
            bound = [
                device
                for device in self.by_kind.devices
                if device.namespace == written.namespace
                and selectors.selects(written.spec.device_selector, device.metadata.labels)
            ]
            if not bound:
                text = self._unselected(written)
                yield self.problem(written, Reason.NO_DEVICES, "spec.deviceSelector", text)
            yield from self._uncompiled(written, bound)

    def _unselected(self, wanted: v1alpha1.DecisionPolicy) -> str:
        namespace, selector = wanted.namespace, wanted.spec.device_selector
        devices = [device for device in self.by_kind.devices if device.namespace == namespace]
        elsewhere = [
            device
            for device in self.by_kind.devices
            if device.namespace != namespace and selectors.selects(selector, device.metadata.labels)
        ]
        if elsewhere:
            other = elsewhere[0]
            return (
                f"selects no Device of namespace {namespace}; Device {other.name} that it would"
                f" select is in namespace {other.namespace}: move one of them"
            )
        labels = {f"{k}={v}" for device in devices for k, v in device.metadata.labels.items()}
        wanted_labels = [f"{key}={value}" for key, value in selector.match_labels.items()]
        unmet = [label for label in wanted_labels if label not in labels]
        hint = f"; label {unmet[0]}: {hints.among(unmet[0], labels)}" if unmet and labels else ""
        shown = ", ".join(map(_labelled, devices[:_DEVICES_SHOWN])) or "none"
        more = f" and {len(devices) - _DEVICES_SHOWN} more" * (len(devices) > _DEVICES_SHOWN)
        return f"selects no Device; Devices of namespace {namespace}: {shown}{more}{hint}"

    def _uncompiled(
        self, wanted: v1alpha1.DecisionPolicy, bound: Sequence[v1alpha1.Device]
    ) -> Iterator[report.Problem]:
        """Yield what keeps a policy from compiling, once for all devices that it concerns."""
        concerned: dict[policy.PolicyProblem, list[str]] = {}
        checked: dict[tuple[object, object], tuple[policy.PolicyProblem, ...]] = {}
        model = self._model(wanted)
        total = 0
        for device in bound:
            profile = self._profile(device)
            if profile is None:
                continue
            total += 1
            narrowed = narrowing.narrow(profile.spec, device.spec)
            alike = (profile.name, device.spec.model_dump_json())
            if alike not in checked:
                checked[alike] = _checked(wanted.spec, narrowed, device.spec, model)
            for problem in checked[alike]:
                concerned.setdefault(problem, []).append(device.name)
        for problem, names in concerned.items():
            whose = "" if len(names) == total else f" (for Device {_listed(names)})"
            message = f"{problem.message}{whose}"
            yield self.problem(wanted, problem.reason, problem.path, message)

    def _profile(self, device: v1alpha1.Device) -> v1alpha1.DeviceProfile | None:
        name = device.spec.profile_ref.name
        return self._find(v1alpha1.DeviceProfile, device.namespace, name)

    def _model(self, wanted: v1alpha1.DecisionPolicy) -> v1alpha1.ModelSpec | None:
        reference, namespace = wanted.spec.model_ref, wanted.namespace
        if reference is None or reference.version is None:
            return None
        version = self._find(v1alpha1.ModelVersion, namespace, reference.version)
        if version is None:
            return None
        model = self._find(v1alpha1.Model, namespace, version.spec.model_ref.name)
        return None if model is None else model.spec

    def _find(self, kind: type[_Kind], namespace: str, name: str) -> _Kind | None:
        resource = self.by_identity.get(resources.ObjectIdentity(kind.kind, namespace, name))
        return resource if isinstance(resource, kind) else None


def _identity(resource: meta.Resource) -> resources.ObjectIdentity:
    return resources.ObjectIdentity(resource.kind, resource.namespace, resource.name)


_REFERRED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "spec.profileRef.name": v1alpha1.DeviceProfile.kind,
        "spec.site": v1alpha1.Site.kind,
        "spec.modelRef.name": v1alpha1.Model.kind,
        "spec.modelRef.version": v1alpha1.ModelVersion.kind,
    }
)
"""Which kind a field refers to."""


def _checked(
    spec: v1alpha1.DecisionPolicySpec,
    profile: v1alpha1.DeviceProfileSpec,
    device: v1alpha1.DeviceSpec,
    model: v1alpha1.ModelSpec | None,
) -> tuple[policy.PolicyProblem, ...]:
    """Return what keeps a policy from compiling; whatever happens, the others are looked at."""
    try:
        return policy.check(spec, profile, device, model, clock=time.thread_time)
    except Exception as error:  # noqa: BLE001 - reported as the policy's problem
        return (policy.unexpected(error),)


def _artefacts(inspector: _Inspector, supplies: Supplies) -> Iterator[report.Problem]:
    """Yield the model versions whose bytes are not here and cannot be asked for."""
    folder = supplies.models or supplies.resources
    digests: dict[str, str] | None = None
    for version in inspector.by_kind.versions:
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
            yield inspector.problem(
                version, Reason.REFERENCE_NOT_FOUND, "spec.source.file.path", text
            )
        elif source.https is not None and source.https.ca_secret_ref is not None:
            base = supplies.credentials or supplies.resources / "credentials"
            authority = base / source.https.ca_secret_ref.name / "ca.crt"
            if not authority.is_file():
                text = (
                    f"{lacking}; it cannot be fetched either, for {authority} (spec.source.https"
                    ".caSecretRef) is not there: put one of the two there, or mend the digest"
                )
                yield inspector.problem(version, Reason.REFERENCE_NOT_FOUND, "spec.digest", text)


def _credentials(inspector: _Inspector, supplies: Supplies) -> Iterator[report.Problem]:
    """Yield the sites whose broker cannot be spoken to with the credentials that are here."""
    for site in inspector.by_kind.sites if supplies.is_broker_used else ():
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
            yield inspector.problem(
                site, Reason.REFERENCE_NOT_FOUND, "spec.broker.credential", text
            )


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


def _labelled(device: v1alpha1.Device) -> str:
    return f"{device.name} ({labelled(device.metadata.labels)})"


def _listed(names: Iterable[str]) -> str:
    all_ = list(names)
    left = len(all_) - hints.SHOWN
    return (", ".join(all_[: hints.SHOWN]) or "nothing") + (f" and {left} more" * (left > 0))
