"""A disk that stands still on demand, for the journal of another process (`bench/stall.c`)."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import cache, process

SOURCE = Path(__file__).parents[1] / "bench" / "stall.c"


class StalledDisk:
    """The disk of processes that were started with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "stall"
        self._held = folder / "stall.held"
        self.environment: Mapping[str, str] = {
            **os.environ,
            "LD_PRELOAD": str(_compiled()),
            "STALL_FILE": str(self._file),
        }

    @property
    def is_held(self) -> bool:
        """Whether somebody has waited for the disk since it was stopped last."""
        return self._held.exists()

    def stop(self) -> None:
        """From now on nothing of a journal is written or synced."""
        self._held.unlink(missing_ok=True)
        self._file.touch()

    def go_on(self) -> None:
        """Let it work again."""
        self._file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still for as long as the block lasts."""
        self.stop()
        try:
            yield
        finally:
            self.go_on()


def _compiled() -> Path:
    """The library, compiled once for each version of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    library = cache.binaries() / f"stall-{digest}.so"
    if not library.exists():
        fresh = library.with_suffix(f".{os.getpid()}")
        process.run(["cc", "-O2", "-shared", "-fPIC", "-o", fresh, SOURCE, "-ldl"], timeout=120)
        fresh.rename(library)
    return library
