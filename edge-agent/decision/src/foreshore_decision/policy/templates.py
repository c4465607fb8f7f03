"""How an action is told in a device's own dialect, and how the device's answer is read in it.

    profile's action ──message──► CompiledMessage ──document(values)──► what the port encodes
                     └─acknowledgement──► CompiledAcknowledgement

Admission calls `check` (`profiles.check_device`), `compile` both functions for a policy's action,
and the agent's port `message` for each action of each device: all refuse the same.

A device whose parameters are not known yet may have any; one that is known has to have those that
the template names. Topics are looked at by `endpoints`.
"""

from collections.abc import Mapping
from typing import Final

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1 import DataType, DeviceProfileSpec, commanding, protection
from foreshore_api.v1alpha1.deviceprofile import Access, Action
from foreshore_api.v1alpha1.telemetry import Payload
from foreshore_decision import expr
from foreshore_decision.expr import lexis
from foreshore_decision.policy import bounds, compiled, scopes
from foreshore_decision.policy.problems import Problems

Reason = conditions.Reason
Kind = commanding.AcknowledgementKind

REPLY: Final = "reply"
"""Name of the device's answer in `match`."""
_PREFIX: Final = "parameters."
_DIALECT_FENCE: Final = (
    "a message in the device's own dialect carries neither epoch nor command id, so that the device"
    " cannot fence: leave mqtt out and use the envelope, or set guards.fence to None (hazard Low)"
)


def check(
    profile: DeviceProfileSpec, parameters: Mapping[str, str] | None, problems: Problems
) -> None:
    """Note what is wrong with how the actions of a profile are told and answered."""
    for action in profile.actions:
        compile_action(profile, action, parameters, problems)


def compile_action(
    profile: DeviceProfileSpec,
    action: Action,
    parameters: Mapping[str, str] | None,
    problems: Problems,
    prefix: str = "",
) -> tuple[compiled.CompiledMessage | None, compiled.CompiledAcknowledgement]:
    """Return how an action is told, where it has a dialect of its own, and how it is answered.

    `prefix` stands before the paths of problems: whose they are.
    """
    path = f"{prefix}spec.actions[{action.name}]"
    if action.mqtt is not None and profile.guards.fenced_by is protection.Fence.DEVICE:
        problems.add(Reason.INVALID, f"{path}.mqtt", _DIALECT_FENCE)
    made = message(action, parameters, problems, path)
    return made, acknowledgement(profile, action, problems, path)


def message(
    action: Action, parameters: Mapping[str, str] | None, problems: Problems, path: str
) -> compiled.CompiledMessage | None:
    """Compile the message of an action; None where it has none, or a problem is noted."""
    declared = action.mqtt
    if declared is None:
        return None
    names = sorted(
        name
        for name in lexis.names(declared.expression)
        if name.startswith(_PREFIX) and name.count(".") == 1
    )
    path = f"{path}.mqtt.expression"
    if _has_reserved(action, problems, path):
        return None
    if parameters is not None:
        _check_parameters(names, parameters, problems, path)
    environment = expr.environment(
        {taken.name: taken.type for taken in action.input} | dict.fromkeys(names, DataType.STRING)
    )
    try:
        template = expr.compile_template(environment, declared.expression)
    except expr.CompileError as error:
        problems.add(Reason.COMPILE_FAILED, path, str(error))
        return None
    if declared.payload is Payload.TEXT and not template.is_bare:
        text = "gives a map or a list, which payload Text cannot hold: use payload JSON"
        problems.add(Reason.INVALID, path, text)
        return None
    own = parameters or {}
    given = {name: own[key] for name in names if (key := name.removeprefix(_PREFIX)) in own}
    return compiled.CompiledMessage(declared.payload, template, environment, given)


def acknowledgement(
    profile: DeviceProfileSpec, action: Action, problems: Problems, path: str
) -> compiled.CompiledAcknowledgement:
    """Compile how it is known that an action worked; nothing tells where no topic is named."""
    declared, path = action.acknowledgement, f"{path}.acknowledgement"
    if declared is not None and declared.echo is not None:
        echo = _echo(profile, action, declared.echo, problems, f"{path}.echo")
        return compiled.CompiledAcknowledgement(Kind.ECHO, echo=echo)
    if declared is not None and declared.reply is not None:
        reply = _reply(action, declared.reply, problems, f"{path}.reply")
        return compiled.CompiledAcknowledgement(Kind.REPLY, reply=reply)
    if declared is not None and declared.type is Kind.NONE:
        _check_unread(profile, action, problems, path)
    is_answered = declared is None or declared.type is Kind.ENVELOPE
    has_topic = profile.mqtt.acknowledgement_topic is not None
    return compiled.CompiledAcknowledgement(
        Kind.ENVELOPE if is_answered and has_topic else Kind.NONE
    )


def _echo(
    profile: DeviceProfileSpec,
    action: Action,
    declared: commanding.EchoSpec,
    problems: Problems,
    path: str,
) -> compiled.CompiledEcho | None:
    read = profile.find_property(declared.property)
    taken = next((value for value in action.input if value.property == declared.property), None)
    if read is None or taken is None:
        message = f"no input of {action.name} sets a property {declared.property}"
        problems.add(Reason.REFERENCE_NOT_FOUND, f"{path}.property", message)
        return None
    if read.access is Access.WRITE:
        message = f"{read.name} is only written: nothing reports it"
        problems.add(Reason.INVALID, f"{path}.property", message)
    if read.type is not taken.type and not {read.type, taken.type} <= set(bounds.NUMERIC):
        message = f"{read.name} is a {read.type}, {taken.name} is a {taken.type}"
        problems.add(Reason.INVALID, f"{path}.property", message)
    within, settling = scalars.seconds(declared.within), scalars.seconds(read.settling_time)
    if within <= settling:
        message = f"is not longer than the settling time of {read.name}, {settling:g} s"
        problems.add(Reason.INVALID, f"{path}.within", message)
    if profile.confirmation is not None:
        message = "an echo confirms already: leave confirmation out"
        problems.add(Reason.INVALID, path, message)
    return compiled.CompiledEcho(read.name, taken.name, within)


def _check_unread(
    profile: DeviceProfileSpec, action: Action, problems: Problems, path: str
) -> None:
    """Note an action that nothing tells of, though what it sets is to be read back."""
    rule = profile.confirmation
    if rule is not None and any(value.property == rule.property for value in action.input):
        message = (
            f"None says that nothing tells, but confirmation reads {rule.property} back: use Echo,"
            " or leave confirmation out"
        )
        problems.add(Reason.INVALID, f"{path}.type", message)


def tolerance(profile: DeviceProfileSpec, name: str | None) -> float:
    """Return how far a report of a property may lie from what was told; 0: it is the same."""
    read = None if name is None else profile.find_property(name)
    return 0.0 if read is None or read.tolerance is None else scalars.number(read.tolerance)


def _reply(
    action: Action, declared: commanding.ReplySpec, problems: Problems, path: str
) -> compiled.CompiledReply | None:
    names = {taken.name: taken.type for taken in action.input}
    if _has_reserved(action, problems, f"{path}.match"):
        return None
    if REPLY in names:
        message = f"{action.name} has an input {REPLY}, so that match cannot name the answer"
        problems.add(Reason.INVALID, f"{path}.match", message)
        return None
    environment = expr.environment({**names, REPLY: declared.type})
    expression = scopes.compile_into(
        problems, environment, declared.match, DataType.BOOLEAN, f"{path}.match"
    )
    if expression is None:
        return None
    return compiled.CompiledReply(
        environment, expression, declared.type, scalars.seconds(declared.within)
    )


def _has_reserved(action: Action, problems: Problems, path: str) -> bool:
    """Note the inputs that no expression can name: where none is read, they may be called so."""
    reserved = [taken.name for taken in action.input if taken.name in scalars.RESERVED_IDENTIFIERS]
    for name in reserved:
        text = f"the input {name} is a reserved word of expressions: name it otherwise"
        problems.add(Reason.INVALID, path, text)
    return bool(reserved)


def _check_parameters(
    names: list[str], parameters: Mapping[str, str], problems: Problems, path: str
) -> None:
    for name in names:
        key = name.removeprefix(_PREFIX)
        if key not in parameters:
            message = f"the device has no parameter {key}; {hints.among(key, parameters)}"
            problems.add(Reason.REFERENCE_NOT_FOUND, path, message)
