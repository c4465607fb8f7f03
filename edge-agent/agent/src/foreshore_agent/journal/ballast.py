"""A file that is given up on a full disk, where even deleting rows fails: it is written first.

While the ballast lies on disk the journal has room; the store gives it up when a write fails,
cleans up in the room that this frees, and is full until the ballast can be laid again.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ballast:
    """The file at `path`, `size` bytes of real blocks while it is laid."""

    path: Path
    size: int

    def is_laid(self) -> bool:
        """Whether the whole file is there."""
        try:
            return self.path.stat().st_size >= self.size
        except OSError:
            return False

    def lay(self) -> bool:
        """Take the room; False when there is none."""
        if self.size == 0 or self.is_laid():
            return True
        descriptor = -1
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(descriptor, 0, self.size)
        except OSError:
            self.release()
            return False
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the room up. A file system that cannot even remove a file leaves it as it is."""
        with contextlib.suppress(OSError):
            os.truncate(self.path, 0)
            self.path.unlink()
