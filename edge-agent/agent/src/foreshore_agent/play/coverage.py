"""Whether a recording gives the policies of a device what they wait for; pure.

`rehearse` refuses what could not decide, `play` says so: its policies may be elsewhere.
"""

from collections.abc import Collection, Iterable, Iterator

from foreshore_agent.play import columns, layout, machine, recording
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import device as devices
from foreshore_api.v1alpha1 import deviceprofile, evaluation
from foreshore_decision import policy as compiling
from foreshore_decision import selectors


def policies_of(
    device: v1alpha1.Device, resources: Iterable[meta.Resource]
) -> tuple[v1alpha1.DecisionPolicy, ...]:
    """Return the policies that decide about a device."""
    return tuple(
        policy
        for policy in resources
        if isinstance(policy, v1alpha1.DecisionPolicy)
        and policy.namespace == device.namespace
        and selectors.selects(policy.spec.device_selector, device.metadata.labels)
    )


def reported(
    profile: deviceprofile.DeviceProfileSpec, columns: recording.Columns
) -> frozenset[str]:
    """Return the properties that the played device reports: mapped ones, and what it is set to."""
    readable = {
        declared.name
        for declared in profile.properties
        if declared.access is not deviceprofile.Access.WRITE
    }
    is_set = readable.intersection(machine.Machine(profile).initial())
    return frozenset(is_set).union(mapped.name for mapped in columns.properties.values())


def obstacles(
    device: v1alpha1.Device,
    policies: Collection[v1alpha1.DecisionPolicy],
    reported: Collection[str],
    header: Collection[str],
) -> Iterator[str]:
    """Yield, each with its remedy, what would keep every row from a decision.

    A disabled policy beside one that decides is no obstacle: see `disabled`.
    """
    if device.spec.lock is devices.Lock.LOCKED:
        yield (
            f"Device {device.name} is locked (spec.lock), so that no policy decides for it:"
            " set spec.lock to Unlocked in the folder that is rehearsed"
        )
    enabled = [policy for policy in policies if policy.spec.mode is not v1alpha1.Mode.DISABLED]
    if not enabled:
        yield from disabled(policies)
    yield from untriggered(device, enabled, reported, header)
    yield from unfed(device, enabled, reported, header)


def disabled(policies: Collection[v1alpha1.DecisionPolicy]) -> Iterator[str]:
    """Yield the policies that are switched off."""
    for policy in policies:
        if policy.spec.mode is v1alpha1.Mode.DISABLED:
            yield (
                f"DecisionPolicy {policy.name} is Disabled (spec.mode) and decides nothing: Shadow"
                " records what it would do"
            )


def untriggered(
    device: v1alpha1.Device,
    policies: Collection[v1alpha1.DecisionPolicy],
    reported: Collection[str],
    header: Collection[str],
) -> Iterator[str]:
    """Yield the policies that no row would evaluate."""
    for policy in policies:
        triggers = _triggers(device, policy)
        if (
            triggers
            and not triggers.intersection(reported)
            and not policy.spec.trigger.after_silence
        ):
            field = "spec.trigger.properties" if policy.spec.trigger.properties else "spec.inputs"
            names = ", ".join(sorted(triggers))
            yield (
                f"DecisionPolicy {policy.name} is evaluated when {names} is reported ({field}), and"
                f" no column is: say which with --map COLUMN={min(triggers)}; columns:"
                f" {layout.listed(header)}"
            )


def unfed(
    device: v1alpha1.Device,
    policies: Collection[v1alpha1.DecisionPolicy],
    reported: Collection[str],
    header: Collection[str] = (),
) -> Iterator[str]:
    """Yield the inputs that no row gives a value to, although the policy needs one."""
    for reads, name, source in _unreported(device, policies, reported):
        if source.on_invalid is not evaluation.OnInvalid.DEFAULT:
            yield f"{reads}: it will be missing; {_remedy(name, header)}"


def defaulted(
    device: v1alpha1.Device,
    policies: Collection[v1alpha1.DecisionPolicy],
    reported: Collection[str],
) -> Iterator[str]:
    """Yield the inputs that no row gives a value to, and that have a default for it."""
    for reads, _, source in _unreported(device, policies, reported):
        if source.on_invalid is evaluation.OnInvalid.DEFAULT:
            yield f"{reads}: it is decided on the default, {source.default}"


def elsewhere(
    device: v1alpha1.Device, policies: Iterable[v1alpha1.DecisionPolicy]
) -> frozenset[str]:
    """Return what policies read of other devices than the one that is played."""
    return frozenset(
        compiling.property_name(policy.spec, source, device.spec)
        for policy in policies
        for source in policy.spec.inputs
        if source.device_ref is not None
    )


def _unreported(
    device: v1alpha1.Device,
    policies: Iterable[v1alpha1.DecisionPolicy],
    reported: Collection[str],
) -> Iterator[tuple[str, str, evaluation.InputSpec]]:
    """Yield the inputs that no row gives a value to: who reads it, its property, the input."""
    for policy in policies:
        for source in policy.spec.inputs:
            name = compiling.property_name(policy.spec, source, device.spec)
            if name not in reported:
                yield (
                    f"DecisionPolicy {policy.name} reads {name} (spec.inputs[{source.name}]), and"
                    " no column is",
                    name,
                    source,
                )


def _remedy(name: str, header: Collection[str]) -> str:
    """Say how a column becomes a property: by the likeliest one, but for its case and its unit."""
    column = columns.likely(name, header)
    if column is None:
        return f"--map COLUMN={name} gives it"
    return f"did you mean --map '{column}={name}'?"


def _triggers(device: v1alpha1.Device, policy: v1alpha1.DecisionPolicy) -> frozenset[str]:
    spec = policy.spec
    names = (compiling.property_name(spec, source, device.spec) for source in spec.inputs)
    return frozenset(spec.trigger.properties or names)
