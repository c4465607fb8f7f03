"""What one evaluation of an expression can cost at most, read off its tree before it ever runs.

The CEL library ends loops after ten thousand rounds, and bounds nothing else: texts and lists that
grow (`x + x` in nested loops), and what is done with a large text in each round, make seconds of a
hundred characters. An evaluation cannot be interrupted, so nothing that could be long is started.
Called by `compiler`; operator and agent refuse alike.

The estimate is from above. It walks the tree once and knows of every part how large its value can
become: characters of a text, elements of a list or map, and the same of what is in it. A loop costs
its rounds times its body; both branches of a condition count, whatever the values are, which no
measurement could show. A step takes 10 to 30 ns; a test measures the dearest that pass.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from foreshore_decision.expr.syntax import Kind, Part

MAXIMUM_STEPS: Final = 50_000
"""Of one expression: a millisecond or two at worst."""

_CHARACTERS: Final = 16
"""Characters that are copied, compared or counted in one step."""
_MAKING: Final = 5
"""Steps to make room for a list or map."""
_PAIRS: Final = 512
"""Pairs of a text's and a sought text's characters that are compared in one step."""
_NUMERAL: Final = 32
"""Characters of a number, a truth value or a time as text, and bytes that one of them can take."""
_SEEKING: Final = "contains"
_LONGEST: Final = 1 << 40
"""Where sizes stop to grow: it is far too much."""


class Size(NamedTuple):
    """How large a value can become."""

    length: int = 0
    """Characters of a text, elements of a list or map; of anything else 0."""
    element: "Size | None" = None
    """Of a list or map: the largest that is in it, keys and values alike."""

    def join(self, other: "Size") -> "Size":
        """Return the size of a value that is either."""
        element = self.element
        if element is None or other.element is None:
            element = element or other.element
        else:
            element = element.join(other.element)
        return Size(max(self.length, other.length), element)

    @property
    def steps(self) -> int:
        """Steps to go through all of it."""
        if self.element is None:
            return self.length // _CHARACTERS
        return self.length * (1 + self.element.steps)


class Cost(NamedTuple):
    """What a part of an expression takes at most, and gives."""

    steps: int
    size: Size


def problem(tree: Part, texts: Collection[str], longest: int) -> str | None:
    """Return why an expression could take too long, with the remedy; None where it may stand.

    `texts` are the declared names of type String, `longest` the most characters of one.
    """
    steps = _Walk(dict.fromkeys(texts, Size(longest))).cost(tree, {}).steps
    if steps <= MAXIMUM_STEPS:
        return None
    amount = str(steps) if steps < _LONGEST else "more than can be counted"
    return (
        f"can take {amount} steps, and {MAXIMUM_STEPS} is the most: use shorter lists, fewer loops"
        " inside of each other, or texts that do not grow; calculate parts in variables"
    )


class _Walk:
    """One walk over a tree; the library parses no more than 32 levels."""

    def __init__(self, texts: Mapping[str, Size]) -> None:
        self._texts: Final = texts

    def cost(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        """Return the cost of a part, with the sizes of the names that loops around it make."""
        rule = _RULES[part.kind]
        steps, size = rule(self, part, scope)
        return Cost(min(1 + steps, _LONGEST), size)

    def constant(self, part: Part, _scope: Mapping[str, Size]) -> Cost:
        return Cost(0, Size(len(part.value)) if isinstance(part.value, str) else Size())

    def name(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        return Cost(0, scope.get(part.text) or self._texts.get(part.text, Size()))

    def selection(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        """A dotted name that is declared, or a field of a map."""
        declared = self._texts.get(part.dotted or "")
        if declared is not None:
            return Cost(0, declared)
        steps, size = self.cost(part.children[0], scope)
        return Cost(steps, size.element or Size())

    def gathering(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        """A list or map that is written out; a map's children are keys and values."""
        costs = [self.cost(child, scope) for child in part.children]
        length = len(costs) if part.kind is Kind.LIST else len(costs) // 2
        size = Size(length, _joined([Size(), *(cost.size for cost in costs)]))
        return Cost(_MAKING + sum(cost.steps for cost in costs), size)

    def call(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        """A function goes through its arguments once, and through its result.

        One that seeks a text in another may compare each place with all of it.
        """
        costs = [self.cost(child, scope) for child in part.children]
        sizes = [cost.size for cost in costs]
        result = _result(part.text, sizes)
        steps = sum(cost.steps for cost in costs) + sum(size.steps for size in sizes) + result.steps
        if part.text == _SEEKING and len(sizes) == 2:
            steps += sizes[0].length * sizes[1].length // _PAIRS
        return Cost(steps, result)

    def loop(self, part: Part, scope: Mapping[str, Size]) -> Cost:
        """A loop over a list or the keys of a map.

        What it gathers is a truth value, a number, or a list; a list is added to in place, so that
        a round costs what is added only. What is written inside of a loop cannot name it.
        """
        ranged, first, *body, result = part.children
        element, gathered = part.variables
        over, initial = self.cost(ranged, scope), self.cost(first, scope)
        inner = {**scope, element: over.size.element or Size(), gathered: Size()}
        costs = [self.cost(child, inner) for child in body]
        rounds = over.size.length
        grown = initial.size
        if first.kind is Kind.LIST:
            added = costs[-1].size
            grown = Size(_bounded(initial.size.length + rounds * added.length), added.element)
        end = self.cost(result, {**scope, gathered: grown})
        round_steps = sum(cost.steps for cost in costs) + 1
        return Cost(over.steps + initial.steps + rounds * round_steps + end.steps, end.size)


_RULES: Final[Mapping[Kind, Callable[[_Walk, Part, Mapping[str, Size]], Cost]]] = {
    Kind.CONSTANT: _Walk.constant,
    Kind.NAME: _Walk.name,
    Kind.SELECTION: _Walk.selection,
    Kind.CALL: _Walk.call,
    Kind.LIST: _Walk.gathering,
    Kind.MAP: _Walk.gathering,
    Kind.LOOP: _Walk.loop,
}


def _result(function: str, sizes: list[Size]) -> Size:
    """Return the size of what a function gives, of the sizes of its arguments.

    An unknown one gives no more than it takes, or a number as text.
    """
    if function == "_+_":
        left, right = sizes
        return left.join(right)._replace(length=_bounded(left.length + right.length))
    if function == "_?_:_":
        return sizes[1].join(sizes[2])
    if function == "_[_]":
        return sizes[0].element or Size()
    if function in _SCALAR:
        return Size()
    return _joined([Size(_NUMERAL), *(size.element or size for size in sizes)])


_SCALAR: Final = frozenset(
    {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_&&_", "_||_", "!_", "@in", "size", "matches"}
    | {"contains", "startsWith", "endsWith", "_-_", "_*_", "_/_", "_%_", "-_", "int", "uint"}
    | {"double", "bool", "@not_strictly_false"}
)
"""Functions whose result is a number or a truth value."""


def _joined(sizes: list[Size]) -> Size:
    first, *rest = sizes
    for size in rest:
        first = first.join(size)
    return first


def _bounded(length: int) -> int:
    return min(length, _LONGEST)
