"""Which other device an input is read of, and what of that device goes into compiling.

    spec.inputs[].deviceRef + parameters of the decided Device ──resolve──► device | problem

A policy reads other devices of the decided Device's site; that gives it no right to them. Called by
`compile`, by whoever remembers what was compiled (`wording`), and by `assignment`, which hands an
agent what it has to read (`names`).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api import conditions, hints
from foreshore_api.v1alpha1 import DecisionPolicySpec, DeviceSpec, evaluation
from foreshore_decision import topics
from foreshore_decision.policy import compiled
from foreshore_decision.policy.problems import PolicyProblem
from foreshore_decision.policy.subject import NOTHING_ELSEWHERE, OtherDevice, Resolution

NOBODY: Final[Mapping[str, OtherDevice]] = MappingProxyType({})
"""The other devices of a site that has none."""
LISTED: Final = 256
"""Devices of a site up to which a wrong name is compared with theirs."""


def is_read(spec: DecisionPolicySpec) -> bool:
    """Whether a policy reads any other device."""
    return any(source.device_ref is not None for source in spec.inputs)


def names(spec: DecisionPolicySpec, device: DeviceSpec) -> Iterator[str]:
    """Yield the names of the other devices that a policy reads for a device."""
    return (name for _, name in named(spec, device))


def named(spec: DecisionPolicySpec, device: DeviceSpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that name another device for a device, each with the name."""
    for source in spec.inputs:
        name = None if source.device_ref is None else _name(spec, source.device_ref, device)
        if source.device_ref is not None and name is not None:
            yield _path(source, source.device_ref), name


def property_name(
    spec: DecisionPolicySpec, source: evaluation.InputSpec, device: DeviceSpec
) -> str:
    """Return under which name a policy reads an input for a device: `co2`, `valve-1.position`."""
    if source.device_ref is None:
        return source.property
    name = _name(spec, source.device_ref, device) or f"{{parameters.{source.device_ref.parameter}}}"
    return compiled.name_elsewhere(name, source.property)


def resolve(
    spec: DecisionPolicySpec, device: DeviceSpec, name: str, others: Mapping[str, OtherDevice]
) -> Mapping[str, Resolution]:
    """Return of each input that is another device's which one it is, or why there is none.

    Args:
        spec: the policy.
        device: the decided Device.
        name: of the decided Device.
        others: the devices of its site, by name; it may be among them.
    """
    if not is_read(spec):
        return NOTHING_ELSEWHERE
    return {
        source.name: _resolved(spec, source, device, name, others)
        for source in spec.inputs
        if source.device_ref is not None
    }


def read_elsewhere(
    spec: DecisionPolicySpec, device: DeviceSpec, name: str, others: Mapping[str, OtherDevice]
) -> tuple[tuple[str, ...], ...]:
    """Return what of other devices goes into compiling a policy for a device, to compare."""
    return wording(spec, resolve(spec, device, name, others))


def wording(
    spec: DecisionPolicySpec, resolved: Mapping[str, Resolution]
) -> tuple[tuple[str, ...], ...]:
    """Return what of other devices goes into compiling, as texts to compare.

    No more: a lock of the other device, or an edit of what nobody here reads, changes nothing.
    """
    if not resolved:
        return ()
    return tuple(
        _worded(source, resolved[source.name]) for source in spec.inputs if source.name in resolved
    )


def _worded(source: evaluation.InputSpec, resolved: Resolution) -> tuple[str, ...]:
    if isinstance(resolved, PolicyProblem):
        return source.name, resolved.path, resolved.message
    declared = resolved.profile.find_property(source.property)
    written = "" if declared is None else declared.model_dump_json()
    return source.name, resolved.namespace, resolved.name, resolved.uid, written


def _name(
    spec: DecisionPolicySpec, reference: evaluation.DeviceSource, device: DeviceSpec
) -> str | None:
    """Return the other device's name: as written, or as a parameter of the device says it."""
    if reference.parameter is None:
        return reference.name
    own = topics.parameters(device).get(reference.parameter)
    if own is not None:
        return own
    defaults = (
        parameter.default
        for parameter in spec.parameters
        if parameter.name == reference.parameter and parameter.default is not None
    )
    default = next(defaults, None)
    return None if default is None else str(default)


def _path(source: evaluation.InputSpec, reference: evaluation.DeviceSource) -> str:
    """Return where an input says which other device it reads."""
    field = "name" if reference.parameter is None else "parameter"
    return f"spec.inputs[{source.name}].deviceRef.{field}"


def _resolved(
    spec: DecisionPolicySpec,
    source: evaluation.InputSpec,
    device: DeviceSpec,
    name: str,
    others: Mapping[str, OtherDevice],
) -> Resolution:
    reference = source.device_ref or evaluation.DeviceSource()
    path = _path(source, reference)
    wanted = _name(spec, reference, device)
    if wanted is None:
        own = hints.among(reference.parameter or "", topics.parameters(device))
        message = (
            f"the Device sets no parameter {reference.parameter}, which names the Device to read:"
            f" add it to spec.parameters of the Device; {own}"
        )
        return PolicyProblem(conditions.Reason.REFERENCE_NOT_FOUND, path, message)
    if wanted == name:
        message = f"{wanted} is the decided Device itself: leave deviceRef out"
        return PolicyProblem(conditions.Reason.REFERENCE_NOT_FOUND, path, message)
    other = others.get(wanted)
    if other is not None:
        return other
    message = (
        f"this site has no Device {wanted} with its DeviceProfile; {_choices(wanted, name, others)}"
    )
    return PolicyProblem(conditions.Reason.REFERENCE_NOT_FOUND, path, message)


def _choices(wanted: str, name: str, others: Mapping[str, OtherDevice]) -> str:
    """Say which Devices there are; of a large site how many, for each of its devices may ask."""
    if len(others) > LISTED:
        return f"it has {len(others)} others"
    return hints.among(wanted, others.keys() - {name})
