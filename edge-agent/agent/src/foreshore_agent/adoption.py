"""What of a fresh assignment takes effect: each policy as it compiles, else as it last did.

Pure; the runtime calls it on what the hub sends, folder mode on what it compiled itself. A policy
that compiles for only some of its devices is not half taken: its last version stays, for the
devices that it still fits. With no version that fits, nothing decides, and the problem says so.
Devices are always taken as they are now: a tightened profile must not be undone by an old policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from foreshore_api.wire import assignment, report
from foreshore_decision import policy as policies

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What takes effect, with the reference of the fresh assignment, and what did not."""

    assignment: assignment.Assignment
    problems: tuple[report.Problem, ...]


def is_stale(fresh: assignment.Assignment, last: assignment.Assignment | None) -> bool:
    """Whether a fresh assignment is older than the last one of the same lineage."""
    if last is None or fresh.lineage != last.lineage:
        return False
    return fresh.generation < last.generation


def adopt(
    fresh: assignment.Assignment,
    last: assignment.Assignment | None,
    rejected: Mapping[Name, report.Problem] | None = None,
) -> Adoption:
    """Return the assignment to work by.

    Args:
        fresh: the new desired state.
        last: what was in force until now.
        rejected: policies that must not be taken for reasons found elsewhere.
    """
    devices = {(device.namespace, device.name): device for device in fresh.devices}
    before = {(policy.namespace, policy.name): policy for policy in (last.policies if last else ())}
    known = {(each.namespace, each.name): each.digest for each in (last.devices if last else ())}
    site = fresh.site.name if fresh.site is not None else ""
    taken: list[assignment.AssignedPolicy] = []
    problems: list[report.Problem] = []
    for policy in fresh.policies:
        name = (policy.namespace, policy.name)
        problem = (rejected or {}).get(name)
        if problem is None and not _is_unchanged(policy, before.get(name), devices, known):
            problem = _problem(policy, devices, site)
        if problem is None:
            taken.append(policy)
            continue
        problems.append(problem)
        kept = _kept(before.get(name), policy, devices, site)
        if kept is not None:
            taken.append(kept)
    adopted = fresh.model_copy(update={"policies": tuple(taken)})
    return Adoption(adopted, tuple(problems))


def _is_unchanged(
    policy: assignment.AssignedPolicy,
    before: assignment.AssignedPolicy | None,
    devices: Mapping[Name, assignment.AssignedDevice],
    known: Mapping[Name, str],
) -> bool:
    """Whether this very version is in force on these very devices: it compiled already."""
    if before is None or before.digest != policy.digest or before.model != policy.model:
        return False
    names = [(policy.namespace, name) for name in policy.devices]
    return before.devices == policy.devices and all(
        name in devices and known.get(name) == devices[name].digest for name in names
    )


def _problem(
    policy: assignment.AssignedPolicy,
    devices: Mapping[Name, assignment.AssignedDevice],
    site: str,
) -> report.Problem | None:
    """Return why a policy does not compile for one of its devices, or None."""
    for name in policy.devices:
        device = devices.get((policy.namespace, name))
        if device is None:
            continue
        try:
            policies.compile(policy, device, site)
        except policies.PolicyError as error:
            return report.Problem(
                kind="DecisionPolicy",
                namespace=policy.namespace,
                name=policy.name,
                generation=policy.generation,
                reason=error.reason,
                message=f"for device {name}: {error}"[:1024],
            )
    return None


def _kept(
    before: assignment.AssignedPolicy | None,
    fresh: assignment.AssignedPolicy,
    devices: Mapping[Name, assignment.AssignedDevice],
    site: str,
) -> assignment.AssignedPolicy | None:
    """Return the last version, for the devices that are still bound and that it fits."""
    if before is None:
        return None
    bound = tuple(
        name
        for name in before.devices
        if (before.namespace, name) in devices
        and _problem(before.model_copy(update={"devices": (name,)}), devices, site) is None
    )
    if not bound:
        return None
    is_same_model = fresh.model is not None and fresh.model == before.model
    endpoints = fresh.endpoints if is_same_model else before.endpoints
    return before.model_copy(update={"devices": bound, "endpoints": endpoints})
