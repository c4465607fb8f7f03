"""What training did to features outside the model, as a Model declares it. Called by `shapes`.

    scale        (value - mean) / deviation, one column
    categories   OneHot: a column for each category, 1 in its own and 0 in the others
                 Index: one column, the place of the category from 0

Both are of the value as it was measured, a Boolean as 0 or 1, in a window of samples of each of
them. Categories are of a String; of an Integer as it is written in decimals, and of a Boolean as
`true` and `false`. Records and expressions keep what was measured.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.evaluation import Aggregate
from foreshore_api.v1alpha1.model import (
    Categories,
    Encoding,
    ModelInput,
    ModelSpec,
    Preprocessing,
    Scale,
    UnknownCategory,
)
from foreshore_decision import samples
from foreshore_decision.policy import bounds
from foreshore_decision.policy.compiled import CategoryCodes, CompiledInput, Feature, Scaling
from foreshore_decision.policy.problems import Problems

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


def declared(model: ModelSpec) -> Mapping[str, Preprocessing]:
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


def width(declaration: Preprocessing | None) -> int:
    """Return how many columns of a tensor a feature fills."""
    categories = None if declaration is None else declaration.categories
    if categories is None or categories.encoding is not Encoding.ONE_HOT:
        return 1
    return len(categories.values)


def check(model: ModelSpec, fillings: Fillings, problems: Problems) -> None:
    """Note what of a Model's preprocessing names nothing, or does not fit what it names."""
    takers: dict[str, list[ModelInput]] = {}
    for tensor in model.inputs:
        for name in tensor.features:
            takers.setdefault(name, []).append(tensor)
    for declaration in model.preprocessing:
        path = f"spec.modelRef: preprocessing {declaration.name}"
        if declaration.name not in takers:
            among = hints.among(declaration.name, takers)
            message = f"no input of the model takes {declaration.name}; {among}"
            problems.add(conditions.Reason.REFERENCE_NOT_FOUND, path, message)
        elif (declaration.scale is None) == (declaration.categories is None):
            problems.add(INVALID, path, "exactly one of scale and categories is needed")
        elif fillings.source(declaration.name) is not None:
            kind = fillings.type(declaration.name)
            _check_scale(declaration, kind, path, problems)
            _check_categories(declaration, kind, path, problems)


def _check_scale(declaration: Preprocessing, kind: DataType, path: str, problems: Problems) -> None:
    scale = declaration.scale
    if scale is None:
        return
    if scalars.number(scale.deviation) <= 0:
        problems.add(INVALID, path, "a deviation is above zero")
    if kind not in bounds.MEASURED:
        message = (
            f"{declaration.name} is a {kind}, and a scale is of a number: declare its categories"
        )
        problems.add(INVALID, path, message)


def _check_categories(
    declaration: Preprocessing, kind: DataType, path: str, problems: Problems
) -> None:
    categories, name = declaration.categories, declaration.name
    if categories is None:
        return
    is_index = categories.encoding is Encoding.INDEX
    if is_index and categories.unknown is UnknownCategory.ZEROS:
        message = "an index has no zeros for what is no category: refuse it, or encode OneHot"
        problems.add(INVALID, path, message)
    if kind is DataType.NUMBER:
        message = (
            f"{name} is a Number, and categories are of a String, an Integer or a Boolean, not of"
            " an aggregate: declare a scale, or read it as one of these"
        )
        problems.add(INVALID, path, message)
        return
    seen: set[samples.Sample] = set()
    for written in categories.values:
        value = _measured(written, kind)
        if value is None:
            how = "true or false" if kind is DataType.BOOLEAN else "digits, as in 42"
            message = f"{written} is never measured: {name} is {kind}, which is written as {how}"
            problems.add(INVALID, path, message)
        elif value in seen:
            problems.add(INVALID, path, f"{written} is the same number as another category")
        else:
            seen.add(value)
