"""How features fill an input of a model, by its shape alone. Called by `suitability` and `draft`.

A decision asks with one sample, or with one window of samples:

    []  [1]  [-1]            one feature           [n]                n features
    [1, n]  [batch, n]       n features            [batch, 1, n]      n features
    [batch, steps, n]        a window of n features, `steps` samples of each
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAXIMUM_FEATURES: Final = 256
MAXIMUM_STEPS: Final = 1024
MAXIMUM_VALUES: Final = 8192
"""Bounds of `v1alpha1.model.ModelInput`, which a test compares."""
WINDOWED: Final = 3
"""Dimensions of an input that takes a window."""

Shape = Sequence[int | str]
"""Sizes of the dimensions; a free one by its name in the file, or -1."""


class InputFit(NamedTuple):
    """How features fill an input."""

    features: int | None = None
    """How many; None: the file leaves it free."""
    is_windowed: bool = False
    """Whether it takes a window of samples."""
    steps: int | None = None
    """Samples of a window; None: the file leaves it free, or there is none."""
    problem: str = ""
    """Why no features fill it. Empty: they do."""


def fit(shape: Shape) -> InputFit:
    """Return how features fill an input of a shape."""
    if not shape:
        return InputFit(features=1)
    if len(shape) == 1:
        return _checked(InputFit(features=fixed(shape[0]) or 1))
    batch, *middle = (fixed(size) for size in shape[:-1])
    if batch not in (None, 1):
        problem = f"it takes {batch} samples at once, and a decision has one"
        return InputFit(problem=problem)
    features = fixed(shape[-1])
    if all(size == 1 for size in middle):
        return _checked(InputFit(features=features))
    if len(shape) != WINDOWED:
        problem = "features fill a last dimension, and a window the one before it; all others are 1"
        return InputFit(problem=problem)
    return _checked(InputFit(features=features, is_windowed=True, steps=middle[0]))


def fixed(size: int | str) -> int | None:
    """Return the length of a dimension; None for a free one."""
    return size if isinstance(size, int) and size > 0 else None


def is_addressable(shape: Shape) -> bool:
    """Whether a policy can name the elements of an output: it is that of one sample."""
    return len(shape) < 2 or fixed(shape[0]) in (None, 1)


def declared(shape: Shape) -> list[int]:
    """Return a shape as a Model declares it: -1 for what is free."""
    return [-1 if (length := fixed(size)) is None else length for size in shape]


def _checked(filling: InputFit) -> InputFit:
    """Return a fit with what is too much of it."""
    features, steps = filling.features or 1, filling.steps or 1
    if features > MAXIMUM_FEATURES:
        problem = f"it takes {features} features, of at most {MAXIMUM_FEATURES}"
        return filling._replace(problem=problem)
    if steps > MAXIMUM_STEPS or steps * features > MAXIMUM_VALUES:
        problem = (
            f"a window of {steps} × {features} values is beyond {MAXIMUM_STEPS} samples or"
            f" {MAXIMUM_VALUES} values"
        )
        return filling._replace(problem=problem)
    return filling
