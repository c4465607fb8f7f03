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
    absent = _absent(files, asking)
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
        for problem in checked[alike]:
            if problem.path in absent:
                continue
            concerned.setdefault(problem, []).append(device.name)
    for problem, names in concerned.items():
        whose = "" if len(names) == total else f" (for Device {findings.listed(names)})"
        text = f"{problem.message}{whose}"
        yield files.finding(asking, problem.reason, problem.path, text)


def _absent(files: written.WrittenResources, asking: v1alpha1.DecisionPolicy) -> frozenset[str]:
    """Return where a policy names other devices that are not here: `references` says that."""
    return frozenset(
        f"spec.inputs[{source.name}].deviceRef.name"
        for source in asking.spec.inputs
        if source.device_ref is not None
        and source.device_ref.name is not None
        and files.find(v1alpha1.Device, asking.namespace, source.device_ref.name) is None
    )


def _checked(
    files: written.WrittenResources,
    asking: v1alpha1.DecisionPolicy,
    profile: v1alpha1.DeviceProfileSpec,
    device: v1alpha1.DeviceSpec | None,
    read: Mapping[str, policy.Resolution] | None = None,
) -> tuple[Problem, ...]:
    """Return what keeps a policy from compiling; whatever happens, the others are looked at."""
    try:
        return policy.check(
            asking.spec,
            profile,
            device,
            files.model(asking),
            clock=files.around.clock,
            read=read or {},
        )
    except Exception as error:  # noqa: BLE001 - reported as the policy's problem
        return (policy.unexpected(error),)


def _labelled(device: v1alpha1.Device) -> str:
    return f"{device.name} ({labelled(device.metadata.labels)})"
