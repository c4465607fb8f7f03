"""The model's tensors against the policy's features and outputs. Called by `compile`.

Nothing is ever asked with a shape that the person did not state. An input is

    []                         a scalar: one feature
    [n], [-1]                  a vector: n features, or the batch of one feature
    [batch, n]                 one sample of n features; n may be -1, as the features are listed
    [batch, steps, n]          a window of samples, with `window {steps, every}` of the Model
    [batch, 1, n]              one sample, where the exporter left a dimension of one

`batch` is 1 or -1. A feature whose categories are encoded OneHot fills a column for each.
"""

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

from foreshore_api import conditions, declared, hints, scalars
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.decisionpolicy import DecisionPolicySpec
from foreshore_api.v1alpha1.evaluation import Aggregate, OnError
from foreshore_api.v1alpha1.model import (
    Encoding,
    ModelInput,
    ModelSpec,
    Preprocessing,
    TensorType,
)
from foreshore_api.v1alpha1.model import ModelTensor as ModelTensor
from foreshore_api.wire import assignment
from foreshore_decision.policy import bounds, preprocessing
from foreshore_decision.policy.compiled import (
    CompiledInput,
    Feature,
    Inference,
    InputTensor,
    Output,
    SampledInputs,
)
from foreshore_decision.policy.preprocessing import Fillings
from foreshore_decision.policy.problems import ModelFault, Problems

INVALID: Final = conditions.Reason.INVALID
LONGEST: Final = 1 << 16
"""Elements that a model is asked with, of all tensors together: an agent keeps the windows among
them for every device."""
_WINDOWED: Final = 3
"""Dimensions of a window of samples."""
_FLOATS = (TensorType.FP16, TensorType.FP32, TensorType.FP64)
_NO_INTEGERS = (*_FLOATS, TensorType.BOOL, TensorType.BYTES)


def inference(
    spec: DecisionPolicySpec,
    assigned: assignment.AssignedModel | None,
    inputs: Sequence[CompiledInput] = (),
    features: Iterable[Feature] = (),
) -> Inference | None:
    """Return how the model is asked, or None for a policy of rules only."""
    if assigned is None:
        return None
    fillings = Fillings(inputs, features)
    kinds = output_types(spec, assigned.model)
    model = assigned.model
    return Inference(
        model=assigned.name,
        version=assigned.version,
        digest=assigned.artefact.digest,
        tensors=tuple(_tensor(tensor, model, fillings) for tensor in model.inputs),
        outputs=tuple(
            Output(output.name, output.output, output.index, kinds[output.name])
            for output in spec.inference.outputs
        ),
        timeout=scalars.seconds(spec.inference.timeout),
        is_rule_only=spec.inference.on_error is OnError.RULE_ONLY,
    )


def output_types(
    spec: DecisionPolicySpec, model: ModelSpec | None, texts: Container[str] = ()
) -> dict[str, DataType]:
    """Return the type that expressions read each output of a policy as, by its name there.

    A text is a String; every number is a Number, and so is a Boolean, 0 or 1. Without a model,
    `texts` are Strings.
    """
    tensors = {} if model is None else {tensor.name: tensor.data_type for tensor in model.outputs}
    return {
        output.name: DataType.STRING
        if tensors.get(output.output) is TensorType.BYTES
        or (model is None and output.name in texts)
        else DataType.NUMBER
        for output in spec.inference.outputs
    }


def guesses(spec: DecisionPolicySpec, model: ModelSpec | None) -> Iterator[frozenset[str]]:
    """Yield which outputs may be texts, the likeliest first; where a model says it, none more."""
    yield frozenset()
    names = [] if model is not None else [output.name for output in spec.inference.outputs]
    yield from (frozenset({name}) for name in names)
    if len(names) > 1:
        yield frozenset(names)


def check(
    spec: DecisionPolicySpec,
    model: ModelSpec,
    inputs: Sequence[CompiledInput],
    features: Iterable[Feature],
    problems: Problems,
) -> None:
    """Note what of the model does not fit the policy: it takes features, and inputs by name."""
    fillings = Fillings(inputs, features)
    by_name = preprocessing.by_name(model)
    problems.noted.extend(fault.problem for fault in faults(model))
    preprocessing.check(model, fillings, problems)
    for tensor in model.inputs:
        for name in tensor.features:
            _check_feature(tensor, name, by_name.get(name), fillings, problems)
    _check_outputs(spec, model.outputs, problems)


def _tensor(tensor: ModelInput, model: ModelSpec, fillings: Fillings) -> InputTensor:
    by_name = preprocessing.by_name(model)
    preparations = tuple(
        preprocessing.prepared(by_name.get(name), fillings.type(name)) for name in tensor.features
    )
    window, sampled = tensor.window, None
    if window is not None:
        sources = (fillings.source(name) for name in tensor.features)
        sampled = SampledInputs(
            window.steps,
            scalars.seconds(window.every),
            tuple(source for source in sources if source is not None),
        )
    return InputTensor(
        tensor.name,
        tensor.data_type.value,
        _asked_shape(tensor, model),
        tensor.features,
        tensor.data_type not in _NO_INTEGERS,
        preparations if any(preparations) else (),
        sampled,
    )


def _asked_shape(tensor: ModelInput, model: ModelSpec) -> tuple[int, ...]:
    """Return the shape that a model is asked with, of a tensor that `check` has passed."""
    columns = declared.columns(tensor.features, model.preprocessing)
    lengths = declared.shape(tensor, columns)
    return tuple(1 if length == declared.ANY else length for length in lengths)


def unmeasured(source: CompiledInput) -> str:
    """Say that an input is no number, and how it becomes one."""
    return (
        f"{source.name} is a {source.type} and no number: map it to a Boolean or a Number with"
        f" values of property {source.property} in its DeviceProfile"
    )


def _path(tensor: ModelInput) -> str:
    return f"spec.modelRef: input {tensor.name}"


def _check_feature(
    tensor: ModelInput,
    name: str,
    declaration: Preprocessing | None,
    fillings: Fillings,
    problems: Problems,
) -> None:
    """Note a name that the model takes and that is nothing, or nothing that fits the tensor."""
    source, path = fillings.source(name), _path(tensor)
    if source is None:
        choices = hints.among(name, fillings.names)
        message = f"the model takes {name}, which is no feature and no input; {choices}"
        problems.add(conditions.Reason.REFERENCE_NOT_FOUND, path, message)
        return
    aggregate = fillings.aggregate(name)
    if tensor.window is not None and aggregate is not Aggregate.LAST:
        message = (
            f"a window holds samples, and {name} is the {aggregate} of many: take input"
            f" {source.name} in its place"
        )
        problems.add(INVALID, path, message)
    problem = _mismatch(tensor, name, source, declaration, fillings.type(name))
    if problem is not None:
        problems.add(INVALID, path, problem)


def _mismatch(
    tensor: ModelInput,
    name: str,
    source: CompiledInput,
    declaration: Preprocessing | None,
    kind: DataType,
) -> str | None:
    """Say why a feature is nothing for a tensor's type, and what helps."""
    if tensor.data_type is TensorType.BYTES:
        return _no_text(name, declaration, kind)
    if kind not in bounds.MEASURED and (declaration is None or declaration.categories is None):
        return (
            f"the model takes {unmeasured(source)}, or list its categories under preprocessing of"
            " the Model as training encoded them"
        )
    if tensor.data_type is TensorType.BOOL:
        return _no_truth(name, source, declaration, kind)
    if tensor.data_type not in _FLOATS and not _is_whole(declaration):
        return (
            f"a scaled {name} is no integer, and the tensor is {tensor.data_type}: leave the scale"
            " out, or export the model with a tensor of FP32"
        )
    return None


def _no_text(name: str, declaration: Preprocessing | None, kind: DataType) -> str | None:
    """Say why a feature is nothing for a tensor of texts."""
    if declaration is not None:
        return f"a BYTES tensor takes {name} as the text that it is: no preprocessing"
    if kind in bounds.MEASURED:
        return (
            f"a BYTES tensor takes texts, and {name} is a {kind}: read a String, or export the"
            " model with a tensor of numbers"
        )
    return None


def _no_truth(
    name: str, source: CompiledInput, declaration: Preprocessing | None, kind: DataType
) -> str | None:
    """Say why a feature is nothing for a tensor of truths: columns of categories are some."""
    categories = None if declaration is None else declaration.categories
    is_one_hot = categories is not None and categories.encoding is Encoding.ONE_HOT
    if is_one_hot or (kind is DataType.BOOLEAN and declaration is None):
        return None
    return (
        f"a BOOL tensor takes Booleans, and {name} is a {kind}: map it to a Boolean with values of"
        f" property {source.property} in its DeviceProfile, or export the model with a tensor of"
        " numbers"
    )


def _is_whole(declaration: Preprocessing | None) -> bool:
    """Whether what is an integer remains one as it is prepared."""
    scale = None if declaration is None else declaration.scale
    return scale is None or (
        scalars.number(scale.deviation) == 1 and scalars.number(scale.mean).is_integer()
    )


def faults(model: ModelSpec) -> Iterator[ModelFault]:
    """Yield what is wrong with a Model by itself: what it cannot be asked, and what helps."""
    yield from preprocessing.faults(model)
    elements = 0
    for tensor in model.inputs:
        problem = _shapeless(tensor, model)
        if problem is not None:
            yield ModelFault(f"spec.inputs[{tensor.name}].shape", f"input {tensor.name}", problem)
        else:
            elements += math.prod(_asked_shape(tensor, model))
    if elements > LONGEST:
        message = (
            f"{elements} elements in all, and a model is asked with at most {LONGEST}: fewer steps"
            " of its windows, or fewer categories"
        )
        yield ModelFault("spec.inputs", "inputs", message)


def _shapeless(tensor: ModelInput, model: ModelSpec) -> str | None:
    """Say why an input cannot be asked with its shape."""
    shape = list(tensor.shape)
    columns = declared.columns(tensor.features, model.preprocessing)
    if tensor.window is None:
        return _unfit(shape, columns)
    return _unfit_window(shape, tensor.window.steps, columns)


def _unfit(shape: Sequence[int], columns: int) -> str | None:
    """Say why one sample of so many columns does not fill a shape, and what helps."""
    last = shape[-1] if shape else 1
    if len(shape) == 1 and last == -1 and columns > 1:
        return (
            f"the shape {shape} leaves free how many there are: declare [{columns}], or"
            f" [-1, {columns}] where it is the batch that is free"
        )
    if last not in (-1, columns):
        return _unfilled(shape, columns)
    for size in shape[1:-1]:
        if size == -1:
            return (
                f"the shape {shape} leaves its samples free, and a model is never asked with a"
                " number of them that nobody stated: declare window {steps, every} of the input in"
                " the Model, as in training"
            )
        if size != 1:
            return (
                f"the shape {shape} holds {size} samples: declare window {{steps: {size}, every:"
                " …} of the input in the Model, with the distance of two samples in training"
            )
    return _no_batch(shape, shape[:-1])


def _unfit_window(shape: Sequence[int], steps: int, columns: int) -> str | None:
    """Say why a window does not fill a shape, and what helps."""
    if len(shape) != _WINDOWED or shape[1] not in (-1, steps):
        return (
            f"the shape {shape} takes no window of {steps} steps: that fills the middle of a shape"
            " [batch, steps, features], whose steps are the middle dimension, or that is -1;"
            " another order or a flat window is for the model to turn, with a transposition or a"
            " reshape before it in its export"
        )
    if shape[-1] not in (-1, columns):
        return _unfilled(shape, columns)
    return _no_batch(shape, shape[:1])


def _unfilled(shape: Sequence[int], columns: int) -> str:
    """Say that features are too few or too many for the last dimension of a shape."""
    wanted = shape[-1] if shape else 1
    return (
        f"{columns} features do not fill the shape {shape}: list {wanted} of them, in the order of"
        " training, where categories encoded OneHot count one each; samples of a window fill a"
        " dimension of their own, [batch, steps, features]"
    )


def _no_batch(shape: Sequence[int], batch: Sequence[int]) -> str | None:
    """Say that a shape has another batch than one; no dimension is no batch."""
    if not batch or batch[0] in (-1, 1):
        return None
    return (
        f"the shape {shape} has no batch of one: export the model with a first dimension of 1, or"
        " a free one (-1)"
    )


def _check_outputs(
    spec: DecisionPolicySpec, outputs: Iterable[ModelTensor], problems: Problems
) -> None:
    tensors = {tensor.name: tensor for tensor in outputs}
    for output in spec.inference.outputs:
        path = f"spec.inference.outputs[{output.name}]"
        tensor = tensors.get(output.output)
        if tensor is None:
            message = (
                f"the model has no output {output.output}; {hints.among(output.output, tensors)}"
            )
            problems.add(conditions.Reason.REFERENCE_NOT_FOUND, f"{path}.output", message)
            continue
        shape = list(tensor.shape)
        problem, elements = _no_batch(shape, shape[:-1]), _elements(shape)
        if problem is not None:
            problems.add(INVALID, f"{path}.output", f"output {tensor.name}: {problem}")
        elif elements is not None and elements <= output.index:
            message = f"{output.index} lies beyond the {elements} elements of {tensor.name}"
            problems.add(INVALID, f"{path}.index", message)


def _elements(shape: Sequence[int]) -> int | None:
    """Return how many elements an output has of one sample; None where only the answer tells."""
    sizes = shape if len(shape) == 1 else shape[1:]
    return None if -1 in sizes else math.prod(sizes)
