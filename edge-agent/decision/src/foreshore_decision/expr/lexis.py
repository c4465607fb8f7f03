"""What an expression's text says before anybody compiles it: the names in it, and its comparison.

Used by `compiler` only. This is no parser: the CEL library parses. It finds names (for the operands
of a record, for what a variable depends on), cuts a single comparison in two (for the margin), and
sees divisions. All err on the safe side: a name too many is recorded, a comparison not recognised
has no margin, a division that could do no harm goes into a variable.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?)
      | (?P<name>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
      | (?P<comment>//[^\n]*)
      | (?P<operator>&&|\|\||[<>=!]=|[<>?:!])
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<other>\S)""",
    re.VERBOSE | re.DOTALL,
)
_RELATIONS: Final = frozenset({"<", "<=", ">", ">="})
_LOGIC: Final = frozenset({"&&", "||", "?", ":", "!", "==", "!=", "in"})


class Comparison(NamedTuple):
    """`left operator right`, where the operator is one of <, <=, >, >=."""

    left: str
    operator: str
    right: str


def tokens(source: str) -> tuple[re.Match[str], ...]:
    """Return the tokens of a text, without its comments."""
    return tuple(match for match in _TOKEN.finditer(source) if match.lastgroup != "comment")


def names(source: str) -> frozenset[str]:
    """Return every dotted name of the text and its prefixes: `a.b` gives `a` and `a.b`."""
    dotted: set[str] = set()
    for match in _TOKEN.finditer(source):
        if match.lastgroup == "name":
            parts = [part.strip() for part in match["name"].split(".")]
            dotted.update(".".join(parts[: end + 1]) for end in range(len(parts)))
    return frozenset(dotted)


def has_dynamic(source: str) -> bool:
    """Whether the text turns static types off with `dyn(...)`."""
    return "dyn" in names(source)


def may_hide_nan(source: str, texts: Collection[str] = ()) -> bool:
    """Whether a number that is none could go unnoticed: what compares it has a result.

    True where the text decides (a comparison, a choice) and also divides by anything but a literal
    (zero excepted), takes a root, or turns one of `texts` or a literal text into a number; and
    where it divides within a function of `math`, which may choose too.
    """
    read = tokens(source)
    if _divides(read, within_math=True):
        return True
    if not any(match.group() in _RELATIONS | _LOGIC for match in read):
        return False
    used = names(source)
    is_text = any(match.lastgroup == "text" for match in read) or not used.isdisjoint(texts)
    return _divides(read) or "math.sqrt" in used or ("double" in used and is_text)


def _divides(read: Sequence[re.Match[str]], *, within_math: bool = False) -> bool:
    """Whether a divisor is no literal, or zero; only within calls of `math` if so asked."""
    calls: list[bool] = []
    for number, token in enumerate(read):
        if token.lastgroup == "open":
            before = read[number - 1].group() if number else ""
            calls.append(before.replace(" ", "").startswith("math."))
        elif token.lastgroup == "close" and calls:
            calls.pop()
        elif token.group() == "/" and (any(calls) or not within_math):
            divisor = read[number + 1] if number + 1 < len(read) else None
            if divisor is None or not _is_nonzero(divisor):
                return True
    return False


def _is_nonzero(token: re.Match[str]) -> bool:
    return token.lastgroup == "number" and float(token.group().rstrip("uU")) != 0


def comparison(source: str) -> Comparison | None:
    """Return the two sides if the whole text is one comparison of order, else None."""
    depth = 0
    relation: re.Match[str] | None = None
    for match in _TOKEN.finditer(source):
        depth += (match.lastgroup == "open") - (match.lastgroup == "close")
        if depth:
            continue
        token = match.group()
        if token in _LOGIC or (relation is not None and token in _RELATIONS):
            return None
        if token in _RELATIONS:
            relation = match
    if relation is None:
        return None
    return Comparison(source[: relation.start()], relation.group(), source[relation.end() :])
