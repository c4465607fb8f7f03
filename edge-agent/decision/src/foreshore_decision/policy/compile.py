"""Compile a DecisionPolicy for a device. The operator and the agent both call this.

The agent calls `compile`: every policy, for every device it is bound to. The operator calls
`check`, also while no device is bound yet. Both say the same of the same policy, and everything
that is wrong at once. `check` also measures, and `too_slow` does for what is compiled: they take a
clock.

    assigned policy, profile, device's spec ──as they are written──► made once ──► each device's own

Devices that are written alike share what is made, down to the last bound: it is made once, and a
sample of one device finds in the caches what the sample of another has left there.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from foreshore_api import conditions, meta, scalars, support
from foreshore_api.v1alpha1 import (
    DataType,
    DecisionPolicy,
    DecisionPolicySpec,
    Device,
    DeviceProfile,
    DeviceProfileSpec,
    DeviceSpec,
    Mode,
    ModelSpec,
    commanding,
    evaluation,
    protection,
)
from foreshore_api.v1alpha1.evaluation import Effect
from foreshore_api.wire import assignment
from foreshore_decision import expr, topics
from foreshore_decision.policy import (
    actions,
    capping,
    compiled,
    elsewhere,
    scopes,
    shapes,
    sources,
    templates,
    timing,
)
from foreshore_decision.policy.problems import PolicyError, PolicyProblem, Problems
from foreshore_decision.policy.subject import NOTHING_ELSEWHERE, OtherDevice, Resolution, Subject

Reason = conditions.Reason

SHARED: Final = 256
"""Different policies, profiles and specs of devices of which what is made is kept for the next."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What both entries make of a subject."""

    trigger: compiled.CompiledTrigger
    inputs: tuple[compiled.CompiledInput, ...]
    features: tuple[compiled.Feature, ...]
    parameters: Mapping[str, expr.Value]
    before: compiled.Scope
    after: compiled.Scope
    conditions: tuple[compiled.Named, ...]
    permits: tuple[compiled.CompiledRule, ...]
    forbids: tuple[compiled.CompiledRule, ...]
    action: compiled.CompiledAction
    confirmation: compiled.Confirmation | None
    message: compiled.CompiledMessage | None
    acknowledgement: compiled.CompiledAcknowledgement


def compile(  # noqa: A001 - called as policy.compile
    assigned: assignment.AssignedPolicy,
    device: assignment.AssignedDevice,
    others: Mapping[str, OtherDevice] = elsewhere.NOBODY,
) -> compiled.CompiledPolicy:
    """Compile a policy for one device.

    Args:
        assigned: the policy.
        device: the device that it decides about.
        others: the devices of the site, by name: some of them the policy may read.

    Raises:
        PolicyError: with every problem found.
    """
    if assigned.spec.model_ref is not None and assigned.model is None:
        path, name = "spec.modelRef", assigned.spec.model_ref.version
        raise PolicyError([PolicyProblem(Reason.REFERENCE_NOT_FOUND, path, f"{name} is not here")])
    read = elsewhere.resolve(assigned.spec, device.spec, device.name, others)
    made = _made(_Wording(assigned, device, read))
    named = _named(device, made.fence)
    return dataclasses.replace(made, identity={**made.identity, "device": named})


class _Wording:
    """What is compiled, equal to what is written alike: to the last digit, and the sign of zero."""

    __slots__ = ("_text", "assigned", "device", "read")

    def __init__(
        self,
        assigned: assignment.AssignedPolicy,
        device: assignment.AssignedDevice,
        read: Mapping[str, Resolution],
    ) -> None:
        self.assigned: Final = assigned
        self.device: Final = device
        self.read: Final = read
        model = assigned.model
        self._text: Final = (
            (assigned.namespace, assigned.name, assigned.uid, assigned.generation, assigned.digest),
            *(part and part.model_dump_json() for part in (assigned.spec, model)),
            *(part.model_dump_json() for part in (device.profile, device.spec)),
            elsewhere.wording(assigned.spec, read),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Wording) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=SHARED)
def _made(wording: _Wording) -> compiled.CompiledPolicy:
    """Compile for every device that is written like this one; only the device's name is missing."""
    assigned, device = wording.assigned, wording.device
    spec, model = assigned.spec, assigned.model
    modelled = model.model if model else None
    subject = Subject(spec, device.profile, device.spec, modelled, wording.read)
    parts = _compile(subject)
    return compiled.CompiledPolicy(
        namespace=assigned.namespace,
        name=assigned.name,
        uid=assigned.uid,
        generation=assigned.generation,
        digest=assigned.digest,
        mode=spec.mode,
        caps=capping.caps(spec, device.profile),
        on_recorder_full=Mode(spec.degraded.on_recorder_full.value),
        trigger=parts.trigger,
        inputs=parts.inputs,
        features=parts.features,
        windowed=sources.windowed(parts.inputs, parts.features),
        others=sources.others(parts.inputs),
        parameters=parts.parameters,
        before=parts.before,
        after=parts.after,
        conditions=parts.conditions,
        inference=shapes.inference(spec, model, parts.inputs, parts.features),
        permits=parts.permits,
        forbids=parts.forbids,
        action=parts.action,
        policy_rate=_rate("policy", spec.rate_limit),
        actuator_rate=_rate("actuator", device.profile.actuator_rate_limit),
        confirmation=parts.confirmation,
        message=parts.message,
        acknowledgement=parts.acknowledgement,
        fence=device.profile.guards.fenced_by,
        sample_rate=scalars.number(spec.record.routine_sample_rate),
        keep_per_verdict=spec.record.keep_per_verdict,
        record_level=spec.record.level,
        identity=_identity(assigned),
    )


def check(
    spec: DecisionPolicySpec,
    profile: DeviceProfileSpec,
    device: DeviceSpec | None = None,
    model: ModelSpec | None = None,
    *,
    clock: timing.Clock,
    read: Mapping[str, Resolution] = NOTHING_ELSEWHERE,
) -> tuple[PolicyProblem, ...]:
    """Return everything that keeps a policy from compiling against a (narrowed) profile.

    What compiles is timed by `clock`. Without a device, a parameter that every device must set is
    no problem; without a model, its tensors are not looked at, and an output is of the type that
    its readers take it for: whether the model exists is the caller's to say. `read` is what
    `elsewhere.resolve` says of the device; what it does not name is taken as the policy declares
    it.
    """
    fewest: tuple[PolicyProblem, ...] | None = None
    for texts in shapes.guesses(spec, model):
        try:
            parts = _compile(Subject(spec, profile, device, model, read, texts))
        except PolicyError as error:
            if fewest is None or len(error.problems) < len(fewest):
                fewest = error.problems
        else:
            return timing.problems(_expressions(parts), clock)
    return fewest or ()


def too_slow(made: compiled.CompiledPolicy, clock: timing.Clock) -> tuple[PolicyProblem, ...]:
    """Return which expressions of a compiled policy break the budget of time."""
    return timing.problems(_expressions(made), clock)


def _expressions(parts: _Parts | compiled.CompiledPolicy) -> Iterator[timing.Timed]:
    """Yield every expression of a policy, with where it stands and the names that it may read."""
    before, after = parts.before.environment, parts.after.environment
    for scope in (parts.before, parts.after):
        for variable in scope.variables:
            path = f"spec.variables[{variable.name}].expression"
            yield timing.Timed(path, variable.expression, scope.environment)
    for condition in parts.conditions:
        path = f"spec.matchConditions[{condition.name}].expression"
        yield timing.Timed(path, condition.expression, before)
    for rule in (*parts.permits, *parts.forbids):
        path = f"spec.rules[{rule.name}]"
        yield timing.Timed(f"{path}.expression", rule.expression, after)
        if rule.message is not None:
            yield timing.Timed(f"{path}.messageExpression", rule.message, after)
    for bound in parts.action.bounds:
        path = f"spec.action.input[{bound.name}].expression"
        yield timing.Timed(path, bound.expression, after)
    confirmation = parts.confirmation
    if confirmation is not None:
        path = "profile spec.confirmation.expression"
        yield timing.Timed(path, confirmation.expression, confirmation.environment)
    yield from _dialect(parts)


def _dialect(parts: _Parts | compiled.CompiledPolicy) -> Iterator[timing.Timed]:
    """Yield the expressions by which the device is told, and its answer is recognised."""
    message, reply = parts.message, parts.acknowledgement.reply
    path = f"profile spec.actions[{parts.action.name}]"
    if message is not None:
        for expression in message.template.expressions:
            yield timing.Timed(f"{path}.mqtt.expression", expression, message.environment)
    if reply is not None:
        place = f"{path}.acknowledgement.reply.match"
        yield timing.Timed(place, reply.expression, reply.environment)


def _compile(subject: Subject) -> _Parts:
    problems = Problems()
    _check_support(subject, problems)
    spec = subject.spec
    inputs = sources.inputs(subject, problems)
    features = sources.features(spec, inputs, problems)
    parameters = sources.parameters(subject, problems)
    names = _names(subject, inputs, features, problems)
    if subject.model is not None:
        shapes.check(spec, subject.model, inputs, features, problems)
    conditions_ = _conditions(spec, names, problems)
    permits = _rules(spec, Effect.PERMIT, names, problems)
    forbids = _rules(spec, Effect.FORBID, names, problems)
    action = actions.action(subject, inputs, names, problems)
    _check_rule_only(spec, names, (*permits, *forbids), action, problems)
    confirmation = actions.confirmation(subject, action, problems)
    message, acknowledgement = _told(subject, problems)
    trigger = sources.trigger(subject, inputs, problems)
    problems.raise_any()
    late = [rule.expression for rule in (*permits, *forbids)]
    late += [bound.expression for bound in action.bounds]
    late += [rule.message for rule in (*permits, *forbids) if rule.message is not None]
    return _Parts(
        trigger=trigger,
        inputs=inputs,
        features=features,
        parameters=parameters,
        before=names.scope_before(condition.expression for condition in conditions_),
        after=names.scope_after(late),
        conditions=conditions_,
        permits=permits,
        forbids=forbids,
        action=action,
        confirmation=confirmation,
        message=message,
        acknowledgement=acknowledgement,
    )


def _told(
    subject: Subject, problems: Problems
) -> tuple[compiled.CompiledMessage | None, compiled.CompiledAcknowledgement]:
    """Return how the device is told the action, and how it is known that it worked."""
    action = subject.profile.find_action(subject.spec.action.name)
    if action is None:
        return None, compiled.CompiledAcknowledgement(commanding.AcknowledgementKind.NONE)
    own = None if subject.device is None else topics.parameters(subject.device)
    return templates.compile_action(subject.profile, action, own, problems, "profile ")


def _check_support(subject: Subject, problems: Problems) -> None:
    nameless = meta.ObjectMeta(name="")
    resources: list[meta.Resource] = [
        DecisionPolicy.model_construct(metadata=nameless, spec=subject.spec),
        DeviceProfile.model_construct(metadata=nameless, spec=subject.profile),
    ]
    if subject.device is not None:
        resources.append(Device.model_construct(metadata=nameless, spec=subject.device))
    for resource in resources:
        whose = "" if isinstance(resource, DecisionPolicy) else f"{resource.kind} "
        for unsupported in support.unsupported(resource, in_cluster=False):
            message = f"{unsupported.value} is not supported by this release"
            problems.add(Reason.NOT_SUPPORTED, f"{whose}{unsupported.path}", message)


def _names(
    subject: Subject,
    inputs: Iterable[compiled.CompiledInput],
    features: Iterable[compiled.Feature],
    problems: Problems,
) -> scopes.Names:
    spec = subject.spec
    before = sources.feature_types(inputs, features)
    # also those that are wrong: that is said once, and not again of each expression that reads them
    before.update({source.name: source.type for source in spec.inputs})
    outputs = shapes.output_types(spec, subject.model, subject.texts)
    _check_unique((*before, *outputs, *(variable.name for variable in spec.variables)), problems)
    before.update({f"parameters.{parameter.name}": parameter.type for parameter in spec.parameters})
    names = scopes.Names(before, outputs)
    names.declare(spec.variables, problems)
    return names


def _check_unique(names: Iterable[str], problems: Problems) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            problems.add(Reason.INVALID, "spec", f"{name} names two things")
        seen.add(name)


def _conditions(
    spec: DecisionPolicySpec, names: scopes.Names, problems: Problems
) -> tuple[compiled.Named, ...]:
    environment = names.environment_before()
    named: list[compiled.Named] = []
    for condition in spec.match_conditions:
        path = f"spec.matchConditions[{condition.name}].expression"
        expression = scopes.compile_into(
            problems, environment, condition.expression, DataType.BOOLEAN, path
        )
        if expression is not None:
            named.append(compiled.Named(condition.name, expression))
    return tuple(named)


def _rules(
    spec: DecisionPolicySpec, effect: Effect, names: scopes.Names, problems: Problems
) -> tuple[compiled.CompiledRule, ...]:
    environment = names.environment_after()
    rules: list[compiled.CompiledRule] = []
    for rule in spec.rules:
        if rule.effect is not effect:
            continue
        path = f"spec.rules[{rule.name}]"
        expression = scopes.compile_into(
            problems, environment, rule.expression, DataType.BOOLEAN, f"{path}.expression"
        )
        message = rule.message_expression and scopes.compile_into(
            problems,
            environment,
            rule.message_expression,
            DataType.STRING,
            f"{path}.messageExpression",
        )
        if expression is not None:
            rules.append(compiled.CompiledRule(rule.name, expression, rule.reason, message or None))
    return tuple(rules)


def _check_rule_only(
    spec: DecisionPolicySpec,
    names: scopes.Names,
    rules: Iterable[compiled.CompiledRule],
    action: compiled.CompiledAction,
    problems: Problems,
) -> None:
    if spec.inference.on_error is not evaluation.OnError.RULE_ONLY:
        return
    dependent = names.dependent()
    readers = [(f"rule {rule.name}", rule.expression) for rule in rules]
    readers += [(f"input {bound.name}", bound.expression) for bound in action.bounds]
    for who, expression in readers:
        read = sorted(dependent.intersection(expression.references))
        if read:
            message = f"RuleOnly goes on without outputs, but {who} reads {read[0]}"
            problems.add(Reason.INVALID, "spec.inference.onError", message)


def _rate(name: str, limit: protection.RateLimitSpec | None) -> compiled.RateLimit | None:
    if limit is None:
        return None
    return compiled.RateLimit(
        name=name,
        minimum_interval=scalars.seconds(limit.minimum_interval or "0s"),
        burst=limit.burst or 0,
        per=scalars.seconds(limit.per or "0s"),
    )


def _named(device: assignment.AssignedDevice, fence: protection.Fence | None) -> dict[str, Any]:
    named: dict[str, Any] = {
        "namespace": device.namespace,
        "name": device.name,
        "uid": device.uid,
        "digest": device.digest,
    }
    if fence is not None:
        named["fence"] = fence.value
    return named


def _identity(assigned: assignment.AssignedPolicy) -> dict[str, Any]:
    model = assigned.model
    return {
        "policy": {
            "namespace": assigned.namespace,
            "name": assigned.name,
            "uid": assigned.uid,
            "generation": assigned.generation,
            "digest": assigned.digest,
            "mode": assigned.spec.mode.value,
        },
        "model": model
        and {"name": model.name, "version": model.version, "digest": model.artefact.digest},
    }
