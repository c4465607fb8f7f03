"""The limited process that holds the model.

Started by `supervise`, never by hand, with the contract on standard input:

    python -I -m foreshore_serving.child <model fd> <listening fd> <control fd> <parent pid>

It answers on the control descriptor, one JSON object a line: `{"ready": …, "note": …}`, where the
note says what is not as wanted, or `{"refused": reason, "cause": …, "remedy": …}`, then an empty
line each second while its event loop turns; the parent kills what stops beating. With nothing to
listen on (`contract.NO_LISTENER`) it is a trial: it says `{"tried": …}`, the evidence of `trial`,
and ends. Order matters: limits first, then the digest of exactly the bytes that go on, then their
structure, and only then the runtime. Only where another execution provider than CPU is wanted is
the runtime imported first, and asked which it has: how memory is to be bounded depends on that.
"""

import asyncio
import dataclasses
import gc
import hashlib
import json
import logging
import os
import sys
import time
from typing import Any, Final

from foreshore_api import printable
from foreshore_serving import advice, limits, providers, vet
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import Reason, Refused

BEAT_SECONDS: Final = 1.0
EXIT_REFUSED: Final = 3

FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


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
        limits.confine(_bound(contract), contract.load_seconds)
        loaded = _load(_read(model_fd, contract), contract)
        if listening_fd == contracts.NO_LISTENER:
            _report(control_fd, {"tried": dataclasses.asdict(loaded.evidence(contract))})
            return 0
    except Refused as refused:
        return _refuse(control_fd, refused)
    except MemoryError:
        return _refuse(control_fd, _out_of_memory(contract))
    limits.relax()
    gc.collect()
    gc.freeze()
    _serve(loaded, contract, listening_fd, control_fd)
    return 0


def _bound(contract: contracts.Contract) -> limits.MemoryLimit:
    """Return how memory is bounded. Raises Refused, as `providers.asked`."""
    if providers.is_plain(contract.providers):
        return limits.bound(contract.memory_bytes, is_reserving=False)
    from foreshore_serving import session  # it holds no model yet

    library = session.runtime().library
    asked = providers.asked(library, contract)
    return limits.bound(contract.memory_bytes, is_reserving=providers.is_reserving(asked))


def _read(descriptor: int, contract: contracts.Contract) -> bytes:
    with open(descriptor, "rb", buffering=0) as file:
        file.seek(0)
        body = file.read(contract.model_bytes + 1)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if digest != contract.digest:
        raise Refused(Reason.DIGEST_MISMATCH, f"the bytes are {digest}, not {contract.digest}")
    return body


@dataclasses.dataclass(frozen=True, slots=True)
class WarmModel:
    """A session that is warm, and what its trial can say."""

    session: Any
    usual_seconds: float
    measure: Any
    """A `trial.Measure`."""
    structure: vet.Structure
    computed: providers.Computed

    def evidence(self, contract: contracts.Contract) -> Any:
        """Return the `evidence.TrialEvidence`."""
        seconds, is_bounded = self.usual_seconds, not self.structure.has_loops
        return self.measure.evidence(self.session, contract, seconds, is_bounded=is_bounded)

    def note(self, contract: contracts.Contract) -> str:
        """Return what is not as wanted; empty: nothing."""
        notes = (providers.shortfall(self.computed, contract), self.structure.note)
        return "; ".join(filter(None, notes))


def _load(body: bytes, contract: contracts.Contract) -> WarmModel:
    structure, before = vet.check(body), limits.resident_bytes()
    from foreshore_serving import session, trial  # not before the limits and the checks

    measure = trial.Measure(before)
    loaded = session.load(body, contract)
    usual_seconds = session.warm_up(loaded, contract)
    computed = providers.computed(loaded, contract)
    return WarmModel(loaded, usual_seconds, measure, structure, computed)


def _serve(
    loaded: WarmModel, contract: contracts.Contract, listening_fd: int, control_fd: int
) -> None:
    import uvloop

    from foreshore_serving import listener, server

    handler = logging.StreamHandler()
    handler.setFormatter(ChildFormatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    runner = server.Runner(loaded.session.run, loaded.usual_seconds)
    ready = {
        "ready": True,
        "inferSeconds": loaded.usual_seconds,
        "computed": str(loaded.computed),
        "note": loaded.note(contract),
    }
    http = listener.server(
        server.Application(contract, runner, loaded.computed.provider),
        lambda: _report(control_fd, ready),
    )

    async def attend() -> None:
        serving = asyncio.create_task(http.serve_on(listening_fd), name="serve")
        while not serving.done():
            await asyncio.wait((serving,), timeout=BEAT_SECONDS)
            if not runner.is_stuck(time.perf_counter(), contract.stall_seconds):
                os.write(control_fd, b"\n")
        await serving

    uvloop.run(attend())


def _out_of_memory(contract: contracts.Contract) -> Refused:
    return Refused(
        Reason.LOAD_FAILED,
        f"out of memory: it may have {contract.memory_bytes} bytes",
        advice.LESS_MEMORY,
    )


def _refuse(descriptor: int, refused: Refused) -> int:
    """Report a refusal; returns the exit code."""
    parts = {"cause": refused.cause, "remedy": refused.remedy}
    _report(descriptor, {"refused": refused.reason, **parts})
    return EXIT_REFUSED


def _report(descriptor: int, message: dict[str, object]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
