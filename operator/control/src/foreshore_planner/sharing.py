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
        found = self.others.get(policy)
        if not found:
            return None
        named = (f"{other[1]} ({phrases.listed(ways, 'devices')})" for other, ways in found.items())
        return phrases.fitted(
            f"commands what others command too: {phrases.listed(named, 'policies')};"
            " nothing decides which of them wins:"
            " select different devices, or lower one to Advise"
        )


def among(bound: binding.BoundSnapshot) -> Sharing:
    """Find every actuator that more than one policy commands."""
    commanders: dict[Actuator, list[tuple[binding.Key, str]]] = {}
    for one in bound.policies.values():
        action = one.policy.spec.action.name
        for device in _commanded(one, bound):
            for actuator in _actuators(device, action):
                way = f"{action} of {device.key[1]}"
                commanders.setdefault((device.key, actuator), []).append((one.key, way))
    others: dict[binding.Key, dict[binding.Key, dict[str, None]]] = {}
    for found in commanders.values():
        for policy, _ in found:
            for other, way in found:
                if other != policy:
                    others.setdefault(policy, {}).setdefault(other, {})[way] = None
    return Sharing(
        {
            policy: {other: tuple(ways) for other, ways in sorted(found.items())}
            for policy, found in others.items()
        }
    )


def _commanded(
    one: binding.BoundPolicy, bound: binding.BoundSnapshot
) -> Iterator[binding.BoundDevice]:
    """Yield the devices that a policy may move."""
    if one.problem is not None:
        return
    for keys in one.sites.values():
        for key in keys:
            device = bound.devices[key]
            narrowed = device.narrowed
            caps = deciding.caps(narrowed) if narrowed is not None else ()
            if modes.is_acting(modes.effective(one.policy.spec.mode, caps)[0]):
                yield device


def _actuators(device: binding.BoundDevice, action: str) -> tuple[str, ...]:
    """Return what an action of a device moves."""
    declared = () if device.profile is None else device.profile.spec.actions
    found = next((one for one in declared if one.name == action), None)
    return _written(found) or (f"{action}()",)


def _written(action: v1alpha1.deviceprofile.Action | None) -> tuple[str, ...]:
    inputs = () if action is None else action.input
    return tuple(one.property for one in inputs if one.property is not None)
