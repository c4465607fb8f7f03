"""What the documents of a folder mean: resources, and what is wrong with the others.

Called by folder mode, and by whoever looks at files before they are used (`lint`). An object that
is wrong, asks for what is not supported, or stands in a file that cannot be read stays as it last
was (`foreshore_decision.in_force`): `kept` carries that over, also over a restart. An object that
is gone from the folder is gone.

A document that says wrongly which object it is (a `kind` that is none, a name that may not be) is
taken for the object that stood in its file last, is nowhere now, and differs in that alone.

An object that its file gives no uid has one from the reading that first saw it until one that saw
it gone, as at an API server: what is written anew under its name is another object, and what the
deleted one had in force is not its.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from foreshore_api import conditions, meta, support
from foreshore_api import resources as contract
from foreshore_api.wire import report
from foreshore_decision import admission, in_force, manifests

DEFAULT_NAMESPACE: Final = "default"
LAST_GOOD: Final = "what was right last"
_NEAR: Final = 0.75
"""How alike a group must be to be meant for ours."""
SHOWN: Final = 3
"""Objects that a message names."""
FILE: Final = "File"
"""`kind` of a problem with a whole file."""


class ObjectIdentity(NamedTuple):
    """Which object a document is about."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An object as it last was right, and where it stood."""

    place: str
    document: Mapping[str, Any]

    @property
    def uid(self) -> str | None:
        """The object's uid; None where a release gave it none that gave none to any."""
        metadata = self.document.get("metadata")
        uid = metadata.get("uid") if isinstance(metadata, Mapping) else None
        return uid if isinstance(uid, str) else None


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A document or a file that was refused: what is wrong, and where it is written."""

    problem: report.Problem
    place: str = ""
    """Document or file: `room.yaml#7`."""
    path: str = ""
    """Field of the first thing that is wrong. Empty: it is the document."""


@dataclass(frozen=True, slots=True)
class FolderReading:
    """One reading of a folder."""

    resources: tuple[meta.Resource, ...]
    kept: Mapping[ObjectIdentity, Kept]
    refusals: tuple[RefusedDocument, ...]

    @property
    def problems(self) -> tuple[report.Problem, ...]:
        """What is wrong with what was refused."""
        return tuple(refusal.problem for refusal in self.refusals)


@dataclass(slots=True)
class _Sorting:
    """The reading so far."""

    before: Mapping[ObjectIdentity, Kept]
    new_uid: Callable[[], str] | None
    in_cluster: bool
    good: dict[ObjectIdentity, tuple[Kept, meta.Resource]] = field(default_factory=dict)
    refusals: list[RefusedDocument] = field(default_factory=list)
    nameless: list[tuple[int, str, ObjectIdentity, str]] = field(default_factory=list)
    """Of documents about what can be no object: which problem, file, identity, message."""

    def uid(self, identity: ObjectIdentity) -> str | None:
        """Return the uid of an object whose file gives it none."""
        before = self.before.get(identity)
        if before is not None:
            return before.uid
        return None if self.new_uid is None else self.new_uid()

    def complain(
        self, place: str, identity: ObjectIdentity, reason: str, message: str, path: str
    ) -> None:
        """Note a problem, and keep the object as it last was."""
        kind, namespace, name = identity
        if not _is_sayable(identity):
            file = place.partition("#")[0]
            self.nameless.append((len(self.refusals), file, identity, message))
        is_here = identity in self.good
        held = in_force.Obstacle(reason, message)
        chosen = in_force.choose((in_force.Option(None, held), self._last(identity)))
        stays = chosen.value is not None and not is_here
        problem = report.Problem(
            kind=kind[:63],  # as long as a problem can say: these names may be none
            namespace=namespace[:63],
            name=name[:253],
            reason=reason,
            message=in_force.staying(message, LAST_GOOD) if stays else message[:1024],
        )
        self.refusals.append(RefusedDocument(problem, place, path))
        if chosen.value is not None:
            self.good[identity] = chosen.value

    def keep_nameless(self) -> None:
        """Keep what a document of its file is about that says so wrongly."""
        for position, file, identity, message in self.nameless:
            stood = [
                other
                for other, last in self.before.items()
                if other not in self.good and _is_in(last, file) and _is_near(other, identity)
            ]
            kept = {other: self._last(other).value for other in stood}
            right = {other: value for other, value in kept.items() if value is not None}
            if right:
                self.good |= right
                listed = ", ".join(f"{other.kind} {other.name}" for other in list(right)[:SHOWN])
                stays = f"{listed}, as it was right last,"
                update = {"message": in_force.staying(message, stays)}
                refusal = self.refusals[position]
                self.refusals[position] = replace(
                    refusal, problem=refusal.problem.model_copy(update=update)
                )

    def keep_file(self, file: str, message: str) -> None:
        """Note that a file cannot be read, and keep what stood in it."""
        stood = [identity for identity, last in self.before.items() if _is_in(last, file)]
        options = {
            identity: self._last(identity) for identity in stood if identity not in self.good
        }
        stays = {key: option.value for key, option in options.items() if option.value is not None}
        self.good |= stays
        part = f"of {len(options)} objects that stood in it last, {len(stays)}"
        kept = "what stood in it last" if len(stays) == len(options) else part
        problem = report.Problem(
            kind=FILE,
            namespace="",
            name=file,
            reason=conditions.Reason.INVALID,
            message=in_force.staying(message, kept if stays else "") if options else message[:1024],
        )
        self.refusals.append(RefusedDocument(problem, file))

    def _last(self, identity: ObjectIdentity) -> in_force.Option[tuple[Kept, meta.Resource]]:
        """Return an object as it stands in another place, else as it last was right.

        What was kept by another release may not be readable by this one: then nothing is.
        """
        here, before = self.good.get(identity), self.before.get(identity)
        if here is not None:
            return in_force.good(here)
        if before is None or identity.kind not in contract.KINDS:
            return in_force.Option(None)
        try:
            resource = contract.KINDS[identity.kind].read(before.document)
        except ValueError as error:
            why = in_force.Obstacle(conditions.Reason.INVALID, f"{type(error).__name__}")
            return in_force.Option(None, why)
        return in_force.good((before, resource))


def read(
    documents: Iterable[manifests.Manifest | manifests.UnreadableError],
    before: Mapping[ObjectIdentity, Kept],
    new_uid: Callable[[], str] | None = None,
    *,
    in_cluster: bool = False,
) -> FolderReading:
    """Return what a folder says now.

    Args:
        documents: everything in the folder.
        before: `kept` of the last reading.
        new_uid: makes the uid of an object that the last reading did not see; without it such an
            object has none, which does where no reading follows.
        in_cluster: the documents are meant for a cluster, not for a folder of an agent.
    """
    sorting = _Sorting(before, new_uid, in_cluster)
    unreadable: list[manifests.UnreadableError] = []
    for document in documents:
        if isinstance(document, manifests.UnreadableError):
            unreadable.append(document)
        elif is_ours(document.data):
            _sort(sorting, document)
    sorting.keep_nameless()
    for error in unreadable:  # last: what moved to another file is there, not here
        sorting.keep_file(error.file, str(error))
    return FolderReading(
        resources=tuple(resource for _, resource in sorting.good.values()),
        kept={identity: kept for identity, (kept, _) in sorting.good.items()},
        refusals=tuple(sorting.refusals),
    )


def is_ours(data: Mapping[str, Any]) -> bool:
    """Whether a document is of our group, or of a kind of ours and meant to be: a typing error."""
    group = str(data.get("apiVersion", "")).rpartition("/")[0]
    if group == meta.GROUP:
        return True
    is_near = not group or difflib.SequenceMatcher(None, group, meta.GROUP).ratio() > _NEAR
    return is_near and str(data.get("kind")) in contract.KINDS


def _is_in(kept: Kept, file: str) -> bool:
    return kept.place.partition("#")[0] == file


def _is_sayable(identity: ObjectIdentity) -> bool:
    """Whether there can be such an object."""
    kind = contract.KINDS.get(identity.kind)
    return (
        kind is not None
        and contract.is_name(identity.name, kind.longest_name, kind.name_pattern)
        and contract.is_name(identity.namespace, contract.LONGEST_NAMESPACE)
    )


def _is_near(identity: ObjectIdentity, other: ObjectIdentity) -> bool:
    """Whether two identities differ in one of their parts alone."""
    return sum(left != right for left, right in zip(identity, other, strict=True)) == 1


def _sort(sorting: _Sorting, manifest: manifests.Manifest) -> None:
    """Take one document of our group in, or say what is wrong with it."""
    data = manifest.data
    metadata = data.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    namespace = str(metadata.get("namespace", DEFAULT_NAMESPACE))
    identity = ObjectIdentity(str(data.get("kind")), namespace, str(metadata.get("name", "")))

    def refuse(reason: str, message: str, path: str) -> None:
        where = manifest.place
        sorting.complain(where, identity, reason, f"{where}: {message}", path)

    if identity in sorting.good and sorting.good[identity][0].place != manifest.place:
        first = sorting.good[identity][0].place
        what = f"is there twice, first in {first}: remove or rename one of them"
        refuse(conditions.Reason.INVALID, what, "metadata.name")
        return
    described = {key: metadata[key] for key in _METADATA if key in metadata}
    if described.get("uid") is None:
        described["uid"] = sorting.uid(identity)
    document = {"metadata": described | {"namespace": namespace}, "spec": data.get("spec", {})}
    head = {key: data.get(key) for key in ("apiVersion", "kind")}
    try:
        resource = contract.parse({**head, **document}, strict=True)
    except contract.InvalidError as error:
        refuse(conditions.Reason.INVALID, str(error), error.path)
        return
    unsupported = support.unsupported(resource, in_cluster=sorting.in_cluster)
    if unsupported:
        what = ", ".join(f"{field.path} {field.value}" for field in unsupported[:8])
        message = f"this release does not act on {what}"
        refuse(conditions.Reason.NOT_SUPPORTED, message, unsupported[0].path)
        return
    breaches = admission.check(resource)
    if breaches:
        what = "; ".join(f"{breach.path}: {breach.message}" for breach in breaches[:8])
        refuse(conditions.Reason.INVALID, what, breaches[0].path)
        return
    sorting.good[identity] = (Kept(manifest.place, document), resource)


_METADATA: Final = ("name", "labels", "annotations", "generation", "uid")
"""What is read of an object's metadata; an export from a cluster carries much more."""
