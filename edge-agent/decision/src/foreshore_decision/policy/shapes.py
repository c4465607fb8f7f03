"""The model's tensors against the policy's features and outputs. Called by `compile`."""

from collections.abc import Iterable, Mapping, Sequence

from foreshore_api import conditions, hints, scalars
from foreshore_api.v1alpha1.decisionpolicy import DecisionPolicySpec
from foreshore_api.v1alpha1.evaluation import OnError
from foreshore_api.v1alpha1.model import ModelInput, ModelSpec, TensorType
from foreshore_api.v1alpha1.model import ModelTensor as ModelTensor
from foreshore_api.wire import assignment
from foreshore_decision.policy import bounds
from foreshore_decision.policy.compiled import (
    CompiledInput,
    Feature,
    Inference,
    InputTensor,
    Output,
)
from foreshore_decision.policy.problems import Problems

_FLOATS = (TensorType.FP32, TensorType.FP64)


def inference(
    spec: DecisionPolicySpec, assigned: assignment.AssignedModel | None
) -> Inference | None:
    """Return how the model is asked, or None for a policy of rules only."""
    if assigned is None:
        return None
    return Inference(
        model=assigned.name,
        version=assigned.version,
        digest=assigned.artefact.digest,
        tensors=tuple(_tensor(tensor) for tensor in assigned.model.inputs),
        outputs=tuple(
            Output(output.name, output.output, output.index) for output in spec.inference.outputs
        ),
        timeout=scalars.seconds(spec.inference.timeout),
        is_rule_only=spec.inference.on_error is OnError.RULE_ONLY,
    )


def check(
    spec: DecisionPolicySpec,
    model: ModelSpec,
    inputs: Sequence[CompiledInput],
    features: Iterable[Feature],
    problems: Problems,
) -> None:
    """Note what of the model does not fit the policy: it takes features, and inputs by name."""
    texts = {source.name: source for source in inputs if source.type not in bounds.MEASURED}
    numbers = {source.name for source in inputs} - texts.keys()
    numbers.update(feature.name for feature in features)
    for tensor in model.inputs:
        for name in tensor.features:
            if name not in numbers:
                _note_missing(tensor, name, texts, numbers, problems)
        _check_input(tensor, problems)
    _check_outputs(spec, model.outputs, problems)


def _tensor(tensor: ModelInput) -> InputTensor:
    batch = tuple(1 for _ in tensor.shape[:-1])
    shape = (*batch, len(tensor.features))
    is_integer = tensor.data_type not in _FLOATS
    return InputTensor(tensor.name, tensor.data_type.value, shape, tensor.features, is_integer)


def unmeasured(source: CompiledInput) -> str:
    """Say that an input is no number, and how it becomes one."""
    return (
        f"{source.name} is a {source.type} and no number: map it to a Boolean or a Number with"
        f" values of property {source.property} in its DeviceProfile"
    )


def _path(tensor: ModelInput) -> str:
    return f"spec.modelRef: input {tensor.name}"


def _note_missing(
    tensor: ModelInput,
    name: str,
    texts: Mapping[str, CompiledInput],
    numbers: Iterable[str],
    problems: Problems,
) -> None:
    """Note a name that the model takes and the policy has no number for."""
    if name in texts:
        message = f"the model takes {unmeasured(texts[name])}"
        problems.add(conditions.Reason.INVALID, _path(tensor), message)
        return
    message = (
        f"the model takes {name}, which is no feature and no input; {hints.among(name, numbers)}"
    )
    problems.add(conditions.Reason.REFERENCE_NOT_FOUND, _path(tensor), message)


def _check_input(tensor: ModelInput, problems: Problems) -> None:
    path = _path(tensor)
    if tensor.shape[-1] not in (-1, len(tensor.features)):
        message = f"{len(tensor.features)} features do not fill the shape {list(tensor.shape)}"
        problems.add(conditions.Reason.INVALID, path, message)
    if not _is_single(tensor):
        message = f"the shape {list(tensor.shape)} has no batch of one"
        problems.add(conditions.Reason.INVALID, path, message)
    if tensor.data_type is TensorType.BOOL:
        problems.add(conditions.Reason.INVALID, path, "a BOOL tensor takes no features")


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
        elif not _is_single(tensor):
            message = f"the shape {list(tensor.shape)} of {tensor.name} has no batch of one"
            problems.add(conditions.Reason.INVALID, f"{path}.output", message)
        elif 0 <= tensor.shape[-1] <= output.index:
            message = f"{output.index} lies beyond the {tensor.shape[-1]} elements of {tensor.name}"
            problems.add(conditions.Reason.INVALID, f"{path}.index", message)


def _is_single(tensor: ModelTensor) -> bool:
    """Whether all dimensions but the last may be one."""
    return all(size in (-1, 1) for size in tensor.shape[:-1])
