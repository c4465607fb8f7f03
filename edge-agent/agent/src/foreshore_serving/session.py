"""One model in the runtime: loaded, held to its declaration, warmed up. The only importer of it.

Called by `child`, and by the agent where a model may run in its own process (isolation Agent): the
options stand once, so that both answer alike. Whoever calls has checked the digest; the child also
its structure (`vet`), before it comes here.
"""

import statistics
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from foreshore_serving import advice, providers, schema, tensors, zipmap
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import Reason, Refused

WARM_UP_RUNS: Final = 20
WARM_UP_SECONDS: Final = 0.5


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

    onnxruntime.set_default_logger_severity(4)  # it would write to the log on its own
    return Runtime(onnxruntime, f"onnxruntime {onnxruntime.__version__}")


def load(body: bytes, contract: contracts.Contract) -> Any:
    """Return a session of the model, whose inputs and outputs are those declared.

    A ZipMap's output is the tensor behind it, in the order of its labels.

    The arena stays on: measured, a small session takes the same memory without it, and a large one
    would get its pages anew at every run.

    Raises:
        Refused: LoadFailed, ProviderMissing, SchemaMismatch or UnsupportedType.
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
        unwrapped = zipmap.unwrapped(body)
        session = providers.session(library, unwrapped.body, options, contract)
    except (MemoryError, Refused):
        raise
    except (
        Exception
    ) as error:  # the runtime's exceptions share no base class; re-raised as the reason
        why = advice.of_error(error)
        cause = f"the runtime refuses the model: {why.cause}"
        raise Refused(Reason.LOAD_FAILED, cause, why.remedy) from error
    schema.check(contract, schema.nodes(session.get_inputs()), schema.nodes(session.get_outputs()))
    _check_labels(session, contract, unwrapped.zipped)
    return session


def _check_labels(
    session: Any, contract: contracts.Contract, zipped: Sequence[zipmap.ZipMap]
) -> None:
    """Refuse a ZipMap of more or fewer labels than the tensor behind it has columns.

    The operator itself would fail on every row; without it, a column would be read as the class of
    another. Run, because what the file and the runtime say of a shape is not always kept.
    """
    if not zipped:
        return
    arrays = run_on_zeros(session, contract, [row.output for row in zipped])
    if arrays is None:
        return
    for row, array in zip(zipped, arrays, strict=True):
        if array.shape[-1:] != (len(row.labels),):
            raise Refused(
                Reason.LOAD_FAILED,
                f"the ZipMap of output {schema.quoted(row.output)} has"
                f" {len(row.labels)} class labels, the tensor behind it is {list(array.shape)}",
                "export the classifier anew: it has a label for each of its columns",
            )


def run_on_zeros(
    session: Any, contract: contracts.Contract, names: Sequence[str]
) -> list[tensors.Array] | None:
    """Return the outputs of these names to zeros; None if the run fails, as the warm-up says then.

    Raises:
        MemoryError: there is not enough.
    """
    try:
        arrays: list[tensors.Array] = session.run(list(names), _zeros(contract))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the runtime's share no base class
        return None
    return arrays


def warm_up(session: Any, contract: contracts.Contract) -> float:
    """Run the model on zeros until its pages are in memory; returns its usual seconds.

    Numbers that are not finite are no reason to refuse here, nor is a category that training had
    not: zeros and empty texts may be no input that the model ever sees.

    Raises:
        Refused: WarmUpFailed or SchemaMismatch.
        MemoryError: there is not enough.
    """
    feeds = _zeros(contract)
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
            if advice.is_of_input(error):
                return time.perf_counter() - began
            why = advice.of_error(error)
            cause = f"the first run failed: {why.cause}"
            raise Refused(Reason.WARM_UP_FAILED, cause, why.remedy) from error
        taken.append(time.perf_counter() - began)
    stated = {node.name: node.shape for node in session.get_outputs()}
    for spec, array in zip(contract.outputs, arrays, strict=True):
        if not tensors.fits(array.shape, spec.shape):
            raise Refused(
                Reason.SCHEMA_MISMATCH,
                f"output {schema.quoted(spec.name)} came as {list(array.shape)},"
                f" declared {list(spec.shape)}",
                f"declare shape {schema.came(spec.shape, array.shape, stated[spec.name])}",
            )
    return statistics.median(taken)


def _zeros(contract: contracts.Contract) -> dict[str, tensors.Array]:
    return {spec.name: tensors.zeros(spec) for spec in contract.inputs}
