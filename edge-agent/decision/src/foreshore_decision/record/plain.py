"""Values as plain data and back, and what a record does not know. Shared by the parts of the codec.

Numbers are exact: JSON holds the shortest text that reads back as the same float. What JSON has no
number for is written as a word.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import pydantic
from pydantic.alias_generators import to_camel, to_snake

T = TypeVar("T")

WORDS: Final[Mapping[str, float]] = MappingProxyType(
    {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
)
"""The floats that JSON has no number for."""
LONGEST: Final = 1 << 64
"""No integer that a device measures or a model answers is longer."""
UNSET: Final = object()
AS_THEY_ARE: Final = frozenset({str, int, bool, type(None)})
"""Types that JSON has."""


class MissingFactError(Exception):
    """The record does not know something that a policy asks for; `name` says what."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the record does not hold the {name}")
        self.name: Final = name


class Known(Mapping[str, T], Generic[T]):
    """What a record knows by name; `None` stands for what is known to be absent."""

    def __init__(self, what: str, values: Mapping[str, T | None]) -> None:
        self._what: Final = what
        self._values: Final = values

    def __getitem__(self, name: str) -> T:
        """Return a value. Raises MissingFactError where the record says nothing of it."""
        if name not in self._values:
            raise MissingFactError(f"{self._what} {name}")
        value = self._values[name]
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """Yield the names of what is there."""
        return (name for name, value in self._values.items() if value is not None)

    def __len__(self) -> int:
        """Count what is there."""
        return sum(1 for _ in self)


def fingerprint(*parts: object) -> str:
    """Return a short text that is the same for the same parts, in every release.

    Parts are texts, numbers, None, and tuples and lists of them: other things spell the names of
    their classes, which may change.
    """
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def plain(value: Any) -> Any:
    """Return a value as JSON data: tuples with names by their names, fields at rest left out."""
    kind: Any = type(value)
    if kind is float:
        return value if math.isfinite(value) else _word(value)
    if kind in AS_THEY_ARE:
        return value
    named = _NAMED.get(kind) or _named(kind)
    if named:
        document: dict[str, Any] = {}
        for (key, at_rest), field in zip(named, value, strict=True):
            if field is not at_rest and field != at_rest:
                # most fields need no call: this is the inner loop of every record
                kind = type(field)
                is_plain = math.isfinite(field) if kind is float else kind in AS_THEY_ARE
                document[key] = field if is_plain else plain(field)
        return document
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {name: plain(element) for name, element in value.items()}
    return [plain(element) for element in value]


def typed(kind: Any, written: Any) -> Any:
    """Return JSON data as a value of this kind.

    Raises:
        pydantic.ValidationError: it is not of this kind.
    """
    if isinstance(written, Mapping):
        written = {to_snake(name): value for name, value in written.items()}
    return _adapter(kind).validate_python(written)


def number(written: Any) -> float | int | bool:
    """Return a number that may be written as a word.

    Raises:
        KeyError, TypeError, ValueError: it is no number, or a longer one than any of ours.
    """
    if isinstance(written, str):
        return WORDS[written]
    if not isinstance(written, float | int):
        raise TypeError(f"{written!r} is no number")
    if isinstance(written, int) and abs(written) > LONGEST:
        raise ValueError("an integer of more than 64 bits")
    return written


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _named(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the fields of a tuple with names: as a record spells them, and what they rest at.

    Nothing for other kinds.
    """
    if not hasattr(kind, "_fields"):
        return ()
    at_rest = kind._field_defaults
    named = tuple((to_camel(name), at_rest.get(name, UNSET)) for name in kind._fields)
    return _NAMED.setdefault(kind, named)


_NAMED: Final[dict[Any, tuple[tuple[str, Any], ...]]] = {}
"""Of each kind of tuple with names that was written: there are as many as classes."""


@cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    """Return what reads a kind; made when it is first asked for, because an agent never reads."""
    return pydantic.TypeAdapter(kind)
