"""A contract for a model that nobody declared, from what its file says; and the model under it.

Called by `inspector`: what is loaded, checked and run here is loaded, checked and run as a declared
model would be, by the same functions.
"""

import dataclasses
from typing import Any, Final

from foreshore_serving import advice, providers, schema, structure, tensors, trial
from foreshore_serving import contract as contracts
from foreshore_serving import session as sessions
from foreshore_serving.refusal import Reason, Refused

SHOWN_NAME: Final = 64
"""Characters of a name that a message quotes."""
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
    if "dataType" not in tensor or "shape" not in tensor:
        raise Refused(
            Reason.UNSUPPORTED_TYPE,
            f"input {tensor['name']} is {tensor['type']}"
            + ("" if "shape" in tensor else " of a shape that the file does not say"),
        )
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

    def facts(self, described: list[Described], *, is_bounded: bool) -> Described:
        """Return the fields of a ModelInspection that running it gave.

        Args:
            described: its outputs as the file has them.
            is_bounded: whether how long it takes depends on the lengths of its inputs alone.
        """
        there = providers.available(sessions.runtime().library)
        return {
            "outputs": shaped(described, self.contract),
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
        cause = f"no output can be declared: {', '.join(kinds)}"
        raise Refused(Reason.UNSUPPORTED_TYPE, cause, remedy)
    declared = dataclasses.replace(declared, outputs=_answered(session, declared))
    usual_seconds = sessions.warm_up(session, declared)
    return TentativeModel(session, declared, usual_seconds, measure)


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


def _answered(session: Any, declared: contracts.Contract) -> tuple[contracts.TensorSpec, ...]:
    """Return the outputs, those without a shape as they come: scalars, or of any rank in the file.

    The first length is left free where the inputs leave theirs free: it is that of the batch.
    """
    if all(spec.shape for spec in declared.outputs):
        return declared.outputs
    feeds = {spec.name: tensors.zeros(spec) for spec in declared.inputs}
    try:
        arrays = session.run([spec.name for spec in declared.outputs], feeds)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the warm-up runs into the same, and says it
        return declared.outputs
    is_free = any(spec.shape[:1] == (-1,) for spec in declared.inputs)
    return tuple(
        spec
        if spec.shape
        else dataclasses.replace(spec, shape=_shape(array.shape, is_free=is_free))
        for spec, array in zip(declared.outputs, arrays, strict=True)
    )


def _shape(shape: tuple[int, ...], *, is_free: bool) -> tuple[int, ...]:
    return (-1, *shape[1:]) if is_free and shape[:1] == (1,) else shape


def shaped(described: list[Described], contract: contracts.Contract) -> list[Described]:
    """Return outputs with the shapes in which they came where the file says none."""
    shapes = {spec.name: list(spec.shape) for spec in contract.outputs}
    return [
        {**tensor, "shape": shapes[tensor["name"]]}
        if "shape" not in tensor and tensor["name"] in shapes
        else tensor
        for tensor in described
    ]
