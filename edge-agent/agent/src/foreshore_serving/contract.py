"""What the parent hands the child on its standard input: plain dataclasses, so that the child needs no pydantic (13 MB).

Called by `supervise` (encode) and `child` (decode). The values were validated by the parent.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class TensorSpec:
    """One declared input or output; -1 stands for any length."""

    name: str
    data_type: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Contract:
    """The model version to serve, and the bounds to keep."""

    name: str
    version: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model_bytes: int
    memory_bytes: int
    """Address space of the child."""
    load_seconds: float
    stall_seconds: float
    maximum_body_bytes: int

    def encode(self) -> bytes:
        """Return the contract as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()


def decode(body: bytes) -> Contract:
    """Read what `Contract.encode` wrote."""
    fields = json.loads(body)
    for key in ("inputs", "outputs"):
        fields[key] = tuple(TensorSpec(t["name"], t["data_type"], tuple(t["shape"])) for t in fields[key])
    return Contract(**fields)
