"""What counts as an answer of a replica: the declared outputs, of the declared shape, finite.

`pool` calls this on every answer; whatever is not an answer makes it turn to the next replica.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

import pydantic

from foreshore_api.wire import oip

MAXIMUM_BYTES: Final = 1 << 20


class Declared(Protocol):
    """An output as the Model declares it."""

    @property
    def name(self) -> str:
        """Name of the tensor."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """Its shape; -1 stands for any length."""
        ...


class BadAnswerError(Exception):
    """The replica answered something that is no answer; `reason` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


def read(body: bytes, declared: Sequence[Declared]) -> dict[str, tuple[float | int | bool, ...]]:
    """Return the flat data of every declared output, by name.

    Raises:
        BadAnswerError: an output is missing, misshapen or not finite, or the body is no answer.
    """
    try:
        response = oip.InferResponse.model_validate_json(body)
    except pydantic.ValidationError as error:
        is_number = any(each["type"] == "finite_number" for each in error.errors(include_url=False))
        raise BadAnswerError("NotFinite" if is_number else "MalformedAnswer") from error
    tensors = {tensor.name: tensor for tensor in response.outputs}
    outputs: dict[str, tuple[float | int | bool, ...]] = {}
    for output in declared:
        tensor = tensors.get(output.name)
        if tensor is None:
            raise BadAnswerError("OutputMissing")
        _check_shape(tensor, output.shape)
        outputs[output.name] = tensor.data
    return outputs


def _check_shape(tensor: oip.Tensor, declared: Sequence[int]) -> None:
    fits = len(tensor.shape) == len(declared) and all(
        wanted in (-1, length) for length, wanted in zip(tensor.shape, declared, strict=True)
    )
    if not fits or len(tensor.data) != math.prod(tensor.shape):
        raise BadAnswerError("WrongShape")


def server_seconds(header: str) -> float | None:
    """Return the seconds that a `server-timing` header says the server spent, or None.

    The header is `queue;dur=<ms>, infer;dur=<ms>`; parts without a duration count nothing.
    """
    if not header or len(header) > 512:
        return None
    total, found = 0.0, False
    for metric in header.split(","):
        for parameter in metric.split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip() != "dur":
                continue
            try:
                total += float(value.strip().strip('"'))
            except ValueError:
                return None
            found = True
    return total / 1000 if found and math.isfinite(total) and total >= 0 else None
