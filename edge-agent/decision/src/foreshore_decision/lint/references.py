"""Whether what resources name is there."""

from collections.abc import Iterator, Sequence

from foreshore_api import conditions, hints, meta, v1alpha1
from foreshore_api.reasons import lint as reasons
from foreshore_decision import resources
from foreshore_decision.lint import findings, written

Reason = conditions.Reason


def check(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield every reference to an object that is not there."""
    every = files.by_kind
    for device in every.devices:
        profile, site = device.spec.profile_ref.name, device.spec.site
        yield from _reference(
            files, device, "spec.profileRef.name", v1alpha1.DeviceProfile, every.profiles, profile
        )
        yield from _reference(files, device, "spec.site", v1alpha1.Site, every.sites, site)
    for version in every.versions:
        model = version.spec.model_ref.name
        yield from _reference(
            files, version, "spec.modelRef.name", v1alpha1.Model, every.models, model
        )
    for policy in every.policies:
        reference = policy.spec.model_ref
        if reference is not None and reference.version is not None:
            wanted = reference.version
            path = "spec.modelRef.version"
            yield from _reference(
                files, policy, path, v1alpha1.ModelVersion, every.versions, wanted
            )
        yield from _other_devices(files, policy)


def _other_devices(
    files: written.WrittenResources, policy: v1alpha1.DecisionPolicy
) -> Iterator[findings.Finding]:
    """Yield the other devices that inputs read and that are not there."""
    for source in policy.spec.inputs:
        wanted = source.device_ref
        path = f"spec.inputs[{source.name}].deviceRef"
        if wanted is not None and wanted.name is not None:
            devices = files.by_kind.devices
            yield from _reference(
                files, policy, f"{path}.name", v1alpha1.Device, devices, wanted.name
            )


def _reference(
    files: written.WrittenResources,
    resource: meta.Resource,
    field: str,
    wanted_kind: type[meta.Resource],
    candidates: Sequence[meta.Resource],
    name: str,
) -> Iterator[findings.Finding]:
    namespace, kind = resource.namespace, wanted_kind.kind
    wanted = resources.ObjectIdentity(kind, namespace, name)
    if wanted in files.by_identity:
        return
    elsewhere = [other.namespace for other in candidates if other.name == name]
    if wanted in files.refused:
        text = f"{kind} {name} is refused, see there"
    elif elsewhere:
        text = f"{kind} {name} is in namespace {elsewhere[0]}, not in {namespace}: move one of them"
    elif files.around.in_cluster:
        text = f"{kind} {name} is not in these files: the cluster must have it"
        note = findings.Severity.NOTE
        yield files.finding(resource, reasons.NOT_IN_THESE_FILES, field, text, note)
        return
    else:
        names = [other.name for other in candidates if other.namespace == namespace]
        text = f"there is no {kind} {name} in namespace {namespace}; {hints.among(name, names)}"
    yield files.finding(resource, Reason.REFERENCE_NOT_FOUND, field, text)
