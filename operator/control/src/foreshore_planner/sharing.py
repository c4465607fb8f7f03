"""Which policies command the same actuator: each decides alone, and the device obeys both in turn.

`status` calls it. An actuator is a property of a device that an action writes, or the action itself
where it writes none; what a policy asks of a device that lowers it below acting does not count.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from foreshore_api import v1alpha1
from foreshore_decision import policy as deciding
from foreshore_decision.chain import modes
from foreshore_planner import binding, phrases

Actuator = tuple[binding.Key, str]
"""(device, property or action)."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """For every policy that shares an actuator: the others, and by which action of which device."""

    others: Mapping[binding.Key, Mapping[binding.Key, tuple[str, ...]]] = field(
        default_factory=dict
    )

    def message(self, policy: binding.Key) -> str | None:
        """Say with whom a policy shares what; None where it is alone."""
        sharers = self.others.get(policy)
        if not sharers:
            return None
        named = (
            f"{other[1]} ({phrases.listed(uses, 'devices')})" for other, uses in sharers.items()
        )
        return phrases.fitted(
            f"commands what others command too: {phrases.listed(named, 'policies')};"
            " nothing decides which of them wins:"
            " select different devices, or lower one to Advise"
        )


def among(bound: binding.BoundSnapshot) -> Sharing:
    """Find every actuator that more than one policy commands."""
    commanders: dict[Actuator, list[tuple[binding.Key, str]]] = {}
    for bound_policy in bound.policies.values():
        action = bound_policy.policy.spec.action.name
        for device in _commanded(bound_policy, bound):
            for actuator in _actuators(device, action):
                use = f"{action} of {device.key[1]}"
                commanders.setdefault((device.key, actuator), []).append((bound_policy.key, use))
    others: dict[binding.Key, dict[binding.Key, dict[str, None]]] = {}
    for commands in commanders.values():
        for policy, _ in commands:
            for other, use in commands:
                if other != policy:
                    others.setdefault(policy, {}).setdefault(other, {})[use] = None
    return Sharing(
        {
            policy: {other: tuple(uses) for other, uses in sorted(sharers.items())}
            for policy, sharers in others.items()
        }
    )


def _commanded(
    policy: binding.BoundPolicy, bound: binding.BoundSnapshot
) -> Iterator[binding.BoundDevice]:
    """Yield the devices that a policy may move."""
    if policy.problem is not None:
        return
    for keys in policy.sites.values():
        for key in keys:
            device = bound.devices[key]
            narrowed = device.narrowed
            caps = deciding.caps(policy.policy.spec, narrowed) if narrowed is not None else ()
            if modes.is_acting(modes.effective(policy.policy.spec.mode, caps)[0]):
                yield device


def _actuators(device: binding.BoundDevice, action: str) -> tuple[str, ...]:
    """Return what an action of a device moves."""
    declared = () if device.profile is None else device.profile.spec.actions
    declaration = next((entry for entry in declared if entry.name == action), None)
    return _written(declaration) or (f"{action}()",)


def _written(action: v1alpha1.deviceprofile.Action | None) -> tuple[str, ...]:
    inputs = () if action is None else action.input
    return tuple(argument.property for argument in inputs if argument.property is not None)
