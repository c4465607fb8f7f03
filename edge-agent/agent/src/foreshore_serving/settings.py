"""What the process was told, read once by `main`."""

import dataclasses
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class ServingSettings:
    """One serving process."""

    model_config: Path
    address: tuple[str, int] | Path | None
    """Host and port, or the Unix socket, to listen on; only its owner may connect to the latter.
    None: a trial listens on nothing."""
    models: Path | None = None
    """Folder whose *.onnx files are asked by digest before the source."""
    memory_mib: int = 512
    """Memory of the child, as `limits` counts it, on top of four times the model's size."""
    load_seconds: float = 60.0
    """Wall-clock bound on loading and warm-up."""
    fetch_seconds: float = 60.0
    """How long a source is asked again before the process gives up."""
    stall_seconds: float = 10.0
    """A child that shows no sign of life for so long is killed and replaced."""
    maximum_body_bytes: int = 4 * MEBIBYTE
    termination_log: Path = Path("/dev/termination-log")
    """Where the reason of a fatal ending goes, if the file exists (Kubernetes makes it)."""

    def memory_bytes(self, model_bytes: int) -> int:
        """Return the child's memory: parsing and the runtime's copies each take a model's size."""
        return self.memory_mib * MEBIBYTE + 4 * model_bytes
