"""A contract for a model that nobody declared, from what its file says; and the model under it.

Called by `inspector`: what is loaded, checked and run here is loaded, checked and run as a declared
model would be, by the same functions.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from foreshore_serving import advice, providers, schema, structure, tensors, trial
from foreshore_serving import contract as contracts
from foreshore_serving import session as sessions
from foreshore_serving.refusal import Reason, Refused

SHOWN_NAME: Final = 64
"""Characters of a name that a message quotes."""
NO_SHAPE: Final = (
    "export the model with inputs [batch, features]; or declare it by hand: a file that says no"
    " shape is served with the one that the Model declares"
)
_STALL_SECONDS: Final = 10.0
_BODY_BYTES: Final = 1 << 20
"""Of no use here: nobody sends requests."""

Described = dict[str, Any]


def contract(
    described: Described, digest: str, bounds: tuple[int, int, float], steps: int | None
) -> contracts.Contract:
    """Return the contract of all inputs; outputs are added once the runtime has inferred them.

    Args:
        described: what `structure.describe` returned.
        digest: of the model.
        bounds: bytes of the model, address space in bytes, seconds.
        steps: samples in the windows of inputs that leave their number free; None: they run with
            one, which shows whether they run at all.

    Raises:
        Refused: UnsupportedShape, UnsupportedName or UnsupportedType; an input is nothing that a
            Model can declare, or there are too many.
    """
    if described["inputCount"] > structure.TENSORS:
        cause = f"it has {described['inputCount']} inputs, of at most {structure.TENSORS}"
        raise Refused(Reason.UNSUPPORTED_SHAPE, cause, "one input [batch, features] for all")
    inputs = tuple(_input(tensor, steps) for tensor in described["inputs"])
    model_bytes, memory_bytes, seconds = bounds
    return contracts.Contract(
        name="inspected",
        version="inspected",
        digest=digest,
        inputs=inputs,
        outputs=(),
        model_bytes=model_bytes,
        memory_bytes=memory_bytes,
        load_seconds=seconds,
        stall_seconds=_STALL_SECONDS,
        maximum_body_bytes=_BODY_BYTES,
    )


def _input(tensor: Described, steps: int | None) -> contracts.TensorSpec:
    if len(tensor["name"]) >= structure.CHARACTERS:  # it may have been cut
        cause = f"the name {tensor['name'][:SHOWN_NAME]}… is too long"
        raise Refused(Reason.UNSUPPORTED_NAME, cause)
    if "dataType" not in tensor:
        kind = tensor["type"]
        cause = f"input {tensor['name']} is {kind}"
        raise Refused(Reason.UNSUPPORTED_TYPE, cause, advice.of_type(kind))
    if "shape" not in tensor:
        cause = f"the file does not say the shape of input {tensor['name']}"
        raise Refused(Reason.UNSUPPORTED_SHAPE, cause, NO_SHAPE)
    shape = [size if isinstance(size, int) else -1 for size in tensor["shape"]]
    middle = [(steps or 1) if size < 0 else size for size in shape[1:-1]]
    return contracts.TensorSpec(
        tensor["name"], tensor["dataType"], (*shape[:1], *middle, *shape[1:][-1:])
    )


@dataclasses.dataclass(frozen=True, slots=True)
class TentativeModel:
    """A model that ran, with the contract that it kept."""

    session: Any
    contract: contracts.Contract
    usual_seconds: float
    measure: trial.Measure
    came: Mapping[str, tuple[int, ...]]
    """Shapes in which outputs came for one sample."""

    def facts(self, described: list[Described], *, is_bounded: bool) -> Described:
        """Return the fields of a ModelInspection that running it gave.

        Args:
            described: its outputs as the file has them.
            is_bounded: whether how long it takes depends on the lengths of its inputs alone.
        """
        there = providers.available(sessions.runtime().library)
        return {
            "outputs": shaped(described, self.contract, self.came),
            "providers": [name for name in providers.NAMES if name in there],
            "runtime": self.measure.runtime,
            "measured": {
                "usualSeconds": self.usual_seconds,
                "sessionBytes": self.measure.session_bytes(self.contract.model_bytes),
                "runtimeBytes": self.measure.runtime_bytes,
                "isBounded": is_bounded,
            },
        }


def load(body: bytes, declared: contracts.Contract, before: int) -> TentativeModel:
    """Load a model and run it as `child` does; `before` is what was resident without the runtime.

    Raises:
        Refused: LoadFailed, WarmUpFailed, SchemaMismatch or UnsupportedType.
        MemoryError: there is not enough.
    """
    measure = trial.Measure(before)
    session = sessions.load(body, declared)
    declared = dataclasses.replace(declared, outputs=_outputs(session))
    if not declared.outputs:
        kinds = [f"{node.name} is {node.type}" for node in session.get_outputs()]
        remedy = advice.of_type(session.get_outputs()[0].type) if kinds else ""
        cause = f"no output can be declared: {', '.join(kinds) or 'it has none'}"
        raise Refused(Reason.UNSUPPORTED_TYPE, cause, remedy)
    came = _ran(session, declared)
    is_free = any(spec.shape[:1] == (-1,) for spec in declared.inputs)
    outputs = (_answered(spec, came.get(spec.name), is_free=is_free) for spec in declared.outputs)
    declared = dataclasses.replace(declared, outputs=tuple(outputs))
    usual_seconds = sessions.warm_up(session, declared)
    return TentativeModel(session, declared, usual_seconds, measure, came)


def _outputs(session: Any) -> tuple[contracts.TensorSpec, ...]:
    """Return the outputs of a session that a Model can declare, as the runtime inferred them."""
    return tuple(
        contracts.TensorSpec(
            node.name,
            schema.ELEMENT_TYPES[node.type],
            tuple(size if isinstance(size, int) else -1 for size in node.shape),
        )
        for node in session.get_outputs()[: structure.TENSORS]
        if node.type in schema.ELEMENT_TYPES
    )


def _ran(session: Any, declared: contracts.Contract) -> dict[str, tuple[int, ...]]:
    """Return the shapes in which outputs come for one sample; none if the run fails."""
    names = [spec.name for spec in declared.outputs]
    arrays = sessions.run_on_zeros(session, declared, names)
    if arrays is None:
        return {}
    return {name: tuple(array.shape) for name, array in zip(names, arrays, strict=True)}


def _answered(
    spec: contracts.TensorSpec, came: tuple[int, ...] | None, *, is_free: bool
) -> contracts.TensorSpec:
    """Return an output as it can be declared, by the shape in which it came.

    Where the file states no shape, that is it: of a scalar, or of any rank in the file; its first
    length is left free where the inputs leave theirs free, as that of the batch. Where the file
    states other lengths than it answers, those are left free.
    """
    if came is None or tensors.fits(came, spec.shape):
        return spec
    if not spec.shape:
        shape = (-1, *came[1:]) if is_free and came[:1] == (1,) else came
    elif len(came) == len(spec.shape):
        pairs = zip(spec.shape, came, strict=True)
        shape = tuple(stated if stated == length else -1 for stated, length in pairs)
    else:
        return spec
    return dataclasses.replace(spec, shape=shape)


def shaped(
    described: list[Described], contract: contracts.Contract, came: Mapping[str, tuple[int, ...]]
) -> list[Described]:
    """Return outputs with the shapes in which they came, where the file says none or another."""
    shapes = {spec.name: spec.shape for spec in contract.outputs}
    return [_shaped(tensor, shapes.get(tensor["name"]), came) for tensor in described]


def _shaped(
    tensor: Described, shape: tuple[int, ...] | None, came: Mapping[str, tuple[int, ...]]
) -> Described:
    if shape is None:
        return tensor
    if "shape" not in tensor:
        return {**tensor, "shape": list(shape)}
    stated = tuple(size if isinstance(size, int) else -1 for size in tensor["shape"])
    if stated == shape or tensors.fits(came.get(tensor["name"], stated), stated):
        return tensor
    return {**tensor, "shape": list(shape), "answered": list(came[tensor["name"]])}
