"""One model in the runtime: loaded, held to its declaration, warmed up. The only importer of it.

Called by `child`, and by the agent where a model may run in its own process (isolation Agent): the
options stand once, so that both answer alike. Whoever calls has checked the digest; the child also
its structure (`vet`), before it comes here.
"""

import statistics
import time
from typing import Any, Final, NamedTuple

from foreshore_serving import contract as contracts
from foreshore_serving import tensors, zipmap
from foreshore_serving.refusal import Reason, Refused

WARM_UP_RUNS: Final = 20
WARM_UP_SECONDS: Final = 0.5

ELEMENT_TYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}
"""The runtime's names of element types in the protocol's spelling."""


class Runtime(NamedTuple):
    """The runtime, imported; what it answers may differ between two versions of it."""

    library: Any
    name: str


def runtime() -> Runtime:
    """Import the runtime: 18 MB beside NumPy's 21, so not before a model is to be loaded.

    Raises:
        ImportError: it is not installed (the extra `serving`).
    """
    import onnxruntime

    return Runtime(onnxruntime, f"onnxruntime {onnxruntime.__version__}")


def load(body: bytes, contract: contracts.Contract) -> Any:
    """Return a session of the model, whose inputs and outputs are those declared.

    A ZipMap's output is the tensor behind it, in the order of its labels.

    The arena stays on: measured, a small session takes the same memory without it, and a large one
    would get its pages anew at every run.

    Raises:
        Refused: LoadFailed, SchemaMismatch or UnsupportedType.
        MemoryError: there is not enough.
    """
    library = runtime().library
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what fails is raised, and reported once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = library.InferenceSession(
            zipmap.unwrapped(body), options, providers=["CPUExecutionProvider"]
        )
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # the runtime's exceptions share no base class; re-raised as the reason
        raise Refused(Reason.LOAD_FAILED, f"the runtime refuses the model: {error}") from error
    _check("input", contract.inputs, session.get_inputs(), all_declared=True)
    _check("output", contract.outputs, session.get_outputs(), all_declared=False)
    return session


def _check(
    what: str, declared: tuple[contracts.TensorSpec, ...], actual: list[Any], *, all_declared: bool
) -> None:
    """Hold the model to its declaration: no input beyond it, no output short of it."""
    nodes = {node.name: node for node in actual}
    for spec in declared:
        node = nodes.get(spec.name)
        if node is None:
            raise Refused(
                Reason.SCHEMA_MISMATCH,
                f"the model has no {what} {spec.name}; it has {', '.join(sorted(nodes))}",
            )
        if node.type not in ELEMENT_TYPES:
            raise Refused(
                Reason.UNSUPPORTED_TYPE,
                f"{what} {spec.name} is a {node.type}; {_tensor(node.type)}",
            )
        if ELEMENT_TYPES[node.type] != spec.data_type:
            raise Refused(
                Reason.SCHEMA_MISMATCH,
                f"{what} {spec.name} is {ELEMENT_TYPES[node.type]}, declared {spec.data_type}",
            )
        if not _agrees(node.shape, spec.shape):
            raise Refused(
                Reason.SCHEMA_MISMATCH,
                f"{what} {spec.name} is of shape {node.shape}, declared {list(spec.shape)}",
            )
    undeclared = sorted(set(nodes) - {spec.name for spec in declared})
    if all_declared and undeclared:
        raise Refused(
            Reason.SCHEMA_MISMATCH, f"the model also needs {what} {', '.join(undeclared)}"
        )


def _tensor(kind: str) -> str:
    """Return how a model is exported with a tensor in place of another kind of value."""
    if kind.startswith("seq(map"):
        return 'export it as a tensor: options={"zipmap": False} for scikit-learn and LightGBM'
    return "export it as a tensor of numbers, booleans or text"


def _agrees(actual: list[int | str | None], declared: tuple[int, ...]) -> bool:
    """Tell whether every length the model fixes is declared as it is."""
    if len(actual) != len(declared):
        return False
    return all(
        not isinstance(have, int) or have == want
        for have, want in zip(actual, declared, strict=True)
    )


def warm_up(session: Any, contract: contracts.Contract) -> float:
    """Run the model on zeros until its pages are in memory; returns its usual seconds.

    Numbers that are not finite are no reason to refuse here: zeros may be no input that the model
    ever sees.

    Raises:
        Refused: WarmUpFailed or SchemaMismatch.
        MemoryError: there is not enough.
    """
    feeds = {spec.name: tensors.zeros(spec) for spec in contract.inputs}
    names = [spec.name for spec in contract.outputs]
    taken: list[float] = []
    while len(taken) < WARM_UP_RUNS and sum(taken) < WARM_UP_SECONDS:
        began = time.perf_counter()
        try:
            arrays = session.run(names, feeds)
        except MemoryError:
            raise
        except (
            Exception
        ) as error:  # the runtime's exceptions share no base class; re-raised as the reason
            raise Refused(Reason.WARM_UP_FAILED, f"the first run failed: {error}") from error
        taken.append(time.perf_counter() - began)
    for spec, array in zip(contract.outputs, arrays, strict=True):
        if not tensors.fits(array.shape, spec.shape):
            raise Refused(
                Reason.SCHEMA_MISMATCH,
                f"output {spec.name} came as {list(array.shape)}, declared {list(spec.shape)}",
            )
    return statistics.median(taken)
