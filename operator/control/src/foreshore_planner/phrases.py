"""What is said of an object, and how a message names many things: the first few of so many.

A message has room for 1024 characters and holds no volatile number, whatever the fleet's size.
"""

from collections.abc import Iterable
from typing import Final

from foreshore_api import conditions

Said = tuple[conditions.Type, conditions.Status, conditions.Reason, str]
"""One condition without its times: (type, status, reason, message)."""

LONGEST: Final = 1024
"""Characters of a condition's message."""
NAMED: Final = 3


def listed(names: Iterable[str], noun: str = "", separator: str = ", ") -> str:
    """Return the first names, and how many more there are (of what, if a noun is given)."""
    every = list(names)
    rest = len(every) - NAMED
    if rest <= 0:
        return separator.join(every)
    more = f"{rest} more {noun}".rstrip()
    return f"{separator.join(every[:NAMED])} and {more}"


def fitted(message: str) -> str:
    """Return a message that fits into a condition."""
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 1]}…"
