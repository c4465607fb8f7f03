"""The programs the harness runs: found in the cache, or built from pinned modules."""

from pathlib import Path

from harness import cache, process


def binary(name: str) -> Path:
    """The path of a program of the cache; MissingRequirementError with how to build it."""
    path = cache.binaries() / name
    if not path.exists():
        raise process.MissingRequirementError(name, process.how_to_get(name))
    return path
