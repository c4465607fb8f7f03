"""Whether a profile, a device and a model are accepted, in the same words by everybody who asks.

The operator says it as `Ready`, `inspection` says it of a folder. The assignment leaves out devices
that cannot be listened to (or keeps them as they last were); what else is wrong keeps policies from
compiling. Objects stay the same from pass to pass until somebody edits them, so each is checked
once.
"""

from typing import Final

from foreshore_api import v1alpha1
from foreshore_decision import remembered
from foreshore_decision.policy import profiles, shapes, telemetry
from foreshore_decision.policy.problems import PolicyProblem, Problems

SHOWN: Final = 3
"""Problems that a message lists; more would not be read."""


def of_site(site: v1alpha1.Site) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a site; it costs times that name no zone, and nothing else."""
    problems = Problems()
    if site.spec.time_zone is not None:
        telemetry.check_zone(site.spec.time_zone, "spec.timeZone", problems)
    return tuple(problems.noted)


def of_profile(profile: v1alpha1.DeviceProfile) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a profile."""
    return _of_profile(profile.spec)


def of_device(
    profile: v1alpha1.DeviceProfile, device: v1alpha1.Device
) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a device of a profile, and not with the profile itself."""
    return _of_device(profile.spec, device.spec, device.name)


def of_model(model: v1alpha1.Model) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a model by itself, so that no policy that asks it compiles."""
    return tuple(
        PolicyProblem(fault.reason, fault.path, fault.message)
        for fault in shapes.faults(model.spec)
    )


def of_reading(
    profile: v1alpha1.DeviceProfile, device: v1alpha1.Device
) -> tuple[PolicyProblem, ...]:
    """Return what keeps a device from being listened to, whoever of the two says it."""
    return _of_reading(profile.spec, device.spec, device.name)


def message(problems: tuple[PolicyProblem, ...]) -> str:
    """Return problems as one text: where, what, and what helps."""
    listed = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:SHOWN])
    left = len(problems) - SHOWN
    return f"{listed}; and {left} more" if left > 0 else listed


@remembered.while_alive
def _of_profile(profile: v1alpha1.DeviceProfileSpec) -> tuple[PolicyProblem, ...]:
    return profiles.check_device(profile)


@remembered.while_alive
def _of_device(
    profile: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec, name: str
) -> tuple[PolicyProblem, ...]:
    shared = _of_profile(profile)
    own = profiles.check_narrowing(profile, device, name)
    return tuple(problem for problem in own if problem not in shared)


@remembered.while_alive
def _of_reading(
    profile: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec, name: str
) -> tuple[PolicyProblem, ...]:
    return profiles.check_reading(profile, device, name)
