"""What is compiled against what. Made by `compile`, read by every part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from foreshore_api.v1alpha1 import DecisionPolicySpec, DeviceProfileSpec, DeviceSpec, ModelSpec
from foreshore_decision.policy.problems import PolicyProblem


class OtherDevice(Protocol):
    """Another device of the site, as it is assigned or as the operator binds it."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def uid(self) -> str:
        """Its identity."""
        ...

    @property
    def profile(self) -> DeviceProfileSpec:
        """Its profile, narrowed by what the Device says."""
        ...


Resolution: TypeAlias = OtherDevice | PolicyProblem
"""The other device that an input is read of, or why there is none."""
NOTHING_ELSEWHERE: Final[Mapping[str, Resolution]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Subject:
    """One policy; without a device, values of parameters and other devices are not looked for."""

    spec: DecisionPolicySpec
    profile: DeviceProfileSpec
    """Already narrowed by what the Device says."""
    device: DeviceSpec | None
    model: ModelSpec | None
    elsewhere: Mapping[str, Resolution] = field(default_factory=dict)
    """By input, of those that are another device's."""
    texts: frozenset[str] = frozenset()
    """Outputs that are taken for texts while there is no model that says so."""
