"""What an expression's text says before anybody compiles it: the names in it, and its comparison.

Used by `compiler` only. This is no parser: the CEL library parses. It finds names (for the operands
of a record, for what a variable depends on), cuts a single comparison in two (for the margin), and
sees divisions. All err on the safe side: a name too many is recorded, a comparison not recognised
has no margin, a division that could do no harm goes into a variable.
"""

import itertools
import re
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


def names(source: str) -> frozenset[str]:
    """Return every dotted name of the text and its prefixes: `a.b` gives `a` and `a.b`."""
    found: set[str] = set()
    for match in _TOKEN.finditer(source):
        if match.lastgroup == "name":
            parts = [part.strip() for part in match["name"].split(".")]
            found.update(".".join(parts[: end + 1]) for end in range(len(parts)))
    return frozenset(found)


def has_dynamic(source: str) -> bool:
    """Whether the text turns static types off with `dyn(...)`."""
    return "dyn" in names(source)


def may_hide_nan(source: str) -> bool:
    """Whether a quotient that is no number could go unnoticed: what compares it has a result.

    True for a division by anything but a literal, zero excepted, beside a comparison, a choice, or
    a function of `math`.
    """
    tokens = [match for match in _TOKEN.finditer(source) if match.lastgroup != "comment"]
    divides = any(
        one.group() == "/" and not _is_nonzero(other)
        for one, other in itertools.pairwise([*tokens, None])
        if one is not None
    )
    decides = any(match.group() in _RELATIONS | _LOGIC for match in tokens)
    return divides and (decides or "math" in names(source))


def _is_nonzero(token: re.Match[str] | None) -> bool:
    return (
        token is not None and token.lastgroup == "number" and float(token.group().rstrip("uU")) != 0
    )


def comparison(source: str) -> Comparison | None:
    """Return the two sides if the whole text is one comparison of order, else None."""
    depth = 0
    found: re.Match[str] | None = None
    for match in _TOKEN.finditer(source):
        depth += (match.lastgroup == "open") - (match.lastgroup == "close")
        if depth:
            continue
        token = match.group()
        if token in _LOGIC or (found is not None and token in _RELATIONS):
            return None
        if token in _RELATIONS:
            found = match
    if found is None:
        return None
    return Comparison(source[: found.start()], found.group(), source[found.end() :])
