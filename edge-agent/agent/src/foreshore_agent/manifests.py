"""Reading documents from a folder of YAML, as folder mode, `play`, `rehearse` and `lint` do.

What a file holds is said by `foreshore_decision.manifests`, which bounds it too; here is only how a
folder is gone through.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshore_decision import manifests
from foreshore_decision.manifests import (
    MAXIMUM_DOCUMENTS,
    MAXIMUM_FILE_BYTES,
    MAXIMUM_FILES,
    Manifest,
    UnreadableError,
    is_read,
)

__all__ = [
    "Fingerprint",
    "Manifest",
    "UnreadableError",
    "content",
    "fingerprint",
    "is_read",
    "read",
]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells that a folder has changed without reading it: names, times and sizes."""

    files: tuple[tuple[str, int, int], ...]


def fingerprint(folder: Path) -> Fingerprint:
    """Return what changes when a file of the folder changes. Raises UnreadableError."""
    return Fingerprint(tuple((path.name, mtime, size) for path, mtime, size in _files(folder)))


def read(folder: Path) -> Iterator[Manifest | UnreadableError]:
    """Yield every document of the folder by file name; what cannot be read is yielded as an error.

    A file is read as a whole or not at all: half a file is what nobody wrote.

    Raises:
        UnreadableError: the folder itself cannot be read, or holds too much.
    """
    count = 0
    for path, _, _ in _files(folder):
        try:
            for manifest in manifests.documents(path.name, content(path)):
                count += 1
                if count > MAXIMUM_DOCUMENTS:
                    yield UnreadableError(f"{folder} holds more than {MAXIMUM_DOCUMENTS} documents")
                    return
                yield manifest
        except UnreadableError as error:
            yield error


def content(path: Path) -> bytes:
    """Return a file's bytes, one more than may be if there are more. Raises UnreadableError."""
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_FILE_BYTES + 1)
    except OSError as error:
        raise manifests.unreadable(path.name, error) from error


def _files(folder: Path) -> list[tuple[Path, int, int]]:
    try:
        paths = sorted(path for path in folder.iterdir() if is_read(path.name))
        if len(paths) > MAXIMUM_FILES:
            raise UnreadableError(f"{folder} holds more than {MAXIMUM_FILES} files")
        stats = [(path, path.stat()) for path in paths]
    except OSError as error:
        raise UnreadableError(f"{folder} cannot be read: {error.strerror}") from error
    return [(path, s.st_mtime_ns, s.st_size) for path, s in stats if stat.S_ISREG(s.st_mode)]
