"""Documents in YAML or JSON: what a file of resources holds, before it is known what it means.

Bounded in every direction, because a file is an input like any other: size, number and depth are
limited, aliases and duplicate keys are refused. Scalars are read as Kubernetes reads them: what
looks like a date or a sexagesimal number stays text. What a document means is not decided here, see
`resources`. Bytes in, documents out: whoever has files opens them.
"""

import re
from collections.abc import Container, Hashable, Iterator, Sequence
from dataclasses import dataclass
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


def documents(name: str, body: bytes) -> tuple[Manifest, ...]:
    """Return every document of a file by its name and content.

    A file is read as a whole or not at all: half a file is what nobody wrote.

    Raises:
        UnreadableError: it is too large, too deep, or no YAML; the text begins with the name.
    """
    try:
        return tuple(_documents(name, body))
    except (UnreadableError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> UnreadableError:
    """Return why a file cannot be read, in one line that begins with its name."""
    return UnreadableError(f"{name}: {_one_line(error)}", name)


def _documents(name: str, body: bytes) -> Iterator[Manifest]:
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
            yield from _members(Manifest(f"{name}#{number}", data))
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


def lines_of(body: bytes, fields: Sequence[tuple[str, str]]) -> tuple[int, ...]:
    """Return the lines, from 1, of fields of a file; of what stands around a field that is absent.

    Args:
        body: content of a file that `documents` has read.
        fields: the document of each, as its `Manifest` says (`rooms.yaml#2.3`), and its path as
            messages write it (`spec.rules[occupied].expression`, `spec.inputs[0]`).
    """
    places = [place.rpartition("#")[2].partition(".") for place, _ in fields]
    wanted = {int(number) for number, _, _ in places}
    nodes = _nodes(body, wanted)
    return tuple(
        _line(nodes.get(int(number)), item, path)
        for (number, _, item), (_, path) in zip(places, fields, strict=True)
    )


def _nodes(body: bytes, wanted: Container[int]) -> dict[int, yaml.Node]:
    """Return the documents of these numbers as they are written."""
    nodes: dict[int, yaml.Node] = {}
    loader = _Loader(body)
    try:
        number = 0
        while loader.check_node():
            number += 1
            node = loader.get_node()
            if number in wanted and node is not None:
                nodes[number] = node
    finally:
        loader.dispose()
    return nodes


def _line(node: yaml.Node | None, item: str, path: str) -> int:
    steps = [f"items[{int(item) - 1}]"] if item else []
    line = 1 if node is None else node.start_mark.line + 1
    for step in _STEP.findall(".".join((*steps, path))):
        key, node = _below(node, step)
        if node is None:
            break
        line = (key or node).start_mark.line + 1
    return line


_STEP: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
"""One step of a path: a member's name, or an entry of a list in brackets."""


def _below(node: yaml.Node | None, step: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the key, if it has one, and the node that a step leads to."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and step.startswith("["):
        entry = step[1:-1]
        for position, item in enumerate(node.value):
            if str(position) == entry or _is_named(item, entry):
                return None, item
    return None, None


def _is_named(item: yaml.Node, entry: str) -> bool:
    """Whether an entry of a list is meant by its key: its name, or its first values together."""
    values = [value.value for _, value in item.value] if isinstance(item, yaml.MappingNode) else []
    names = entry.split(",")
    return values[:1] == [entry] or set(names) <= {v for v in values if isinstance(v, str)}
