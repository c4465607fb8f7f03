"""What of a model file cannot be used as it is, and what would change that. Pure.

Called by `verb` with what the limited child reported: that refuses what the runtime or its own
checks refuse; here is added what a Model cannot declare and a decision cannot ask.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from foreshore_agent.model import advice, fit
from foreshore_api.reasons import serving
from foreshore_api.reasons.serving import ServingReason
from foreshore_api.wire import inspection

MAXIMUM_NAME: Final = 256
"""Characters of a tensor's name that a Model declares."""
_SHOWN_NAME: Final = 64


class Hindrance(NamedTuple):
    """Why a model cannot be used as it is."""

    reason: str
    message: str
    remedy: str
    lines: tuple[str, ...] = ()
    """To copy."""


class Suitability(NamedTuple):
    """What does not work, and what a person should know of what does."""

    hindrances: tuple[Hindrance, ...]
    notes: tuple[str, ...]

    @property
    def is_supported(self) -> bool:
        """Whether the model can be declared and served as it is."""
        return not self.hindrances


Check = Callable[[inspection.ModelInspection], Iterator[inspection.ModelFinding]]


def judge(
    inspected: inspection.ModelInspection, file: str, steps: int | None = None
) -> Suitability:
    """Return what of a file works.

    Args:
        inspected: what the child reported.
        file: its path, as the person wrote it.
        steps: samples of a window, where the person said how many.
    """
    findings = list(inspected.findings)
    codes = {finding.reason for finding in findings}
    for check in CHECKS:
        findings += [finding for finding in check(inspected) if finding.reason not in codes]
    return Suitability(
        tuple(_hindrance(finding, inspected, file) for finding in findings),
        tuple(_notes(inspected, steps)),
    )


def _hindrance(
    finding: inspection.ModelFinding, inspected: inspection.ModelInspection, file: str
) -> Hindrance:
    row = serving.TABLE.get(finding.reason)
    remedy = finding.remedy or ("" if row is None else row.remedy)
    lines = advice.lines(finding.reason, finding.message, inspected.producer, file)
    return Hindrance(finding.reason, finding.message, remedy, lines)


def _finding(reason: ServingReason, message: str, remedy: str = "") -> inspection.ModelFinding:
    longest = inspection.SENTENCE
    return inspection.ModelFinding(reason=reason, message=message[:longest], remedy=remedy)


def _entries(names: Sequence[str]) -> str:
    """Return what a file has of a kind: the child lists so many and says of no more."""
    others = " and perhaps others" if len(names) == inspection.ENTRIES else ""
    return f"{', '.join(names)}{others}"


def _other_files(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    if inspected.external_files:
        text = f"values of its tensors lie in {_entries(inspected.external_files)}"
        yield _finding(ServingReason.EXTERNAL_DATA, text)


def _foreign_operators(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    if inspected.foreign and not inspected.functions:  # else they are most likely its own
        uses = _entries([f"{use.domain}.{use.name} ({use.count}×)" for use in inspected.foreign])
        yield _finding(ServingReason.UNKNOWN_DOMAIN, f"operators that the standard has not: {uses}")


def _functions(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    if inspected.functions:
        text = f"the model defines {_entries(inspected.functions)} itself"
        yield _finding(ServingReason.LOCAL_FUNCTIONS, text)


def _counts(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    if inspected.input_count > inspection.TENSORS:
        text = f"it has {inspected.input_count} inputs, of at most {inspection.TENSORS}"
        yield _finding(ServingReason.UNSUPPORTED_SHAPE, text)
    if inspected.ir_version and not inspected.input_count:
        yield _finding(
            ServingReason.UNSUPPORTED_SHAPE, "it has no inputs, so that nothing can be asked"
        )


def _types(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    for tensor in inspected.inputs:
        if tensor.data_type is None:
            yield _finding(ServingReason.UNSUPPORTED_TYPE, f"input {tensor.name} is {tensor.type}")
    if inspected.outputs and not any(map(is_declarable, inspected.outputs)):
        kinds = ", ".join(f"{tensor.name} is {tensor.type}" for tensor in inspected.outputs)
        yield _finding(ServingReason.UNSUPPORTED_TYPE, f"no output can be declared: {kinds}")


def _shapes(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    for tensor in inspected.inputs:
        if tensor.shape is None:
            text = f"the file does not say the shape of input {tensor.name}"
            yield _finding(ServingReason.UNSUPPORTED_SHAPE, text)
        elif problem := fit.fit(tensor.shape).problem:
            text = f"input {tensor.name} is {shape_text(tensor.shape)}: {problem}"
            yield _finding(ServingReason.UNSUPPORTED_SHAPE, text)


def _names(inspected: inspection.ModelInspection) -> Iterator[inspection.ModelFinding]:
    for tensor in (*inspected.inputs, *inspected.outputs):
        if not is_name(tensor.name):
            text = f"the tensor {tensor.name[:_SHOWN_NAME]!r} cannot be declared by its name"
            yield _finding(ServingReason.UNSUPPORTED_NAME, text)


CHECKS: Final[tuple[Check, ...]] = (
    _other_files,  # nothing could be loaded
    _foreign_operators,
    _functions,
    _counts,  # what the child could not list
    _types,
    _shapes,
    _names,
)
"""In the order in which findings are shown, after those of the child."""


def is_declarable(tensor: inspection.InspectedTensor) -> bool:
    """Whether a Model can declare an output and a policy name its elements."""
    is_typed = tensor.data_type is not None and tensor.shape is not None
    return is_typed and is_name(tensor.name) and fit.is_addressable(tensor.shape or ())


def is_name(name: str) -> bool:
    """Whether a Model can declare a tensor of this name; a longer one has been cut."""
    return 0 < len(name) < MAXIMUM_NAME and not any(
        ord(sign) < 32 or sign == "\x7f" for sign in name
    )


def shape_text(shape: fit.Shape | None) -> str:
    """Return a shape for a person: free dimensions by their names in the file."""
    if shape is None:
        return "?"
    return f"[{', '.join(str(size) for size in shape)}]"


def labels_text(tensor: inspection.InspectedTensor, most: int, word: str = "") -> str:
    """Return the first classes of an output by index: `0: empty, 1: busy, and 3 more`.

    Args:
        tensor: with labels, of which a long list was cut: its shape has the number.
        most: classes that are named.
        word: before each index.
    """
    count = max(len(tensor.labels), fit.fixed(tensor.shape[-1]) or 0 if tensor.shape else 0)
    shown = [f"{word}{index}: {label}" for index, label in enumerate(tensor.labels[:most])]
    more = f", and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(shown) + more


def _notes(inspected: inspection.ModelInspection, steps: int | None) -> Iterator[str]:
    are_shapes_right = all(
        finding.reason != ServingReason.UNSUPPORTED_SHAPE for finding in inspected.findings
    )
    for tensor in inspected.inputs if are_shapes_right else ():
        yield from _input_notes(tensor, steps)
    for tensor in inspected.outputs:
        yield from _output_notes(tensor)
    if inspected.output_count > inspection.TENSORS:
        listed = f"{inspection.TENSORS} of {inspected.output_count} outputs"
        yield f"{listed} are listed; a Model declares no more"
    if inspected.note:
        yield inspected.note
    if inspected.loops:
        yield (
            f"it loops ({', '.join(inspected.loops)}): how long it takes may depend on its inputs,"
            " so that isolation: Agent is refused"
        )


def _output_notes(tensor: inspection.InspectedTensor) -> Iterator[str]:
    if tensor.answered is not None:
        yield (
            f"output {tensor.name} came as {shape_text(tensor.answered)}, and the file states"
            f" another shape: it can be declared as {shape_text(tensor.shape)}"
        )
    if tensor.is_unwrapped:
        yield (
            f"output {tensor.name} is a ZipMap's {tensor.type}: served as the tensor of"
            ' probabilities behind it; options={"zipmap": False} exports it so'
        )
    elif not is_declarable(tensor):
        kind = f"{tensor.type} {shape_text(tensor.shape)}"
        yield f"output {tensor.name} is {kind}, which a Model cannot declare: it is left out"


def _input_notes(tensor: inspection.InspectedTensor, steps: int | None) -> Iterator[str]:
    filling = fit.fit(tensor.shape or ())
    if filling.problem or tensor.shape is None:
        return
    if filling.is_windowed and steps is None:
        yield _window_note(tensor.name, filling)
    if filling.features is None:
        yield f"input {tensor.name} leaves open how many features it takes: --features a,b,c"


def _window_note(name: str, filling: fit.InputFit) -> str:
    if filling.steps is None:
        return (
            f"input {name} takes windows of samples and leaves open how many: say it with --window"
            " STEPS/EVERY, as in training; until then it was run with one"
        )
    return (
        f"input {name} takes windows of {filling.steps} samples: how far apart they are is not in"
        f" the file, say it with --window {filling.steps}/EVERY, as in training"
    )
