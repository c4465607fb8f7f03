"""What a policy reads: inputs, features, parameters, and what triggers it. Called by `compile`."""

from collections.abc import Iterable

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1 import DataType, DecisionPolicySpec, DeviceProfileSpec, evaluation
from foreshore_api.v1alpha1.deviceprofile import Access, Property
from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_decision import expr
from foreshore_decision.policy import bounds, compiled, shapes
from foreshore_decision.policy.problems import PolicyProblem, Problems
from foreshore_decision.policy.subject import Subject

Reason = conditions.Reason


def inputs(subject: Subject, problems: Problems) -> tuple[compiled.CompiledInput, ...]:
    """Return the inputs that name a property of the profile, or note what is wrong with them."""
    compiled_inputs = (_input(source, subject, problems) for source in subject.spec.inputs)
    return tuple(source for source in compiled_inputs if source is not None)


def _input(
    source: evaluation.InputSpec, subject: Subject, problems: Problems
) -> compiled.CompiledInput | None:
    path = f"spec.inputs[{source.name}]"
    if source.device_ref is None:
        other, prop = None, _own_property(source, subject.profile, path, problems)
    else:
        other, prop = _property_elsewhere(source, source.device_ref, subject, path, problems)
    if prop is None:
        return None
    _check_property(source, prop, path, problems)
    asked = source.range or evaluation.Range()
    span = bounds.narrow(
        bounds.span(prop.minimum, prop.maximum),
        bounds.span(asked.minimum, asked.maximum),
        f"{path}.range",
        problems,
    )
    return compiled.CompiledInput(
        name=source.name,
        property=source.property if other is None else other.name,
        type=prop.type,  # also where the policy says another: the model is held to what there is
        unit=prop.unit,
        maximum_age=scalars.seconds(source.maximum_age),
        minimum=span.minimum,
        maximum=span.maximum,
        maximum_rate=None if source.maximum_rate is None else scalars.number(source.maximum_rate),
        on_invalid=source.on_invalid,
        default=_default(source, span, path, problems),
        other=other,
    )


def _own_property(
    source: evaluation.InputSpec, profile: DeviceProfileSpec, path: str, problems: Problems
) -> Property | None:
    declared = profile.find_property(source.property)
    if declared is None:
        message = unknown_property(profile, source.property)
        problems.add(Reason.REFERENCE_NOT_FOUND, f"{path}.property", message)
    return declared


def _property_elsewhere(
    source: evaluation.InputSpec,
    reference: evaluation.DeviceSource,
    subject: Subject,
    path: str,
    problems: Problems,
) -> tuple[compiled.OtherProperty | None, Property | None]:
    """Return a property of another device; where nobody looked for it, as the input declares it."""
    device = subject.elsewhere.get(source.name)
    if device is None:
        unnamed = reference.name or f"{{parameters.{reference.parameter}}}"
        as_declared = Property(name=source.property, type=source.type, unit=source.unit)
        return _other("", unnamed, "", source.property), as_declared
    if isinstance(device, PolicyProblem):
        problems.add(device.reason, device.path, device.message)
        return None, None
    declared = device.profile.find_property(source.property)
    if declared is None:
        message = f"Device {device.name}: {unknown_property(device.profile, source.property)}"
        problems.add(Reason.REFERENCE_NOT_FOUND, f"{path}.property", message)
    return _other(device.namespace, device.name, device.uid, source.property), declared


def _other(namespace: str, device: str, uid: str, name: str) -> compiled.OtherProperty:
    return compiled.OtherProperty(
        namespace, device, uid, name, compiled.name_elsewhere(device, name)
    )


def others(inputs: Iterable[compiled.CompiledInput]) -> tuple[compiled.OtherProperty, ...]:
    """Return the properties of other devices that are read, each once."""
    return tuple(dict.fromkeys(source.other for source in inputs if source.other is not None))


def unknown_property(profile: DeviceProfileSpec, name: str) -> str:
    """Say that a profile has no such property, and which it has."""
    names = (prop.name for prop in profile.properties)
    return f"the profile has no property {name}; {hints.among(name, names)}"


def _check_property(
    source: evaluation.InputSpec, prop: Property, path: str, problems: Problems
) -> None:
    if prop.access is Access.WRITE:
        problems.add(Reason.INVALID, f"{path}.property", f"{prop.name} cannot be read")
    if source.type is not prop.type:
        message = f"is {source.type}, but the property is {prop.type}: write that"
        problems.add(Reason.INVALID, f"{path}.type", message)
    if source.unit is not None and source.unit != prop.unit:
        message = f"is {source.unit}, but the property is in {prop.unit or 'no unit'}: write that"
        problems.add(Reason.UNIT_MISMATCH, f"{path}.unit", message)
    bounded = source.range is not None or source.maximum_rate is not None
    if bounded and source.type not in bounds.NUMERIC:
        problems.add(Reason.INVALID, path, f"a {source.type} has no range and no rate")


def _default(
    source: evaluation.InputSpec, span: bounds.Span, path: str, problems: Problems
) -> expr.Value | None:
    if source.default is None:
        return None
    return bounds.literal(source.default, source.type, span, f"{path}.default", problems)


def features(
    spec: DecisionPolicySpec, inputs: Iterable[compiled.CompiledInput], problems: Problems
) -> tuple[compiled.Feature, ...]:
    """Return the declared features; models also take inputs by name, as their last values."""
    sources = {source.name: source for source in inputs}
    declared: list[compiled.Feature] = []
    for feature in spec.features:
        path = f"spec.features[{feature.name}]"
        source = sources.get(feature.input)
        if source is None:
            choices = hints.among(feature.input, sources)
            message = f"the policy has no valid input {feature.input}; {choices}"
            problems.add(Reason.REFERENCE_NOT_FOUND, f"{path}.input", message)
            continue
        if source.type not in bounds.MEASURED and feature.aggregate is not Aggregate.LAST:
            message = f"{shapes.unmeasured(source)}, or take its last value (aggregate Last)"
            problems.add(Reason.INVALID, f"{path}.input", message)
        if (feature.window is None) != (feature.aggregate is Aggregate.LAST):
            message = "an aggregate other than Last needs a window, and Last takes none"
            problems.add(Reason.INVALID, f"{path}.window", message)
        declared.append(
            compiled.Feature(
                feature.name,
                feature.input,
                source.property,
                feature.aggregate,
                seconds=0.0 if feature.window is None else scalars.seconds(feature.window),
                coverage=_coverage(feature, f"{path}.minimumCoverage", problems),
            )
        )
    return tuple(declared)


def feature_types(
    inputs: Iterable[compiled.CompiledInput], features: Iterable[compiled.Feature]
) -> dict[str, DataType]:
    """Return the type that expressions read each feature as: a text's last value is a String."""
    texts = {source.name for source in inputs if source.type is DataType.STRING}
    return {
        feature.name: DataType.STRING if feature.input in texts else DataType.NUMBER
        for feature in features
    }


def windowed(
    inputs: Iterable[compiled.CompiledInput], features: Iterable[compiled.Feature]
) -> tuple[tuple[compiled.Feature, compiled.CompiledInput], ...]:
    """Return the features that have a window, each with the input that fills it."""
    sources = {source.name: source for source in inputs}
    return tuple((feature, sources[feature.input]) for feature in features if feature.seconds)


def _coverage(feature: evaluation.FeatureSpec, path: str, problems: Problems) -> float:
    """Return how much of its window a feature needs; a count is true of whatever was heard."""
    if feature.aggregate not in (Aggregate.LAST, Aggregate.COUNT):
        wanted = feature.minimum_coverage
        return scalars.number(evaluation.USUAL_COVERAGE if wanted is None else wanted)
    if feature.minimum_coverage is not None:
        message = f"{feature.aggregate} needs no minimumCoverage: leave it out"
        problems.add(Reason.INVALID, path, message)
    return 0.0


def parameters(subject: Subject, problems: Problems) -> dict[str, expr.Value]:
    """Return the value of each parameter, the device's own before the default."""
    own = (
        {parameter.name: parameter.value for parameter in subject.device.parameters}
        if subject.device
        else {}
    )
    values: dict[str, expr.Value] = {}
    for parameter in subject.spec.parameters:
        path = f"spec.parameters[{parameter.name}]"
        written = own.get(parameter.name, parameter.default)
        if written is None:
            if subject.device is not None:
                message = "the device sets no value and there is no default"
                problems.add(Reason.REFERENCE_NOT_FOUND, path, message)
            continue
        span = bounds.span(parameter.minimum, parameter.maximum)
        value = bounds.literal(written, parameter.type, span, path, problems)
        if value is not None:
            values[f"parameters.{parameter.name}"] = value
    return values


def trigger(
    subject: Subject, inputs: Iterable[compiled.CompiledInput], problems: Problems
) -> compiled.CompiledTrigger:
    """Return when the policy is evaluated; what it names itself is the decided device's own."""
    trigger = subject.spec.trigger
    for name in trigger.properties:
        if subject.profile.find_property(name) is None:
            message = unknown_property(subject.profile, name)
            problems.add(Reason.REFERENCE_NOT_FOUND, "spec.trigger.properties", message)
    properties = frozenset(trigger.properties or (source.property for source in inputs))
    silence = 0.0 if trigger.after_silence is None else scalars.seconds(trigger.after_silence)
    if not properties and not silence:
        message = "nothing triggers the policy: it has no properties, inputs or afterSilence"
        problems.add(Reason.INVALID, "spec.trigger", message)
    return compiled.CompiledTrigger(properties, scalars.seconds(trigger.minimum_interval), silence)
