"""Requests and answers of the Open Inference Protocol as NumPy arrays.

Pure, called by `server` for every inference, and by an agent that runs a model itself (`fed`,
`given`), so that both check and round alike. The messages are those of `foreshore_api.wire.oip`
(a test holds both together); the hot path checks them by hand, because pydantic's per-element
validation of a batch costs more than the model. No element is looked at by a Python loop: the
element types of a list are one `set(map(type, …))`.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from foreshore_api import hints
from foreshore_serving.contract import Contract, TensorSpec
from foreshore_serving.refusal import Fault, Rejected

TYPES: Final[Mapping[str, tuple[npt.DTypeLike, frozenset[type]]]] = {
    "BOOL": (np.bool_, frozenset({bool})),
    "INT8": (np.int8, frozenset({int})),
    "INT16": (np.int16, frozenset({int})),
    "INT32": (np.int32, frozenset({int})),
    "INT64": (np.int64, frozenset({int})),
    "UINT8": (np.uint8, frozenset({int})),
    "UINT16": (np.uint16, frozenset({int})),
    "UINT32": (np.uint32, frozenset({int})),
    "UINT64": (np.uint64, frozenset({int})),
    "FP16": (np.float16, frozenset({int, float})),
    "FP32": (np.float32, frozenset({int, float})),
    "FP64": (np.float64, frozenset({int, float})),
    "BYTES": (np.object_, frozenset({str})),
}
"""By protocol datatype: the array's element type, and the JSON types it may be written with."""

TEXT: Final = 1024
"""Characters of one element of text at most, as `wire.oip` has it."""

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One checked inference call."""

    id: str | None
    feeds: Mapping[str, Array]
    wanted: tuple[TensorSpec, ...]


def decode(body: bytes, contract: Contract) -> Request:
    """Check one request body against the contract.

    Raises:
        Rejected: with the fault and what exactly is wrong.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Rejected(Fault.MALFORMED, f"the body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Rejected(Fault.MALFORMED, "the body must be a JSON object")
    request_id = document.get("id")
    if request_id is not None and not (isinstance(request_id, str) and len(request_id) <= 64):
        raise Rejected(Fault.MALFORMED, "id must be a string of at most 64 characters")
    given = _by_name(document.get("inputs"), "inputs", Fault.UNKNOWN_INPUT, contract.inputs)
    feeds: dict[str, Array] = {}
    for spec in contract.inputs:
        if spec.name not in given:
            raise Rejected(Fault.MISSING_INPUT, f"input {spec.name} is missing")
        feeds[spec.name] = _array(given[spec.name], spec)
    return Request(request_id, feeds, _wanted(document.get("outputs"), contract))


def encode(
    contract: Contract, request: Request, arrays: Sequence[Array], provider: str | None = None
) -> bytes:
    """Render the answer; `arrays` come in the order of `request.wanted`.

    `provider` is the execution provider that computed them.

    Raises:
        Rejected: an output is not finite, or not of the declared shape.
    """
    answer: dict[str, Any] = {
        "model_name": contract.name,
        "model_version": contract.version,
        "parameters": {"digest": contract.digest, "provider": provider},
    }
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"] = [
        {
            "name": spec.name,
            "datatype": spec.data_type,
            "shape": list(array.shape),
            "data": plain(given(spec, array)),
        }
        for spec, array in zip(request.wanted, arrays, strict=True)
    ]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Tell whether a concrete shape is one of those declared, where -1 is any length."""
    return len(shape) == len(declared) and all(
        want in (-1, have) for have, want in zip(shape, declared, strict=True)
    )


def smallest(declared: Sequence[int]) -> list[int]:
    """Return the smallest shape that fits a declaration: any length is 1."""
    return [1 if length < 0 else length for length in declared]


def zeros(spec: TensorSpec) -> Array:
    """Return the smallest input of a declared shape, for warm-up; text is empty."""
    shape = smallest(spec.shape)
    dtype = np.dtype(TYPES[spec.data_type][0])
    return np.full(shape, "", dtype) if dtype.kind == "O" else np.zeros(shape, dtype)


def _by_name(
    entries: object, what: str, unknown: Fault, specs: Sequence[TensorSpec]
) -> dict[str, dict[str, Any]]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Rejected(Fault.MALFORMED, f"{what} must be a list of objects")
    names = {spec.name for spec in specs}
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, str):
            raise Rejected(Fault.MALFORMED, f"each of {what} needs a name")
        if name not in names:
            raise Rejected(
                unknown,
                f"the model has no {name[:64]} among its {what}; {hints.among(name[:64], names)}",
            )
        if name in named:
            raise Rejected(Fault.MALFORMED, f"{name} is given twice in {what}")
        named[name] = entry
    return named


def _wanted(entries: object, contract: Contract) -> tuple[TensorSpec, ...]:
    if entries is None or entries == []:
        return contract.outputs
    names = _by_name(entries, "outputs", Fault.UNKNOWN_OUTPUT, contract.outputs)
    return tuple(spec for spec in contract.outputs if spec.name in names)


def _array(entry: Mapping[str, Any], spec: TensorSpec) -> Array:
    if entry.get("datatype") != spec.data_type:
        raise Rejected(
            Fault.WRONG_TYPE,
            f"input {spec.name} is {spec.data_type}, not {str(entry.get('datatype'))[:16]}",
        )
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(
        type(length) is int and length > 0 for length in shape
    ):
        raise Rejected(
            Fault.WRONG_SHAPE, f"the shape of input {spec.name} must be a list of positive integers"
        )
    _check_shape(shape, spec)
    return fed(_flat(entry.get("data"), shape, spec.name), shape, spec)


def fed(flat: Sequence[Any], shape: Sequence[int], spec: TensorSpec) -> Array:
    """Return checked elements, in row-major order, as the array of an input.

    Raises:
        Rejected: WrongShape, WrongType or OutOfRange.
    """
    _check_shape(shape, spec)
    if len(flat) != math.prod(shape):
        raise Rejected(
            Fault.WRONG_SHAPE,
            f"input {spec.name} holds {len(flat)} elements, its shape {math.prod(shape)}",
        )
    dtype, written_as = TYPES[spec.data_type]
    if not written_as.issuperset(map(type, flat)):
        raise Rejected(
            Fault.WRONG_TYPE, f"input {spec.name} holds elements that are not {spec.data_type}"
        )
    if dtype is np.object_ and max(map(len, flat), default=0) > TEXT:
        raise Rejected(
            Fault.OUT_OF_RANGE, f"input {spec.name} holds a text of more than {TEXT} characters"
        )
    return _cast(flat, dtype, spec).reshape(shape)


def _check_shape(shape: Sequence[int], spec: TensorSpec) -> None:
    if not fits(shape, spec.shape):
        raise Rejected(
            Fault.WRONG_SHAPE,
            f"input {spec.name} is of shape {list(spec.shape)}, not {list(shape[:8])}",
        )


def _flat(data: object, shape: Sequence[int], name: str) -> list[Any]:
    """Return the elements in row-major order; the protocol allows flat and nested lists."""
    if not isinstance(data, list):
        raise Rejected(Fault.MALFORMED, f"the data of input {name} must be a list")
    if data and type(data[0]) is list:
        return _unnested(data, shape, name)
    return data


def _unnested(data: list[Any], shape: Sequence[int], name: str) -> list[Any]:
    if not shape or len(data) != shape[0]:
        raise Rejected(
            Fault.WRONG_SHAPE, f"the data of input {name} are not nested as its shape says"
        )
    for length in shape[1:]:
        if set(map(type, data)) != {list} or set(map(len, data)) != {length}:
            raise Rejected(
                Fault.WRONG_SHAPE, f"the data of input {name} are not nested as its shape says"
            )
        data = list(itertools.chain.from_iterable(data))
    return data


def _cast(flat: Sequence[Any], dtype: npt.DTypeLike, spec: TensorSpec) -> Array:
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=dtype)
    except OverflowError as error:
        raise Rejected(
            Fault.OUT_OF_RANGE,
            f"input {spec.name} holds an element that does not fit {spec.data_type}",
        ) from error
    # JSON has no NaN, but 1e300 is infinite as FP32.
    if not _is_finite(array):
        raise Rejected(
            Fault.OUT_OF_RANGE,
            f"input {spec.name} holds an element that is not finite as {spec.data_type}",
        )
    return array


def given(spec: TensorSpec, array: Array) -> Array:
    """Return the elements of an output, flat in row-major order.

    Raises:
        Rejected: OutputMismatch or NonFiniteOutput.
    """
    if not fits(array.shape, spec.shape):
        raise Rejected(
            Fault.OUTPUT_MISMATCH,
            f"output {spec.name} is of shape {list(array.shape)}, not {list(spec.shape)}",
        )
    if not _is_finite(array):
        raise Rejected(
            Fault.NON_FINITE_OUTPUT, f"output {spec.name} holds a number that is not finite"
        )
    flat = array.ravel()
    if array.dtype.kind == "O" and max(map(len, flat), default=0) > TEXT:
        raise Rejected(
            Fault.OUTPUT_MISMATCH, f"output {spec.name} holds a text of more than {TEXT} characters"
        )
    return flat


def _is_finite(array: Array) -> bool:
    """Whether every element is a number; counted, because a reduction takes three times as long."""
    return array.dtype.kind != "f" or np.count_nonzero(np.isfinite(array)) == array.size


def plain(flat: Array) -> Array | list[Any]:
    """Return elements as JSON is made of them: numbers stay an array."""
    return flat.tolist() if flat.dtype.kind == "O" else flat
