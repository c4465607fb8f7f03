"""How much room a journal takes, and the room it gives up when the disk is full.

On a full disk even deleting rows fails, because a deletion is written first. While the ballast lies
on disk the journal has room; the store gives it up when a write fails, cleans up in the room that
this frees, and is full until the ballast can be laid again.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bytes of records by class, and the room that is kept back.

    `critical` holds intents, commands and whatever else is never dropped before it is acknowledged;
    when it is full, nothing is commanded. `routine` is a ring: its oldest records give way, and a
    gap record says so. `ballast` is a file that is given up on a full disk, because there even a
    deletion fails, and room for what must still be said about commands that are already out. `log`
    is how much of the log's file is written out once, where the disk has room; none, where nobody
    waits for commits.
    """

    critical: int = 256 * MEBIBYTE
    routine: int = 1024 * MEBIBYTE
    ballast: int = 4 * MEBIBYTE
    log: int = 6 * MEBIBYTE


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
