"""What of the documents nobody reads: fields beside the spec, and kinds of others."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from foreshore_api import hints, printable
from foreshore_api.reasons import lint as reasons
from foreshore_decision import manifests, resources
from foreshore_decision.lint import findings, written

_TOP: Final[tuple[str, ...]] = ("apiVersion", "kind", "metadata", "spec", "status")
_READ: Final[tuple[str, ...]] = ("name", "namespace", "labels", "annotations")
_EXPORTED: Final = (
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "ownerReferences",
    "finalizers",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""What an export from a cluster carries in its metadata, and nobody writes."""
_SHOWN: Final = 8
"""Ignored fields of one document that are named."""


def check(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield what is written and read by nobody."""
    for manifest in files.documents:
        if resources.is_ours(manifest.data):
            yield from _fields(manifest)
        else:
            version, kind = manifest.data.get("apiVersion"), manifest.data.get("kind")
            text = f"{printable.clean(version, 64)} {printable.clean(kind, 64)} is no kind of ours"
            note = findings.Severity.NOTE
            yield _finding(manifest, "kind", reasons.KIND_OF_OTHERS, text, note)


def _fields(manifest: manifests.Manifest) -> Iterator[findings.Finding]:
    metadata = manifest.data.get("metadata")
    inner = metadata if isinstance(metadata, Mapping) else {}
    ignored = [(str(key), str(key), _TOP) for key in manifest.data if key not in _TOP]
    ignored += [
        (f"metadata.{key}", str(key), _READ)
        for key in inner
        if key not in _READ and key not in _EXPORTED
    ]
    for path, name, names in ignored[:_SHOWN]:
        text = f"is read by nobody; {hints.among(printable.clean(name, 64), names)}"
        where = printable.clean(path, 80)
        warning = findings.Severity.WARNING
        yield _finding(manifest, where, reasons.FIELD_IGNORED, text, warning)


def _finding(
    manifest: manifests.Manifest, path: str, reason: str, text: str, severity: findings.Severity
) -> findings.Finding:
    metadata: Any = manifest.data.get("metadata")
    inner: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    return findings.Finding(
        severity=severity,
        place=manifest.place,
        kind=printable.clean(manifest.data.get("kind"), 63),
        namespace=printable.clean(inner.get("namespace", resources.DEFAULT_NAMESPACE), 63),
        name=printable.clean(inner.get("name", ""), 253),
        path=path,
        reason=reason,
        message=f"{path}: {text}",
        remedy=findings.remedy(reason),
    )
