"""The limited process that holds the model: the only importer of onnxruntime.

Started by `supervise`, never by hand, with the contract on standard input:

    python -I -m foreshore_serving.child <model fd> <listening fd> <control fd> <parent pid>

It answers on the control descriptor, one JSON object a line: `{"ready": …}`, `{"refused": reason,
"message": …}`, then an empty line each second while its event loop turns; the parent kills what
stops beating. Order matters: limits first, then the digest of exactly the bytes that go on, then
their structure, and only then the runtime.
"""

import asyncio
import gc
import hashlib
import json
import logging
import os
import statistics
import sys
import time
from typing import Any, Final

from foreshore_api import printable
from foreshore_serving import contract as contracts
from foreshore_serving import limits, vet
from foreshore_serving.refusal import Reason, Refused

BEAT_SECONDS: Final = 1.0
WARM_UP_RUNS: Final = 20
WARM_UP_SECONDS: Final = 0.5

EXIT_REFUSED: Final = 3

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"

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


class ChildFormatter(logging.Formatter):
    """Cleans what is logged; `printable` says how."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Render the line of a record."""
        record.message = printable.logged(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Render a traceback."""
        return printable.traceback(super().formatException(ei))


def main(arguments: list[str]) -> int:
    """Load, report, serve; returns the exit code."""
    model_fd, listening_fd, control_fd, parent = (int(argument) for argument in arguments)
    limits.follow_parent(parent)
    contract = contracts.decode(sys.stdin.buffer.read())
    try:
        limits.confine(contract.memory_bytes, contract.load_seconds)
        session = _load(_read(model_fd, contract), contract)
        usual_seconds = _warm_up(session, contract)
    except Refused as refused:
        _report(control_fd, {"refused": refused.reason, "message": refused.message[:2000]})
        return EXIT_REFUSED
    except MemoryError:
        _report(
            control_fd,
            {
                "refused": Reason.LOAD_FAILED,
                "message": f"out of memory: it may have {contract.memory_bytes} bytes",
            },
        )
        return EXIT_REFUSED
    limits.relax()
    gc.collect()
    gc.freeze()
    _serve(session, usual_seconds, contract, listening_fd, control_fd)
    return 0


def _read(descriptor: int, contract: contracts.Contract) -> bytes:
    with open(descriptor, "rb", buffering=0) as file:
        file.seek(0)
        body = file.read(contract.model_bytes + 1)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if digest != contract.digest:
        raise Refused(Reason.DIGEST_MISMATCH, f"the bytes are {digest}, not {contract.digest}")
    return body


def _load(body: bytes, contract: contracts.Contract) -> Any:
    """Return a session of the model, whose inputs and outputs are those declared."""
    vet.check(body)
    import onnxruntime  # not before the limits and the checks

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what fails is raised, and reported once
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
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
            raise Refused(Reason.UNSUPPORTED_TYPE, f"{what} {spec.name} is a {node.type}")
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


def _agrees(actual: list[int | str | None], declared: tuple[int, ...]) -> bool:
    """Tell whether every length the model fixes is declared as it is."""
    if len(actual) != len(declared):
        return False
    return all(
        not isinstance(have, int) or have == want
        for have, want in zip(actual, declared, strict=True)
    )


def _warm_up(session: Any, contract: contracts.Contract) -> float:
    """Run the model on zeros until its pages are in memory; returns its usual seconds.

    Numbers that are not finite are no reason to refuse here: zeros may be no input that the model
    ever sees.
    """
    from foreshore_serving import tensors

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


def _serve(
    session: Any,
    usual_seconds: float,
    contract: contracts.Contract,
    listening_fd: int,
    control_fd: int,
) -> None:
    import uvloop

    from foreshore_serving import listener, server

    handler = logging.StreamHandler()
    handler.setFormatter(ChildFormatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    runner = server.Runner(session.run, usual_seconds)
    http = listener.server(
        server.Application(contract, runner),
        lambda: _report(control_fd, {"ready": True, "inferSeconds": usual_seconds}),
    )

    async def attend() -> None:
        serving = asyncio.create_task(http.serve_on(listening_fd), name="serve")
        while not serving.done():
            await asyncio.wait((serving,), timeout=BEAT_SECONDS)
            if not runner.is_stuck(time.perf_counter(), contract.stall_seconds):
                os.write(control_fd, b"\n")
        await serving

    uvloop.run(attend())


def _report(descriptor: int, message: dict[str, object]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
