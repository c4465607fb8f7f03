"""Features laid out as the tensors that a model is asked with. Called by `deciding`.

Telemetry may hold any finite number; a tensor's type may not. What does not fit is not sent: the
decision records that the model could not be asked, and why.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from foreshore_agent.engine import effects
from foreshore_api.reasons import inference as reasons
from foreshore_decision.chain import facts
from foreshore_decision.policy import compiled

_LARGEST_FP32: Final = (2.0 - 2.0**-23) * 2.0**127
_LARGEST_FP64: Final = (2.0 - 2.0**-52) * 2.0**1023


def _signed(bits: int) -> tuple[int, int]:
    return -(1 << bits - 1), (1 << bits - 1) - 1


RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "FP32": (-_LARGEST_FP32, _LARGEST_FP32),
        "FP64": (-_LARGEST_FP64, _LARGEST_FP64),
        **{f"INT{bits}": _signed(bits) for bits in (8, 16, 32, 64)},
        **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
    }
)
"""Smallest and largest number by tensor type, integers exactly; a BOOL tensor takes no features."""


class ModelRequest(NamedTuple):
    """What the model is asked with, or why it cannot be."""

    tensors: tuple[effects.Tensor, ...]
    problem: str | None = None


def lay_out(inference: compiled.Inference, before: facts.Facts) -> ModelRequest:
    """Lay the features out as the model's tensors."""
    tensors = []
    for tensor in inference.tensors:
        data: list[float | int] = []
        for name in tensor.features:
            number = before.features[name]
            problem = _problem(tensor, number)
            if number is None or problem is not None:
                return ModelRequest((), problem)
            data.append(int(number) if tensor.is_integer else number)
        tensors.append(
            effects.Tensor(tensor.name, tensor.data_type, tuple(tensor.shape), tuple(data))
        )
    return ModelRequest(tuple(tensors))


def _problem(tensor: compiled.InputTensor, number: float | None) -> str | None:
    if number is None:
        return reasons.FEATURE_NOT_READY
    smallest, largest = RANGES[tensor.data_type]
    if not smallest <= number <= largest:
        return reasons.FEATURE_OUT_OF_RANGE
    return reasons.FEATURE_NOT_INTEGER if tensor.is_integer and not number.is_integer() else None
