"""A model's inputs and outputs as the runtime sees them, against those that a Model declares.

Called by `session` once a model is loaded. Whatever does not fit is refused with what to declare in
its place, or to export: the declaration as it would be right is in the message.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from foreshore_api import hints, printable
from foreshore_serving import advice
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import Reason, Refused

ELEMENTS: Final[Mapping[int, tuple[str, str | None]]] = {
    1: ("float", "FP32"),
    2: ("uint8", "UINT8"),
    3: ("int8", "INT8"),
    4: ("uint16", "UINT16"),
    5: ("int16", "INT16"),
    6: ("int32", "INT32"),
    7: ("int64", "INT64"),
    8: ("string", "BYTES"),
    9: ("bool", "BOOL"),
    10: ("float16", "FP16"),
    11: ("double", "FP64"),
    12: ("uint32", "UINT32"),
    13: ("uint64", "UINT64"),
    14: ("complex64", None),
    15: ("complex128", None),
    16: ("bfloat16", None),
    17: ("float8e4m3fn", None),
    18: ("float8e4m3fnuz", None),
    19: ("float8e5m2", None),
    20: ("float8e5m2fnuz", None),
    21: ("uint4", None),
    22: ("int4", None),
    23: ("float4e2m1", None),
}
"""ONNX's numbers of element types (onnx.proto, TensorProto.DataType): its word, and the API's."""

ELEMENT_TYPES: Final = {
    f"tensor({word})": data_type for word, data_type in ELEMENTS.values() if data_type is not None
}
"""The runtime's names of element types in the protocol's spelling."""

FREE_BATCH: Final = "export with a free batch (dynamic_axes or dynamic_shapes of torch.onnx.export)"
_NAME: Final = 64
"""Characters of a name that a message quotes; one of a model's may have a million."""
_CANDIDATES: Final = 256


class TensorNode(NamedTuple):
    """An input or output, as the runtime describes it."""

    name: str
    type: str
    shape: Sequence[int | str | None]
    """Lengths, None or a word where any is taken; empty: a scalar, or of any rank."""


def nodes(described: Iterable[Any]) -> tuple[TensorNode, ...]:
    """Return what the runtime describes. Raises Refused: NotONNX; a name is no text."""
    try:
        return tuple(TensorNode(node.name, node.type, tuple(node.shape)) for node in described)
    except UnicodeDecodeError as error:
        cause = "the name of a tensor, or of a dimension, is no UTF-8"
        raise Refused(Reason.NOT_ONNX, cause, "export the model anew, with other names") from error


def check(
    contract: contracts.Contract, inputs: Sequence[TensorNode], outputs: Sequence[TensorNode]
) -> None:
    """Hold a model to its declaration: no input beyond it, no output short of it.

    Raises:
        Refused: SchemaMismatch or UnsupportedType.
    """
    given = {node.name: node for node in inputs}
    for spec in contract.inputs:
        _check_kind("input", spec, given)
        _check_middle(spec, given[spec.name].shape)
        _check_shape("input", spec, given[spec.name].shape)
    made = {node.name: node for node in outputs}
    for spec in contract.outputs:
        _check_kind("output", spec, made)
        _check_shape("output", spec, made[spec.name].shape)
    undeclared = sorted(given.keys() - {spec.name for spec in contract.inputs})
    if undeclared:
        left = len(undeclared) - hints.SHOWN
        names = ", ".join(map(quoted, undeclared[: hints.SHOWN]))
        more = f" and {left} more" if left > 0 else ""
        raise Refused(
            Reason.SCHEMA_MISMATCH,
            f"the model also needs undeclared {names}{more}",
            "declare every input of the model in spec.inputs of the Model",
        )


def _check_kind(what: str, spec: contracts.TensorSpec, nodes: Mapping[str, TensorNode]) -> None:
    """Refuse what is not there, or of another element type."""
    node = nodes.get(spec.name)
    name = quoted(spec.name)
    if node is None:
        raise Refused(
            Reason.SCHEMA_MISMATCH,
            f"the model has no {what} {name}; {hints.among(name, _names(nodes))}",
            f"declare each {what} by the name that it has in the model, whatever it is",
        )
    actual = ELEMENT_TYPES.get(node.type)
    if actual is None:
        kind = printable.line(node.type, _NAME)
        raise Refused(
            Reason.UNSUPPORTED_TYPE, f"{what} {name} is a {kind}", advice.of_type(node.type)
        )
    if actual != spec.data_type:
        raise Refused(
            Reason.SCHEMA_MISMATCH,
            f"{what} {name} is {actual}, declared {spec.data_type}",
            f"declare dataType {actual}",
        )


def _check_middle(spec: contracts.TensorSpec, actual: Sequence[int | str | None]) -> None:
    """Refuse an input of which nobody said how many samples it takes."""
    if -1 not in spec.shape[1:-1]:
        return
    fixed = [length for length in actual[1:-1] if isinstance(length, int)]
    steps = f"{fixed[0]}" if fixed else "those of training"
    raise Refused(
        Reason.SCHEMA_MISMATCH,
        f"input {quoted(spec.name)} takes samples in its middle dimension, and {_text(spec.shape)}"
        " does not say how many",
        f"declare window {{steps, every}} of the input: steps {steps}, every as in training",
    )


def _check_shape(what: str, spec: contracts.TensorSpec, actual: Sequence[int | str | None]) -> None:
    """Refuse another rank, or a length that the model fixes to another.

    An output of one row may be declared as one of any: every answer fits that. No shape at all is a
    scalar's, or one of any rank: the warm-up shows which.
    """
    if not actual:
        return
    fits = len(actual) == len(spec.shape) and all(
        not isinstance(have, int) or have == want or (what == "output" and want == -1)
        for have, want in zip(actual, spec.shape, strict=True)
    )
    if fits:
        return
    remedy = f"declare shape {declarable(spec.shape, actual)}"
    if what == "input" and len(actual) == len(spec.shape):
        if _are_other_steps(actual, spec.shape):
            remedy = f"{remedy} and window steps: {actual[1]}, as in training"
        if _is_fixed_batch(actual, spec.shape):
            remedy = f"{remedy}, or {FREE_BATCH}"
    raise Refused(
        Reason.SCHEMA_MISMATCH,
        f"{what} {quoted(spec.name)} is of shape {_text(actual)}, declared {_text(spec.shape)}",
        remedy,
    )


def declarable(declared: Sequence[int], actual: Sequence[int | str | None]) -> str:
    """Return the declaration that a shape fits, with what is declared where it takes any length."""
    is_comparable = len(declared) == len(actual)
    return _text(
        [
            length if isinstance(length, int) else declared[place] if is_comparable else -1
            for place, length in enumerate(actual)
        ]
    )


def came(
    declared: Sequence[int], shape: Sequence[int], stated: Sequence[int | str | None] = ()
) -> str:
    """Return the declaration that the shape of an answer fits; any length stays any.

    A length that the file fixes and does not keep, as the one of a forest of several targets, can
    be declared neither as it is stated nor as it comes: it is any.

    Args:
        declared: shape that the Model declares.
        shape: of the answer.
        stated: shape of the output in the file.
    """
    if len(declared) != len(shape):
        return _text(shape)
    fixed = stated if len(stated) == len(shape) else [None] * len(shape)
    return _text(
        [
            -1 if want == -1 or (isinstance(length, int) and have != length) else have
            for have, want, length in zip(shape, declared, fixed, strict=True)
        ]
    )


def _is_fixed_batch(actual: Sequence[int | str | None], declared: Sequence[int]) -> bool:
    return isinstance(actual[0], int) and actual[0] != declared[0]


def _are_other_steps(actual: Sequence[int | str | None], declared: Sequence[int]) -> bool:
    """Whether a window of as many samples as are declared is none of the model's."""
    is_window = len(declared) == 3  # [batch, steps, features]
    return is_window and isinstance(actual[1], int) and actual[1] != declared[1]


def _text(shape: Sequence[int | str | None]) -> str:
    """Write a shape as it would be declared, with the model's own words where it has any."""
    lengths = ("?" if length is None else printable.line(length, _NAME) for length in shape[:8])
    return f"[{', '.join(lengths)}{', …' if len(shape) > 8 else ''}]"


def _names(nodes: Mapping[str, TensorNode]) -> list[str]:
    """Return names to choose from: not all of a model that has a million."""
    return [quoted(name) for name in itertools.islice(nodes, _CANDIDATES)]


def quoted(name: str) -> str:
    """Return a tensor's name as a message has it: cut, and fit to be printed."""
    return printable.line(name, _NAME)
