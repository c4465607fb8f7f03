"""Whether models can be asked as they are declared, whichever policy asks them."""

from collections.abc import Iterator

from foreshore_api import v1alpha1
from foreshore_decision import policy
from foreshore_decision.lint import findings, written


def check(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Return what is wrong with each Model that a policy of these files asks."""
    return _findings(files, findings.Severity.ERROR, is_asked=True)


def unasked(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Return what is wrong with each Model that nobody asks yet: it keeps nothing from working."""
    return _findings(files, findings.Severity.WARNING, is_asked=False)


def _findings(
    files: written.WrittenResources, severity: findings.Severity, *, is_asked: bool
) -> Iterator[findings.Finding]:
    asked = _asked(files)
    for model in files.by_kind.models:
        if ((model.namespace, model.name) in asked) is is_asked:
            for fault in policy.model_faults(model.spec):
                yield files.finding(model, fault.reason, fault.path, fault.message, severity)


def _asked(files: written.WrittenResources) -> frozenset[tuple[str, str]]:
    """Return namespace and name of every Model that a policy of these files asks."""
    references = (
        (asking.namespace, asking.spec.model_ref.version)
        for asking in files.by_kind.policies
        if asking.spec.model_ref is not None and asking.spec.model_ref.version is not None
    )
    versions = (files.find(v1alpha1.ModelVersion, *reference) for reference in references)
    return frozenset(
        (version.namespace, version.spec.model_ref.name)
        for version in versions
        if version is not None
    )
