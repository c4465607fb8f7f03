"""A contract for a model that nobody declared, from what its file says; and the model under it.

Called by `inspector`: what is loaded, checked and run here is loaded, checked and run as a declared
model would be, by the same functions.
"""

import dataclasses
from typing import Any, Final

from foreshore_serving import contract as contracts
from foreshore_serving import session as sessions
from foreshore_serving import trial
from foreshore_serving.refusal import Reason, Refused

WINDOWED: Final = 3
"""Dimensions of an input that takes a window of samples: batch, steps, features."""
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
        steps: samples in the windows of inputs that leave their number free.

    Raises:
        Refused: UnsupportedType; an input is nothing that a Model can declare.
    """
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
    if "dataType" not in tensor or "shape" not in tensor:
        raise Refused(
            Reason.UNSUPPORTED_TYPE,
            f"input {tensor['name']} is {tensor['type']}"
            + ("" if "shape" in tensor else " of a shape that the file does not say"),
        )
    shape = [size if isinstance(size, int) else -1 for size in tensor["shape"]]
    if steps is not None and len(shape) == WINDOWED and shape[1] == -1:
        shape[1] = steps
    return contracts.TensorSpec(tensor["name"], tensor["dataType"], tuple(shape))


@dataclasses.dataclass(frozen=True, slots=True)
class TentativeModel:
    """A model that ran once, with the contract that it kept."""

    session: Any
    contract: contracts.Contract
    evidence: Any
    """An `evidence.TrialEvidence`."""

    def facts(self, described: list[Described]) -> Described:
        """Return the fields of a ModelInspection that running it gave.

        Args:
            described: its outputs as the file has them.
        """
        return {
            "outputs": shaped(described, self.session),
            "providers": list(sessions.runtime().library.get_available_providers())[:16],
            "runtime": self.evidence.runtime,
            "measured": {
                "usualSeconds": self.evidence.usual_seconds,
                "sessionBytes": self.evidence.session_bytes,
                "runtimeBytes": self.evidence.runtime_bytes,
                "isBounded": self.evidence.is_bounded,
            },
        }


def load(
    body: bytes, declared: contracts.Contract, before: int, *, is_bounded: bool
) -> TentativeModel:
    """Load a model and run it as `child` does; `before` is what was resident without the runtime.

    Raises:
        Refused: LoadFailed, WarmUpFailed, SchemaMismatch or UnsupportedType.
        MemoryError: there is not enough.
    """
    measure = trial.Measure(before)
    session = sessions.load(body, declared)
    declared = dataclasses.replace(declared, outputs=outputs(session))
    if not declared.outputs:
        kinds = ", ".join(f"{node.name} is {node.type}" for node in session.get_outputs())
        raise Refused(Reason.UNSUPPORTED_TYPE, f"no output can be declared: {kinds[:500]}")
    usual_seconds = sessions.warm_up(session, declared)
    evidence = measure.evidence(session, declared, usual_seconds, is_bounded=is_bounded)
    return TentativeModel(session, declared, evidence)


def outputs(session: Any) -> tuple[contracts.TensorSpec, ...]:
    """Return the outputs of a session that a Model can declare, as the runtime inferred them."""
    return tuple(
        contracts.TensorSpec(
            node.name,
            sessions.ELEMENT_TYPES[node.type],
            tuple(size if isinstance(size, int) else -1 for size in node.shape),
        )
        for node in session.get_outputs()
        if node.type in sessions.ELEMENT_TYPES
    )


def shaped(described: list[Described], session: Any) -> list[Described]:
    """Return outputs with the shapes that the runtime inferred where the file says none."""
    inferred = {node.name: node.shape for node in session.get_outputs()}
    return [
        {**tensor, "shape": [-1 if size is None else size for size in inferred[tensor["name"]]]}
        if "shape" not in tensor and inferred.get(tensor["name"])
        else tensor
        for tensor in described
    ]
