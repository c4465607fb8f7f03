"""Text that others wrote, made fit for a terminal, a log line, a condition or a page.

A device's property, its reason for a refusal, a node's message: anybody may have written it. Escape
sequences move a terminal's cursor and change its title, newlines forge log lines, and characters
that turn the direction of writing make a name read as another. Everything that prints calls this at
the moment it prints; what is stored keeps its bytes, because hashes are over them.
"""

import unicodedata
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
MAXIMUM: Final = 1024
"""Characters of one text."""
LONGEST_LOGGED: Final = 4096
"""Characters of one line of a log."""
_ELLIPSIS: Final = "…"
_UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that no line shows: controls, formats (all that turn the direction, and those
without a width), surrogates, separators of lines."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Formats that scripts and signs need to be written rightly; they move nothing."""


def is_fit(character: str) -> bool:
    """Whether a character may be printed within a line."""
    return character in _JOINERS or unicodedata.category(character) not in _UNFIT


def line(value: object, maximum: int = MAXIMUM) -> str:
    """Return one line: as written, but for characters that do more than to be read.

    Its blanks stay, so that columns do.
    """
    text = str(value)
    if len(text) > maximum:
        text = text[: maximum - 1] + _ELLIPSIS
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_fit(character) else REPLACEMENT for character in text)


def escaped(document: str) -> str:
    """Return a JSON document with an escape for every character that is not fit to be printed.

    Such a character can stand in its texts only, so that it means the same; its own newlines and
    blanks stay.
    """
    if document.isascii():
        return document.replace("\x7f", "\\u007f")
    return "".join(
        character if character == "\n" or is_fit(character) else _utf16(character)
        for character in document
    )


def _utf16(character: str) -> str:
    """Return a character as JSON's escapes: those beyond 16 bits as a pair."""
    encoded = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{encoded[at : at + 4]}" for at in range(0, len(encoded), 4))


def clean(value: object, maximum: int = MAXIMUM) -> str:
    """Return one line as `line` does, with single blanks between its words."""
    return line(" ".join(str(value)[: 4 * maximum].split()), maximum)


def logged(message: object) -> str:
    """Return a log's message, which is one line whatever it quotes."""
    return clean(message, LONGEST_LOGGED)


def traceback(text: str) -> str:
    """Return a log's traceback: it keeps its lines and their blanks."""
    return "\n".join(line(row, LONGEST_LOGGED) for row in text.splitlines())
