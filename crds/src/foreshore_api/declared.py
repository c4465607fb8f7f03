"""The tensors of a Model as a server is told of them: of the shapes that it is really asked with.

A Model's -1 is any length. Of an input, two lengths are known all the same: a window says how many
samples fill the middle, the features how many columns the last dimension. A server holds the model
to these, warms it up and tries it with them; only the batch stays free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from foreshore_api.v1alpha1 import model as kind
from foreshore_api.wire import serving

ANY: Final = -1
"""Any length."""


def inputs(model: kind.ModelSpec) -> tuple[serving.DeclaredTensor, ...]:
    """Return the inputs of a Model, as a server's configuration has them."""
    return tuple(
        _tensor(tensor, shape(tensor, columns(tensor.features, model.preprocessing)))
        for tensor in model.inputs
    )


def outputs(model: kind.ModelSpec) -> tuple[serving.DeclaredTensor, ...]:
    """Return the outputs of a Model, as a server's configuration has them."""
    return tuple(_tensor(tensor, tensor.shape) for tensor in model.outputs)


def shape(tensor: kind.ModelInput, width: int) -> tuple[int, ...]:
    """Return an input's shape with the lengths that are known; -1 where any is left.

    Args:
        tensor: an input; a vector's only dimension is its batch, or declared.
        width: columns that its features fill.
    """
    lengths = list(tensor.shape)
    if len(lengths) > 1 and lengths[-1] == ANY:
        lengths[-1] = width
    if tensor.window is not None and len(lengths) > 2 and lengths[1] == ANY:
        lengths[1] = tensor.window.steps
    return tuple(lengths)


def columns(features: Iterable[str], preprocessing: Iterable[kind.Preprocessing]) -> int:
    """Return how many columns features fill: one each, but a category OneHot as many as it has."""
    widths = {
        prepared.name: len(prepared.categories.values)
        for prepared in preprocessing
        if prepared.categories is not None and prepared.categories.encoding is kind.Encoding.ONE_HOT
    }
    return sum(widths.get(name, 1) for name in features)


def _tensor(declared: kind.ModelTensor, lengths: Sequence[int]) -> serving.DeclaredTensor:
    return serving.DeclaredTensor(
        name=declared.name, data_type=declared.data_type.value, shape=tuple(lengths)
    )
