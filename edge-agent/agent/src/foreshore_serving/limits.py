"""Lower what the child may take, before it looks at a model.

Only these limits bound a hostile model: a 65-byte one can ask
for 24 GB, a 214-byte one can loop for ever, and no static check sees either.

`child` confines itself before anything that parses the model is imported; hard limits fall with the
soft ones, so that nothing loaded later can raise them again. CPU time is bounded while loading
only: a server runs for months. `attached` follows its parent from here too.
"""

import ctypes
import math
import os
import resource
import signal
from pathlib import Path
from typing import Final

OPEN_FILES: Final = 1024
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def confine(memory_bytes: int, load_seconds: float) -> None:
    """Bound address space, open files, core dumps and, until `relax`, CPU time."""
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(load_seconds) + 1, hard))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)  # and no way to new privileges


def relax() -> None:
    """Lift the bound on CPU time, once the model has shown that it ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def resident_bytes() -> int:
    """Return how much memory of this process is resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def follow_parent(parent: int) -> None:
    """Have the kernel end this process when its parent dies, or now if it has died already.

    Args:
        parent: its process ID as the parent itself said it: an orphan would find another.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bound, bound))


def _prctl(option: int, argument: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
