"""The question to the model, as an Open Inference Protocol request. Called by `deciding`.

Telemetry may hold any finite number; a tensor's type may not. What does not fit is not sent: the
decision records that the model could not be asked, and why.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from foreshore_api.reasons import decision as reasons
from foreshore_decision.chain import facts
from foreshore_decision.policy import compiled

NOT_READY: Final = reasons.FEATURE_NOT_READY
NOT_INTEGER: Final = "FeatureNotInteger"
OUT_OF_RANGE: Final = "FeatureOutOfRange"

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


class Question(NamedTuple):
    """The request's body, or why there is none."""

    body: bytes
    problem: str | None = None


def request(asked: compiled.Inference, found: facts.Facts, decision_id: str) -> Question:
    """Render the question to the model."""
    tensors = []
    for tensor in asked.tensors:
        numbers = [found.features[name] for name in tensor.features]
        problems = (_problem(tensor, number) for number in numbers)
        problem = next((each for each in problems if each is not None), None)
        if problem is not None:
            return Question(b"", problem)
        tensors.append(
            {
                "name": tensor.name,
                "datatype": tensor.data_type,
                "shape": tensor.shape,
                "data": [_rendered(tensor, number) for number in numbers],
            }
        )
    return Question(orjson.dumps({"id": decision_id, "inputs": tensors}))


def _problem(tensor: compiled.Tensor, number: float | None) -> str | None:
    if number is None:
        return NOT_READY
    smallest, largest = RANGES[tensor.data_type]
    if not smallest <= number <= largest:
        return OUT_OF_RANGE
    return NOT_INTEGER if tensor.is_integer and not number.is_integer() else None


def _rendered(tensor: compiled.Tensor, number: float | None) -> float | int | None:
    return number if number is None or not tensor.is_integer else int(number)
