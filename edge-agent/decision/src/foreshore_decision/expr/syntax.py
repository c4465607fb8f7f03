"""The tree of an expression, as the CEL library parses it, with the place of each part in the text.

The library gives its tree only as a serialised protocol buffer (`cel.expr.ParsedExpr`, syntax.proto
of the CEL specification). Few of its fields matter here, so that they are read off the wire format;
the generated classes would come with another runtime to keep in step. Called by `compiler`, for
`numerals` and `patterns`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_SIGN: Final = 1 << 63


class Kind(Enum):
    """What a part of an expression is; the value is its field in `cel.expr.Expr`."""

    CONSTANT = 3
    NAME = 4
    SELECTION = 5
    CALL = 6
    LIST = 7
    MAP = 8
    LOOP = 9


_TEXTS: Final = {Kind.NAME: 1, Kind.SELECTION: 2, Kind.CALL: 2}
"""Field of a part's text, by kind."""
_CHILDREN: Final = {
    Kind.SELECTION: (1,),
    Kind.CALL: (1, 3),
    Kind.LIST: (1,),
    Kind.LOOP: (2, 4, 5, 6, 7),
}
"""Fields of a part's children, by kind; a map's stand in its entries."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `text` is its name, field or function; `children` depend on the kind.

    A call's are its target (if `has_target`) and its arguments; a list's its elements; a map's its
    keys and values in turn; a loop's its range, initial value, condition, step and result.
    """

    place: int
    """Character at which it begins; an operator's is the operator."""
    kind: Kind
    text: str = ""
    children: tuple["Part", ...] = ()
    has_target: bool = False
    value: int | str | None = None
    """Of a constant integer or text."""
    variables: tuple[str, str] = ("", "")
    """A loop's own names: of an element, and of what it gathers."""

    @property
    def dotted(self) -> str | None:
        """The whole name of a name or of a selection from names: `a.b`."""
        if self.kind is Kind.NAME:
            return self.text
        if self.kind is Kind.SELECTION and (inner := self.children[0].dotted) is not None:
            return f"{inner}.{self.text}"
        return None


def read(serialised: bytes) -> Part:
    """Read what the library gives for a parsed, unchecked expression."""
    parsed = _Message(_Message(serialised).body(2))
    source = _Message(parsed.body(3))
    places = {}
    for entry in source.bodies(4):
        position = _Message(entry)
        places[position.number(1)] = position.number(2)
    return _part(parsed.body(2), places)


class _Message:
    """The fields of one message, by number."""

    def __init__(self, body: bytes) -> None:
        self._fields: Final[dict[int, list[bytes | int]]] = {}
        at = 0
        while at < len(body):
            tag, at = _varint(body, at)
            value: bytes | int
            if tag & 7 == _BYTES:
                size, at = _varint(body, at)
                value, at = body[at : at + size], at + size
            elif tag & 7 == _VARINT:
                value, at = _varint(body, at)
            else:
                width = 8 if tag & 7 == _FIXED64 else 4
                value, at = body[at : at + width], at + width
            self._fields.setdefault(tag >> 3, []).append(value)

    def __contains__(self, field: int) -> bool:
        return field in self._fields

    def bodies(self, field: int) -> tuple[bytes, ...]:
        return tuple(value for value in self._fields.get(field, ()) if isinstance(value, bytes))

    def body(self, field: int) -> bytes:
        return next(iter(self.bodies(field)), b"")

    def text(self, field: int) -> str:
        return self.body(field).decode()

    def number(self, field: int) -> int:
        value = next(iter(self._fields.get(field, ())), 0)
        return value if isinstance(value, int) else 0


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            return value, at


def _part(body: bytes, places: dict[int, int]) -> Part:
    message = _Message(body)
    place = places.get(message.number(2), 0)
    kind = next((candidate for candidate in Kind if candidate.value in message), Kind.CONSTANT)
    inner = _Message(message.body(kind.value))

    if kind is Kind.CONSTANT:
        return Part(place, kind, value=_constant(inner))
    children = tuple(_part(child, places) for child in _children(kind, inner))
    if kind is Kind.LOOP:
        return Part(place, kind, children=children, variables=(inner.text(1), inner.text(3)))
    text = inner.text(_TEXTS[kind]) if kind in _TEXTS else ""
    return Part(place, kind, text, children, has_target=kind is Kind.CALL and 1 in inner)


def _children(kind: Kind, message: _Message) -> Iterator[bytes]:
    if kind is Kind.MAP:
        for entry in map(_Message, message.bodies(2)):
            yield entry.body(3)
            yield entry.body(4)
    for field in _CHILDREN.get(kind, ()):
        yield from message.bodies(field)


def _constant(message: _Message) -> int | str | None:
    if 3 in message:
        value = message.number(3)
        return value - 2 * _SIGN if value >= _SIGN else value
    return message.text(6) if 6 in message else None
