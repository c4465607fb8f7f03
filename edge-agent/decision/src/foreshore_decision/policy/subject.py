"""What is compiled against what. Made by `compile`, read by every part of it."""

from dataclasses import dataclass

from foreshore_api.v1alpha1 import DecisionPolicySpec, DeviceProfileSpec, DeviceSpec, ModelSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """One policy; without a device, values of parameters are not looked for."""

    spec: DecisionPolicySpec
    profile: DeviceProfileSpec
    """Already narrowed by what the Device says."""
    device: DeviceSpec | None
    model: ModelSpec | None
