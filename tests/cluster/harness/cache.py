"""Where the harness keeps what it builds, outside the work tree, and how it knows what is current.

A built thing carries the key of its inputs: a file next to a binary, a label on an image. A changed
pin, recipe or tool gives another key, and the thing is built again; the same key is never built
twice. Several runs at once wait for each other at a lock per thing.
"""

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LABEL = "dev.foreshore.harness.key"


def root() -> Path:
    """${FORESHORE_CACHE:-~/.cache/foreshore}, made if absent."""
    configured = os.environ.get("FORESHORE_CACHE")
    path = Path(configured) if configured else Path.home() / ".cache" / "foreshore"
    path.mkdir(parents=True, exist_ok=True)
    return path


def binaries() -> Path:
    """The folder of built programs."""
    path = root() / "bin"
    path.mkdir(exist_ok=True)
    return path


def work(name: str) -> Path:
    """A folder for state of that name: build contexts, logs, running servers."""
    path = root() / "work" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(parts: Iterable[str | bytes | Path]) -> str:
    """A short digest of texts and of files' (or folders' sorted files') names, modes and bytes."""
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    for part in parts:
        if isinstance(part, Path):
            for file in files(part):
                add(str(file.relative_to(part)).encode())
                add(b"x" if file.stat().st_mode & 0o100 else b"-")
                add(file.read_bytes())
        else:
            add(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:16]


def files(path: Path) -> list[Path]:
    """The file itself, or every file under a folder in order, without Python's droppings."""
    if path.is_file():
        return [path]
    return sorted(
        file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    )


def is_current(thing: Path, wanted: str) -> bool:
    """Whether a built file exists and was built from these inputs."""
    stamp = stamp_of(thing)
    return thing.exists() and stamp.exists() and stamp.read_text() == wanted


def mark(thing: Path, built_from: str) -> None:
    """Note the inputs a file was built from."""
    stamp_of(thing).write_text(built_from)


def stamp_of(thing: Path) -> Path:
    """Where the key of a built file is kept."""
    return thing.parent / f".{thing.name}.key"


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """One at a time for a thing of that name, over all processes of this machine.

    The system gives the lock back when its holder ends, however it ends.
    """
    folder = root() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / name.replace("/", "_").replace(":", "_")).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another process works on {name}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
