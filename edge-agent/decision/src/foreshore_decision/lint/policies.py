"""Whether policies select devices, and compile for each of those."""

from collections.abc import Iterator, Mapping, Sequence

from foreshore_api import conditions, hints, v1alpha1
from foreshore_api.reasons import lint as reasons
from foreshore_decision import narrowing, policy, selectors
from foreshore_decision.lint import findings, written

Reason = conditions.Reason
Problem = policy.PolicyProblem

_DEVICES_SHOWN = 5


def check(files: written.WrittenResources) -> Iterator[findings.Finding]:
    """Yield every policy that selects nothing, or does not compile for what it selects."""
    for asking in files.by_kind.policies:
        bound = files.bound(asking)
        if bound:
            yield from _uncompiled(files, asking, bound)
        elif files.around.in_cluster:
            text = "selects no Device of these files: the cluster must have it"
            reason, note = reasons.NOT_IN_THESE_FILES, findings.Severity.NOTE
            yield files.finding(asking, reason, "spec.deviceSelector", text, note)
            yield from _unbound(files, asking)
        else:
            text = _unselected(files, asking)
            yield files.finding(asking, Reason.NO_DEVICES, "spec.deviceSelector", text)


def labelled(labels: Mapping[str, str]) -> str:
    """Return labels as one text."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"


def _unselected(files: written.WrittenResources, asking: v1alpha1.DecisionPolicy) -> str:
    namespace, selector = asking.namespace, asking.spec.device_selector
    every = files.by_kind.devices
    devices = [device for device in every if device.namespace == namespace]
    elsewhere = [
        device
        for device in every
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


def _unbound(
    files: written.WrittenResources, asking: v1alpha1.DecisionPolicy
) -> Iterator[findings.Finding]:
    """Yield what keeps a policy from compiling against the one profile of the files."""
    profiles = [
        profile for profile in files.by_kind.profiles if profile.namespace == asking.namespace
    ]
    if len(profiles) == 1:
        for problem in _checked(files, asking, profiles[0].spec, None):
            yield files.finding(asking, problem.reason, problem.path, problem.message)


def _uncompiled(
    files: written.WrittenResources,
    asking: v1alpha1.DecisionPolicy,
    bound: Sequence[v1alpha1.Device],
) -> Iterator[findings.Finding]:
    """Yield what keeps a policy from compiling, once for all devices that it concerns."""
    absent: dict[str, set[str]] = {}
    concerned: dict[Problem, list[str]] = {}
    checked: dict[tuple[object, ...], tuple[Problem, ...]] = {}
    total = 0
    for device in bound:
        profile = files.profile(device)
        if profile is None:
            continue
        total += 1
        others = files.sites[device.namespace, device.spec.site]
        read = policy.resolve(asking.spec, device.spec, device.name, others)
        words = policy.wording(asking.spec, read)
        alike = (profile.name, device.spec.model_dump_json(), words)
        if alike not in checked:
            narrowed = narrowing.narrow(profile.spec, device.spec)
            checked[alike] = _checked(files, asking, narrowed, device.spec, read)
        missing = _absent(files, asking, device)
        for path, name in missing.items():
            absent.setdefault(path, set()).add(name)
        for problem in checked[alike]:
            if problem.path in missing:
                continue
            concerned.setdefault(problem, []).append(device.name)
    yield from _elsewhere(files, asking, absent)
    for problem, names in concerned.items():
        whose = "" if len(names) == total else f" (for Device {findings.listed(names)})"
        text = f"{problem.message}{whose}"
        yield files.finding(asking, problem.reason, problem.path, text)


def _absent(
    files: written.WrittenResources, asking: v1alpha1.DecisionPolicy, device: v1alpha1.Device
) -> Mapping[str, str]:
    """Return where another device is named that these files do not hold whole, and its name.

    `references` says it where it can be seen without the device; so it does of a DeviceProfile. A
    name that a parameter gives is left to compiling, unless a cluster may hold the device.
    """
    whole = files.sites.get((device.namespace, device.spec.site), {})
    missing: dict[str, str] = {}
    for path, name in policy.named(asking.spec, device.spec):
        other = files.find(v1alpha1.Device, asking.namespace, name)
        if other is None:
            is_missing = path.endswith(".name") or files.around.in_cluster
        else:
            is_missing = other.spec.site == device.spec.site and name not in whole
        if is_missing:
            missing[path] = name
    return missing


def _elsewhere(
    files: written.WrittenResources,
    asking: v1alpha1.DecisionPolicy,
    absent: Mapping[str, set[str]],
) -> Iterator[findings.Finding]:
    """Yield the devices that parameters name and that only a cluster may hold."""
    for path, names in absent.items():
        outside = sorted(
            name for name in names if files.find(v1alpha1.Device, asking.namespace, name) is None
        )
        if outside and path.endswith(".parameter"):
            listed = findings.listed(outside)
            text = f"Device {listed} is not in these files: the cluster must have it"
            reason, note = reasons.NOT_IN_THESE_FILES, findings.Severity.NOTE
            yield files.finding(asking, reason, path, text, note)


def _checked(
    files: written.WrittenResources,
    asking: v1alpha1.DecisionPolicy,
    profile: v1alpha1.DeviceProfileSpec,
    device: v1alpha1.DeviceSpec | None,
    read: Mapping[str, policy.Resolution] | None = None,
) -> tuple[Problem, ...]:
    """Return what keeps a policy from compiling; whatever happens, the others are looked at.

    But for what is wrong with its model by itself: that is said once, where the Model is written.
    """
    model = files.model(asking)
    try:
        problems = policy.check(
            asking.spec, profile, device, model, clock=files.around.clock, read=read or {}
        )
    except Exception as error:  # noqa: BLE001 - reported as the policy's problem
        return (policy.unexpected(error),)
    faults = () if model is None else [fault.problem for fault in policy.model_faults(model)]
    return tuple(problem for problem in problems if problem not in faults)


def _labelled(device: v1alpha1.Device) -> str:
    return f"{device.name} ({labelled(device.metadata.labels)})"
