"""What `matches` may be asked: literal patterns of bounded size, over one text, outside of loops.

The CEL library's regular expressions (RE2) know no exponential time, but they unroll repeats: a
short pattern can become a machine of millions of states, built anew at each evaluation and walked
for each character. So its size is counted before: every repeat multiplies what it repeats, nested
ones multiply each other. Called by `compiler`; operator and agent refuse alike.

Sizes are in units of one state. They are estimates from above; a test measures the slowest pattern
that passes.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from foreshore_decision.expr.syntax import Kind, Part

MAXIMUM_CHARACTERS: Final = 256
MAXIMUM_REPEAT: Final = 100
MAXIMUM_SIZE: Final = 500
"""Of all patterns of one expression together."""

_CLASS: Final = 4
"""Units of `.` and of a class such as `\\w`."""
_EXCLUDING: Final = 10
"""Units of a class that names what it excludes, or has characters beyond ASCII."""
_UNICODE: Final = 400
"""Units of a class of Unicode (`\\p{L}`): its hundreds of ranges are built anew each time."""
_FUNCTION: Final = "matches"


def problem(tree: Part, texts: Collection[str]) -> str | None:
    """Return what is wrong with the use of `matches`, with the remedy; None where it may stand.

    `texts` are the declared names of type String.
    """
    total = 0
    for call, is_looped in _calls(tree, is_looped=False):
        if is_looped:
            return "matches is not allowed inside a loop: match outside of it, in a variable"
        text, pattern = call.children[0], call.children[-1]
        if not isinstance(pattern.value, str):
            return "matches takes a pattern that is written out, in quotes"
        if text.dotted not in texts and not isinstance(text.value, str):
            return "matches looks at one text: put the name of a property or parameter before it"
        complaint, size = _judge(pattern.value)
        if complaint:
            return complaint
        total += size
    if total > MAXIMUM_SIZE:
        return (
            f"patterns unroll to {total} states, and {MAXIMUM_SIZE} is the most:"
            " use smaller repeats, or + and *"
        )
    return None


def literals(tree: Part) -> tuple[str, ...]:
    """Return the patterns that are written out."""
    written = (call.children[-1].value for call, _ in _calls(tree, is_looped=False))
    return tuple(pattern for pattern in written if isinstance(pattern, str))


def _calls(part: Part, *, is_looped: bool) -> Iterator[tuple[Part, bool]]:
    if part.kind is Kind.CALL and part.text == _FUNCTION and len(part.children) == 2:
        yield part, is_looped
    for child in part.children:
        yield from _calls(child, is_looped=is_looped or part.kind is Kind.LOOP)


def _judge(pattern: str) -> tuple[str | None, int]:
    if len(pattern) > MAXIMUM_CHARACTERS:
        return f"a pattern has at most {MAXIMUM_CHARACTERS} characters", 0
    scan = _Scan(pattern)
    size = scan.size()
    if scan.highest > MAXIMUM_REPEAT:
        return f"a pattern repeats at most {MAXIMUM_REPEAT} times, not {scan.highest}", size
    return None, size


@dataclass(slots=True)
class _Group:
    """A group under way: what is complete in it, and its newest piece, which a repeat is about."""

    complete: int = 0
    piece: int = 0

    def add(self, size: int) -> None:
        self.complete, self.piece = self.complete + self.piece, size

    @property
    def size(self) -> int:
        return self.complete + self.piece + 1


class _Scan:
    """One walk over a pattern; what RE2 refuses is left to it."""

    def __init__(self, pattern: str) -> None:
        self._pattern: Final = pattern
        self._at = 0
        self.highest = 0
        """The highest repeat."""

    def size(self) -> int:
        groups = [_Group()]
        while self._at < len(self._pattern):
            character = self._next()
            if character == "(":
                groups.append(_Group())
            elif character == ")" and len(groups) > 1:
                closed = groups.pop()
                groups[-1].add(closed.size)
            elif character == "{" and (count := self._repeat()) is not None:
                groups[-1].piece *= count
            else:
                groups[-1].add(self._piece(character))
        return sum(group.size for group in groups)

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _piece(self, character: str) -> int:
        if character == "\\" and self._at < len(self._pattern):
            return self._escape()
        if character == "[":
            return self._class()
        if character in "*+?|^$":
            return 1
        return _CLASS if character == "." or not character.isascii() else 1

    def _escape(self) -> int:
        character = self._next()
        if character in "pP":
            return _UNICODE
        if character == "Q":  # as it stands, up to \E
            end = self._pattern.find("\\E", self._at)
            start, self._at = self._at, len(self._pattern) if end < 0 else end + 2
            return self._at - start
        return _EXCLUDING if character in "DSW" else _CLASS

    def _class(self) -> int:
        """Count a class in brackets: its dearest part decides."""
        size = _CLASS
        if self._pattern[self._at : self._at + 1] == "^":
            size, self._at = _EXCLUDING, self._at + 1
        first = self._at
        while self._at < len(self._pattern):
            character = self._next()
            if character == "]" and self._at - 1 > first:
                break
            if character == "\\" and self._at < len(self._pattern):
                size = max(size, self._escape())
            elif not character.isascii():
                size = max(size, _EXCLUDING)
        return size

    def _repeat(self) -> int | None:
        """Return how often `{n}`, `{n,}` or `{n,m}` repeats at most; None where it is no repeat."""
        end = self._pattern.find("}", self._at)
        bounds = self._pattern[self._at : end].split(",") if end > 0 else [""]
        if len(bounds) > 2 or not bounds[0].isdecimal():
            return None
        if not all(bound.isdecimal() or bound == "" for bound in bounds):
            return None
        self._at = end + 1
        count = max(int(bound) for bound in bounds if bound)
        self.highest = max(self.highest, count)
        return max(1, count)
