"""What a DeviceProfile and a Device say, checked against itself and against each other.

`acceptance` calls `check_device` for `Ready` of both kinds and for what is assigned. Policies are
checked against what is left after narrowing; here is checked how the device is read (`telemetry`),
told (`templates`) and reached (`endpoints`), that nothing is narrowed in the wrong direction, and
that the safe state could be applied, although nothing applies it yet.
"""

from collections.abc import Iterable, Sequence

from foreshore_api import conditions, scalars
from foreshore_api.v1alpha1 import (
    DataType,
    DeviceProfileSpec,
    DeviceSpec,
    commanding,
    protection,
)
from foreshore_api.v1alpha1.deviceprofile import ActionInput
from foreshore_decision import expr, narrowing, topics
from foreshore_decision.policy import bounds, endpoints, scopes, telemetry, templates
from foreshore_decision.policy.problems import PolicyProblem, Problems

Reason = conditions.Reason


def check_device(
    profile: DeviceProfileSpec, device: DeviceSpec | None = None, name: str = ""
) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a profile as written, and with a device of it if one is given.

    `name` is the device's: topics may hold it.
    """
    shared = Problems()
    shared.noted.extend(check_reading(profile))
    _check_limits(profile, profile.limits, (), shared)
    _check_confirmation(profile, profile.confirmation, shared)
    _check_safe_state(profile, shared)
    templates.check(profile, None, shared)
    if device is None:
        return tuple(shared.noted)
    own = check_narrowing(profile, device, name)
    return (*shared.noted, *(problem for problem in own if problem not in shared.noted))


def check_reading(
    profile: DeviceProfileSpec, device: DeviceSpec | None = None, name: str = ""
) -> tuple[PolicyProblem, ...]:
    """Return what keeps a device from being listened to at all."""
    problems = Problems()
    telemetry.check(profile, problems)
    endpoints.check(profile, device, name, problems)
    return tuple(problems.noted)


def check_narrowing(
    profile: DeviceProfileSpec, device: DeviceSpec, name: str
) -> tuple[PolicyProblem, ...]:
    """Return what is wrong with a device of a profile, and of its topics as they are for it."""
    problems = Problems()
    endpoints.check(profile, device, name, problems)
    templates.check(profile, topics.parameters(device), problems)
    _check_limits(profile, device.limits, profile.limits, problems)
    _check_confirmation(profile, device.confirmation, problems)
    _check_once(profile, device, problems)
    _check_fence(profile, device, problems)
    return tuple(problems.noted)


def _check_once(profile: DeviceProfileSpec, device: DeviceSpec, problems: Problems) -> None:
    """Note a device that reads back what an echo of its profile confirms already."""
    answers = [action.acknowledgement for action in profile.actions]
    has_echo = any(
        answer is not None and answer.type is commanding.AcknowledgementKind.ECHO
        for answer in answers
    )
    if has_echo and device.confirmation is not None:
        message = "an echo confirms already: leave confirmation out"
        problems.add(Reason.INVALID, "spec.confirmation", message)


def _check_fence(profile: DeviceProfileSpec, device: DeviceSpec, problems: Problems) -> None:
    """Note a device that ignores what its profile says it fences by."""
    guards = narrowing.narrow(profile, device).guards
    if guards.fence is not protection.Fence.DEVICE:
        return
    for name in ("epoch", "duplicates"):
        if getattr(guards, name) is not protection.Check.CHECKED:
            message = (
                "fence Device needs a device that checks both, epoch and duplicates: leave this"
                " out, or use a profile with another fence"
            )
            problems.add(Reason.INVALID, f"spec.guards.{name}", message)


def _check_limits(
    profile: DeviceProfileSpec,
    limits: Iterable[protection.Limit],
    outer: Sequence[protection.Limit],
    problems: Problems,
) -> None:
    """Note limits that bound nothing, or are wider than the action's own and the outer ones."""
    for limit in limits:
        where = f"spec.limits[{limit.action},{limit.input}]"
        taken = _taken(profile, limit.action, limit.input)
        if taken is None:
            message = f"there is no action {limit.action} that takes {limit.input}"
            problems.add(Reason.REFERENCE_NOT_FOUND, where, message)
            continue
        if taken.type not in bounds.NUMERIC:
            problems.add(Reason.INVALID, where, f"a {taken.type} has no bounds")
            continue
        if limit.maximum_step is not None and taken.property is None:
            message = f"a step needs the property that {taken.name} sets"
            problems.add(Reason.INVALID, f"{where}.maximumStep", message)
        asked = bounds.span(limit.minimum, limit.maximum, limit.maximum_step)
        bounds.narrow(_allowed(taken, limit.action, outer), asked, where, problems)


def _check_confirmation(
    profile: DeviceProfileSpec, declared: protection.ConfirmationSpec | None, problems: Problems
) -> None:
    if declared is None:
        return
    path = "spec.confirmation"
    read = profile.find_property(declared.property)
    if read is None:
        message = f"the profile has no property {declared.property}"
        problems.add(Reason.REFERENCE_NOT_FOUND, f"{path}.property", message)
    elif read.type not in bounds.NUMERIC:
        problems.add(Reason.INVALID, f"{path}.property", f"{read.name} is no number")
    elif scalars.seconds(declared.timeout) <= scalars.seconds(read.settling_time):
        message = f"is not longer than the settling time of {read.name}"
        problems.add(Reason.INVALID, f"{path}.timeout", message)
    environment = expr.environment({"difference": DataType.NUMBER})
    scopes.compile_into(
        problems, environment, declared.expression, DataType.BOOLEAN, f"{path}.expression"
    )


def _check_safe_state(profile: DeviceProfileSpec, problems: Problems) -> None:
    call = profile.safe_state
    if call is None:
        return
    action = profile.find_action(call.action)
    if action is None:
        message = f"the profile has no action {call.action}"
        problems.add(Reason.REFERENCE_NOT_FOUND, "spec.safeState.action", message)
        return
    given = {argument.name: argument.value for argument in call.input}
    for name in sorted(given.keys() - {taken.name for taken in action.input}):
        path = f"spec.safeState.input[{name}]"
        problems.add(Reason.REFERENCE_NOT_FOUND, path, f"{action.name} takes no {name}")
    for taken in action.input:
        path = f"spec.safeState.input[{taken.name}]"
        if taken.name not in given:
            problems.add(Reason.INVALID, path, f"{action.name} takes {taken.name}: none is given")
            continue
        within = _allowed(taken, action.name, profile.limits)
        bounds.literal(given[taken.name], taken.type, within, path, problems)


def _allowed(taken: ActionInput, action: str, outer: Iterable[protection.Limit]) -> bounds.Span:
    """Return what an input may be, by the action itself and by these limits."""
    return bounds.tightest(
        bounds.span(taken.minimum, taken.maximum, taken.maximum_step),
        *(
            bounds.span(limit.minimum, limit.maximum, limit.maximum_step)
            for limit in outer
            if (limit.action, limit.input) == (action, taken.name)
        ),
    )


def _taken(profile: DeviceProfileSpec, action: str, name: str) -> ActionInput | None:
    declared = profile.find_action(action)
    return None if declared is None else declared.find_input(name)
