"""Features laid out as the tensors that a model is asked with. Called by `deciding`.

    features, as measured ──preprocessing──► columns ──► [1, n]
    windows of samples, every row the same way       ──► [1, steps, n], the oldest first

What the Model declares as its preprocessing is done here and nowhere else: (value - mean) /
deviation, in double precision; a category becomes its place, or a column for each category with 1
in its own. The record keeps what was measured.

Telemetry may hold any finite number; a tensor's type may not. What does not fit is not sent: the
decision records that the model could not be asked, and why.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from foreshore_agent.engine import effects
from foreshore_api import printable
from foreshore_api.reasons import Reason
from foreshore_api.reasons import inference as reasons
from foreshore_decision import samples
from foreshore_decision.chain import facts, messages
from foreshore_decision.policy import compiled

Element = float | int | bool | str

_LARGEST_FP16: Final = 65504.0
_LARGEST_FP32: Final = (2.0 - 2.0**-23) * 2.0**127
_LARGEST_FP64: Final = (2.0 - 2.0**-52) * 2.0**1023


def _signed(bits: int) -> tuple[int, int]:
    return -(1 << bits - 1), (1 << bits - 1) - 1


RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "BOOL": (0, 1),
        "FP16": (-_LARGEST_FP16, _LARGEST_FP16),
        "FP32": (-_LARGEST_FP32, _LARGEST_FP32),
        "FP64": (-_LARGEST_FP64, _LARGEST_FP64),
        **{f"INT{bits}": _signed(bits) for bits in (8, 16, 32, 64)},
        **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
    }
)
"""Smallest and largest number by tensor type, integers exactly; BYTES takes texts."""


_OF_FLOATS: Final = {name: RANGES[name] for name in ("FP16", "FP32", "FP64")}
_UNSCALED: Final = compiled.Scaling(0.0, 1.0)
"""What leaves every float as it is, to the last bit."""
LONGEST_CAUSE: Final = 512
"""Characters of why the model cannot be asked."""


class ModelRequest(NamedTuple):
    """What the model is asked with, or why it cannot be."""

    tensors: tuple[effects.Tensor, ...]
    problem: str | None = None


class UnfitError(Exception):
    """A value that a tensor does not take; `reason` is one of `reasons.inference`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Final = reason


def lay_out(inference: compiled.Inference, before: facts.Facts) -> ModelRequest:
    """Lay the features out as the model's tensors."""
    tensors = []
    for tensor in inference.tensors:
        rows = _rows(tensor, before)
        data = _at_once(tensor, rows)
        if data is None:
            try:
                data = _one_by_one(tensor, rows)
            except UnfitError as error:
                return ModelRequest((), str(error))
        tensors.append(effects.Tensor(tensor.name, tensor.data_type, tensor.shape, tuple(data)))
    return ModelRequest(tuple(tensors))


def _one_by_one(
    tensor: compiled.InputTensor, rows: Sequence[Sequence[samples.Sample | None]]
) -> list[Element]:
    """Return what the values fill. Raises UnfitError for the first that does not fit, and says it.

    It is by far the slower way, and the only one that knows which value it is.
    """
    data: list[Element] = []
    for row in rows:
        for index, value in enumerate(row):
            try:
                data += _elements(tensor, index, value)
            except UnfitError as error:
                error.args = (_said(error.reason, tensor.features[index], value),)
                raise
    return data


def _at_once(
    tensor: compiled.InputTensor, rows: Sequence[Sequence[Any]]
) -> Sequence[Element] | None:
    """Return all values, where they are floats and at most scaled; None: one by one.

    Nearly every model is asked like this, and a window holds thousands of values.
    """
    span = _OF_FLOATS.get(tensor.data_type)
    if span is None:
        return None
    try:
        data = _scaled(tensor.preparations, rows) if tensor.preparations else _flat(rows)
        is_fit = data is not None and span[0] <= min(data) and max(data) <= span[1]
    except TypeError:  # one has no value
        return None
    return data if is_fit else None


def _flat(rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
    return rows[0] if len(rows) == 1 else [value for row in rows for value in row]


def _scaled(
    preparations: Sequence[compiled.Preparation | None], rows: Sequence[Sequence[Any]]
) -> Sequence[float] | None:
    """Return scaled values; None where categories are among them."""
    scalings = [_UNSCALED if preparation is None else preparation for preparation in preparations]
    done = [scaling for scaling in scalings if isinstance(scaling, compiled.Scaling)]
    if len(done) < len(scalings):
        return None
    return [
        (value - mean) / deviation
        for row in rows
        for value, (mean, deviation) in zip(row, done, strict=True)
    ]


def _said(reason: Reason, name: str, value: samples.Sample | None) -> str:
    """Say what cannot be asked with, and what helps."""
    text = f"{reason}: {name} is {messages.plain(value)}; remedy: {reason.remedy}"
    return printable.line(text, LONGEST_CAUSE)


def _rows(
    tensor: compiled.InputTensor, before: facts.Facts
) -> Sequence[Sequence[samples.Sample | None]]:
    """Return the values of a tensor's features: one row, or the rows of its window."""
    if tensor.window is not None:
        return before.sampled[tensor.name].rows
    return ([before.features[name] for name in tensor.features],)


def _elements(
    tensor: compiled.InputTensor, index: int, value: samples.Sample | None
) -> Sequence[Element]:
    """Return what a feature's value fills of a row. Raises UnfitError where that is nothing."""
    preparation = tensor.preparations[index] if tensor.preparations else None
    if value is None or preparation is None:
        return (_fit(tensor, value),)
    return [_fit(tensor, column) for column in _prepared(value, preparation)]


def _prepared(value: samples.Sample, preparation: compiled.Preparation) -> Sequence[float]:
    """Return the columns that a measured value becomes.

    Raises:
        UnfitError: it is none of the categories, and the Model declares no zeros for that.
    """
    if isinstance(preparation, compiled.Scaling):
        return [(float(value) - preparation.mean) / preparation.deviation]
    place = preparation.places.get(value)
    if place is None and not preparation.is_unknown_zero:
        raise UnfitError(reasons.FEATURE_UNKNOWN_CATEGORY)
    if preparation.is_one_hot:
        return [float(column == place) for column in range(preparation.width)]
    return [] if place is None else [float(place)]


def _fit(tensor: compiled.InputTensor, value: samples.Sample | None) -> Element:
    """Return an element as the tensor's type takes it.

    Raises:
        UnfitError: there is none, or none that fits.
    """
    if value is None:
        raise UnfitError(reasons.FEATURE_NOT_READY)
    if isinstance(value, str):
        return value
    smallest, largest = RANGES[tensor.data_type]
    if not smallest <= value <= largest:
        raise UnfitError(reasons.FEATURE_OUT_OF_RANGE)
    if tensor.is_integer or tensor.data_type == "BOOL":
        if not value.is_integer():
            raise UnfitError(reasons.FEATURE_NOT_INTEGER)
        return int(value) if tensor.is_integer else value == 1.0
    return value
