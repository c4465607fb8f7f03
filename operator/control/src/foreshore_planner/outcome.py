"""What a pass decided, and lookups in it: the status of one object is made from this alone.

`plan` makes it of everything at once; the fold (`world`) keeps one and changes it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foreshore_planner import binding, health, named, succession
from foreshore_planner.placement import case


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """Verdicts, what belongs to what, rights and placements of one pass."""

    verdicts: health.Health
    bound: binding.BoundSnapshot
    successions: Mapping[binding.Key, succession.Succession]
    """By device; of those that are accepted."""
    plans: Mapping[binding.Key, case.PlacementPlan]
    """Placements as they are shown, planned or only kept, by (namespace, name)."""
    plans_of: Mapping[binding.Key, tuple[case.PlacementPlan, ...]]
    """By policy."""
    plans_using: Mapping[binding.Key, tuple[case.PlacementPlan, ...]]
    """By ModelVersion."""
    devices_of: Mapping[binding.Key, tuple[binding.BoundDevice, ...]]
    """By DeviceProfile, of those that exist."""


def of(
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    successions: Mapping[binding.Key, succession.Succession],
    plans: Iterable[case.PlacementPlan],
) -> PassOutcome:
    """Look over all that a pass decided."""
    shown = sorted(plans, key=order)
    return PassOutcome(
        verdicts=verdicts,
        bound=bound,
        successions=successions,
        plans={(plan.namespace, plan.name): plan for plan in shown},
        plans_of=named.grouped(shown, lambda plan: (policy_of(plan),)),
        plans_using=named.grouped(shown, versions_of),
        devices_of=named.grouped(bound.devices.values(), profiles_of),
    )


def order(plan: case.PlacementPlan) -> tuple[str, str, str]:
    """Return what placements are put in order by."""
    return (plan.namespace, plan.policy, plan.site)


def policy_of(plan: case.PlacementPlan) -> binding.Key:
    """Return whose placement it is."""
    return (plan.namespace, plan.policy)


def versions_of(plan: case.PlacementPlan) -> tuple[binding.Key, ...]:
    """Return the versions that a placement's pods or agents are to run."""
    names = dict.fromkeys(pod.version for pod in plan.pods)
    if plan.agents is not None:
        names[plan.agents.version] = None
    return tuple((plan.namespace, name) for name in names)


def profiles_of(device: binding.BoundDevice) -> tuple[binding.Key, ...]:
    """Return the profile of a device, if there is one."""
    return () if device.profile is None else (binding.key(device.profile),)
