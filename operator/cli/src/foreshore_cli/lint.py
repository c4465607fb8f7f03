"""`kubectl foreshore lint`: what is wrong with files of resources, before they are applied.

    files, folders, standard input ─► foreshore_decision.lint ─► text | document

No cluster is asked: what files name and do not hold is a note, because the cluster may have it. The
checks and their words are those of `foreshore-agent lint`.
"""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from foreshore_cli import errors, options, terminal
from foreshore_decision import lint, manifests

STANDARD_INPUT: Final = "-"


def run(named: Sequence[str], output: options.OutputFormat, *, is_strict: bool) -> int:
    """Read, check, write, return the exit code."""
    contents = _contents(named)
    documents = tuple(_documents(contents))
    if not documents:
        raise errors.UsageError("there is no document in what -f names")
    surroundings = lint.Surroundings(time.thread_time, in_cluster=True)
    report = lint.check(documents, surroundings)
    if output.is_document:
        terminal.document(report.document(contents.__getitem__), output)
    else:
        terminal.write(report.text(contents.__getitem__))
    return errors.EXIT_UNWELL if report.has_failed(is_strict=is_strict) else errors.EXIT_WELL


def _contents(named: Sequence[str]) -> dict[str, bytes]:
    """Return what each file holds, by its name as it was written. Raises UsageError."""
    contents: dict[str, bytes] = {}
    try:
        for name in named:
            if name == STANDARD_INPUT:
                contents[name] = sys.stdin.buffer.read(manifests.MAXIMUM_FILE_BYTES + 1)
                continue
            for path in _files(Path(name)):
                contents[str(path)] = _content(path)
                if len(contents) > manifests.MAXIMUM_FILES:
                    raise errors.UsageError(f"more than {manifests.MAXIMUM_FILES} files")
    except OSError as error:
        raise errors.UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
    return contents


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of a folder that hold documents."""
    if not path.is_dir():
        yield path
        return
    for inner in sorted(path.iterdir()):
        if manifests.is_read(inner.name) and stat.S_ISREG(inner.stat().st_mode):
            yield inner


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(manifests.MAXIMUM_FILE_BYTES + 1)


def _documents(
    contents: dict[str, bytes],
) -> Iterator[manifests.Manifest | manifests.UnreadableError]:
    count = 0
    for name, body in contents.items():
        try:
            for manifest in manifests.documents(name, body):
                count += 1
                if count > manifests.MAXIMUM_DOCUMENTS:
                    raise errors.UsageError(f"more than {manifests.MAXIMUM_DOCUMENTS} documents")
                yield manifest
        except manifests.UnreadableError as error:
            yield error
