"""Whether profiles, devices and sites make sense together, before any policy looks at them."""

from collections.abc import Iterator

from foreshore_api import conditions, v1alpha1
from foreshore_api.reasons import cap as cap_reasons
from foreshore_api.reasons import lint as reasons
from foreshore_api.v1alpha1 import protection
from foreshore_api.v1alpha1.telemetry import Position
from foreshore_decision import narrowing, policy
from foreshore_decision.chain import modes
from foreshore_decision.lint import findings, written
from foreshore_decision.policy import acceptance, capping, telemetry
from foreshore_decision.policy.endpoints import CommandEndpoint, commanded

Reason = conditions.Reason


def protections(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield what sites, profiles and devices say that cannot be meant."""
    for site in files.by_kind.sites:
        for problem in acceptance.of_site(site):
            yield files.finding(site, problem.reason, problem.path, problem.message)
    for profile in files.by_kind.profiles:
        for problem in acceptance.of_profile(profile):
            yield files.finding(profile, problem.reason, problem.path, problem.message)
    for device in files.by_kind.devices:
        of = files.profile(device)
        for problem in acceptance.of_device(of, device) if of is not None else ():
            yield files.finding(device, problem.reason, problem.path, problem.message)


def endpoints(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield the devices that are commanded on a topic of another one."""
    taken: dict[CommandEndpoint, v1alpha1.Device] = {}
    for device in files.by_kind.devices:
        profile = files.profile(device)
        site = files.find(v1alpha1.Site, device.namespace, device.spec.site)
        if profile is None or site is None or acceptance.of_reading(profile, device):
            continue
        for endpoint in commanded(profile.spec, device, site.spec.broker):
            first = taken.setdefault(endpoint, device)
            if first is not device:
                text = endpoint.conflict(first)
                path = "spec.profileRef.name"
                yield files.finding(device, Reason.ENDPOINT_CONFLICT, path, text)


def indexed(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield the properties whose path counts the elements of an array, if it meets one."""
    for profile in files.by_kind.profiles:
        for declared in profile.spec.properties:
            steps = telemetry.counting(declared)
            if steps and declared.position is not Position.FIXED:
                path = f"spec.properties[{declared.name}]"
                text = f"{steps[0]} is no place in an array: a value that it finds there is refused"
                reason, warning = reasons.INDEX_MEETS_ARRAY, findings.Severity.WARNING
                yield files.finding(profile, reason, path, text, warning)


def unfenced(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield the profiles whose devices two agents may command at once."""
    for profile in files.by_kind.profiles:
        guards = profile.spec.guards
        if profile.spec.actions and guards.fenced_by is protection.Fence.NONE:
            path, warning = "spec.guards.fence", findings.Severity.WARNING
            yield files.finding(profile, Reason.NO_FENCE, path, capping.RISK, warning)


def caps(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield the policies whose mode would be lower than they ask for, and why."""
    for asking in files.by_kind.policies:
        lowered: dict[policy.Cap, list[str]] = {}
        for device in files.bound(asking):
            profile = files.profile(device)
            if profile is None:
                continue
            narrowed = narrowing.narrow(profile.spec, device.spec)
            applied = policy.caps(asking.spec, narrowed)
            for cap in modes.effective(asking.spec.mode, applied)[1]:
                lowered.setdefault(cap, []).append(device.name)
        for cap, names in lowered.items():
            text = _capped(asking.spec.mode, cap, names)
            yield files.finding(asking, cap.reason, "spec.mode", text, findings.Severity.WARNING)


def _capped(asked: v1alpha1.Mode, cap: policy.Cap, names: list[str]) -> str:
    row = cap_reasons.TABLE.get(cap.reason)
    why = "" if row is None else f": {row.meaning.rstrip('.')}"
    return f"{asked} is capped at {cap.mode} for Device {findings.listed(names)}{why}"
