"""What training did to features outside the model, as a Model declares it. Called by `shapes`.

    scale        (value - mean) / deviation, one column
    categories   OneHot: a column for each category, 1 in its own and 0 in the others
                 Index: one column, the place of the category from 0

Both are of the value as it was measured, a Boolean as 0 or 1, in a window of samples of each of
them. Categories are of a String; of an Integer as it is written in decimals, and of a Boolean as
`true` and `false`. Records and expressions keep what was measured.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_api.v1alpha1.model import (
    Categories,
    Encoding,
    ModelSpec,
    Preprocessing,
    Scale,
    UnknownCategory,
)
from foreshore_decision import samples
from foreshore_decision.policy import bounds
from foreshore_decision.policy.compiled import CategoryCodes, CompiledInput, Feature, Scaling
from foreshore_decision.policy.problems import ModelFault, Problems

INVALID: Final = conditions.Reason.INVALID
TRUTHS: Final[Mapping[str, float]] = {"true": 1.0, "false": 0.0}
"""What a Boolean is measured as, by how it is written."""


class Fillings:
    """What a policy has to fill a model's tensors with: features, and inputs by name."""

    def __init__(self, inputs: Iterable[CompiledInput], features: Iterable[Feature]) -> None:
        self.inputs: Final = {source.name: source for source in inputs}
        self.features: Final = {feature.name: feature for feature in features}

    @property
    def names(self) -> list[str]:
        """Every name, in no order."""
        return [*self.inputs, *self.features]

    def source(self, name: str) -> CompiledInput | None:
        """Return the input that a feature is made of, or an input itself."""
        feature = self.features.get(name)
        return self.inputs.get(name if feature is None else feature.input)

    def aggregate(self, name: str) -> Aggregate:
        """Return how a feature is made of its input; an input is its last value."""
        feature = self.features.get(name)
        return Aggregate.LAST if feature is None else feature.aggregate

    def type(self, name: str) -> DataType:
        """Return the type of what the model is given: an aggregate is a Number of whatever."""
        source = self.source(name)
        is_last = self.aggregate(name) is Aggregate.LAST
        return source.type if source is not None and is_last else DataType.NUMBER


def by_name(model: ModelSpec) -> Mapping[str, Preprocessing]:
    """Return what a Model declares, by feature."""
    return {preprocessing.name: preprocessing for preprocessing in model.preprocessing}


def prepared(declaration: Preprocessing | None, kind: DataType) -> Scaling | CategoryCodes | None:
    """Return how a feature of a type is prepared, None as it is; of what `check` has passed."""
    if declaration is None:
        return None
    if declaration.scale is not None:
        return _scaling(declaration.scale)
    return None if declaration.categories is None else codes(declaration.categories, kind)


def _scaling(scale: Scale) -> Scaling:
    return Scaling(scalars.number(scale.mean), scalars.number(scale.deviation))


def codes(categories: Categories, kind: DataType) -> CategoryCodes:
    """Return the place of each category; one that no value of the type is written as has none."""
    places: dict[samples.Sample, int] = {}
    for place, written in enumerate(categories.values):
        value = _measured(written, kind)
        if value is not None:
            places.setdefault(value, place)
    is_one_hot = categories.encoding is Encoding.ONE_HOT
    return CategoryCodes(places, is_one_hot, categories.unknown is UnknownCategory.ZEROS)


def _measured(written: str, kind: DataType) -> samples.Sample | None:
    """Return a category as a value of a type is measured; None: no value is written like that."""
    if kind is DataType.STRING:
        return written
    if kind is DataType.BOOLEAN:
        return TRUTHS.get(written)
    try:
        return float(int(written)) if str(int(written)) == written else None
    except (ValueError, OverflowError):
        return None


def faults(model: ModelSpec) -> Iterator[ModelFault]:
    """Yield what of a Model's preprocessing names nothing, or says nothing that can be done."""
    taken = {name for tensor in model.inputs for name in tensor.features}
    for declaration in model.preprocessing:
        name = declaration.name
        path, part = f"spec.preprocessing[{name}]", f"preprocessing {name}"
        scale, categories = declaration.scale, declaration.categories
        if name not in taken:
            message = f"no input of the model takes {name}; {hints.among(name, taken)}"
            missing = conditions.Reason.REFERENCE_NOT_FOUND
            yield ModelFault(f"{path}.name", part, message, missing)
        if (scale is None) == (categories is None):
            yield ModelFault(path, part, "exactly one of scale and categories is needed")
        if scale is not None and scalars.number(scale.deviation) <= 0:
            yield ModelFault(f"{path}.scale.deviation", part, "a deviation is above zero")
        if categories is not None and _has_no_zeros(categories):
            message = "an index has no zeros for what is no category: refuse it, or encode OneHot"
            yield ModelFault(f"{path}.categories.unknown", part, message)


def _has_no_zeros(categories: Categories) -> bool:
    is_index = categories.encoding is Encoding.INDEX
    return is_index and categories.unknown is UnknownCategory.ZEROS


def check(model: ModelSpec, fillings: Fillings, problems: Problems) -> None:
    """Note what of a Model's preprocessing does not fit what a policy fills its inputs with."""
    taken = {name for tensor in model.inputs for name in tensor.features}
    for declaration in model.preprocessing:
        if declaration.name in taken and fillings.source(declaration.name) is not None:
            kind = fillings.type(declaration.name)
            for message in (*_unscaled(declaration, kind), *_uncoded(declaration, kind)):
                problems.add(INVALID, f"spec.modelRef: preprocessing {declaration.name}", message)


def _unscaled(declaration: Preprocessing, kind: DataType) -> Iterator[str]:
    if declaration.scale is not None and kind not in bounds.MEASURED:
        yield f"{declaration.name} is a {kind}, and a scale is of a number: declare its categories"


def _uncoded(declaration: Preprocessing, kind: DataType) -> Iterator[str]:
    categories, name = declaration.categories, declaration.name
    if categories is None:
        return
    if kind is DataType.NUMBER:
        yield (
            f"{name} is a Number, and categories are of a String, an Integer or a Boolean, not of"
            " an aggregate: declare a scale, or read it as one of these"
        )
        return
    seen: set[samples.Sample] = set()
    for written in categories.values:
        value = _measured(written, kind)
        if value is None:
            how = "true or false" if kind is DataType.BOOLEAN else "digits, as in 42"
            yield f"{written} is never measured: {name} is {kind}, which is written as {how}"
        elif value in seen:
            yield f"{written} is the same number as another category"
        else:
            seen.add(value)
