"""A model's trial: what it answers to seeded inputs, and what it takes, before the agent loads it.

    child, limited ──load, warm up, seeded inputs──► evidence ──► agent ──the same inputs──► equal?

The child measures (`Measure`) and reports; `main try` leaves the evidence beside the bytes; the
agent runs the same inputs in its own process and compares to the bit: the same runtime with the
same options on the same machine answers the same, or the model draws random numbers.
"""

import hashlib
import json
from typing import Any, Final

import numpy as np

from foreshore_serving import contract as contracts
from foreshore_serving import evidence, limits, providers, tensors
from foreshore_serving import session as sessions

RUNS: Final = 4
"""Seeded inputs that a model is run on; more show little more, and large models take long."""


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
            digest.update(_octets(array))
    return digest.hexdigest()


def seeded(spec: contracts.TensorSpec, digest: str, run: int) -> tensors.Array:
    """Return the input of a run: numbers drawn from the model's digest, any length being 1.

    Floats are in [-2, 2), integers from 0 to 3, which are indices more often than larger ones; text
    is one of four digits.
    """
    shape = tensors.smallest(spec.shape)
    count = int(np.prod(shape, dtype=np.int64))
    drawn = hashlib.shake_256(f"{digest}/{spec.name}/{run}".encode()).digest(count)
    octets = np.frombuffer(drawn, dtype=np.uint8)
    dtype = np.dtype(tensors.TYPES[spec.data_type][0])
    if dtype.kind == "f":
        return ((octets.astype(np.float64) - 128.0) / 64.0).astype(dtype).reshape(shape)
    whole = octets % (2 if dtype.kind == "b" else 4)
    if dtype.kind == "O":
        whole = whole.astype(np.str_)
    return whole.astype(dtype).reshape(shape)


def _octets(array: tensors.Array) -> bytes:
    """Return what an output holds: of text its characters, of which the array has the addresses."""
    if array.dtype.kind == "O":
        return json.dumps(array.tolist()).encode()
    return np.ascontiguousarray(array).tobytes()


class Measure:
    """What loading takes, read in the order in which it happens: runtime first, then the model."""

    def __init__(self, before: int) -> None:
        """Import the runtime; `before` is what was resident without it and without NumPy."""
        self.runtime: Final = sessions.runtime().name
        """The runtime and its version."""
        self._loaded: Final = limits.resident_bytes()
        self.runtime_bytes: Final = max(0, self._loaded - before)
        """Growth of the process by the runtime."""

    def session_bytes(self, model_bytes: int) -> int:
        """Return the growth since then, with the model's file, of `model_bytes`."""
        return max(0, limits.resident_bytes() - self._loaded) + model_bytes

    def evidence(
        self, session: Any, contract: contracts.Contract, usual_seconds: float, *, is_bounded: bool
    ) -> evidence.TrialEvidence:
        """Run the seeded inputs; return what the trial showed."""
        shown = answers(session, contract)
        return evidence.TrialEvidence(
            contract=contract.fingerprint(),
            runtime=self.runtime,
            provider=providers.computed(session, contract).provider,
            answers=shown,
            usual_seconds=usual_seconds,
            session_bytes=self.session_bytes(contract.model_bytes),
            runtime_bytes=self.runtime_bytes,
            is_bounded=is_bounded,
        )
