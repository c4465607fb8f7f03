"""What a name that is not known may have been meant to be: one form for all messages."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

SHOWN: Final = 12
"""Names that one message lists."""


def near(wanted: str, candidates: Iterable[str]) -> str:
    """Return the likeliest name as a question, or nothing: `did you mean co2? `."""
    matches = difflib.get_close_matches(wanted, sorted(set(candidates)), n=1)
    return f"did you mean {matches[0]}? " if matches else ""


def among(wanted: str, candidates: Iterable[str]) -> str:
    """Return the candidates, the likeliest first: `did you mean co2? Known: airflow, co2`."""
    names = sorted(set(candidates))
    if not names:
        return "there is none"
    likeliest = near(wanted, names)
    return f"{likeliest}Known: {listed(names)}" if likeliest else f"known: {listed(names)}"


def listed(names: Sequence[str], most: int = SHOWN, separator: str = ", ") -> str:
    """Return the first names, and how many more there are: `airflow, co2 and 3 more`."""
    left = len(names) - most
    return separator.join(names[:most]) + (f" and {left} more" if left > 0 else "")
