"""What a policy commands: the action, its bounds, how it is confirmed. Called by `compile`."""

from collections.abc import Iterable
from typing import Final

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.deviceprofile import Action, ActionInput
from foreshore_decision import expr
from foreshore_decision.policy import bounds, compiled, scopes, templates
from foreshore_decision.policy.problems import Problems
from foreshore_decision.policy.subject import Subject

Reason = conditions.Reason

DEFAULT_PRESENT_AGE: Final = 60.0
"""Seconds for which a measured value may be stepped from, in a policy without inputs."""


def action(
    subject: Subject,
    inputs: Iterable[compiled.CompiledInput],
    names: scopes.Names,
    problems: Problems,
) -> compiled.CompiledAction:
    """Return the action with what binds each of its inputs, or note what is wrong with it."""
    wanted = subject.spec.action
    action = subject.profile.find_action(wanted.name)
    compiled_bounds: list[compiled.Bound] = []
    if action is None:
        candidates = (candidate.name for candidate in subject.profile.actions)
        message = f"the profile has no action {wanted.name}; {hints.among(wanted.name, candidates)}"
        problems.add(Reason.REFERENCE_NOT_FOUND, "spec.action.name", message)
    else:
        _check_action(subject, action, problems)
        compiled_bounds = [
            bound
            for taken in action.input
            if (bound := _bound(subject, taken, inputs, names, problems)) is not None
        ]
    properties = (subject.profile.find_property(bound.property or "") for bound in compiled_bounds)
    settling = [scalars.seconds(prop.settling_time) for prop in properties if prop is not None]
    return compiled.CompiledAction(
        name=wanted.name,
        bounds=tuple(compiled_bounds),
        on_limit=wanted.on_limit,
        priority=wanted.priority,
        time_to_live=scalars.seconds(wanted.time_to_live),
        settling_time=max(settling, default=0.0),
        actuators=moved(wanted.name, (bound.property for bound in compiled_bounds)),
    )


def moved(action: str, properties: Iterable[str | None]) -> frozenset[str]:
    """Name the actuators of an action: the properties it sets, or itself where it sets none."""
    return frozenset(name for name in properties if name is not None) or frozenset({action})


def _check_action(subject: Subject, action: Action, problems: Problems) -> None:
    taken = {value.name for value in action.input}
    for argument in subject.spec.action.input:
        if argument.name not in taken:
            path = f"spec.action.input[{argument.name}]"
            message = f"{action.name} takes no {argument.name}; {hints.among(argument.name, taken)}"
            problems.add(Reason.REFERENCE_NOT_FOUND, path, message)
    for limit in subject.spec.action.limits:
        if limit.input not in taken:
            path = f"spec.action.limits[{limit.input}]"
            message = f"{action.name} takes no {limit.input}; {hints.among(limit.input, taken)}"
            problems.add(Reason.REFERENCE_NOT_FOUND, path, message)


def _bound(
    subject: Subject,
    taken: ActionInput,
    inputs: Iterable[compiled.CompiledInput],
    names: scopes.Names,
    problems: Problems,
) -> compiled.Bound | None:
    wanted = subject.spec.action
    path = f"spec.action.input[{taken.name}]"
    given = next((argument for argument in wanted.input if argument.name == taken.name), None)
    if given is None:
        problems.add(Reason.INVALID, path, f"{wanted.name} takes {taken.name}: nothing is given")
        return None
    if given.unit is not None and given.unit != taken.unit:
        message = f"is {given.unit}, but the action takes {taken.unit or 'no unit'}: write that"
        problems.add(Reason.UNIT_MISMATCH, f"{path}.unit", message)
    span = _span(subject, taken, problems)
    expression = scopes.compile_into(
        problems, names.environment_after(), given.expression, taken.type, f"{path}.expression"
    )
    if expression is None:
        return None
    return compiled.Bound(
        name=taken.name,
        property=taken.property,
        type=taken.type,
        unit=taken.unit,
        expression=expression,
        minimum=span.minimum,
        maximum=span.maximum,
        maximum_step=span.step,
        present_age=_present_age(taken.property, inputs),
        tolerance=templates.tolerance(subject.profile, taken.property),
    )


def _span(subject: Subject, taken: ActionInput, problems: Problems) -> bounds.Span:
    """Return what binds: the action's own bounds, the device's limits, the policy's limits."""
    wanted = subject.spec.action
    own = bounds.span(taken.minimum, taken.maximum, taken.maximum_step)
    device = bounds.tightest(
        own,
        *(
            bounds.span(limit.minimum, limit.maximum, limit.maximum_step)
            for limit in subject.profile.limits
            if (limit.action, limit.input) == (wanted.name, taken.name)
        ),
    )
    limit = wanted.find_limit(taken.name)
    path = f"spec.action.limits[{taken.name}]"
    asked = bounds.Span()
    if limit is not None:
        asked = bounds.span(limit.minimum, limit.maximum, limit.maximum_step)
    both = bounds.narrow(device, asked, path, problems)
    if not both.is_open and taken.type not in bounds.NUMERIC:
        problems.add(Reason.INVALID, path, f"a {taken.type} has no bounds")
    if both.step is not None and taken.property is None:
        message = f"a step needs the property that {taken.name} sets; the profile names none"
        problems.add(Reason.INVALID, f"{path}.maximumStep", message)
    return both


def _present_age(name: str | None, inputs: Iterable[compiled.CompiledInput]) -> float:
    """How old a measurement may be that a step is counted from: as old as an input of it."""
    ages = [source.maximum_age for source in inputs if source.property == name]
    ages = ages or [source.maximum_age for source in inputs]
    return min(ages, default=DEFAULT_PRESENT_AGE)


def confirmation(
    subject: Subject, action: compiled.CompiledAction, problems: Problems
) -> compiled.Confirmation | None:
    """Return how a command is confirmed; an action that does not set the property is not."""
    declared = subject.profile.confirmation
    if declared is None:
        return None
    setter = next((bound for bound in action.bounds if bound.property == declared.property), None)
    if setter is None:
        return None
    path = "profile spec.confirmation"
    if setter.type not in bounds.NUMERIC:
        problems.add(Reason.INVALID, path, f"{declared.property} is no number")
    environment = expr.environment({"difference": DataType.NUMBER})
    expression = scopes.compile_into(
        problems, environment, declared.expression, DataType.BOOLEAN, f"{path}.expression"
    )
    if expression is None:
        return None
    timeout = scalars.seconds(declared.timeout)
    if timeout <= action.settling_time:
        message = f"is not longer than the {action.settling_time:g} s that the property settles"
        problems.add(Reason.INVALID, f"{path}.timeout", message)
    return compiled.Confirmation(declared.property, setter.name, environment, expression, timeout)
