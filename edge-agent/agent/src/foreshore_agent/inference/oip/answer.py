"""What counts as an answer of a replica: the declared outputs, of the declared shape, finite.

And said by the version that is in force: a decision must not rest on another, nor its record name
one that did not answer. `pool` calls this on every answer; whatever is not an answer makes it turn
to the next replica.

A replica whose endpoint the assignment names with its version has to say name, version and digest
of what answered: one that says nothing, as a server of others might, is not believed. Where the
assignment does not say (an older operator made it), silence is let pass and recorded as such.
"""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import pydantic

from foreshore_agent.inference.oip import connection
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import oip
from foreshore_decision import served

_OUR_FAULT: Final = (400, 413)
_REASON: Final = re.compile(rb'\s*{\s*"error"\s*:\s*"([A-Z][A-Za-z]{2,40})\b')


class Declared(Protocol):
    """An output as the Model declares it."""

    @property
    def name(self) -> str:
        """Name of the tensor."""
        ...

    @property
    def data_type(self) -> str:
        """Its element type; text is `BYTES`."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """Its shape; -1 stands for any length."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to answer, and with which outputs."""

    model: served.Served
    outputs: tuple[Declared, ...]


@dataclass(frozen=True, slots=True)
class OipAnswer:
    """What answered, and the flat data of every declared output, by name."""

    model: served.Served
    outputs: dict[str, tuple[float | int | bool | str, ...]]
    provider: str | None = None
    """Execution provider that computed it, where it says so."""


class FailedError(Exception):
    """The replica could not be reached or gave no answer; `reason` is a code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class BadRequestError(FailedError):
    """The request itself is wrong: every replica would say so, and none is to blame."""


class OtherVersionError(FailedError):
    """It works, but is not what is in force, or does not say what it is.

    `answered` is what it said of itself.
    """

    def __init__(self, answered: served.Served) -> None:
        super().__init__(reasons.OTHER_VERSION)
        self.answered: Final = answered


def completed(call: "asyncio.Future[connection.Response]") -> connection.Response:
    """Return what a call that is over brought, if it says 200.

    Raises:
        FailedError: there is no answer; BadRequestError if the request was wrong.
    """
    try:
        response = call.result()
    except connection.LostError as error:
        raise FailedError(error.reason) from error
    except OSError as error:
        raise FailedError(reasons.UNREACHABLE) from error
    if response.status != 200:
        named = _REASON.match(response.body)
        reason = named[1].decode() if named else f"Status{response.status}"
        raise (BadRequestError if response.status in _OUR_FAULT else FailedError)(reason)
    return response


def read(body: bytes, expected: Expected, *, is_silence_refused: bool) -> OipAnswer:
    """Return what a body says.

    Args:
        body: an infer response.
        expected: what was asked.
        is_silence_refused: whether an answer has to say what it is.

    Raises:
        FailedError: an output is missing, misshapen or not finite, or the body is no answer;
            OtherVersionError if it is one, of something else.
    """
    try:
        response = oip.InferResponse.model_validate_json(body)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
        is_number = any(problem["type"] == "finite_number" for problem in errors)
        raise FailedError(reasons.NOT_FINITE if is_number else reasons.MALFORMED_ANSWER) from error
    answered = _model(response)
    is_silent = is_silence_refused and not answered.is_whole
    if is_silent or served.contradicts(expected.model, answered):
        raise OtherVersionError(answered)
    provider = None if response.parameters is None else response.parameters.provider
    return OipAnswer(answered, _outputs(response, expected.outputs), provider)


def provider(body: bytes) -> str | None:
    """Return what computes a model by the answer that it is ready; None where that says nothing.

    A server of others may answer anything: being ready is its status, not its body.
    """
    try:
        ready = oip.ModelReady.model_validate_json(body)
    except pydantic.ValidationError:
        return None
    return None if ready.parameters is None else ready.parameters.provider


def _model(response: oip.InferResponse) -> served.Served:
    digest = response.parameters.digest if response.parameters is not None else None
    return served.Served(response.model_name, response.model_version or "", digest or "")


def _outputs(
    response: oip.InferResponse, declared: Sequence[Declared]
) -> dict[str, tuple[float | int | bool | str, ...]]:
    tensors = {tensor.name: tensor for tensor in response.outputs}
    outputs: dict[str, tuple[float | int | bool | str, ...]] = {}
    for output in declared:
        tensor = tensors.get(output.name)
        if tensor is None:
            raise FailedError(reasons.OUTPUT_MISSING)
        _check_shape(tensor, output.shape)
        _check_elements(tensor, output.data_type)
        outputs[output.name] = tensor.data
    return outputs


def _check_shape(tensor: oip.TensorData, declared: Sequence[int]) -> None:
    fits = len(tensor.shape) == len(declared) and all(
        wanted in (-1, length) for length, wanted in zip(tensor.shape, declared, strict=True)
    )
    if not fits or len(tensor.data) != math.prod(tensor.shape):
        raise FailedError(reasons.WRONG_SHAPE)


def _check_elements(tensor: oip.TensorData, data_type: str) -> None:
    """Refuse text where numbers are declared, and the other way round: a policy reads either."""
    are_text = {kind is str for kind in set(map(type, tensor.data))}
    if not are_text <= {data_type == "BYTES"}:
        raise FailedError(reasons.MALFORMED_ANSWER)


class ServerTiming(NamedTuple):
    """Where a server says that the time went."""

    seconds: float
    """All that it spent."""
    queued: float | None
    """Of them, before the model began and after it ended; None where it does not say."""


def server_timing(header: str, most: float = math.inf) -> ServerTiming | None:
    """Return the seconds that a `server-timing` header says the server spent, or None.

    More than `most`, which the call took as we saw it, is not believed.

    The header is `queue;dur=<ms>, infer;dur=<ms>`; parts without a duration count nothing.
    """
    if not header or len(header) > 512:
        return None
    total, queued, has_duration = 0.0, None, False
    for metric in header.split(","):
        part, *parameters = metric.split(";")
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() != "dur":
                continue
            try:
                milliseconds = float(value.strip().strip('"'))
            except ValueError:
                return None
            total += milliseconds
            has_duration = True
            if part.strip() == "queue":
                queued = milliseconds / 1000
    is_time = has_duration and math.isfinite(total) and 0 <= total / 1000 <= most
    if not is_time:
        return None
    is_part = queued is not None and 0 <= queued <= total / 1000
    return ServerTiming(total / 1000, queued if is_part else None)
