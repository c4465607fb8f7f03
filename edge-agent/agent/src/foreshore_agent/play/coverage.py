"""Whether a recording gives the policies of a device what they wait for; pure.

`rehearse` refuses a recording that triggers nothing, `play` says so: its policies may be elsewhere.
"""

from collections.abc import Collection, Iterable, Iterator

from foreshore_agent.play import machine, recording
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import deviceprofile, evaluation
from foreshore_decision import selectors


def policies_of(
    device: v1alpha1.Device, resources: Iterable[meta.Resource]
) -> tuple[v1alpha1.DecisionPolicy, ...]:
    """Return the policies that decide about a device."""
    return tuple(
        each
        for each in resources
        if isinstance(each, v1alpha1.DecisionPolicy)
        and each.namespace == device.namespace
        and selectors.selects(each.spec.device_selector, device.metadata.labels)
    )


def reported(
    profile: deviceprofile.DeviceProfileSpec, columns: recording.Columns
) -> frozenset[str]:
    """Return the properties that the played device reports: mapped ones, and what it is set to."""
    readable = {
        each.name for each in profile.properties if each.access is not deviceprofile.Access.WRITE
    }
    is_set = readable.intersection(machine.Machine(profile).initial())
    return frozenset(is_set).union(each.name for each in columns.properties.values())


def untriggered(
    policies: Collection[v1alpha1.DecisionPolicy], told: Collection[str], header: Collection[str]
) -> Iterator[str]:
    """Yield the policies that no row would evaluate."""
    for each in policies:
        triggers = _triggers(each)
        if triggers and not triggers.intersection(told) and not each.spec.trigger.after_silence:
            field = "spec.trigger.properties" if each.spec.trigger.properties else "spec.inputs"
            names = ", ".join(sorted(triggers))
            yield (
                f"DecisionPolicy {each.name} is evaluated when {names} is reported ({field}), and"
                f" no column is: say which with --map COLUMN={min(triggers)}; columns:"
                f" {', '.join(header)}"
            )


def unfed(policies: Collection[v1alpha1.DecisionPolicy], told: Collection[str]) -> Iterator[str]:
    """Yield the inputs that no row gives a value to, although the policy needs one."""
    for policy in policies:
        for each in policy.spec.inputs:
            needs_value = each.on_invalid is not evaluation.OnInvalid.DEFAULT
            if each.property not in told and needs_value:
                yield (
                    f"DecisionPolicy {policy.name} reads {each.property}"
                    f" (spec.inputs[{each.name}]), and no column is: it will be missing;"
                    f" --map COLUMN={each.property} gives it"
                )


def _triggers(policy: v1alpha1.DecisionPolicy) -> frozenset[str]:
    spec = policy.spec
    return frozenset(spec.trigger.properties or (each.property for each in spec.inputs))
