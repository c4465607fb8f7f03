"""Which policies command the same actuator: each decides alone, and the device obeys both in turn.

`status` calls it. An actuator is a property of a device that an action writes, or the action itself
where it writes none; what a policy asks of a device that lowers it below acting does not count.
"""

from collections.abc import Iterator, Mapping, Sequence

from foreshore_api import v1alpha1
from foreshore_decision import policy as deciding
from foreshore_decision.chain import modes
from foreshore_planner import binding, phrases


def message(policy: binding.BoundPolicy, bound: binding.BoundSnapshot) -> str | None:
    """Say with whom a policy shares what; None where it is alone."""
    sharers = sharers_of(policy, bound)
    if not sharers:
        return None
    shown = (
        f"{other[1]} ({phrases.listed(uses, 'devices')})" for other, uses in sorted(sharers.items())
    )
    return phrases.fitted(
        f"commands what others command too: {phrases.listed(shown, 'policies')};"
        " nothing decides which of them wins:"
        " select different devices, or lower one to Advise"
    )


def sharers_of(
    policy: binding.BoundPolicy, bound: binding.BoundSnapshot
) -> Mapping[binding.Key, Sequence[str]]:
    """Return the others that command an actuator of a policy's, and by what of which device."""
    uses: dict[binding.Key, list[str]] = {}
    for device in _commanded(policy, bound):
        own = set(_actuators(device, policy.policy.spec.action.name))
        for key in bound.commanders.get(device.key, ()):
            other = bound.policies[key]
            action = other.policy.spec.action.name
            is_shared = key != policy.key and not own.isdisjoint(_actuators(device, action))
            if is_shared and _commands(other, device):
                uses.setdefault(key, []).append(f"{action} of {device.key[1]}")
    return uses


def _commanded(
    policy: binding.BoundPolicy, bound: binding.BoundSnapshot
) -> Iterator[binding.BoundDevice]:
    """Yield the devices that a policy may move and that others are bound to as well."""
    for keys in policy.sites.values():
        for key in keys:
            if len(bound.commanders.get(key, ())) > 1 and _commands(policy, bound.devices[key]):
                yield bound.devices[key]


def _commands(policy: binding.BoundPolicy, device: binding.BoundDevice) -> bool:
    """Whether a policy may move a device that it is bound to."""
    if policy.problem is not None:
        return False
    narrowed = device.narrowed
    caps = deciding.caps(policy.policy.spec, narrowed) if narrowed is not None else ()
    return modes.is_acting(modes.effective(policy.policy.spec.mode, caps)[0])


def _actuators(device: binding.BoundDevice, action: str) -> tuple[str, ...]:
    """Return what an action of a device moves."""
    declared = () if device.profile is None else device.profile.spec.actions
    declaration = next((entry for entry in declared if entry.name == action), None)
    return _written(declaration) or (f"{action}()",)


def _written(action: v1alpha1.deviceprofile.Action | None) -> tuple[str, ...]:
    inputs = () if action is None else action.input
    return tuple(argument.property for argument in inputs if argument.property is not None)
