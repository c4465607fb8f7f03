"""Templates: expressions whose value is a document, such as `{"state": on ? "ON" : "OFF"}`.

    text ──structure──► maps, lists, choices ──leaves──► Expression, each with its static type
    Template ──evaluate(Bindings)──► Document | NoValue

Only the structure is read here: braces and brackets that are written out, and choices (`? :`) that
give either of two documents. Whatever stands at a leaf is an expression like any other, held to the
same limits and typed before it ever runs; so a list that is calculated (`xs.map(…)`) is refused.
Called by `policy` for actions in a device's own dialect.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from foreshore_api.v1alpha1 import DataType
from foreshore_decision.expr import compiler, lexis
from foreshore_decision.expr.compiler import (
    Bindings,
    CompileError,
    Environment,
    Expression,
    NoValue,
    Value,
)

MAXIMUM_ENTRIES: Final = 64
"""Entries of one map or list."""
MAXIMUM_DEPTH: Final = 8
"""Maps and lists inside of each other."""
MAXIMUM_CHOICES: Final = 16
"""Choices between documents, one inside of the other."""

Document = Value | dict[str, "Document"] | list["Document"]
"""A value, or maps and lists of values. A map's keys are texts."""


@dataclass(frozen=True, slots=True)
class MapTemplate:
    """A map that is written out."""

    entries: tuple[tuple[str, "TemplatePart"], ...]


@dataclass(frozen=True, slots=True)
class ListTemplate:
    """A list that is written out."""

    elements: tuple["TemplatePart", ...]


@dataclass(frozen=True, slots=True)
class ChoiceTemplate:
    """Either of two documents."""

    condition: Expression
    chosen: "TemplatePart"
    otherwise: "TemplatePart"


TemplatePart = Expression | MapTemplate | ListTemplate | ChoiceTemplate


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: pure, shared by everyone who compiled the same."""

    source: str
    root: TemplatePart
    expressions: tuple[Expression, ...]
    """Every expression in it, in the order of the text."""

    @property
    def is_bare(self) -> bool:
        """Whether it gives a text, a number or a Boolean, whatever is chosen."""
        return _is_bare(self.root)

    def evaluate(self, bindings: Bindings) -> Document | NoValue:
        """Return the document, or why it has none."""
        return _value(self.root, bindings)


@lru_cache(maxsize=1024)
def compile_template(environment: Environment, source: str) -> Template:
    """Compile once for all devices that share an environment.

    Raises:
        CompileError: a leaf does not compile, or the structure is too large, too deep or unclear.
    """
    if len(source.encode(errors="surrogatepass")) > compiler.MAXIMUM_BYTES:
        raise CompileError(f"an expression has at most {compiler.MAXIMUM_BYTES} bytes")
    root = _Reader(environment).part(_Text(source, lexis.tokens(source)), MAXIMUM_DEPTH)
    return Template(source, root, tuple(_expressions(root)))


@dataclass(frozen=True, slots=True)
class _Text:
    """A part of a text, as its tokens."""

    source: str
    tokens: Sequence[re.Match[str]]

    def cut(self, start: int, end: int | None = None) -> "_Text":
        """Return the tokens from one number to another."""
        return _Text(self.source, self.tokens[start:end])

    @property
    def inner(self) -> "_Text":
        """What stands between the first and the last token."""
        return self.cut(1, -1)

    @property
    def bare(self) -> "_Text":
        """What stands in all the parentheses that are around the whole; they are looked at once."""
        opened: list[int] = []
        ends: dict[int, int] = {}
        for number, token in enumerate(self.tokens):
            if token.lastgroup == "open":
                opened.append(number)
            elif token.lastgroup == "close" and opened:
                ends[opened.pop()] = number
        first, last = 0, len(self.tokens) - 1
        while ends.get(first) == last and self.tokens[first].group() == "(":
            first, last = first + 1, last - 1
        return self.cut(first, last + 1)

    @property
    def text(self) -> str:
        """The text from its first to its last token."""
        if not self.tokens:
            return ""
        return self.source[self.tokens[0].start() : self.tokens[-1].end()]

    def is_within(self, opening: str) -> bool:
        """Whether all of it stands between this token and the one that closes it."""
        if not self.tokens or self.tokens[0].group() != opening:
            return False
        return next(_ends(self.tokens), None) == len(self.tokens) - 1

    def find(self, *wanted: str) -> int | None:
        """Return the number of the first of these tokens that is in no brackets."""
        return next(self._at_top(wanted), None)

    def split(self) -> list["_Text"]:
        """Cut at the commas that are in no brackets; the last may be followed by nothing."""
        cuts = [-1, *self._at_top((",",)), len(self.tokens)]
        parts = [self.cut(a + 1, b) for a, b in pairwise(cuts)]
        return parts if parts[-1].tokens else parts[:-1]

    def _at_top(self, wanted: Sequence[str]) -> Iterator[int]:
        depth = 0
        for number, token in enumerate(self.tokens):
            depth += (token.lastgroup == "open") - (token.lastgroup == "close")
            if not depth and token.lastgroup != "text" and token.group() in wanted:
                yield number


def _ends(tokens: Sequence[re.Match[str]]) -> Iterator[int]:
    """Yield the numbers of the tokens that close what no other bracket is around."""
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if not depth and token.lastgroup == "close":
            yield number


class _Reader:
    """Reads the parts of one template; their number is bounded by the text's length."""

    def __init__(self, environment: Environment) -> None:
        self._environment: Final = environment

    def part(self, text: _Text, depth: int, choices: int = MAXIMUM_CHOICES) -> TemplatePart:
        """Read one part. Raises CompileError."""
        text = text.bare
        if not text.tokens:
            raise CompileError("a value is missing")
        if text.is_within("{"):
            return self._map(text.inner, _deeper(depth))
        if text.is_within("["):
            return self._list(text.inner, _deeper(depth))
        return self._choice(text, depth, choices) or self._leaf(text)

    def _map(self, text: _Text, depth: int) -> MapTemplate:
        entries: list[tuple[str, TemplatePart]] = []
        for entry in _bounded(text.split()):
            colon = entry.find(":")
            if colon is None:
                raise CompileError(f"{_shown(entry)} is no entry of a map: write key: value")
            key = self._key(entry.cut(0, colon))
            if key in dict(entries):
                raise CompileError(f"the key {key!r} is there twice")
            entries.append((key, self.part(entry.cut(colon + 1), depth)))
        return MapTemplate(tuple(entries))

    def _key(self, text: _Text) -> str:
        """Read a key, which is a text that is written out."""
        if len(text.tokens) == 1 and text.tokens[0].lastgroup == "text":
            key = self._expression(text, DataType.STRING).evaluate(self._environment.bind({}))
            if isinstance(key, str):
                return key
        raise CompileError(f"the key {_shown(text)} is no text: write it in quotes")

    def _list(self, text: _Text, depth: int) -> ListTemplate:
        return ListTemplate(tuple(self.part(part, depth) for part in _bounded(text.split())))

    def _choice(self, text: _Text, depth: int, choices: int) -> TemplatePart | None:
        """Read `condition ? document : document`; None where it chooses between values."""
        question = text.find("?")
        if question is None or not choices:
            return None
        colon = _closing(text, question)
        branches = text.cut(question + 1, colon), text.cut(colon + 1)
        if not any(_is_document(branch, choices) for branch in branches):
            return None
        condition = self._expression(text.cut(0, question), DataType.BOOLEAN)
        chosen, otherwise = (self.part(branch, depth, choices - 1) for branch in branches)
        return ChoiceTemplate(condition, chosen, otherwise)

    def _leaf(self, text: _Text) -> Expression:
        try:
            kind = self._environment.infer(text.text)
        except CompileError as error:
            raise CompileError(f"{_shown(text)}: {_without_maps(str(error))}") from error
        return self._expression(text, kind)

    def _expression(self, text: _Text, kind: DataType) -> Expression:
        try:
            return compiler.compile_shared(self._environment, text.text, kind)
        except CompileError as error:
            raise CompileError(f"{_shown(text)}: {error}") from error


def _closing(text: _Text, question: int) -> int:
    """Return the number of the `:` that belongs to a `?`. Raises CompileError."""
    open_choices = depth = 0
    for number in range(question, len(text.tokens)):
        token = text.tokens[number]
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if depth or token.lastgroup == "text":
            continue
        open_choices += (token.group() == "?") - (token.group() == ":")
        if not open_choices:
            return number
    raise CompileError(f"{_shown(text)}: a ? without its :")


def _is_document(text: _Text, choices: int) -> bool:
    """Whether a map or a list that is written out is among what a text gives.

    Behind so many choices inside of each other nothing is looked for: a leaf it is then, and the
    library refuses it.
    """
    text = text.bare
    if text.is_within("{") or text.is_within("["):
        return True
    question = text.find("?")
    if question is None or not choices:
        return False
    colon = _closing(text, question)
    branches = text.cut(question + 1, colon), text.cut(colon + 1)
    return any(_is_document(branch, choices - 1) for branch in branches)


def _deeper(depth: int) -> int:
    if not depth:
        raise CompileError(f"maps and lists may stand {MAXIMUM_DEPTH} deep at most")
    return depth - 1


def _bounded(parts: list[_Text]) -> list[_Text]:
    if len(parts) > MAXIMUM_ENTRIES:
        raise CompileError(f"a map or list has at most {MAXIMUM_ENTRIES} entries")
    return parts


def _shown(text: _Text, limit: int = 60) -> str:
    written = " ".join(text.text.split())
    return written if len(written) <= limit else f"{written[: limit - 1]}…"


def _without_maps(why: str) -> str:
    if not why.endswith("which no name can be"):
        return why
    kind = why.removesuffix(", which no name can be")
    return f"{kind}: write maps and lists out, with a text, a number or a Boolean in each place"


def _is_bare(part: TemplatePart) -> bool:
    match part:
        case Expression():
            return True
        case ChoiceTemplate(_, chosen, otherwise):
            return _is_bare(chosen) and _is_bare(otherwise)
    return False


def _expressions(part: TemplatePart) -> Iterator[Expression]:
    match part:
        case Expression():
            yield part
        case MapTemplate(entries):
            for _, entry in entries:
                yield from _expressions(entry)
        case ListTemplate(elements):
            for element in elements:
                yield from _expressions(element)
        case ChoiceTemplate(condition, chosen, otherwise):
            yield condition
            yield from _expressions(chosen)
            yield from _expressions(otherwise)


def _value(part: TemplatePart, bindings: Bindings) -> Document | NoValue:
    match part:
        case MapTemplate(entries):
            values = _values((entry for _, entry in entries), bindings)
            if isinstance(values, NoValue):
                return values
            return dict(zip((key for key, _ in entries), values, strict=True))
        case ListTemplate(elements):
            return _values(elements, bindings)
        case ChoiceTemplate(condition, chosen, otherwise):
            truth = condition.is_true(bindings)
            if isinstance(truth, NoValue):
                return truth
            return _value(chosen if truth else otherwise, bindings)
    return part.evaluate(bindings)


def _values(parts: Iterable[TemplatePart], bindings: Bindings) -> list[Document] | NoValue:
    values: list[Document] = []
    for part in parts:
        value = _value(part, bindings)
        if isinstance(value, NoValue):
            return value
        values.append(value)
    return values
