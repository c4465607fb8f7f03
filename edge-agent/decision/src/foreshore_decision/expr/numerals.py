"""Integer literals are numbers: `temperature > 75` means `temperature > 75.0`.

CEL knows no number of both kinds, so the text is rewritten before it is checked: each literal whose
fellows are numbers (what it is compared, added, chosen or listed with) gets its `.0`. The checker
stays the judge: what is rewritten is compiled as any other text. Called by `compiler` for every
text.

Which parts are fellows is found by unification: every part has a type variable; an operator, a
choice, a list ties those of its operands together; names and functions say what they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from foreshore_api.v1alpha1 import DataType
from foreshore_decision.expr.syntax import Kind, Part

_LITERAL: Final = re.compile(r"(-?\s*)(0[xX][0-9a-fA-F]+|[0-9]+)(?![0-9a-zA-Z_.])")
_ALIKE: Final = frozenset({"_+_", "_-_", "_*_", "_/_", "-_", "math.@max", "math.@min"})
"""Operands and result are of one type."""
_COMPARING: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"})
"""Operands are of one type, the result is a truth."""
_ALIKE_MATH: Final = frozenset({"abs", "sign"})
_NUMBERS_MATH: Final = frozenset(
    {"ceil", "floor", "round", "trunc", "sqrt", "isNaN", "isInf", "isFinite"}
)
"""Functions of `math` that take a number; integers in them are meant as numbers."""


@dataclass(slots=True, eq=False)
class _Type:
    """A type variable: tied to another or not, known or not; `inner` is that of its elements."""

    data_type: DataType | None = None
    tied: "_Type | None" = None
    inner: "_Type | None" = None

    @property
    def root(self) -> "_Type":
        variable = self
        while variable.tied is not None:
            variable = variable.tied
        return variable

    @property
    def is_number(self) -> bool:
        return self.root.data_type is DataType.NUMBER

    @property
    def element(self) -> "_Type":
        root = self.root
        if root.inner is None:
            root.inner = _Type()
        return root.inner

    def tie(self, other: "_Type") -> "_Type":
        """Make both one; of two that are known, the checker will see that they differ."""
        kept, joined = self.root, other.root
        if kept is not joined:
            joined.tied = kept
            kept.data_type = kept.data_type or joined.data_type
            if joined.inner is not None:
                kept.element.tie(joined.inner)
        return kept


def rewritten(
    source: str, tree: Part, names: Mapping[str, DataType], wanted: DataType | None
) -> str:
    """Return the text with `.0` behind the integer literals that are meant as numbers."""
    reading = _Reading(names)
    root = reading.type_of(tree, {})
    if wanted is DataType.NUMBER:
        root.tie(_Type(DataType.NUMBER))
    places = sorted((place for place, kind in reading.literals if kind.is_number), reverse=True)
    for place in places:
        if match := _LITERAL.match(source, place):
            number = match[2] if match[2].isdigit() else str(int(match[2], 16))
            source = f"{source[:place]}{match[1]}{number}.0{source[match.end() :]}"
    return source


class _Reading:
    """One walk over a tree."""

    def __init__(self, names: Mapping[str, DataType]) -> None:
        self._names: Final = names
        self.literals: Final[list[tuple[int, _Type]]] = []

    def type_of(self, part: Part, scope: Mapping[str, _Type]) -> _Type:
        """Return a part's type variable; `scope` holds those of the loops around it."""
        match part.kind:
            case Kind.CONSTANT:
                return self._constant(part)
            case Kind.NAME | Kind.SELECTION:
                return self._named(part, scope)
            case Kind.CALL:
                return self._call(part, scope)
            case Kind.LIST:
                return self._list(part.children, scope)
            case Kind.MAP:
                self._list(part.children[::2], scope)
                return self._list(part.children[1::2], scope)
            case Kind.LOOP:
                return self._loop(part, scope)

    def _constant(self, part: Part) -> _Type:
        if not isinstance(part.value, int):
            return _Type(DataType.NUMBER if part.value is None else DataType.STRING)
        literal = _Type()
        self.literals.append((part.place, literal))
        return literal

    def _named(self, part: Part, scope: Mapping[str, _Type]) -> _Type:
        name = part.dotted
        if name is not None and name in scope:
            return scope[name]
        if name is None:
            self.type_of(part.children[0], scope)
        return _Type(self._names.get(name or ""))

    def _list(self, elements: tuple[Part, ...], scope: Mapping[str, _Type]) -> _Type:
        list_type = _Type()
        for element in elements:
            list_type.element.tie(self.type_of(element, scope))
        return list_type

    def _call(self, part: Part, scope: Mapping[str, _Type]) -> _Type:
        name = part.text
        if part.has_target and part.children[0].dotted == "math":
            return self._math(name, [self.type_of(child, scope) for child in part.children[1:]])
        types = [self.type_of(child, scope) for child in part.children]
        if name in _ALIKE:
            flat = types[0].element if _is_list(part) else types[0]
            return _tied([flat, *types[1:]])
        if name in _COMPARING:
            _tied(types)
            return _Type()
        if name == "_?_:_":
            return types[1].tie(types[2])
        if name == "@in":
            types[0].tie(types[1].element)
            return _Type()
        if name == "_[_]":
            return types[0].element
        return _Type(DataType.NUMBER if name == "double" else None)

    def _math(self, name: str, arguments: list[_Type]) -> _Type:
        if name in _NUMBERS_MATH:
            return _tied([_Type(DataType.NUMBER), *arguments])
        return _tied(arguments) if name in _ALIKE_MATH and arguments else _Type()

    def _loop(self, part: Part, scope: Mapping[str, _Type]) -> _Type:
        ranged, *rest = part.children
        element, gathered = part.variables
        inner = {**scope, element: self.type_of(ranged, scope).element}
        first, condition, step, result = rest
        inner[gathered] = self.type_of(first, scope)
        self.type_of(condition, inner)
        inner[gathered].tie(self.type_of(step, inner))
        return self.type_of(result, inner)


def _is_list(part: Part) -> bool:
    """Whether `math.greatest` and its like are given their operands in one list."""
    return part.text.startswith("math.@") and part.children[0].kind is Kind.LIST


def _tied(types: list[_Type]) -> _Type:
    first, *rest = types
    for other in rest:
        first = first.tie(other)
    return first
