"""A model's trial: what it answers to seeded inputs, and what it takes, before the agent loads it.

    child, limited ──load, warm up, seeded inputs──► Evidence ──► agent ──the same inputs──► equal?

The child measures (`measured`) and reports; `main try` leaves the evidence beside the bytes; the
agent runs the same inputs in its own process and compares to the bit: the same runtime with the
same options on the same machine answers the same, or the model draws random numbers.
"""

import dataclasses
import hashlib
import json
from typing import Any, Final

import numpy as np

from foreshore_serving import contract as contracts
from foreshore_serving import limits, tensors
from foreshore_serving import session as sessions

RUNS: Final = 4
"""Seeded inputs that a model is run on; more show little more, and large models take long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What a trial showed of one model version."""

    contract: str
    """Fingerprint of what was declared (`Contract.fingerprint`)."""
    runtime: str
    answers: str
    """SHA-256 of the outputs to the seeded inputs."""
    usual_seconds: float
    """Median of one run."""
    session_bytes: int
    """Growth of the process by this model, with its file, which is in memory while it is loaded."""
    runtime_bytes: int
    """Growth of the process by the runtime and NumPy, which all models of a process share."""
    is_bounded: bool
    """Whether how long a run takes depends on nothing but the lengths of its inputs."""

    def encode(self) -> bytes:
        """Return the evidence as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()


def decode(body: bytes) -> Evidence:
    """Read what `Evidence.encode` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        fields = json.loads(body)
        evidence = Evidence(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from error
    for field in dataclasses.fields(Evidence):
        if type(getattr(evidence, field.name)).__name__ != field.type.__name__:  # type: ignore[union-attr]
            message = f"{field.name} is no {field.type}"
            raise ValueError(message)
    return evidence


def answers(session: Any, contract: contracts.Contract) -> str:
    """Return the SHA-256 of the outputs to the seeded inputs.

    An input on which the model fails counts as what it is: seeded numbers may be none that it ever
    sees (an index beyond a table), and it has to fail in both processes.
    """
    names = [spec.name for spec in contract.outputs]
    digest = hashlib.sha256()
    for run in range(RUNS):
        feeds = {spec.name: seeded(spec, contract.digest, run) for spec in contract.inputs}
        try:
            arrays = session.run(names, feeds)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - the runtime's share no base class; it is the answer
            digest.update(b"failed")
            continue
        for array in arrays:
            digest.update(f"{array.dtype}{list(array.shape)}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def seeded(spec: contracts.TensorSpec, digest: str, run: int) -> tensors.Array:
    """Return the input of a run: numbers drawn from the model's digest, any length being 1.

    Floats are in [-2, 2), integers from 0 to 3, which are indices more often than larger ones.
    """
    shape = [1 if length < 0 else length for length in spec.shape]
    count = int(np.prod(shape, dtype=np.int64))
    drawn = hashlib.shake_256(f"{digest}/{spec.name}/{run}".encode()).digest(count)
    octets = np.frombuffer(drawn, dtype=np.uint8)
    dtype = np.dtype(tensors.TYPES[spec.data_type][0])
    if dtype.kind == "f":
        return ((octets.astype(np.float64) - 128.0) / 64.0).astype(dtype).reshape(shape)
    return (octets % (2 if dtype.kind == "b" else 4)).astype(dtype).reshape(shape)


class Measure:
    """What loading takes, read in the order in which it happens: runtime first, then the model."""

    def __init__(self, before: int) -> None:
        """Import the runtime; `before` is what was resident without it and without NumPy."""
        self._runtime: Final = sessions.runtime().name
        self._loaded: Final = limits.resident_bytes()
        self._runtime_bytes: Final = max(0, self._loaded - before)

    def evidence(
        self, session: Any, contract: contracts.Contract, usual_seconds: float, *, is_bounded: bool
    ) -> Evidence:
        """Run the seeded inputs; return what the trial showed."""
        shown = answers(session, contract)
        grown = max(0, limits.resident_bytes() - self._loaded)
        return Evidence(
            contract=contract.fingerprint(),
            runtime=self._runtime,
            answers=shown,
            usual_seconds=usual_seconds,
            session_bytes=grown + contract.model_bytes,
            runtime_bytes=self._runtime_bytes,
            is_bounded=is_bounded,
        )
