"""Model and ModelVersion for a file, as YAML with comments where something was guessed. Pure.

Called by `verb`. What the file cannot say (names of features, the distance of samples) is guessed
or asked for; nothing is written that `lint` would refuse.
"""

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import pydantic

from foreshore_agent import writing
from foreshore_agent.discover import words
from foreshore_agent.model import fit, suitability
from foreshore_api import meta, resources, scalars
from foreshore_api.v1alpha1 import model, modelversion
from foreshore_api.wire import inspection

DIGITS: Final = 8
"""Of the digest, at the end of a version's name."""
LONGEST_NAME: Final = meta.Resource.longest_name - DIGITS - 1
"""Characters of a Model's name, so that a version's fits too."""
_SHOWN_LABELS: Final = 16
_MEBIBYTE: Final = 1 << 20
_BASE_BYTES: Final = 48 * _MEBIBYTE
"""What a server takes beside the runtime and the model."""
_DEFAULT_MEMORY: Final = 128
"""MiB that a ModelVersion asks for where it says nothing."""
_STEP: Final = 64
"""MiB to which memory is rounded up."""
_FEATURE: Final[pydantic.TypeAdapter[str]] = pydantic.TypeAdapter(scalars.CamelCase)


class DraftError(ValueError):
    """Nothing can be written; the text says what is missing, and the option that gives it."""


class WindowOption(NamedTuple):
    """`--window STEPS/EVERY`."""

    steps: int
    every: str


class DraftRequest(NamedTuple):
    """What the person says beside the file."""

    file: str
    """The file's name, for the comments."""
    source: str
    """Path below the folder of the resources, or an address that begins with https://."""
    name: str | None = None
    """Of the Model. None: by the file's name."""
    namespace: str = "default"
    features: tuple[str, ...] = ()
    """Of all inputs in their order. Empty: guessed."""
    window: WindowOption | None = None


class NamedFeatures(NamedTuple):
    """Which features fill the inputs."""

    by_input: tuple[tuple[str, ...], ...]
    """In the order of the inputs."""
    is_guessed: bool


def window(text: str | None) -> WindowOption | None:
    """Return what `--window` says. Raises DraftError."""
    if text is None:
        return None
    steps, slash, every = text.partition("/")
    try:
        option = model.SampleWindow.model_validate({"steps": int(steps), "every": every})
    except (ValueError, pydantic.ValidationError) as error:
        message = f"--window is STEPS/EVERY, such as 30/1s, not {text!r}"
        raise DraftError(message) from error
    if not slash:
        raise DraftError(f"--window is STEPS/EVERY, such as 30/1s, not {text!r}")
    return WindowOption(option.steps, str(every))


def features(inputs: Sequence[inspection.InspectedTensor], given: Sequence[str]) -> NamedFeatures:
    """Return the features of each input, as given or else guessed.

    A column of a DataFrame is an input of its own, whose name is the feature's; the columns of a
    matrix have no names in the file, and are numbered.

    Raises:
        DraftError: they are no names, too few or too many, or open and not given.
    """
    counts = [fit.fit(tensor.shape or ()).features for tensor in inputs]
    if given:
        return NamedFeatures(_dealt(inputs, counts, given), is_guessed=False)
    taken: set[str] = set()
    guessed = []
    for tensor, count in zip(inputs, counts, strict=True):
        if count is None:
            message = f"input {tensor.name} leaves open how many features it takes"
            raise DraftError(f"{message}: say which with --features a,b,c")
        names = _guessed(tensor.name, count, taken)
        taken.update(names)
        guessed.append(names)
    return NamedFeatures(tuple(guessed), is_guessed=True)


def _guessed(tensor: str, count: int, taken: set[str]) -> tuple[str, ...]:
    if count == 1:
        return (words.identifier(tensor, taken),)
    first = len(taken) + 1
    return tuple(
        words.identifier(f"feature{number}", taken) for number in range(first, first + count)
    )


def _dealt(
    inputs: Sequence[inspection.InspectedTensor],
    counts: Sequence[int | None],
    given: Sequence[str],
) -> tuple[tuple[str, ...], ...]:
    """Return the names that were given, dealt out to the inputs in their order."""
    for name in given:
        if not _is_feature(name):
            near = words.identifier(name)
            raise DraftError(f"--features: {name!r} is no name of a feature; {near} would be")
    if len(set(given)) < len(given):
        raise DraftError(f"--features: {_repeated(given)} is given twice")
    fixed = sum(count for count in counts if count is not None)
    open_inputs = [number for number, count in enumerate(counts) if count is None]
    left = len(given) - fixed
    if len(open_inputs) > 1 or (left != 0 if not open_inputs else left < 1):
        wanted = ", ".join(
            f"{tensor.name} takes {'any number' if count is None else count}"
            for tensor, count in zip(inputs, counts, strict=True)
        )
        raise DraftError(f"--features gives {len(given)} names; {wanted}")
    names = iter(given)
    return tuple(
        tuple(next(names) for _ in range(left if count is None else count)) for count in counts
    )


def _is_feature(name: str) -> bool:
    try:
        _FEATURE.validate_python(name)
    except pydantic.ValidationError:
        return False
    return True


def _repeated(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def model_name(request: DraftRequest) -> str:
    """Return the name of the Model. Raises DraftError: the given name is none."""
    if request.name is None:
        stem = re.sub(r"\.onnx$", "", request.file, flags=re.IGNORECASE)
        return words.object_name(stem, noun="model")[:LONGEST_NAME].strip("-")
    if not resources.is_name(request.name, LONGEST_NAME):
        message = f"--name {request.name!r} is no name of a Model"
        text = f"lower case, digits and hyphens, at most {LONGEST_NAME} characters"
        raise DraftError(f"{message}: {text}")
    return request.name


def check_window(inputs: Sequence[inspection.InspectedTensor], option: WindowOption | None) -> None:
    """Refuse a window that no input takes, or not of so many samples. Raises DraftError."""
    if option is None:
        return
    windowed = [
        (tensor, filling)
        for tensor in inputs
        if (filling := fit.fit(tensor.shape or ())).is_windowed
    ]
    if not windowed:
        shapes = ", ".join(
            f"{tensor.name} {suitability.shape_text(tensor.shape)}" for tensor in inputs
        )
        message = "--window: no input takes a window, whose shape is [batch, steps, features]"
        raise DraftError(f"{message}: {shapes}")
    for tensor, filling in windowed:
        _check_steps(tensor, filling, option)


def _check_steps(
    tensor: inspection.InspectedTensor, filling: fit.InputFit, option: WindowOption
) -> None:
    if filling.steps not in (None, option.steps):
        message = f"--window says {option.steps} steps"
        raise DraftError(f"{message}, and input {tensor.name} takes {filling.steps}")


def render(inspected: inspection.ModelInspection, request: DraftRequest) -> str:
    """Return the two resources as YAML. Raises DraftError."""
    named = features(inspected.inputs, request.features)
    name = model_name(request)
    metadata = {"name": name, "namespace": request.namespace}
    parts = (
        *writing.comment_lines(_about(inspected, request)),
        _head(model.Model, metadata),
        "spec:\n  format: ONNX\n  inputs:\n",
        *_inputs(inspected, named, request.window),
        "  outputs:\n",
        *(_output(tensor) for tensor in outputs(inspected)),
        "---\n",
        *writing.comment_lines(_measured(inspected, name)),
        _head(modelversion.ModelVersion, metadata | {"name": version_name(name, inspected)}),
        writing.as_yaml({"spec": _version(name, inspected, request)}),
    )
    return "".join(parts)


def version_name(name: str, inspected: inspection.ModelInspection) -> str:
    """Return the name of a version: another export has another, because versions never change."""
    return f"{name}-{inspected.digest.removeprefix('sha256:')[:DIGITS]}"


def outputs(inspected: inspection.ModelInspection) -> list[inspection.InspectedTensor]:
    """Return the outputs that a Model can declare."""
    return [tensor for tensor in inspected.outputs if suitability.is_declarable(tensor)]


def _head(kind: type[meta.Resource], metadata: dict[str, str]) -> str:
    head = {"apiVersion": meta.API_VERSION, "kind": kind.kind, "metadata": metadata}
    return writing.as_yaml(head)


def _about(inspected: inspection.ModelInspection, request: DraftRequest) -> Iterator[str]:
    producer = f", written by {inspected.producer}" if inspected.producer else ""
    yield f"{request.file}, {inspected.size} bytes{producer}."


def _inputs(
    inspected: inspection.ModelInspection, named: NamedFeatures, option: WindowOption | None
) -> Iterator[str]:
    for tensor, names in zip(inspected.inputs, named.by_input, strict=True):
        filling = fit.fit(tensor.shape or ())
        fields: dict[str, Any] = _tensor(tensor)
        fields["features"] = list(names)
        comments = []
        if named.is_guessed:
            comments.append(
                "Feature named after the tensor; the policy names it too."
                if len(names) == 1
                else "Features are numbered: name them, in the order of training."
            )
        if filling.is_windowed:
            fields["window"] = _window(tensor, filling, option, len(names))
        yield _item(fields, comments)


def _window(
    tensor: inspection.InspectedTensor,
    filling: fit.InputFit,
    option: WindowOption | None,
    count: int,
) -> dict[str, object]:
    """Return the window of an input. Raises DraftError."""
    steps = filling.steps or "STEPS"
    if option is None:
        shape = suitability.shape_text(tensor.shape)
        raise DraftError(
            f"input {tensor.name} {shape} takes a window of samples: say how many and how far apart"
            f" with --window {steps}/EVERY, as in training, such as --window"
            f" {filling.steps or 30}/1s"
        )
    _check_steps(tensor, filling, option)
    if option.steps * count > fit.MAXIMUM_VALUES:
        raise DraftError(
            f"--window {option.steps} × {count} features are more than {fit.MAXIMUM_VALUES} values"
        )
    return {"steps": option.steps, "every": option.every}


def _output(tensor: inspection.InspectedTensor) -> str:
    comments = []
    if tensor.labels:
        comments.append(suitability.labels_text(tensor, _SHOWN_LABELS, "index "))
    if tensor.is_unwrapped:
        comments.append("A ZipMap's maps in the file; served as a tensor in this order.")
    read = writing.as_yaml(_read(tensor), is_flowing=True)
    comments.append(f"A policy reads it by {' '.join(map(str.strip, read.splitlines()))}.")
    return _item(_tensor(tensor), comments)


def _read(tensor: inspection.InspectedTensor) -> dict[str, object]:
    """Return an entry of a policy's `inference.outputs`.

    Of several elements the last: of the classes 0 and 1 it is 1 that is mostly asked for.
    """
    last = fit.fixed(tensor.shape[-1]) if tensor.shape and len(tensor.shape) > 1 else None
    index = (len(tensor.labels) or last or 1) - 1
    label = tensor.labels[index] if tensor.labels else None
    name = words.identifier(label if isinstance(label, str) else tensor.name)
    return {"name": name, "output": tensor.name} | ({"index": index} if index else {})


def _tensor(tensor: inspection.InspectedTensor) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": tensor.name, "dataType": tensor.data_type}
    return fields | ({"shape": fit.declared(tensor.shape)} if tensor.shape else {})


def _item(fields: dict[str, Any], comments: Sequence[str]) -> str:
    """Return an entry of a list below `spec`, its comments before it."""
    text = "".join((*writing.comment_lines(comments), writing.as_yaml([fields], is_flowing=True)))
    return textwrap.indent(text, "  ")


def _measured(inspected: inspection.ModelInspection, name: str) -> Iterator[str]:
    yield "A version never changes: another export is another version, named after its digest."
    yield f"A policy asks it by modelRef: {{version: {version_name(name, inspected)}}}."
    if inspected.measured is not None:
        seconds = duration_text(inspected.measured.usual_seconds)
        yield (
            f"One inference took {seconds} here. What a node is expected to take goes into"
            " expectedInference {p99}, for placements until it is measured."
        )


def duration_text(seconds: float) -> str:
    """Return a duration for a person."""
    if seconds < 0.001:
        return f"{1e6 * seconds:.0f} µs"
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _version(
    name: str, inspected: inspection.ModelInspection, request: DraftRequest
) -> dict[str, object]:
    spec: dict[str, object] = {
        "modelRef": {"name": name},
        "source": _source(request.source),
        "digest": inspected.digest,
    }
    memory = memory_mebibytes(inspected)
    return spec | ({"resources": {"memory": f"{memory}Mi"}} if memory > _DEFAULT_MEMORY else {})


def _source(source: str) -> dict[str, object]:
    """Return where the bytes come from. Raises DraftError."""
    kind, field = ("https", "url") if source.startswith("https://") else ("file", "path")
    try:
        modelversion.SourceSpec.model_validate({kind: {field: source}})
    except pydantic.ValidationError as error:
        remedy = (
            "letters, digits and . - _ / alone, below the folder: rename the file, or give --source"
            if kind == "file"
            else "https://HOST/PATH"
        )
        raise DraftError(f"{source!r} is no source of a ModelVersion: {remedy}") from error
    return {kind: {field: source}}


def memory_mebibytes(inspected: inspection.ModelInspection) -> int:
    """Return the memory that a replica needs, by what the model took here, in MiB."""
    if inspected.measured is None:
        return _DEFAULT_MEMORY
    taken = inspected.measured.session_bytes + inspected.measured.runtime_bytes + _BASE_BYTES
    return _STEP * math.ceil(taken / _MEBIBYTE / _STEP)
