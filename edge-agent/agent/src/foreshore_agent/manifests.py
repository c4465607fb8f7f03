"""Reading documents from a folder of YAML, as folder mode, `play` and `rehearse` do.

Bounded in every direction, because a folder is an input like any other: size, number and depth are
limited, aliases and duplicate keys are refused. Scalars are read as Kubernetes reads them: what
looks like a date or a sexagesimal number stays text. What a document means is not decided here, see
`resources`.
"""

import re
import stat
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

MAXIMUM_FILES: Final = 1000
MAXIMUM_FILE_BYTES: Final = 1 << 20
MAXIMUM_DOCUMENTS: Final = 20000
MAXIMUM_DEPTH: Final = 40
SUFFIXES: Final = (".yaml", ".yml", ".json")


class UnreadableError(Exception):
    """A folder, file or document that cannot be read; the text says where and why."""

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file: Final = file


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document and where it stands.

    `rooms.yaml#2` is the second document of the file, `rooms.yaml#2.3` the third item of a List
    that stands there.
    """

    place: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells that a folder has changed without reading it: names, times and sizes."""

    files: tuple[tuple[str, int, int], ...]


class _Loader(yaml.CSafeLoader):
    """The safe loader without duplicate keys, dates and base-60 numbers."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - the loader's own signature
    ) -> dict[Hashable, Any]:
        """Build a mapping; a key that appears twice is refused, not overwritten."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError(f"line {key.start_mark.line + 1}: a key is not a text")
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UnreadableError(f"line {line}: {key.value!r} appears twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _without(tags: tuple[str, ...]) -> dict[str, list[tuple[str, Any]]]:
    return {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in tags]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_PREFIX: Final = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = _without(
    (
        f"{_PREFIX}timestamp",
        f"{_PREFIX}int",
        f"{_PREFIX}float",
        f"{_PREFIX}merge",
        f"{_PREFIX}value",
    )
)
_Loader.add_implicit_resolver(
    f"{_PREFIX}int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    f"{_PREFIX}float",
    re.compile(r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def is_read(name: str) -> bool:
    """Whether a file of this name is read."""
    return name.lower().endswith(SUFFIXES)


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
    for path, _, size in _files(folder):
        try:
            for manifest in list(_documents(path, size)):
                count += 1
                if count > MAXIMUM_DOCUMENTS:
                    yield UnreadableError(f"{folder} holds more than {MAXIMUM_DOCUMENTS} documents")
                    return
                yield manifest
        except (UnreadableError, yaml.YAMLError, OSError, RecursionError, ValueError) as error:
            yield UnreadableError(f"{path.name}: {_one_line(error)}", path.name)


def _files(folder: Path) -> list[tuple[Path, int, int]]:
    try:
        paths = sorted(path for path in folder.iterdir() if is_read(path.name))
        if len(paths) > MAXIMUM_FILES:
            raise UnreadableError(f"{folder} holds more than {MAXIMUM_FILES} files")
        stats = [(path, path.stat()) for path in paths]
    except OSError as error:
        raise UnreadableError(f"{folder} cannot be read: {error.strerror}") from error
    return [(path, s.st_mtime_ns, s.st_size) for path, s in stats if stat.S_ISREG(s.st_mode)]


def _documents(path: Path, size: int) -> Iterator[Manifest]:
    if size > MAXIMUM_FILE_BYTES:
        raise UnreadableError(f"larger than {MAXIMUM_FILE_BYTES} bytes")
    with path.open("rb") as file:
        body = file.read(MAXIMUM_FILE_BYTES + 1)
    if len(body) > MAXIMUM_FILE_BYTES:
        raise UnreadableError(f"larger than {MAXIMUM_FILE_BYTES} bytes")
    _check_events(body)
    loader = _Loader(body)
    try:
        number = 0
        while loader.check_data():  # type: ignore[no-untyped-call]
            number += 1
            data = loader.get_data()
            if data is None:
                continue
            if not isinstance(data, dict):
                raise UnreadableError(f"document {number} is no mapping")
            yield from _members(Manifest(f"{path.name}#{number}", data))
    finally:
        loader.dispose()


def _members(manifest: Manifest) -> Iterator[Manifest]:
    """Yield the objects of a List, as `kubectl get -o yaml` writes one, else the document."""
    items = manifest.data.get("items")
    if manifest.data.get("kind") != "List" or not isinstance(items, list):
        yield manifest
        return
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise UnreadableError(f"{manifest.place}: item {number} is no mapping")
        yield Manifest(f"{manifest.place}.{number}", item)


def _check_events(body: bytes) -> None:
    """Refuse aliases and deep nesting before anything is built from them."""
    depth = 0
    for event in yaml.parse(body, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise UnreadableError(f"line {line}: an alias (*{event.anchor}) is not accepted")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            raise UnreadableError(f"nested deeper than {MAXIMUM_DEPTH} levels")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
