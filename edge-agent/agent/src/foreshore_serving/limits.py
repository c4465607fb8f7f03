"""Lower what the child may take, before it looks at a model.

Only these limits bound a hostile model: a 65-byte one can ask
for 24 GB, a 214-byte one can loop for ever, and no static check sees either.

Memory is bounded as address space, which nothing gets around. The driver of a GPU maps tens of GiB
of addresses that are no memory, and would not start: where such a provider is asked
(`providers.is_reserving`), what is bounded is the memory that is the process's own to write
(`RLIMIT_DATA`), with room for what the driver and its libraries keep there. What a model takes on
the device itself is bounded by the device alone.

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
from typing import Final, NamedTuple

DRIVER_BYTES: Final = 4 << 30
"""Writable memory of a driver with its libraries: an estimate, measured on no device so far. It is
no promise either: in a pod the container's limit holds beside it, and is the smaller one."""

OPEN_FILES: Final = 1024
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


class MemoryLimit(NamedTuple):
    """A limit on memory: which of the kernel's, and how many bytes."""

    resource: int
    maximum_bytes: int


def bound(memory_bytes: int, *, is_reserving: bool) -> MemoryLimit:
    """Return how a process is bounded that may take so much memory.

    Args:
        memory_bytes: what the model and the runtime may take of the host's memory.
        is_reserving: whether a driver is asked that reserves addresses.
    """
    if is_reserving:
        return MemoryLimit(resource.RLIMIT_DATA, memory_bytes + DRIVER_BYTES)
    return MemoryLimit(resource.RLIMIT_AS, memory_bytes)


def confine(memory: MemoryLimit, load_seconds: float) -> None:
    """Bound memory, open files, core dumps and, until `relax`, CPU time."""
    _lower(*memory)
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
